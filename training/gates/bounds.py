"""From a number and its bounds to a verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from moment.errors import ConfigurationError, Fault
from serving.lifecycle import GateVerdict, Verdict, overall
from serving.lifecycle.gates import judged
from training.evaluation.intervals import MetricInterval
from training.pipelines.configuration import Settings

BAD_FIRST = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)
"""Verdicts in the order in which they trouble."""


class Bounds(Settings, frozen=True, kw_only=True):
    """What a number must lie within, its whole interval included; without any it is told, not judged."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        low = [] if self.at_least is None else [f"at least {self.at_least:g}"]
        high = [] if self.at_most is None else [f"at most {self.at_most:g}"]
        return ", ".join(low + high) or "told, not judged"


def verdict(
    gate: str, title: str, number: MetricInterval | float | None, bounds: Bounds, note: str = ""
) -> GateVerdict:
    """Hold a number against its bounds.

    Parameters
    ----------
    gate, note
        See `serving.lifecycle.GateVerdict`.
    title
        What the number is; the bounds are added.
    number
        With its interval where it has one; an interval that could not be found (NaN) fails, as a missing
        number does.
    bounds
        Of the number.
    """
    value, low, high = _parts(number)
    found = judged(value, low, high, at_least=bounds.at_least, at_most=bounds.at_most)
    if found is Verdict.FAIL and (value is None or not math.isfinite(value)):
        note = note or "there is no such number"
    elif low is not None and math.isnan(low):
        note = "; ".join(part for part in (note, "too few rows of one kind for an interval") if part)
    return GateVerdict(
        gate=gate,
        title=f"{title}, {bounds}",
        verdict=found,
        value=_finite(value),
        low=_finite(low),
        high=_finite(high),
        at_least=bounds.at_least,
        at_most=bounds.at_most,
        note=note,
    )


def missing(gate: str, title: str, bounds: Bounds, why: str) -> GateVerdict:
    """Return the failure of a gate whose number could not be found."""
    return verdict(gate, title, None, bounds, why)


def excused(gate: str, title: str, bounds: Bounds, why: str) -> GateVerdict:
    """Return the pass of a gate that has nothing to look at, for a reason that is no fault of the model."""
    return GateVerdict(
        gate=gate,
        title=f"{title}, {bounds}",
        verdict=Verdict.PASS,
        at_least=bounds.at_least,
        at_most=bounds.at_most,
        note=why,
    )


def gate_metrics(verdicts: Iterable[GateVerdict]) -> dict[str, float]:
    """Return what gates found as numbers: ``gate auc.observed`` with its ``_low`` and ``_high``."""
    flat: dict[str, float] = {}
    for one in verdicts:
        parts = (("", one.value), ("_low", one.low), ("_high", one.high))
        flat |= {f"gate {one.gate}{end}": number for end, number in parts if number is not None}
    return flat


def gate_tags(verdicts: Sequence[GateVerdict]) -> dict[str, str]:
    """Return what gates say together, and which of them did not pass, as tags of a run."""
    open_ = [f"{one.gate} ({one.verdict})" for one in verdicts if one.verdict is not Verdict.PASS]
    return {"moment.gates": overall(verdicts).value, "moment.gates_open": ", ".join(open_) or "none"}


def check_names(verdicts: Iterable[GateVerdict]) -> tuple[GateVerdict, ...]:
    """Refuse two gates of one name: an acceptance by name must mean one gate.

    Raises
    ------
    ConfigurationError
        A name is there twice.
    """
    found = tuple(verdicts)
    doubled = sorted(name for name, count in Counter(one.gate for one in found).items() if count > 1)
    if doubled:
        raise ConfigurationError(
            "gates are asked twice",
            faults=[Fault(f"gates: {name}", "give one gate with both bounds") for name in doubled],
        )
    return found


def _parts(number: MetricInterval | float | None) -> tuple[float | None, float | None, float | None]:
    if isinstance(number, MetricInterval):
        return number.value, number.low, number.high
    return number, None, None


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
