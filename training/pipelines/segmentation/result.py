"""What a run of the segmentation pipeline found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from serving.bundles import Persona
from serving.lifecycle import GateVerdict
from training.evaluation.intervals import MetricInterval


@dataclass(frozen=True, slots=True)
class SegmentationResult:
    """One trained and bundled segmentation.

    Parameters
    ----------
    version, digest
        Of the bundle.
    run_id, registered
        MLflow's run and the number of the registered version.
    as_of
        Time of the features it was fitted on, UTC.
    seed
        Seed of everything that draws.
    customers
        How many it was fitted on.
    personas
        Largest first.
    stability
        Mean adjusted Rand index over pairs of resamples, by number of personas tried.
    compare_weeks, stayed
        Share of customers whose persona was the same that many weeks earlier, interval over customers.
    gates
        What each gate found; see `training.gates`.
    champion
        Version it was compared with, empty for none.
    leaking
        Features from tables without history.
    notes
        What to read before the figures.
    data_digest
        SHA-256 of lake and features.
    seconds
        How long the run took.
    """

    version: str
    digest: str
    run_id: str
    registered: str
    as_of: datetime
    seed: int
    customers: int
    personas: tuple[Persona, ...]
    stability: Mapping[int, MetricInterval]
    compare_weeks: int
    stayed: MetricInterval
    gates: tuple[GateVerdict, ...]
    champion: str
    leaking: tuple[str, ...]
    notes: tuple[str, ...]
    data_digest: str
    seconds: float
