"""The settings of the propensity pipeline, as ``config.yaml`` holds and explains them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from training.evaluation.report import Metric
from training.pipelines.configuration import Settings

CONFIG = Path(__file__).with_name("config.yaml")


class ModelSettings(Settings, frozen=True):
    """How the model is tuned; see ``training.models.propensity``."""

    trials: int
    budget_seconds: float
    folds: int
    max_rounds: int
    max_rows: int
    min_offset_positives: int
    monotone: Mapping[str, int] = msgspec.field(default_factory=dict)


class EvaluationSettings(Settings, frozen=True):
    """How it is measured."""

    replicates: int
    min_group_positives: int


class Gate(Settings, frozen=True):
    """A number the model must reach, lower or upper bound of its interval included."""

    metric: Metric
    slice: str
    at_least: float | None = None
    at_most: float | None = None


class PropensitySettings(Settings, frozen=True):
    """All settings of the pipeline."""

    split_on: date
    seed: int
    model: ModelSettings
    evaluation: EvaluationSettings
    leave_out: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()

    @property
    def split_at(self) -> datetime:
        """The instant that divides training from test, UTC."""
        return datetime.combine(self.split_on, datetime.min.time(), tzinfo=UTC)
