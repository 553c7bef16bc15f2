"""Keys in SQLite. Read at every request, so that a revoked key is refused by every worker at once."""

from __future__ import annotations

import json
import sqlite3
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from moment.errors import DependencyError
from serving.adapters.database import PerThread, connect
from serving.adapters.instants import from_microseconds, to_microseconds
from serving.ports import ApiKey, Bounds, FoundKey, Role, Scope, Secret
from serving.records import Mode

_KEY_WIDTH = 11

_INSERT = """
INSERT INTO api_keys
  (key_id, label, mode, scopes, channel, created_at, revoked_at, expires_at, bounds, person, role)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ADD = "INSERT INTO key_secrets (secret_sha256, key_id, created_at, public_key) VALUES (?, ?, ?, ?)"
_PUBLISH = "UPDATE key_secrets SET public_key = ? WHERE secret_sha256 = ? AND public_key IS NULL"
_BY_DIGEST = """
SELECT k.key_id, k.label, k.mode, k.scopes, k.channel, k.created_at, k.revoked_at, k.expires_at, k.bounds,
       k.person, k.role, s.created_at, s.expires_at, s.last_used_on, s.public_key
FROM key_secrets s JOIN api_keys k USING (key_id) WHERE s.secret_sha256 = ?
"""
_SELECT = """
SELECT key_id, label, mode, scopes, channel, created_at, revoked_at, expires_at, bounds, person, role
FROM api_keys
"""
_BY_ID = _SELECT + "WHERE key_id = ? AND revoked_at IS NULL"
_ALL = _SELECT + "ORDER BY created_at, key_id"
_SECRETS = """
SELECT created_at, expires_at, last_used_on, public_key FROM key_secrets WHERE key_id = ?
ORDER BY created_at, rowid
"""
_END = "UPDATE key_secrets SET expires_at = min(coalesce(expires_at, ?), ?) WHERE key_id = ?"
_USED = "UPDATE key_secrets SET last_used_on = ? WHERE secret_sha256 = ?"
_REVOKE = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE key_id = ?
RETURNING key_id, label, mode, scopes, channel, created_at, revoked_at, expires_at, bounds, person, role
"""


class SqliteKeys:
    """The port `Keys` on the operational database at `path`, whose schema is up to date."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connections = PerThread(path)
        self._told: dict[bytes, date] = {}
        # Read at every request, but made anew only when the row has changed
        self._made: dict[bytes, tuple[tuple[Any, ...], FoundKey]] = {}

    def add(self, key: ApiKey, secret_sha256: bytes, public_key: bytes | None = None) -> None:
        """Store a new key with its first secret, and what verifies that secret's signatures."""
        created_at = to_microseconds(key.created_at)
        self._write(
            (
                _INSERT,
                key.key_id,
                key.label,
                key.mode,
                json.dumps(sorted(key.scopes)),
                key.channel,
                created_at,
                _stored(key.revoked_at),
                _stored(key.expires_at),
                None if key.bounds is None else msgspec.json.encode(key.bounds).decode(),
                key.person,
                key.role,
            ),
            (_ADD, secret_sha256, key.key_id, created_at, public_key),
        )

    def find(self, secret_sha256: bytes) -> FoundKey | None:
        """Return the key of this secret, whether or not it still opens anything."""
        rows = self._execute(_BY_DIGEST, secret_sha256)
        if not rows:
            return None
        row = rows[0]
        made_of, found = self._made.get(secret_sha256, (None, None))
        if found is None or made_of != row:
            found = FoundKey(_key(row[:_KEY_WIDTH]), _secret(row[_KEY_WIDTH:]))
            self._made[secret_sha256] = row, found
        return found

    def secrets(self, key_id: str) -> tuple[Secret, ...]:
        """Return a key's secrets, oldest first."""
        return tuple(map(_secret, self._execute(_SECRETS, key_id)))

    def all(self) -> tuple[ApiKey, ...]:
        """Return all keys, oldest first."""
        return tuple(map(_key, self._execute(_ALL)))

    def publish(self, secret_sha256: bytes, public_key: bytes) -> None:
        """Store what verifies a secret's signatures, where nothing is stored yet."""
        self._write((_PUBLISH, public_key, secret_sha256))

    def rotate(
        self,
        key_id: str,
        secret_sha256: bytes,
        *,
        at: datetime,
        until: datetime,
        public_key: bytes | None = None,
    ) -> ApiKey | None:
        """Give a key another secret and end the earlier ones at `until`, in one transaction."""
        rows = self._execute(_BY_ID, key_id)
        if not rows:
            return None
        end = to_microseconds(until)
        self._write((_END, end, end, key_id), (_ADD, secret_sha256, key_id, to_microseconds(at), public_key))
        return _key(rows[0])

    def used(self, secret_sha256: bytes, on: date) -> None:
        """Remember the day a secret opened something: one write per secret, day and process.

        It is told without waiting and without a flush of its own: a request must not stand behind it, and a
        day that is lost in a crash is written with the next request.
        """
        if self._told.get(secret_sha256) == on:
            return
        try:
            connection = connect(self._path, new=False)
            try:
                connection.execute("PRAGMA busy_timeout=0")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(_USED, (on.isoformat(), secret_sha256))
            finally:
                connection.close()
        except (sqlite3.Error, DependencyError):
            return  # somebody else writes at this moment; the next request tries again
        self._told[secret_sha256] = on

    def revoke(self, key_id: str, at: datetime) -> ApiKey | None:
        """Revoke a key and return it; None when there is none."""
        rows = self._execute(_REVOKE, to_microseconds(at), key_id)
        return _key(rows[0]) if rows else None

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def _execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._connections.get().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _away(error) from error

    def _write(self, *statements: tuple[object, ...]) -> None:
        """Execute statements, each with its values, in one transaction."""
        connection = self._connections.get()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for sql, *values in statements:
                    connection.execute(str(sql), values)
            except sqlite3.Error:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _away(error) from error


def _away(error: sqlite3.Error) -> DependencyError:
    return DependencyError(f"the store of keys does not answer ({error})")


def _key(row: tuple[Any, ...]) -> ApiKey:
    key_id, label, mode, scopes, channel, created_at, revoked_at, expires_at, bounds, person, role = row
    return ApiKey(
        key_id=key_id,
        label=label,
        mode=Mode(mode),
        scopes=frozenset(map(Scope, json.loads(scopes))),
        channel=channel,
        created_at=from_microseconds(created_at),
        revoked_at=_read(revoked_at),
        expires_at=_read(expires_at),
        bounds=None if bounds is None else msgspec.json.decode(bounds, type=Bounds),
        person=person,
        role=None if role is None else Role(role),
    )


def _secret(row: tuple[Any, ...]) -> Secret:
    created_at, expires_at, last_used_on, public_key = row
    day = None if last_used_on is None else date.fromisoformat(last_used_on)
    return Secret(from_microseconds(created_at), _read(expires_at), day, public_key)


def _stored(instant: datetime | None) -> int | None:
    return None if instant is None else to_microseconds(instant)


def _read(stored: int | None) -> datetime | None:
    return None if stored is None else from_microseconds(stored)
