"""What the operational database forgets when its time has come, a little at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from moment.errors import DependencyError
from serving.adapters.database import PerThread, overwrite
from serving.adapters.group_commit import GroupCommit
from serving.adapters.instants import to_microseconds
from serving.adapters.sqlite_reserving import add_used
from serving.adapters.vault import anonymous_ref
from serving.ports import Expiry, Pruned
from serving.records import Mode, Versions

T = TypeVar("T")

# Asked of one version after the other: so one index serves these and the count of what cites each. Left to
# itself SQLite would begin with the records, all of them
_DUE = """
FROM decision_versions AS cited CROSS JOIN decisions AS made ON made.version_id = cited.version_id
WHERE made.mode = ? AND (made.personal IS NOT NULL) IN ({personal}) AND made.received_at < ?
"""
_DUE_PERSONAL = f"{_DUE.format(personal='1')} AND made.received_at >= ?"
_DUE_RECORDS = _DUE.format(personal="0, 1")
_COUNT_PERSONAL = f"SELECT COUNT(*) {_DUE_PERSONAL}"
_FORGET_PERSONAL = f"""
UPDATE decisions SET personal = NULL, request_ref = NULL
WHERE sequence IN (SELECT made.sequence {_DUE_PERSONAL} LIMIT ?)
"""  # noqa: S608 - of the text above
_COUNT_RECORDS = f"SELECT COUNT(*) {_DUE_RECORDS}"
_FIND_RECORDS = f"SELECT made.decision_id {_DUE_RECORDS} LIMIT ?"
_FORGET_RECORD = "DELETE FROM decisions WHERE decision_id = ?"
_HELD = """
SELECT mode, action_id, charge_day, charge_cost FROM contacts
WHERE tracking_id >= ? AND tracking_id < ? AND charge_state = 'held'
"""
_FORGET_CONTACTS = "DELETE FROM contacts WHERE tracking_id >= ? AND tracking_id < ?"
_FORGET_OUTCOMES = "DELETE FROM outcomes WHERE tracking_id >= ? AND tracking_id < ?"
_FORGET_REPORTS = "DELETE FROM outcome_reports WHERE decision_id = ?"
_FORGET_CROSSED = "DELETE FROM crossed_decisions WHERE decision_id = ?"
_FORGET_SHADOWS = "DELETE FROM shadows WHERE decision_id = ?"
_FORGET_DAYS = "DELETE FROM customer_keys WHERE customer_ref >= 'anon:' AND customer_ref < ?"
_DUE_EVENTS = "FROM events WHERE mode = ? AND received_at < ?"
_COUNT_EVENTS = f"SELECT COUNT(*) {_DUE_EVENTS}"
# What is folded already; nobody folds it twice, since positions only grow
_FORGET_EVENTS = f"DELETE FROM events WHERE position IN (SELECT position {_DUE_EVENTS} LIMIT ?)"  # noqa: S608
_DUE_REPORTS = "FROM outcome_reports WHERE state = 'waiting' AND received_at < ?"
_COUNT_REPORTS = f"SELECT COUNT(*) {_DUE_REPORTS}"
_FORGET_WAITING = f"""
DELETE FROM outcome_reports WHERE (decision_id, tracking_id, event_ref) IN
  (SELECT decision_id, tracking_id, event_ref {_DUE_REPORTS} LIMIT ?)
"""  # noqa: S608 - of the text above
_CITED = """
SELECT cited.versions, COUNT(*)
FROM decision_versions AS cited CROSS JOIN decisions AS made ON made.version_id = cited.version_id
GROUP BY cited.version_id ORDER BY cited.version_id
"""


class SqliteRetention:
    """The port `RetainedRecords` on the database at `path`, whose schema is up to date."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = GroupCommit(path)
        self._readers = PerThread(path)

    def due(self, expiry: Expiry) -> Pruned:
        """Return how many personal parts and whole records are due."""

        def count(connection: sqlite3.Connection) -> Pruned:
            personal = connection.execute(_COUNT_PERSONAL, _parts(expiry)).fetchone()[0]
            records = [connection.execute(_COUNT_RECORDS, due).fetchone()[0] for due in _whole(expiry)]
            events = [connection.execute(_COUNT_EVENTS, due).fetchone()[0] for due in _events(expiry)]
            reports = connection.execute(_COUNT_REPORTS, (to_microseconds(expiry.personal),)).fetchone()[0]
            return Pruned(personal=personal, records=sum(records), events=sum(events), reports=reports)

        return self._read(count)

    def prune(self, expiry: Expiry, limit: int) -> Pruned:
        """Remove at most so many of what is due, in one transaction."""
        return self._writer.submit(lambda connection: _prune(connection, expiry, limit)).result()

    def compact(self) -> bool:
        """Empty the log, in which what was removed may still lie."""
        return overwrite(self._path)

    def cited(self) -> Mapping[Versions, int]:
        """Return by which versions how many of the records were decided."""
        rows = self._read(lambda connection: connection.execute(_CITED).fetchall())
        return {msgspec.json.decode(versions, type=Versions): count for versions, count in rows}

    def close(self) -> None:
        """Close what it reads and writes with."""
        self._writer.close()
        self._readers.close()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._readers.get())
        except sqlite3.Error as error:
            raise DependencyError(f"the store of decision records does not answer ({error})") from error


def _prune(connection: sqlite3.Connection, expiry: Expiry, limit: int) -> Pruned:
    pruned = Pruned(personal=connection.execute(_FORGET_PERSONAL, (*_parts(expiry), limit)).rowcount)
    for due in _whole(expiry):
        left = limit - pruned.personal - pruned.records
        for (decision_id,) in connection.execute(_FIND_RECORDS, (*due, left)).fetchall():
            pruned += _forget(connection, decision_id)
    if pruned == Pruned():
        pruned = _forget_told(connection, expiry, limit)
    if pruned == Pruned():
        # Days are forgotten last: until then their records are only due, and still opened
        return Pruned(keys=connection.execute(_FORGET_DAYS, (_oldest_day(expiry),)).rowcount)
    return pruned


def _forget_told(connection: sqlite3.Connection, expiry: Expiry, limit: int) -> Pruned:
    """Remove events, and reports whose decision never turned up."""
    events = sum(connection.execute(_FORGET_EVENTS, (*due, limit)).rowcount for due in _events(expiry))
    reports = connection.execute(_FORGET_WAITING, (to_microseconds(expiry.personal), limit)).rowcount
    return Pruned(events=events, reports=reports)


def _forget(connection: sqlite3.Connection, decision_id: str) -> Pruned:
    """Remove a record and what hangs on its offers; what they still hold of budgets is given back."""
    offers = f"{decision_id}.", f"{decision_id}/"  # the next character: all tracking ids lie between
    for mode, action_id, day, cost in connection.execute(_HELD, offers).fetchall():
        add_used(connection, Mode(mode), action_id, day, cost=-cost, count=-1)
    contacts = connection.execute(_FORGET_CONTACTS, offers).rowcount
    outcomes = connection.execute(_FORGET_OUTCOMES, offers).rowcount
    connection.execute(_FORGET_REPORTS, (decision_id,))
    connection.execute(_FORGET_CROSSED, (decision_id,))
    connection.execute(_FORGET_SHADOWS, (decision_id,))
    connection.execute(_FORGET_RECORD, (decision_id,))
    return Pruned(records=1, contacts=contacts, outcomes=outcomes)


def _parts(expiry: Expiry) -> tuple[Mode, int, int]:
    """Return of what mode and before when personal parts are due, and from when on; the older go whole."""
    return Mode.LIVE, to_microseconds(expiry.personal), to_microseconds(expiry.records)


def _whole(expiry: Expiry) -> tuple[tuple[Mode, int], ...]:
    """Return before when whole records are due, by mode."""
    return (Mode.LIVE, to_microseconds(expiry.records)), (Mode.TEST, to_microseconds(expiry.test))


def _events(expiry: Expiry) -> tuple[tuple[Mode, int], ...]:
    """Return before when events are due, by mode."""
    return (Mode.LIVE, to_microseconds(expiry.personal)), (Mode.TEST, to_microseconds(expiry.test))


def _oldest_day(expiry: Expiry) -> str:
    """Return before which day nobody unknown is sealed any more, live or test."""
    return anonymous_ref(min(max(expiry.personal, expiry.records), expiry.test).date())
