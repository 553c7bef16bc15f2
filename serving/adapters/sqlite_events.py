"""The journal of events in SQLite, and the real-time states it is folded into.

Events and the states they change are one transaction: after a crash no state holds an event that is not in
the journal, nor lacks one that is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from features.realtime import EMPTY, Event, State, fold
from features.realtime_state import dumps, loads
from moment.errors import InvariantViolation
from serving.adapters.database import PerThread
from serving.adapters.group_commit import GroupCommit
from serving.adapters.instants import to_microseconds
from serving.adapters.vault import Vault
from serving.ports import Journaled, JournalEntry, Verdict
from serving.records import Mode

_INSERT = """
INSERT INTO events (mode, event_ref, customer_ref, key_id, kind, occurred_at, received_at, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (mode, event_ref) DO NOTHING
"""
_EARLIER = "SELECT customer_ref, body FROM events WHERE mode = ? AND event_ref = ?"
_STATE = "SELECT state, as_of FROM realtime_states WHERE customer_ref = ? AND mode = ?"
_SET_STATE = """
INSERT INTO realtime_states (customer_ref, mode, position, as_of, state, pushed_position)
VALUES (?, ?, ?, ?, ?, 0)
ON CONFLICT (customer_ref, mode)
DO UPDATE SET position = excluded.position, as_of = excluded.as_of, state = excluded.state
"""
_COLUMNS = "SELECT customer_ref, mode, position, as_of, state FROM realtime_states"
_ONE = f"{_COLUMNS} WHERE customer_ref = ? AND mode = ?"
_BEHIND = f"{_COLUMNS} WHERE pushed_position < position ORDER BY position LIMIT ?"
_SET_PUSHED = """
UPDATE realtime_states SET pushed_position = ?
WHERE customer_ref = ? AND mode = ? AND pushed_position < ?
"""


StateKey = tuple[str, Mode]
"""Whose state: customer_ref and mode."""


@dataclass(frozen=True, slots=True)
class KeptState:
    """A state as it is kept, sealed.

    Parameters
    ----------
    customer_ref, mode
        Whose it is.
    position
        The newest event in it.
    as_of
        Microseconds since 1970; rises with every change of the state.
    state
        The state, sealed.
    """

    customer_ref: str
    mode: Mode
    position: int
    as_of: int
    state: bytes


class SqliteEvents:
    """The port `EventJournal`; it writes with the process's `writer`.

    `announce` is told of states that have changed, once they are on the disk; its future is done when they
    are online.
    """

    def __init__(
        self, writer: GroupCommit, vault: Vault, announce: Callable[[frozenset[StateKey]], Future[bool]]
    ) -> None:
        self._writer = writer
        self._vault = vault
        self._announce = announce

    def append(
        self, entries: Sequence[JournalEntry], *, mode: Mode, key_id: str, received_at: datetime
    ) -> Future[Journaled]:
        """Hand events to the writer; the future is done when they and their states are on the disk."""
        received = to_microseconds(received_at)
        journaled: Future[Journaled] = Future()
        journaled.set_running_or_notify_cancel()  # who gives up waiting cannot take it back
        written = self._writer.submit(
            lambda connection: _Writing(connection, self._vault, mode, received).write(entries, key_id)
        )
        written.add_done_callback(lambda done: self._settle(done, journaled))
        return journaled

    def _settle(self, done: Future[_Written], journaled: Future[Journaled]) -> None:
        error = done.exception()
        if error is not None:
            journaled.set_exception(error)
            return
        written = done.result()
        visible = self._announce(written.changed)
        journaled.set_result(Journaled(written.verdicts, visible))


@dataclass(frozen=True, slots=True)
class _Written:
    verdicts: tuple[Verdict, ...]
    changed: frozenset[StateKey]


class _Writing:
    """One request's events, written within a transaction."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault, mode: Mode, received: int) -> None:
        self._connection = connection
        self._vault = vault
        self._mode = mode
        self._received = received
        self._position = 0
        self._fresh: dict[str, list[Event]] = {}

    def write(self, entries: Iterable[JournalEntry], key_id: str) -> _Written:
        """Journal each event once and fold those that are new."""
        verdicts = tuple(self._journal(entry, key_id) for entry in entries)
        for ref, events in self._fresh.items():
            self._fold(ref, events)
        return _Written(verdicts, frozenset((ref, self._mode) for ref in self._fresh))

    def _journal(self, entry: JournalEntry, key_id: str) -> Verdict:
        ref = self._vault.ref(entry.profile)
        event = entry.event
        event_ref = self._vault.blind("event", self._mode, event.event_id)
        sealed = self._vault.seal(self._connection, ref, entry.body, about=event_ref)
        if sealed is None:
            # Of somebody erased nothing is kept, and nobody is told that there was anybody
            return Verdict.RECORDED
        at = to_microseconds(event.occurred_at)
        cursor = self._connection.execute(
            _INSERT, (self._mode, event_ref, ref, key_id, event.kind, at, self._received, sealed)
        )
        if not cursor.rowcount:
            return self._repeated(event_ref, entry.body)
        self._position = cursor.lastrowid or self._position
        self._fresh.setdefault(ref, []).append(event)
        return Verdict.RECORDED

    def _repeated(self, event_ref: str, body: bytes) -> Verdict:
        """Return whether the event that stands under this id is the same one; an erased one is any."""
        earlier = self._connection.execute(_EARLIER, (self._mode, event_ref)).fetchone()
        if earlier is None:
            raise InvariantViolation("an event was neither stored nor found; this is a defect of Moment")
        ref, sealed = earlier
        stands = self._vault.open_sealed(self._connection, ref, sealed, about=event_ref)
        return Verdict.DUPLICATE if stands in (None, body) else Verdict.CONFLICT

    def _fold(self, ref: str, events: Sequence[Event]) -> None:
        state, as_of = self._load(ref)
        about = state_name(self._mode)
        text = dumps(fold(state, events)).encode()
        sealed = self._vault.seal(self._connection, ref, text, about=about)
        changed_at = max(self._received, as_of + 1)
        self._connection.execute(_SET_STATE, (ref, self._mode, self._position, changed_at, sealed))

    def _load(self, ref: str) -> tuple[State, int]:
        found = self._connection.execute(_STATE, (ref, self._mode)).fetchone()
        if found is None:
            return EMPTY, 0
        sealed, as_of = found
        text = self._vault.open_sealed(self._connection, ref, sealed, about=state_name(self._mode))
        return (EMPTY if text is None else loads(text)), as_of


def state_name(mode: Mode) -> str:
    """Return what a state is sealed for."""
    return f"realtime state {mode}"


class KeptStates:
    """The real-time states on the disk, for who pushes them online."""

    def __init__(self, path: Path, writer: GroupCommit) -> None:
        self._readers = PerThread(path)
        self._writer = writer

    def read(self, keys: Iterable[StateKey]) -> list[KeptState]:
        """Return the states of these, as they are now."""
        connection = self._readers.get()
        found = (connection.execute(_ONE, key).fetchone() for key in keys)
        return [_kept(row) for row in found if row is not None]

    def behind(self, limit: int) -> list[KeptState]:
        """Return states that are not known to be online, the longest waiting first."""
        return [_kept(row) for row in self._readers.get().execute(_BEHIND, (limit,))]

    def mark(self, pushed: Iterable[KeptState]) -> Future[None]:
        """Note durably that these are online; a newer position is not taken back."""
        rows = [(one.position, one.customer_ref, one.mode, one.position) for one in pushed]
        return self._writer.submit(lambda db: _mark(db, rows))

    def close(self) -> None:
        """Close what reads."""
        self._readers.close()


def _mark(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    connection.executemany(_SET_PUSHED, rows)


def _kept(row: tuple[str, str, int, int, bytes]) -> KeptState:
    ref, mode, position, as_of, state = row
    return KeptState(ref, Mode(mode), position, as_of, state)
