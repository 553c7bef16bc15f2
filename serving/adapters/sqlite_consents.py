"""The ledger of consents in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from moment.errors import DependencyError, InvariantViolation
from serving.adapters.database import PerThread
from serving.adapters.group_commit import GroupCommit
from serving.adapters.instants import from_microseconds, to_microseconds
from serving.adapters.same_customer import SAME
from serving.adapters.vault import Vault
from serving.decision.consent_ledger import NOTHING_TOLD, ConsentEntry, ConsentStatus, Said, settled
from serving.decision.values import Consent, Purpose
from serving.ports import Told
from serving.records import Mode

EVERY_CHANNEL = ""
NO_END = 0

_LINK = ("", "", 0, 0)
"""In the place of what an entry says: the customer is linked with somebody."""

_READ = f"""
SELECT purpose, status, valid_from, NULLIF(valid_to, {NO_END}) FROM consents
WHERE customer_ref = ?1 AND mode IN ('live', ?2) AND channel IN ('{EVERY_CHANNEL}', ?3)
AND valid_from <= ?4 AND known_at <= ?4
UNION ALL SELECT {", ".join(map(repr, _LINK))} FROM identity_links WHERE customer_ref = ?1
"""  # noqa: S608 - constants
_READ_LINKED = f"""
{SAME}SELECT ref, purpose, status, valid_from, NULLIF(valid_to, {NO_END})
FROM same JOIN consents ON customer_ref = ref
WHERE mode IN ('live', ?2) AND channel IN ('{EVERY_CHANNEL}', ?3) AND valid_from <= ?4 AND known_at <= ?4
"""  # noqa: S608 - constants
_OWN = """
SELECT purpose, channel, status, valid_from, valid_to, known_at, source FROM consents
WHERE customer_ref = ? AND mode IN ('live', ?) ORDER BY known_at, valid_from
"""
_INSERT = """
INSERT INTO consents (customer_ref, mode, purpose, channel, status, valid_from, valid_to, known_at, source)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""

_Row = tuple[str, str, str, int, int, int, str]


class SqliteConsents:
    """The port `Consents` on a database; it writes with the process's `writer`.

    One who only reads needs none.
    """

    def __init__(self, database: Path | PerThread, writer: GroupCommit | None, vault: Vault) -> None:
        self._readers = PerThread.of(database)
        self._writer = writer
        self._vault = vault

    def read(self, customer_id: str, *, mode: Mode, channel: str, now: datetime) -> Consent:
        """Return what the customer allows, by one look at the index; those with links cost another."""
        instant = to_microseconds(now)
        asked = self._vault.ref(customer_id), mode.value, channel, instant
        said = self._select(_READ, *asked)
        if not said:
            return NOTHING_TOLD
        if _LINK not in said:
            return settled((said,), instant)
        profiles: dict[str, list[Said]] = {}
        for ref, *one in self._select(_READ_LINKED, *asked):
            profiles.setdefault(ref, []).append(tuple(one))
        return settled(profiles.values(), instant)

    def entries(self, customer_id: str, *, mode: Mode) -> tuple[ConsentEntry, ...]:
        """Return the customer's own entries, oldest first."""
        return tuple(map(_entry, self._select(_OWN, self._vault.ref(customer_id), mode.value)))

    def append(self, told: Sequence[Told], *, mode: Mode) -> int:
        """Store entries durably; what is there already is not stored again."""
        if self._writer is None:
            raise InvariantViolation("this ledger of consents was opened for reading alone")
        rows = [_row(self._vault.ref(one.customer_id), mode, one.entry) for one in told]
        return self._writer.submit(lambda connection: _append(connection, self._vault, rows)).result()

    def close(self) -> None:
        """Close what it reads with."""
        self._readers.close()

    def _select(self, sql: str, *values: object) -> list[Any]:
        try:
            return self._readers.get().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"the ledger of consents does not answer ({error})") from error


def _append(connection: sqlite3.Connection, vault: Vault, rows: Sequence[tuple[object, ...]]) -> int:
    erased = {ref for ref in {str(row[0]) for row in rows} if vault.is_erased(connection, ref)}
    kept = [row for row in rows if row[0] not in erased]
    before = connection.total_changes
    connection.executemany(_INSERT, kept)
    return connection.total_changes - before


def _row(ref: str, mode: Mode, entry: ConsentEntry) -> tuple[object, ...]:
    return (
        ref,
        mode,
        entry.purpose,
        EVERY_CHANNEL if entry.channel is None else entry.channel,
        entry.status,
        to_microseconds(entry.valid_from),
        NO_END if entry.valid_to is None else to_microseconds(entry.valid_to),
        to_microseconds(entry.known_at),
        entry.source,
    )


def _entry(row: _Row) -> ConsentEntry:
    purpose, channel, status, valid_from, valid_to, known_at, source = row
    return ConsentEntry(
        purpose=Purpose(purpose),
        channel=channel or None,
        status=ConsentStatus(status),
        valid_from=from_microseconds(valid_from),
        valid_to=None if valid_to == NO_END else from_microseconds(valid_to),
        known_at=from_microseconds(known_at),
        source=source,
    )
