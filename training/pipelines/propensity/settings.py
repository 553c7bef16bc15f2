"""The settings of the propensity pipeline, as ``config.yaml`` holds and explains them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from training.gates import Bounds
from training.gates.cost import TimeGate
from training.gates.figures import ChampionGates, FigureGate
from training.gates.monotone import MonotoneGate
from training.gates.seeds import SeedVariance
from training.gates.segments import SegmentGates
from training.gates.stability import FeatureStability, ScoreStability
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


class PropensityGates(Settings, frozen=True):
    """What a version must reach before it may serve; see the module of each in ``training.gates``.

    None has a default: a gate that is not in the file is an error, no silence.
    """

    figures: tuple[FigureGate, ...]
    champion: ChampionGates
    score_stability: ScoreStability
    feature_stability: FeatureStability
    seed_variance: SeedVariance
    segments: SegmentGates
    monotone: MonotoneGate
    scoring_time: TimeGate
    bundle_size: Bounds


class PropensitySettings(Settings, frozen=True):
    """All settings of the pipeline."""

    split_on: date | None
    seed: int
    model: ModelSettings
    evaluation: EvaluationSettings
    gates: PropensityGates
    test_share: float = 0.25
    leave_out: tuple[str, ...] = ()

    @property
    def split_at(self) -> datetime | None:
        """The instant that divides training from test, UTC; None: the newest period tests."""
        if self.split_on is None:
            return None
        return datetime.combine(self.split_on, datetime.min.time(), tzinfo=UTC)
