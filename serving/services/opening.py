"""What a model's service opens: the bundles a Bento brought, else those of the home; each is proved first."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moment.errors import DependencyError
from moment.home import Home
from moment.private import keep_private
from serving.bundles.manifest import current
from serving.bundles.signing import TRUST_VARIABLE, Trust
from serving.lifecycle import Model
from serving.packaging.packaged import Packaged, book_of, in_service, or_refuse
from serving.settings import Settings
from serving.slow_clients import wait_at_most

if TYPE_CHECKING:
    from features.contract import FeatureContract
    from serving.bundles import PropensityBundle, SegmentationBundle
    from serving.decision.catalogue import Catalogue
    from serving.services.doors import Door
    from serving.services.scoring import Scoring

_MAX_BODY_BYTES = 4 * 2**20
"""A row has every feature of a customer: bodies are larger than those that ask for decisions."""


def scoring_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; without another word, bodies may be larger than where decisions are asked for."""
    environment = os.environ if environment is None else environment
    settings = Settings.read(environment)
    if environment.get("MOMENT_MAX_BODY_BYTES"):
        return settings
    return replace(settings, max_body_bytes=_MAX_BODY_BYTES)


def options(settings: Settings) -> dict[str, Any]:
    """Return what every service of a single model tells BentoML of itself; its connections are as ours."""
    wait_at_most(settings.body_seconds)
    return {
        "workers": settings.workers,
        # Where `bentoml serve` listens when nobody tells it; its configuration has no port 0
        "http": {"host": settings.host, "port": settings.port or 3000},
        # Each request leaves a timer behind for this long, so it is short
        "traffic": {"timeout": 15},
        # What these would write or count is personal, or comes from Moment's own log
        "logging": {"access": {"enabled": False}},
        "metrics": {"enabled": False},
        "tracing": {"excluded_urls": ".*"},
    }


def check_door(settings: Settings) -> None:
    """Refuse to start without a key, once for all workers: this ends the process with one line."""
    from serving.services.doors import open_door

    keep_private()
    or_refuse(lambda: open_door(Home.find(), settings).close())


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the bundles lie, and who vouches for them.

    Parameters
    ----------
    chosen
        Names the folder of the version of a model that serves.
    trusted
        The keys that are believed.
    policy_folder
        The bundle of the policy; None: a catalogue that is a plain file decides.
    catalogue
        That file; None: what the settings name.
    """

    chosen: Callable[[Model], Path]
    trusted: Trust
    policy_folder: Path | None
    catalogue: Path | None

    def propensity(self) -> PropensityBundle:
        """Prove and open the propensity model."""
        from serving.bundles import open_proved_propensity

        return open_proved_propensity(self.chosen(Model.PROPENSITY), self.trusted)

    def segmentation(self) -> SegmentationBundle:
        """Prove and open the segmentation."""
        from serving.bundles import open_proved_segmentation

        return open_proved_segmentation(self.chosen(Model.SEGMENTATION), self.trusted)

    def policy(self, settings: Settings, contract: FeatureContract) -> tuple[Catalogue, str]:
        """Return the catalogue that decides, and the digest of its bundle, empty where it is a plain file."""
        from serving.opening import load_catalogue

        if self.policy_folder is None:
            named = self.catalogue if settings.catalogue is None else settings.catalogue
            return load_catalogue(replace(settings, catalogue=named), contract), ""
        from serving.bundles import open_proved_policy

        bundle = open_proved_policy(self.policy_folder, self.trusted)
        return bundle.catalogue, bundle.digest


def open_shelf(home: Home, environment: Mapping[str, str] | None = None) -> Shelf:
    """Return the bundles a Bento brought; where there is none, those that serve in the home."""
    environment = os.environ if environment is None else environment
    packaged = Packaged.find(environment)
    if packaged is None:
        book = book_of(home)
        policy = None
        if book.champion(Model.NEXT_BEST_ACTION) is not None:
            policy = in_service(home, book, Model.NEXT_BEST_ACTION)
        return Shelf(partial(in_service, home, book), Trust.of_home(home.keys, environment), policy, None)
    named = environment.get(TRUST_VARIABLE)
    trusted = Trust.of_home(home.keys, environment) if named else Trust.read(packaged.trust)
    brought = Model.NEXT_BEST_ACTION in packaged.models()
    policy = current(packaged.bundles, Model.NEXT_BEST_ACTION) if brought else None
    return Shelf(partial(current, packaged.bundles), trusted, policy, packaged.catalogue)


@dataclass(frozen=True, slots=True)
class Opened:
    """A model ready to answer, and the door to it."""

    scoring: Scoring
    door: Door

    def score(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Answer rows that were checked, as plain data both ways."""
        import msgspec

        answers: list[dict[str, Any]] = msgspec.to_builtins(self.scoring.score(rows))
        return answers


def open_model(model: Model, settings: Settings) -> Opened:
    """Open a model's service. Importing the models' libraries takes seconds.

    Raises
    ------
    DependencyError
        A bundle is missing or was refused.
    ConfigurationError
        The catalogue is wrong, or no key opens the service.
    """
    from serving.adapters.identifiers import utc_now
    from serving.services.doors import open_door
    from serving.services.scoring import NextBestActionScoring, PropensityScoring, SegmentationScoring

    keep_private()
    home = Home.find()
    door, shelf = open_door(home, settings), open_shelf(home)
    if model is Model.SEGMENTATION:
        return Opened(SegmentationScoring(shelf.segmentation()), door)
    propensity = shelf.propensity()
    catalogue, policy = shelf.policy(settings, propensity.contract)
    if model is Model.PROPENSITY:
        return Opened(PropensityScoring(propensity, catalogue), door)
    segmentation = shelf.segmentation()
    if segmentation.contract.digest() != propensity.contract.digest():
        raise DependencyError(
            "the segmentation and the propensity model were trained on different features; train one again"
        )
    return Opened(NextBestActionScoring(catalogue, propensity, segmentation, utc_now, policy), door)
