"""Keys in SQLite. Read at every request, so that a revoked key is refused by every worker at once."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from pathlib import Path

from moment.errors import DependencyError
from serving.adapters.database import PerThread
from serving.adapters.instants import from_microseconds, to_microseconds
from serving.ports import ApiKey, Scope
from serving.records import Mode

_INSERT = """
INSERT INTO api_keys (key_id, label, mode, scopes, channel, created_at, revoked_at, secret_sha256)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_BY_DIGEST = """
SELECT key_id, label, mode, scopes, channel, created_at, revoked_at FROM api_keys WHERE secret_sha256 = ?
"""
_ALL = """
SELECT key_id, label, mode, scopes, channel, created_at, revoked_at FROM api_keys ORDER BY created_at, key_id
"""
_REVOKE = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE key_id = ?
RETURNING key_id, label, mode, scopes, channel, created_at, revoked_at
"""
_Row = tuple[str, str, str, str, str | None, int, int | None]


class SqliteKeys:
    """The port `Keys` on the operational database at `path`, whose schema is up to date."""

    def __init__(self, path: Path) -> None:
        self._connections = PerThread(path)

    def add(self, key: ApiKey, secret_sha256: bytes) -> None:
        """Store a new key."""
        self._execute(
            _INSERT,
            key.key_id,
            key.label,
            key.mode,
            json.dumps(sorted(key.scopes)),
            key.channel,
            to_microseconds(key.created_at),
            None if key.revoked_at is None else to_microseconds(key.revoked_at),
            secret_sha256,
        )

    def find(self, secret_sha256: bytes) -> ApiKey | None:
        """Return the key of this secret, revoked or not."""
        rows = self._execute(_BY_DIGEST, secret_sha256)
        return _key(rows[0]) if rows else None

    def all(self) -> tuple[ApiKey, ...]:
        """Return all keys, oldest first."""
        return tuple(map(_key, self._execute(_ALL)))

    def revoke(self, key_id: str, at: datetime) -> ApiKey | None:
        """Revoke a key and return it; None when there is none."""
        rows = self._execute(
            _REVOKE,
            to_microseconds(at),
            key_id,
        )
        return _key(rows[0]) if rows else None

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def _execute(self, sql: str, *values: object) -> list[_Row]:
        try:
            return self._connections.get().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"the store of keys does not answer ({error})") from error


def _key(row: _Row) -> ApiKey:
    key_id, label, mode, scopes, channel, created_at, revoked_at = row
    return ApiKey(
        key_id=key_id,
        label=label,
        mode=Mode(mode),
        scopes=frozenset(map(Scope, json.loads(scopes))),
        channel=channel,
        created_at=from_microseconds(created_at),
        revoked_at=None if revoked_at is None else from_microseconds(revoked_at),
    )
