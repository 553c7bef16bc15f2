"""Erasing a customer from the operational database, and the tombstone that is left.

What is about the person goes; what is counted (which actions were decided, presented, answered) stays and is
nobody's any more. The key is destroyed first and in the same transaction, so that from then on nobody reads
anything sealed, whatever else is still to be done.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Self

from moment.errors import DependencyError
from serving.adapters.database import PerThread
from serving.adapters.group_commit import GroupCommit
from serving.adapters.instants import from_microseconds, to_microseconds
from serving.adapters.same_customer import SAME
from serving.adapters.sqlite_identities import profile_of
from serving.adapters.vault import Vault
from serving.ports import Erasure
from serving.records import Mode

DETACHED = {
    "decisions": "SET customer_ref = NULL, request_ref = NULL, personal = NULL",
    "contacts": "SET customer_ref = NULL, timezone = NULL",
    "outcomes": "SET customer_ref = NULL",
}
"""Tables whose rows stay, as nobody's."""

DELETED = (
    "events",
    "realtime_states",
    "identities",
    "contact_versions",
    "crossed_decisions",
    "identity_links",
)
"""Tables whose rows go."""

PROOF = "consents"
"""Withdrawals stay as proof, under the hash; what was granted goes."""

KEPT = ("customer_keys", "tombstones")
"""That there was a key and is none any more, and that the hash stands for somebody erased."""

_OTHER_REFS = {"identities": "profile_ref", "crossed_decisions": "profile_ref", "identity_links": "other_ref"}
_SAME = f"{SAME} SELECT ref FROM same"  # noqa: S608 - a constant
_FIND = "SELECT tombstone_id, asked_at, finished_at, receipt, pending FROM tombstones WHERE customer_ref = ?"
_BEGIN = """
INSERT INTO tombstones (customer_ref, tombstone_id, asked_at, receipt, pending) VALUES (?, ?, ?, '{}', ?)
ON CONFLICT (customer_ref) DO UPDATE SET pending = excluded.pending, finished_at = NULL
"""
_STEP = "UPDATE tombstones SET receipt = ? WHERE customer_ref = ?"
_SET_PENDING = "UPDATE tombstones SET pending = ? WHERE customer_ref = ?"
_FINISH = "UPDATE tombstones SET finished_at = ?, pending = NULL WHERE customer_ref = ?"
_UNFINISHED = "SELECT tombstone_id, pending FROM tombstones WHERE finished_at IS NULL ORDER BY asked_at"
_HAS_KEY = "SELECT 1 FROM customer_keys WHERE customer_ref = ? AND wrapped_key IS NOT NULL"
_CHECKPOINTS = 20


@dataclass(frozen=True, slots=True)
class _Stone:
    """A tombstone as it is kept."""

    tombstone_id: str
    asked_at: int
    finished_at: int | None
    rows: dict[str, int]
    pending: bytes | None


@dataclass(frozen=True, slots=True)
class _Pending:
    """Who is being erased, to go on after a crash; it is kept sealed, and only until all is done.

    Parameters
    ----------
    customer_id, refs
        Who, and under which names their profiles stood.
    noted
        What each store was last noted to hold, by part.
    finished_at, rows
        When all was done the last time, in microseconds, and what had been taken out by then.
    """

    customer_id: str
    refs: tuple[str, ...]
    noted: dict[str, dict[str, int]] = field(default_factory=dict)
    finished_at: int | None = None
    rows: dict[str, int] = field(default_factory=dict)

    @classmethod
    def loads(cls, plain: bytes) -> Self:
        """Read what was sealed; of before anything was noted, it is who and the names alone."""
        customer_id, refs, *more = json.loads(plain)
        return cls(customer_id, tuple(refs), *more)

    def dumps(self) -> bytes:
        """Return the bytes to seal."""
        return json.dumps([self.customer_id, self.refs, self.noted, self.finished_at, self.rows]).encode()


class SqliteErasures:
    """The port `Erasures` on the database at `path`; it writes with the process's `writer`."""

    def __init__(self, path: Path, writer: GroupCommit, vault: Vault) -> None:
        self._path = path
        self._readers = PerThread(path)
        self._writer = writer
        self._vault = vault

    def begin(self, customer_id: str, at: datetime) -> Erasure:
        """Destroy the keys, take everything out of this database and leave the tombstone, all at once."""
        return self._writer.submit(lambda connection: self._begin(connection, customer_id, at)).result()

    def note(self, erasure: Erasure, store: str, held: Mapping[str, int]) -> None:
        """Note durably what another store holds before it is taken out; what was noted before counts once."""
        ref = self._vault.ref(erasure.customer_id)

        def work(connection: sqlite3.Connection) -> None:
            stone = _find(connection, ref)
            known = None if stone is None else self._pending(connection, stone)
            before = {} if known is None else known.noted.get(store, {})
            new = sum(max(0, rows - before.get(part, 0)) for part, rows in held.items())
            _add(connection, ref, {store: new})
            if stone is not None and known is not None:
                left = replace(known, noted={**known.noted, store: dict(held)})
                connection.execute(_SET_PENDING, (self._sealed(connection, stone.tombstone_id, left), ref))

        self._writer.submit(work).result()

    def finish(self, erasure: Erasure, at: datetime) -> Erasure:
        """Note that all is done, forget who it was, and empty the write-ahead log, which still has keys."""
        ref = self._vault.ref(erasure.customer_id)

        def work(connection: sqlite3.Connection) -> None:
            stone = _find(connection, ref)
            known = None if stone is None else self._pending(connection, stone)
            same = stone is not None and known is not None and known.rows == stone.rows
            before = known.finished_at if known is not None and same else None
            self._vault.destroy(connection, _pending_ref(erasure.tombstone_id), at)
            connection.execute(
                "DELETE FROM customer_keys WHERE customer_ref = ?", (_pending_ref(erasure.tombstone_id),)
            )
            connection.execute(_FINISH, (to_microseconds(at) if before is None else before, ref))

        self._writer.submit(work).result()
        self._empty_log()
        finished = self.receipt(erasure.customer_id)
        return erasure if finished is None else finished

    def receipt(self, customer_id: str) -> Erasure | None:
        """Return what was taken out since the first time; None when nobody asked for it."""
        connection = self._readers.get()
        stone = _find(connection, self._vault.ref(customer_id))
        if stone is None:
            return None
        finished = None if stone.finished_at is None else from_microseconds(stone.finished_at)
        asked = from_microseconds(stone.asked_at)
        return Erasure(customer_id, stone.tombstone_id, asked, (), stone.rows, finished)

    def unfinished(self) -> tuple[str, ...]:
        """Return the customers whose erasure was interrupted, the longest waiting first."""
        connection = self._readers.get()
        found = []
        for tombstone_id, pending in connection.execute(_UNFINISHED).fetchall():
            known = None if pending is None else self._opened(connection, tombstone_id, pending)
            found += [] if known is None else [known.customer_id]
        return tuple(found)

    def close(self) -> None:
        """Close what it reads with."""
        self._readers.close()

    def _begin(self, connection: sqlite3.Connection, customer_id: str, at: datetime) -> Erasure:
        ref = self._vault.ref(customer_id)
        stone = _find(connection, ref)
        refs = [row[0] for row in connection.execute(_SAME, (ref,))]
        tombstone_id = f"tomb_{secrets.token_hex(12)}" if stone is None else stone.tombstone_id
        known = None if stone is None else self._pending(connection, stone)
        if known is None:
            known = _Pending(customer_id, ())
            if stone is not None:
                known = replace(known, finished_at=stone.finished_at, rows=stone.rows)
        refs = list(dict.fromkeys((*refs, *known.refs)))
        pending = self._sealed(connection, tombstone_id, replace(known, refs=tuple(refs)))
        connection.execute(_BEGIN, (ref, tombstone_id, to_microseconds(at), pending))
        rows = _add(connection, ref, _take_out(connection, self._vault, refs, at))
        states = [name for one in refs for name in (one, f"{Mode.TEST}:{one}")]
        asked_at = at if stone is None else from_microseconds(stone.asked_at)
        names = frozenset(refs)

        def theirs(kind: str, value_hash: str) -> bool:
            return self._vault.ref(profile_of(self._vault, kind, value_hash)) in names

        return Erasure(customer_id, tombstone_id, asked_at, tuple(states), rows, theirs=theirs)

    def _sealed(self, connection: sqlite3.Connection, tombstone_id: str, known: _Pending) -> bytes | None:
        return self._vault.seal(connection, _pending_ref(tombstone_id), known.dumps(), about=tombstone_id)

    def _pending(self, connection: sqlite3.Connection, stone: _Stone) -> _Pending | None:
        """Return who is being erased; None when all is done, or the key of it is gone."""
        if stone.finished_at is not None or stone.pending is None:
            return None
        return self._opened(connection, stone.tombstone_id, stone.pending)

    def _opened(self, connection: sqlite3.Connection, tombstone_id: str, pending: bytes) -> _Pending | None:
        plain = self._vault.open_sealed(connection, _pending_ref(tombstone_id), pending, about=tombstone_id)
        return None if plain is None else _Pending.loads(plain)

    def _empty_log(self) -> None:
        """Have the write-ahead log written back and cut; who is reading just now is waited for."""
        try:
            for _ in range(_CHECKPOINTS):
                busy, _, _ = self._readers.get().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    return
                time.sleep(0.05)
        except sqlite3.Error as error:
            raise DependencyError(f"the write-ahead log cannot be emptied ({error}); erase again") from error
        raise DependencyError("the write-ahead log is in use and still has the key; erase again")


def _take_out(connection: sqlite3.Connection, vault: Vault, refs: list[str], at: datetime) -> dict[str, int]:
    had_keys = sum(connection.execute(_HAS_KEY, (one,)).fetchone() is not None for one in refs)
    rows: dict[str, int] = {"keys": had_keys}
    for one in refs:
        vault.destroy(connection, one, at)
    several = [(one,) for one in refs]
    for table, change in DETACHED.items():
        rows[table] = connection.executemany(
            f"UPDATE {table} {change} WHERE customer_ref = ?",
            several,
        ).rowcount
    for table in DELETED:
        rows[table] = 0
        for column in ("customer_ref", *([_OTHER_REFS[table]] if table in _OTHER_REFS else [])):
            rows[table] += connection.executemany(
                f"DELETE FROM {table} WHERE {column} = ?",  # noqa: S608
                several,
            ).rowcount
    rows[PROOF] = connection.executemany(
        f"DELETE FROM {PROOF} WHERE customer_ref = ? AND status <> 'denied'",  # noqa: S608
        several,
    ).rowcount
    return rows


def _add(connection: sqlite3.Connection, ref: str, rows: dict[str, int]) -> dict[str, int]:
    """Add to what was taken out, and return all of it."""
    stone = _find(connection, ref)
    known = {} if stone is None else stone.rows
    total = known | {name: known.get(name, 0) + count for name, count in rows.items()}
    connection.execute(_STEP, (json.dumps(total, sort_keys=True), ref))
    return total


def _find(connection: sqlite3.Connection, ref: str) -> _Stone | None:
    row = connection.execute(_FIND, (ref,)).fetchone()
    return None if row is None else _Stone(row[0], row[1], row[2], json.loads(row[3]), row[4])


def _pending_ref(tombstone_id: str) -> str:
    return f"erasure:{tombstone_id}"
