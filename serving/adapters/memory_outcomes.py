"""Outcomes in memory: for tests, examples and trying things out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from moment.errors import DependencyError
from serving.adapters.memory_contacts import MemoryContacts
from serving.adapters.outcome_repeats import PRESENTED, Earlier, repeated
from serving.ports import KnownOutcome, OutcomeReport, Reporter, Verdict
from serving.records import DecisionRecord


@dataclass(slots=True)
class _Kept:
    """A report and who made it; `waiting` until its decision comes, `foreign` where that was another's."""

    report: OutcomeReport
    by: Reporter
    received_at: datetime
    waiting: bool
    late: bool = False
    foreign: bool = False


class MemoryOutcomes:
    """The port `Outcomes` in a list; what counts goes on to `contacts`, decisions are found by `find`.

    With `broken` set, it fails as a store that is away does.
    """

    def __init__(self, contacts: MemoryContacts, find: Callable[[str], DecisionRecord | None]) -> None:
        self.broken = False
        self._contacts = contacts
        self._find = find
        self._kept: list[_Kept] = []
        self._lock = threading.RLock()

    def append(
        self, reports: Sequence[OutcomeReport], *, by: Reporter, received_at: datetime
    ) -> Future[tuple[Verdict, ...]]:
        """Keep reports, and count what counts."""
        done: Future[tuple[Verdict, ...]] = Future()
        if self.broken:
            done.set_exception(DependencyError("the store of outcomes does not answer; try again later"))
            return done
        with self._lock:
            done.set_result(tuple(self._append(report, by, received_at) for report in reports))
        return done

    def of_decision(self, decision_id: str) -> tuple[KnownOutcome, ...]:
        """Return what was reported of a decision's offers, in the order it came."""
        with self._lock:
            return tuple(
                KnownOutcome(
                    tracking_id=kept.report.tracking_id,
                    kind=kept.report.kind,
                    occurred_at=kept.report.occurred_at,
                    received_at=kept.received_at,
                    value=kept.report.value,
                    late=kept.late,
                    key_id=kept.by.key_id,
                )
                for kept in self._kept
                if kept.report.decision_id == decision_id and not kept.foreign
            )

    def count_waiting(self, record: DecisionRecord) -> None:
        """Count what was reported of a decision before it was known."""
        with self._lock:
            for kept in self._kept:
                if kept.waiting and kept.report.decision_id == record.decision_id:
                    kept.waiting = False
                    kept.foreign = not kept.by.was_given(mode=record.mode, channel=record.channel)
                    if not kept.foreign:
                        kept.late = self._count(kept.report) is Verdict.RECORDED_LATE

    def _append(self, report: OutcomeReport, by: Reporter, received_at: datetime) -> Verdict:
        decision = self._find(report.decision_id)
        if decision is not None:
            if not by.was_given(mode=decision.mode, channel=decision.channel):
                return Verdict.UNKNOWN
            if report.precedes(decision.decided_at):
                return Verdict.TOO_EARLY
        before = repeated(report, report.event_id, by, self._earlier(report))
        if before is not None:
            return before
        verdict = Verdict.RECORDED if decision is None else self._count(report)
        late = verdict is Verdict.RECORDED_LATE
        self._kept.append(_Kept(report, by, received_at, waiting=decision is None, late=late))
        return verdict

    def _earlier(self, report: OutcomeReport) -> list[Earlier]:
        same = (kept.report for kept in self._kept if kept.report.tracking_id == report.tracking_id)
        return [Earlier(one.event_id, one.kind, one.occurred_at, one.value) for one in same]

    def _count(self, report: OutcomeReport) -> Verdict:
        if report.kind == PRESENTED:
            counted = self._contacts.present(
                report.tracking_id, occurred_at=report.occurred_at, reported_at=report.reported_at
            )
        else:
            counted = self._contacts.record_outcome(
                report.tracking_id,
                report.kind,
                outcome_id=report.event_id,
                occurred_at=report.occurred_at,
                reported_at=report.reported_at,
            )
        return Verdict.RECORDED_LATE if counted is Verdict.RECORDED_LATE else Verdict.RECORDED
