"""The decisions in the order in which they were recorded, read from the operational database as they come."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from moment.errors import DependencyError
from serving.adapters.database import connect
from serving.adapters.record_marks import read, unmarked
from serving.adapters.vault import Vault
from serving.records import DecisionRecord, Mode

_AFTER = """
SELECT sequence, decision_id, record FROM decisions WHERE sequence > :after {only}
ORDER BY sequence LIMIT :limit
"""
_NEWEST = """
SELECT sequence, decision_id, record FROM decisions WHERE sequence > :after {only}
ORDER BY sequence DESC LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record without its personal part, and its place among all that were recorded."""

    sequence: int
    record: DecisionRecord


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions are wanted; None for any."""

    channel: str | None = None
    mode: Mode | None = None


class SqliteJournal:
    """Reads decisions of the operational database at `path`, whose schema is up to date."""

    def __init__(self, path: Path, vault: Vault) -> None:
        self._connection = connect(path)
        self._vault = vault

    def newest(self, wanted: Wanted, limit: int) -> list[Recorded]:
        """Return the newest decisions, oldest first."""
        return self._select(_NEWEST, wanted, 0, limit)[::-1]

    def after(self, sequence: int, wanted: Wanted, limit: int) -> list[Recorded]:
        """Return the next decisions after one, oldest first."""
        return self._select(_AFTER, wanted, sequence, limit)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _select(self, sql: str, wanted: Wanted, after: int, limit: int) -> list[Recorded]:
        only = {"channel": wanted.channel, "mode": None if wanted.mode is None else wanted.mode.value}
        conditions = "".join(f" AND {name} = :{name}" for name, value in only.items() if value is not None)
        values = {"after": after, "limit": limit, **only}
        try:
            rows = self._connection.execute(sql.format(only=conditions), values).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"the store of decision records does not answer ({error})") from error
        return [
            Recorded(sequence, read(decision_id, unmarked(self._vault, decision_id, stored), None))
            for sequence, decision_id, stored in rows
        ]
