"""Outcomes in SQLite: every report once, and what counts goes on to the ledger of contacts with it.

The report, what it does to limits and suppressions, and the answer's verdict come of one transaction. A
report on a decision that is not there yet waits; the decision's own transaction counts it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from moment.errors import DependencyError
from serving.adapters.database import PerThread
from serving.adapters.group_commit import GroupCommit
from serving.adapters.instants import from_microseconds, to_microseconds
from serving.adapters.outcome_repeats import PRESENTED, Earlier, repeated
from serving.adapters.sqlite_reporting import Answered, present, record_outcome
from serving.adapters.vault import Vault
from serving.ports import KnownOutcome, OutcomeReport, Reporter, Verdict
from serving.records import Mode

COUNTED, WAITING, FOREIGN = "counted", "waiting", "foreign"
"""What became of a report that is kept."""

_DECISION = "SELECT mode, channel, decided_at FROM decisions WHERE decision_id = ?"
_EARLIER = """
SELECT event_ref, kind, occurred_at, value FROM outcome_reports WHERE decision_id = ? AND tracking_id = ?
"""
_INSERT = """
INSERT INTO outcome_reports (decision_id, tracking_id, event_ref, kind, occurred_at, reported_at,
                             received_at, value, late, state, mode, channel, key_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_WAITING = """
SELECT tracking_id, event_ref, kind, occurred_at, reported_at, mode, channel, key_id FROM outcome_reports
WHERE decision_id = ? AND state = 'waiting' ORDER BY received_at, tracking_id, event_ref
"""
_SETTLE = """
UPDATE outcome_reports SET state = ?, late = ? WHERE decision_id = ? AND tracking_id = ? AND event_ref = ?
"""
_OF_DECISION = """
SELECT tracking_id, kind, occurred_at, received_at, value, late, key_id FROM outcome_reports
WHERE decision_id = ? AND state != 'foreign' ORDER BY received_at, tracking_id, event_ref
"""


class SqliteOutcomes:
    """The port `Outcomes` on the database at `path`; it writes with the records' `writer`."""

    def __init__(self, path: Path, writer: GroupCommit, vault: Vault) -> None:
        self._vault = vault
        self._writer = writer
        self._readers = PerThread(path)

    def append(
        self, reports: Sequence[OutcomeReport], *, by: Reporter, received_at: datetime
    ) -> Future[tuple[Verdict, ...]]:
        """Hand reports to the writer; the future is done when all of them are on the disk."""
        new = [_New(report, self._vault.blind("outcome", report.event_id)) for report in reports]
        return self._writer.submit(lambda connection: _Writing(connection, by, received_at).write(new))

    def of_decision(self, decision_id: str) -> tuple[KnownOutcome, ...]:
        """Return what was reported of a decision's offers, in the order it came."""
        try:
            found = self._readers.get().execute(_OF_DECISION, (decision_id,)).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"the store of outcomes does not answer ({error})") from error
        return tuple(
            KnownOutcome(
                tracking_id=tracking_id,
                kind=kind,
                occurred_at=from_microseconds(occurred_at),
                received_at=from_microseconds(received_at),
                value=value,
                late=bool(late),
                key_id=key_id,
            )
            for tracking_id, kind, occurred_at, received_at, value, late, key_id in found
        )

    def close(self) -> None:
        """Close what it reads with; the writer is closed by who opened it."""
        self._readers.close()


def count_waiting(connection: sqlite3.Connection, decision_id: str, *, mode: Mode, channel: str) -> None:
    """Count what was reported of a decision before it was known, within the transaction that stores it."""
    for row in connection.execute(_WAITING, (decision_id,)).fetchall():
        tracking_id, event_ref, kind, occurred_at, reported_at, as_mode, as_channel, key_id = row
        by = Reporter(key_id, None if as_mode is None else Mode(as_mode), as_channel)
        state, late = FOREIGN, False
        if by.was_given(mode=mode, channel=channel):
            answered = Answered(tracking_id, event_ref, kind, occurred_at, reported_at)
            state, late = COUNTED, _count(connection, answered) is Verdict.RECORDED_LATE
        connection.execute(_SETTLE, (state, late, decision_id, tracking_id, event_ref))


@dataclass(frozen=True, slots=True)
class _New:
    """A report, and its event id as it is kept."""

    report: OutcomeReport
    event_ref: str


@dataclass(frozen=True, slots=True)
class _Writing:
    """One request's reports, written within a transaction."""

    connection: sqlite3.Connection
    by: Reporter
    received_at: datetime

    def write(self, new: Sequence[_New]) -> tuple[Verdict, ...]:
        """Write each in turn; one may be the repetition of another."""
        return tuple(self._write(one) for one in new)

    def _write(self, new: _New) -> Verdict:
        report = new.report
        decision = self.connection.execute(_DECISION, (report.decision_id,)).fetchone()
        if decision is not None:
            mode, channel, decided_at = decision
            if not self.by.was_given(mode=Mode(mode), channel=channel):
                return Verdict.UNKNOWN
            if report.precedes(from_microseconds(decided_at)):
                return Verdict.TOO_EARLY
        before = repeated(report, new.event_ref, self.by, self._earlier(report))
        if before is not None:
            return before
        verdict = Verdict.RECORDED
        if decision is not None:
            verdict = _count(self.connection, _answered(new))
        self._insert(new, state=WAITING if decision is None else COUNTED, verdict=verdict)
        return verdict

    def _earlier(self, report: OutcomeReport) -> list[Earlier]:
        found = self.connection.execute(_EARLIER, (report.decision_id, report.tracking_id))
        return [Earlier(event, kind, from_microseconds(at), value) for event, kind, at, value in found]

    def _insert(self, new: _New, *, state: str, verdict: Verdict) -> None:
        report = new.report
        self.connection.execute(
            _INSERT,
            (
                report.decision_id,
                report.tracking_id,
                new.event_ref,
                report.kind,
                to_microseconds(report.occurred_at),
                to_microseconds(report.reported_at),
                to_microseconds(self.received_at),
                report.value,
                verdict is Verdict.RECORDED_LATE,
                state,
                self.by.mode,
                self.by.channel,
                self.by.key_id,
            ),
        )


def _answered(new: _New) -> Answered:
    report = new.report
    claimed, reported = to_microseconds(report.occurred_at), to_microseconds(report.reported_at)
    return Answered(report.tracking_id, new.event_ref, report.kind, claimed, reported)


def _count(connection: sqlite3.Connection, answered: Answered) -> Verdict:
    """Let a report that is new count where the ledger knows its offer; else it is merely kept."""
    if answered.kind == PRESENTED:
        counted = present(connection, answered.tracking_id, answered.claimed, answered.reported)
    else:
        counted = record_outcome(connection, answered)
    return Verdict.RECORDED_LATE if counted is Verdict.RECORDED_LATE else Verdict.RECORDED
