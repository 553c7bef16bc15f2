"""Decision records in SQLite, with group commit.

One thread writes: whatever waits for it goes into one transaction, so that many decisions share one flush to
the disk and none is acknowledged before it.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from moment.errors import DependencyError, InvariantViolation
from serving.adapters.database import PerThread, connect
from serving.adapters.instants import to_microseconds
from serving.ports import Entry
from serving.records import DecisionRecord, Mode, Sealable, dump, load

_LARGEST_GROUP = 256

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


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One record on its way to the disk, already as bytes, so that it cannot spoil the group it goes with."""

    entry: Entry
    stored: Sealable
    future: Future[Entry]


class SqliteRecords:
    """The port `DecisionRecords` on the operational database at `path`, whose schema is up to date."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._readers = PerThread(path)
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="decision-records", daemon=True)
        self._writer.start()

    def append(self, entry: Entry) -> Future[Entry]:
        """Hand a record to the writer; the future is done when it is on the disk."""
        future: Future[Entry] = Future()
        self._waiting.put(_Waiting(entry, dump(entry.record), future))
        return future

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
        self._waiting.put(None)
        self._writer.join()
        self._readers.close()

    def _select(self, sql: str, *values: object) -> list[_Row]:
        try:
            return self._readers.get().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"the store of decision records does not answer ({error})") from error

    def _write(self) -> None:
        connection: sqlite3.Connection | None = None
        while (group := self._next_group()) is not None:
            try:
                connection = connection or connect(self._path)
                settled = _commit(connection, group)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must be told
                if connection is not None and connection.in_transaction:
                    connection.execute("ROLLBACK")
                _refuse(group, error)
            else:
                for waiting, stands in zip(group, settled, strict=True):
                    waiting.future.set_result(stands)
        if connection is not None:
            connection.close()

    def _next_group(self) -> list[_Waiting] | None:
        """Wait for a record and take those behind it along; None when the store is closed."""
        first = self._waiting.get()
        if first is None:
            return None
        group = [first]
        while len(group) < _LARGEST_GROUP:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._waiting.put(None)
                break
            group.append(following)
        # From here on a caller who gives up can no longer cancel; one who has given up is not written
        return [waiting for waiting in group if waiting.future.set_running_or_notify_cancel()]


def _commit(connection: sqlite3.Connection, group: list[_Waiting]) -> list[Entry]:
    """Store the entries in one transaction; return the entry that stands for each."""
    connection.execute("BEGIN IMMEDIATE")
    settled = [_insert(connection, waiting) for waiting in group]
    connection.execute("COMMIT")
    return settled


def _insert(connection: sqlite3.Connection, waiting: _Waiting) -> Entry:
    entry, stored = waiting.entry, waiting.stored
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


def _refuse(group: list[_Waiting], error: Exception) -> None:
    for waiting in group:
        refusal = DependencyError(f"the decision could not be recorded ({error}); ask again later")
        refusal.__cause__ = error
        waiting.future.set_exception(refusal)
