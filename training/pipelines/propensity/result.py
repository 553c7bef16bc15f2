"""What a run of the propensity pipeline found: everything its report, its card and the command line say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from training.evaluation.calibration import ReliabilityBin
from training.evaluation.discrimination import GainsPoint
from training.evaluation.intervals import MetricInterval
from training.evaluation.report import Evaluation
from training.models.contenders import Selection
from training.pipelines.propensity.nodes import RowsUsed
from training.pipelines.propensity.settings import Gate

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


class Verdict(StrEnum):
    """Whether a gate's bound is reached."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """A gate, the number it looked at and what came of it."""

    gate: Gate
    value: MetricInterval | None
    verdict: Verdict


def judge(gates: Sequence[Gate], figures: Mapping[str, Evaluation]) -> tuple[GateVerdict, ...]:
    """Hold figures against gates: a missing number fails, an interval that spans a bound is inconclusive."""
    return tuple(_judged(gate, figures) for gate in gates)


def _judged(gate: Gate, figures: Mapping[str, Evaluation]) -> GateVerdict:
    found = figures[gate.slice].metrics.get(gate.metric) if gate.slice in figures else None
    if found is None or not found.low <= found.high:
        return GateVerdict(gate, found, Verdict.FAIL)
    low = float("-inf") if gate.at_least is None else gate.at_least
    high = float("inf") if gate.at_most is None else gate.at_most
    if low <= found.low and found.high <= high:
        return GateVerdict(gate, found, Verdict.PASS)
    outside = found.high < low or high < found.low
    return GateVerdict(gate, found, Verdict.FAIL if outside else Verdict.INCONCLUSIVE)


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
        The gates and their verdicts.
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
    pooled_actions: tuple[str, ...]
    leaking: tuple[str, ...]
    parameters: Mapping[str, str | int | float | bool | None]
    notes: tuple[str, ...]
    data_digest: str
    seconds: float
