"""What challengers said beside decisions, in SQLite: rows that name a decision and a bundle, and nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import msgspec

from moment.errors import DependencyError
from serving.adapters.database import PerThread
from serving.adapters.group_commit import GroupCommit
from serving.adapters.instants import from_microseconds, to_microseconds
from serving.ports.shadows import Shadow, Told

# A decision that was forgotten meanwhile leaves nothing behind
_INSERT = """
INSERT OR IGNORE INTO shadows (decision_id, model, digest, at, told)
SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM decisions WHERE decision_id = ?1)
"""
_COLUMNS = "SELECT decision_id, model, digest, at, told FROM shadows"
_BESIDE = f"{_COLUMNS} WHERE decision_id = ? ORDER BY model, digest"
_SAID = f"{_COLUMNS} WHERE model = ? AND digest = ? AND decision_id > ? ORDER BY decision_id LIMIT ?"

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Told] = msgspec.json.Decoder(Told)


class SqliteShadows:
    """The port `ShadowRecords` on the operational database at `path`; without a `writer` it only reads."""

    def __init__(self, path: Path, writer: GroupCommit | None) -> None:
        self._readers = PerThread(path)
        self._writer = writer

    def append(self, shadows: Sequence[Shadow]) -> Future[int]:
        """Hand some to the writer, as one piece of work."""
        if self._writer is None:
            raise DependencyError("this process only reads what challengers said")
        rows = [
            (one.decision_id, one.model, one.digest, to_microseconds(one.at), _encoder.encode(one.told))
            for one in shadows
        ]
        return self._writer.submit(lambda connection: connection.executemany(_INSERT, rows).rowcount)

    def beside(self, decision_id: str) -> tuple[Shadow, ...]:
        """Return what challengers said beside a decision."""
        return self._select(_BESIDE, decision_id)

    def said(self, model: str, digest: str, *, after: str = "", limit: int = 1000) -> tuple[Shadow, ...]:
        """Return what a challenger said, in the order of the decisions' ids."""
        return self._select(_SAID, model, digest, after, limit)

    def close(self) -> None:
        """Close what it reads with."""
        self._readers.close()

    def _select(self, sql: str, *values: object) -> tuple[Shadow, ...]:
        try:
            rows = self._readers.get().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"the store of challengers' shadows does not answer ({error})") from error
        return tuple(
            Shadow(decision_id, model, digest, from_microseconds(at), _decoder.decode(told))
            for decision_id, model, digest, at, told in rows
        )
