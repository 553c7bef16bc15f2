"""The settings of the segmentation pipeline, as ``config.yaml`` holds and explains them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from training.gates import Bounds
from training.gates.cost import TimeGate
from training.gates.seeds import SeedAgreement
from training.pipelines.configuration import Settings

CONFIG = Path(__file__).with_name("config.yaml")


class PhraseSettings(Settings, frozen=True):
    """How people say that a feature is high or low; see ``training.models.segmentation.Phrase``."""

    column: str
    high: str = ""
    low: str = ""
    topic: str = ""
    levels: tuple[str, ...] = ()
    noun: bool = False


class SegmentationGates(Settings, frozen=True):
    """What a version must reach before it may serve; see ``judging``. None has a default."""

    stability: Bounds
    stayed: Bounds
    smallest_persona: Bounds
    coverage: Bounds
    seed_variance: SeedAgreement
    agreement: Bounds
    scoring_time: TimeGate
    bundle_size: Bounds


class SegmentationSettings(Settings, frozen=True):
    """All settings of the pipeline."""

    features: tuple[str, ...]
    seed: int
    clusters: tuple[int, ...]
    pairs: int
    min_share: float
    min_stability: float
    categorical_weight: float
    compare_weeks: int
    gates: SegmentationGates
    noun: str = "customers"
    weights: Mapping[str, float] = msgspec.field(default_factory=dict)
    phrases: tuple[PhraseSettings, ...] = ()
