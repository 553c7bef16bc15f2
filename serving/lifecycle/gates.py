"""What a gate found: a number with its interval, and whether it is enough."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """Whether a gate's bound is reached."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class GateVerdict(Struct, frozen=True, kw_only=True):
    """One gate and what came of it.

    Parameters
    ----------
    gate
        Its name, stable, e.g. ``auc.observed`` or ``against_champion.log_loss``.
    title
        What it asks, for people, e.g. ``AUC, observed exposures, at least 0.70``.
    value, low, high
        The number and its 95 % interval; None where there is none. A missing number fails.
    at_least, at_most
        The bounds; None where there is none.
    verdict
        What came of it.
    note
        Why there is no number, or what to know of it.
    """

    gate: str
    title: str
    verdict: Verdict
    value: float | None = None
    low: float | None = None
    high: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""


def judged(
    value: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Verdict:
    """Hold a number against its bounds: missing fails, an interval that spans a bound is inconclusive.

    Without an interval the number itself is held against them.
    """
    if value is None or math.isnan(value):
        return Verdict.FAIL
    low, high = (value, value) if low is None or high is None else (low, high)
    if not low <= high:
        return Verdict.FAIL
    least = float("-inf") if at_least is None else at_least
    most = float("inf") if at_most is None else at_most
    if least <= low and high <= most:
        return Verdict.PASS
    return Verdict.FAIL if high < least or most < low else Verdict.INCONCLUSIVE


def overall(verdicts: Iterable[GateVerdict]) -> Verdict:
    """Return the worst of all: one failure fails, no gate at all fails."""
    found = {item.verdict for item in verdicts}
    if not found or Verdict.FAIL in found:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in found else Verdict.PASS
