"""The pipelines a retraining runs, one face for both: settings, what they would learn from, and training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from training.retrain import Journal

if TYPE_CHECKING:
    from moment.home import Home
    from training.pipelines.propensity.result import PropensityResult
    from training.pipelines.segmentation.result import SegmentationResult


def settings_file(model: str) -> Path:
    """Return the YAML of a model's pipeline."""
    if model == "propensity":
        from training.pipelines.propensity.settings import CONFIG as OF_PROPENSITY

        return OF_PROPENSITY
    from training.pipelines.segmentation.settings import CONFIG as OF_SEGMENTATION

    return OF_SEGMENTATION


def learns_from(model: str, home: Home, catalogue: Callable[[], Path | None]) -> str:
    """Return the SHA-256 of what a model would be trained on now.

    Parameters
    ----------
    catalogue
        Tells the catalogue of what was presented, where the model learns from that.
    """
    from features.definitions import customer_contract

    if model == "propensity":
        from training.pipelines.propensity.training_set import data_digest

        return data_digest(home, customer_contract(), catalogue())
    from training.pipelines.segmentation.pipeline import newest_digest

    return newest_digest(home, customer_contract())


def train(
    model: str,
    home: Home,
    journal: Journal,
    *,
    catalogue: Callable[[], Path | None],
    champion: Callable[[str], Path | None],
) -> PropensityResult | SegmentationResult:
    """Train a model for a retraining; the ledger says what becomes of it.

    Parameters
    ----------
    journal
        As it was begun: what was asked for, and why.
    catalogue
        Tells the catalogue of what was presented, where the model learns from that.
    champion
        Tells the bundle of a model that serves.
    """
    if model == "propensity":
        return _propensity(home, journal, catalogue(), champion)
    return _segmentation(home, journal, champion)


def _propensity(
    home: Home, journal: Journal, catalogue: Path | None, champion: Callable[[str], Path | None]
) -> PropensityResult:
    import msgspec

    from training.pipelines.configuration import read_config
    from training.pipelines.propensity import pipeline
    from training.pipelines.propensity.settings import CONFIG, PropensitySettings

    settings = read_config(CONFIG, PropensitySettings)
    return pipeline.train(
        home,
        msgspec.structs.replace(settings, split_on=journal.asked.split_on),
        catalogue=catalogue,
        champion=champion("propensity"),
        segmentation=champion("segmentation"),
        adopt=False,
        reason=journal.why,
    )


def _segmentation(home: Home, journal: Journal, champion: Callable[[str], Path | None]) -> SegmentationResult:
    from training.pipelines.configuration import read_config
    from training.pipelines.segmentation import pipeline
    from training.pipelines.segmentation.settings import CONFIG, SegmentationSettings

    return pipeline.train(
        home,
        read_config(CONFIG, SegmentationSettings),
        champion=champion("segmentation"),
        adopt=False,
        reason=journal.why,
    )
