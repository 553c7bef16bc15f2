"""Identities in SQLite: keyed hashes of what a channel knows somebody by, and whose they are."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from moment.errors import DependencyError
from serving.adapters.database import PerThread
from serving.adapters.group_commit import GroupCommit
from serving.adapters.instants import from_microseconds, to_microseconds
from serving.adapters.sqlite_reserving import set_link
from serving.adapters.vault import Vault
from serving.ports import Identity, IdentityKind, LinkedIdentity, Resolved
from serving.records import Mode

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")

_LINKED = """
SELECT customer_ref, sealed_customer FROM identities
WHERE mode = ? AND kind = ? AND value_ref = ? ORDER BY linked_at, customer_ref
"""
_INSERT = """
INSERT INTO identities (mode, kind, value_ref, customer_ref, profile_ref, sealed_customer, linked_at)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_DELETE = "DELETE FROM identities WHERE mode = ? AND kind = ? AND value_ref = ? AND customer_ref = ?"
_OF_CUSTOMER = """
SELECT one.kind, one.linked_at, COUNT(*) > 1
FROM identities one JOIN identities other USING (mode, kind, value_ref)
WHERE one.customer_ref = ? AND one.mode = ? GROUP BY one.kind, one.value_ref ORDER BY one.linked_at
"""
_MARK = "INSERT INTO crossed_decisions VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_UNMARK = "DELETE FROM crossed_decisions WHERE customer_ref = ? AND profile_ref = ?"


def profile_of(vault: Vault, kind: str, value_hash: str) -> str:
    """Return the id of the profile in live traffic that stands under an identity's hash."""
    return f"identity:{kind}:{vault.blind('identity', kind, value_hash.lower())}"


@dataclass(frozen=True, slots=True)
class _Key:
    """An identity as it is kept."""

    mode: Mode
    kind: IdentityKind
    value_ref: str

    @property
    def profile(self) -> str:
        """The id of its own profile; test and live ones never meet."""
        told = self.kind.value if self.mode is Mode.LIVE else f"{self.mode}:{self.kind}"
        return f"identity:{told}:{self.value_ref}"

    @property
    def about(self) -> str:
        """What the sealed customer is bound to."""
        return f"{self.profile} is linked"


class SqliteIdentities:
    """The port `Identities` on the database at `path`; it writes with the process's `writer`."""

    def __init__(self, path: Path, writer: GroupCommit, vault: Vault) -> None:
        self._readers = PerThread(path)
        self._writer = writer
        self._vault = vault

    def resolve(self, identity: Identity, *, mode: Mode) -> Resolved:
        """Return whose an identity is."""
        key = self._key(identity, mode)
        try:
            return self._resolved(self._readers.get(), key)
        except sqlite3.Error as error:
            raise DependencyError(f"the store of identities does not answer ({error})") from error

    def link(self, identity: Identity, customer_id: str, *, mode: Mode, at: datetime) -> Resolved:
        """Link durably; the history of its profile joins or leaves in the same transaction."""
        key, ref, instant = self._key(identity, mode), self._vault.ref(customer_id), to_microseconds(at)
        profile_ref = self._vault.ref(key.profile)

        def work(connection: sqlite3.Connection) -> Resolved:
            sealed = self._vault.seal(connection, ref, _bytes(customer_id), about=key.about)
            if sealed is not None and not self._vault.is_erased(connection, profile_ref):
                before = _customers(connection, key)
                values = (key.mode, key.kind, key.value_ref, ref, profile_ref, sealed, instant)
                connection.execute(_INSERT, values)
                _move(connection, profile_ref, before, _customers(connection, key))
            return self._resolved(connection, key)

        return self._writer.submit(work).result()

    def unlink(self, identity: Identity, customer_id: str, *, mode: Mode) -> Resolved:
        """Undo `link` durably, marks of crossed decisions too."""
        key, ref = self._key(identity, mode), self._vault.ref(customer_id)
        profile_ref = self._vault.ref(key.profile)

        def work(connection: sqlite3.Connection) -> Resolved:
            before = _customers(connection, key)
            connection.execute(_DELETE, (key.mode, key.kind, key.value_ref, ref))
            connection.execute(_UNMARK, (ref, profile_ref))
            _move(connection, profile_ref, before, _customers(connection, key))
            return self._resolved(connection, key)

        return self._writer.submit(work).result()

    def of_customer(self, customer_id: str, *, mode: Mode) -> tuple[LinkedIdentity, ...]:
        """Return a customer's identities, oldest first."""
        rows = self._readers.get().execute(_OF_CUSTOMER, (self._vault.ref(customer_id), mode))
        return tuple(
            LinkedIdentity(IdentityKind(kind), from_microseconds(linked_at), bool(shared))
            for kind, linked_at, shared in rows
        )

    def mark_crossed(self, decision_ids: Sequence[str], customer_id: str, profile: str) -> None:
        """Note decisions durably."""
        refs = self._vault.ref(customer_id), self._vault.ref(profile)
        rows = [(decision_id, *refs) for decision_id in decision_ids]
        self._writer.submit(lambda connection: _mark(connection, rows)).result()

    def crossed(self) -> frozenset[str]:
        """Return the decisions noted."""
        rows = self._readers.get().execute("SELECT decision_id FROM crossed_decisions")
        return frozenset(row[0] for row in rows)

    def close(self) -> None:
        """Close what it reads with."""
        self._readers.close()

    def _key(self, identity: Identity, mode: Mode) -> _Key:
        """Return the keyed hash of the value's SHA-256, so that it may come hashed or not."""
        value = identity.value
        hashed = value.lower() if _SHA256.fullmatch(value) else hashlib.sha256(_bytes(value)).hexdigest()
        return _Key(mode, identity.kind, self._vault.blind("identity", identity.kind, hashed))

    def _resolved(self, connection: sqlite3.Connection, key: _Key) -> Resolved:
        rows = connection.execute(_LINKED, (key.mode, key.kind, key.value_ref)).fetchall()
        if len(rows) != 1:
            return Resolved(key.profile, None, shared=bool(rows))
        ref, sealed = rows[0]
        known = self._vault.open_sealed(connection, ref, sealed, about=key.about)
        return Resolved(key.profile, None if known is None else known.decode("utf-8", "surrogatepass"))


def _customers(connection: sqlite3.Connection, key: _Key) -> list[str]:
    return [row[0] for row in connection.execute(_LINKED, (key.mode, key.kind, key.value_ref))]


def _move(connection: sqlite3.Connection, profile_ref: str, before: list[str], after: list[str]) -> None:
    """Join a profile's history with the one customer it has now; part it from the one it had alone."""
    if before == after:
        return
    if len(before) == 1:
        set_link(connection, before[0], profile_ref, linked=False)
    if len(after) == 1:
        set_link(connection, after[0], profile_ref, linked=True)


def _mark(connection: sqlite3.Connection, rows: Sequence[tuple[str, str, str]]) -> None:
    connection.executemany(_MARK, rows)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
