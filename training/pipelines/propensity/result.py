"""What a run of the propensity pipeline found: everything its report, its card and the command line say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from serving.lifecycle import GateVerdict
from training.evaluation.calibration import ReliabilityBin
from training.evaluation.discrimination import GainsPoint
from training.evaluation.intervals import MetricInterval
from training.evaluation.ratios import SegmentRatio
from training.evaluation.report import Evaluation
from training.models.contenders import Selection
from training.pipelines.propensity.nodes import RowsUsed

HEADLINE = "closed"
"""The slice that stands for the model: every campaign after the split whose window closed."""

SERVED = "observed"
"""The slice that speaks of what is served: of those, the ones where what was shown is on record."""

SLICES: Mapping[str, str] = {
    "closed": "all exposures, closed windows",
    "observed": "observed exposures, closed windows",
    "record": "all exposures, as in the record",
    "record_observed": "observed exposures, as in the record",
}
"""The slices of the test with their meaning."""


@dataclass(frozen=True, slots=True)
class ContenderFigures:
    """One contender on the test, the headline slice and the served one."""

    closed: Evaluation
    observed: Evaluation


@dataclass(frozen=True, slots=True)
class PropensityResult:
    """One trained, measured and bundled propensity model.

    Parameters
    ----------
    version, digest, kind
        Of the bundle.
    run_id, registered
        MLflow's run and the number of the registered version.
    split_at
        What divides training from test, UTC.
    seed
        Seed of everything that draws.
    train, test
        What the model was fitted and measured on.
    left_out
        Presentations in neither, by reason.
    figures
        The winner's figures by slice.
    groups
        The winner's figures on the headline slice by group of actions.
    contenders
        Every contender's figures, simplest first.
    selection
        Who won and why.
    reliability
        The winner's predicted and observed rates on the served slice.
    gains
        The winner's gains curve on the headline slice.
    gates
        What each gate found; see `training.gates`.
    champion
        Version it was compared with, empty for none.
    drift
        Population stability index of every column of the model's row, test against training, most moved
        first.
    by_segment
        Answers observed and expected on the slice the gates name, by persona and group of actions.
    pooled_actions
        Actions without an offset of their own.
    leaking
        Features from tables without history.
    parameters
        What tuning chose and the settings that led to it.
    notes
        What to read before the figures.
    data_digest
        SHA-256 of lake, features and catalogue.
    seconds
        How long the run took.
    """

    version: str
    digest: str
    kind: str
    run_id: str
    registered: str
    split_at: datetime
    seed: int
    train: RowsUsed
    test: RowsUsed
    left_out: Mapping[str, int]
    figures: Mapping[str, Evaluation]
    groups: Mapping[str, Evaluation]
    contenders: Mapping[str, ContenderFigures]
    selection: Selection
    reliability: tuple[ReliabilityBin, ...]
    gains: tuple[GainsPoint, ...]
    gates: tuple[GateVerdict, ...]
    champion: str
    drift: Mapping[str, MetricInterval]
    by_segment: Mapping[str, SegmentRatio]
    pooled_actions: tuple[str, ...]
    leaking: tuple[str, ...]
    parameters: Mapping[str, str | int | float | bool | None]
    notes: tuple[str, ...]
    data_digest: str
    seconds: float
