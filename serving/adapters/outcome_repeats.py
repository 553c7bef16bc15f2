"""Which reports on an offer were made before: the same for every store of outcomes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from serving.ports import OutcomeReport, Reporter, Verdict

PRESENTED = "presented"
"""The kind that happens to an offer once, whoever reports it."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A report kept of the same offer; `event` is its id as the store has it."""

    event: str
    kind: str
    occurred_at: datetime
    value: float | None


def repeated(report: OutcomeReport, event: str, by: Reporter, earlier: Iterable[Earlier]) -> Verdict | None:
    """Return `duplicate` or `conflict` for what was reported before, None for what is new.

    A report is told by its event id. An offer is presented once, and a browser reports each kind once: there
    the kind tells it too.
    """
    once = report.kind == PRESENTED or by.key_id is None
    kept = list(earlier)
    for one in kept:
        if one.event == event:
            return Verdict.DUPLICATE if _same(report, one) else Verdict.CONFLICT
    for one in kept:
        if once and one.kind == report.kind:
            return Verdict.DUPLICATE if _same(report, one) else Verdict.CONFLICT
    return None


def _same(report: OutcomeReport, one: Earlier) -> bool:
    return (report.kind, report.occurred_at, report.value) == (one.kind, one.occurred_at, one.value)
