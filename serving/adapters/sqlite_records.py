"""Decision records in SQLite, each written together with what its answer takes."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future
from pathlib import Path

from moment.errors import DependencyError, InvariantViolation
from serving.adapters.database import PerThread
from serving.adapters.group_commit import GroupCommit
from serving.adapters.instants import to_microseconds
from serving.adapters.sqlite_reserving import reserve
from serving.ports import Entry, Reservation
from serving.records import DecisionRecord, Mode, Sealable, dump, load

_INSERT = """
INSERT INTO decisions (decision_id, key_id, request_id, request_sha256, mode, channel, customer_ref,
                       decided_at, record, personal)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key_id, request_id) DO NOTHING
"""
_BY_REQUEST = "SELECT record, personal, request_sha256 FROM decisions WHERE key_id = ? AND request_id = ?"
_BY_ID = "SELECT record, personal, request_sha256 FROM decisions WHERE decision_id = ?"
_RECENT = """
SELECT record, personal, request_sha256 FROM decisions
WHERE customer_ref = ? AND mode = ? AND (channel = ? OR ? IS NULL) ORDER BY sequence DESC LIMIT ?
"""

_Row = tuple[bytes, bytes | None, bytes]


class SqliteRecords:
    """The port `DecisionRecords` on the operational database at `path`, whose schema is up to date.

    `writer` is what it writes with; what else this process writes should go there too.
    """

    def __init__(self, path: Path) -> None:
        self.writer = GroupCommit(path)
        self._readers = PerThread(path)

    def append(self, entry: Entry, reservation: Reservation | None = None) -> Future[Entry]:
        """Hand a record and its reservation to the writer; the future is done when both are on the disk."""
        stored = dump(entry.record)  # here, so that the writer need not wait for it
        return self.writer.submit(lambda connection: _store(connection, entry, stored, reservation))

    def find(self, decision_id: str) -> DecisionRecord | None:
        """Return a record by its id."""
        rows = self._select(_BY_ID, decision_id)
        return _entry(rows[0]).record if rows else None

    def find_request(self, key_id: str, request_id: str) -> Entry | None:
        """Return what a key's request was answered with."""
        rows = self._select(_BY_REQUEST, key_id, request_id)
        return _entry(rows[0]) if rows else None

    def recent(
        self, customer_id: str, *, mode: Mode, channel: str | None, limit: int
    ) -> tuple[DecisionRecord, ...]:
        """Return a customer's newest records of one mode, newest first."""
        rows = self._select(_RECENT, customer_id, mode, channel, channel, limit)
        return tuple(_entry(row).record for row in rows)

    def close(self) -> None:
        """Write what waits, then close."""
        self.writer.close()
        self._readers.close()

    def _select(self, sql: str, *values: object) -> list[_Row]:
        try:
            return self._readers.get().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"the store of decision records does not answer ({error})") from error


def _store(
    connection: sqlite3.Connection, entry: Entry, stored: Sealable, reservation: Reservation | None
) -> Entry:
    """Store a record with its reservation, or return what already stands for its request."""
    stands = _insert(connection, entry, stored)
    if stands is entry and reservation is not None:
        reserve(connection, reservation)
    return stands


def _insert(connection: sqlite3.Connection, entry: Entry, stored: Sealable) -> Entry:
    record = entry.record
    customer = None if record.personal is None else record.personal.customer_id
    cursor = connection.execute(
        _INSERT,
        (
            record.decision_id,
            record.key_id,
            record.request_id,
            entry.request_sha256,
            record.mode,
            record.channel,
            customer,
            to_microseconds(record.decided_at),
            stored.open,
            stored.personal,
        ),
    )
    if cursor.rowcount:
        return entry
    earlier = connection.execute(_BY_REQUEST, (record.key_id, record.request_id)).fetchone()
    if earlier is None:
        raise InvariantViolation("a decision record was neither stored nor found; this is a defect of Moment")
    return _entry(earlier)


def _entry(row: _Row) -> Entry:
    opened, personal, request_sha256 = row
    return Entry(load(Sealable(opened, personal)), request_sha256)
