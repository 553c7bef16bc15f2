"""Outcomes and events of one customer, for an export."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from moment.errors import DependencyError
from serving.adapters.database import PerThread
from serving.adapters.instants import from_microseconds
from serving.adapters.same_customer import SAME
from serving.adapters.vault import Vault
from serving.ports import HeldEvent, HeldOutcome
from serving.records import Mode

_EVENTS = f"""
{SAME} SELECT customer_ref, event_ref, kind, occurred_at, body FROM same JOIN events ON customer_ref = ref
WHERE mode = ? ORDER BY position DESC LIMIT ?
"""  # noqa: S608 - the text above
_OUTCOMES = f"""
{SAME} SELECT r.tracking_id, r.kind, r.occurred_at, r.value FROM same JOIN decisions d ON customer_ref = ref
JOIN outcome_reports r USING (decision_id) WHERE d.mode = ? ORDER BY r.occurred_at DESC LIMIT ?
"""  # noqa: S608


class SqliteHeld:
    """The port `HeldRows` on the database at `path`."""

    def __init__(self, path: Path, vault: Vault) -> None:
        self._readers = PerThread(path)
        self._vault = vault

    def outcomes(self, customer_id: str, *, mode: Mode, limit: int) -> tuple[HeldOutcome, ...]:
        """Return what was reported of the customer's offers, newest first."""
        rows = self._select(_OUTCOMES, customer_id, mode, limit)
        return tuple(HeldOutcome(row[0], row[1], from_microseconds(row[2]), row[3]) for row in rows)

    def events(self, customer_id: str, *, mode: Mode, limit: int) -> tuple[HeldEvent, ...]:
        """Return what the customer did, newest first, their linked profiles too."""
        found = []
        for ref, event_ref, kind, occurred_at, sealed in self._select(_EVENTS, customer_id, mode, limit):
            body = self._vault.open_sealed(self._readers.get(), ref, sealed, about=event_ref)
            if body is not None:
                told = json.loads(body)
                at = from_microseconds(occurred_at)
                found.append(HeldEvent(kind, at, str(told.get("channel", "")), told.get("attributes", {})))
        return tuple(found)

    def close(self) -> None:
        """Close what it reads with."""
        self._readers.close()

    def _select(self, sql: str, customer_id: str, mode: Mode, limit: int) -> list[tuple[Any, ...]]:
        try:
            return self._readers.get().execute(sql, (self._vault.ref(customer_id), mode, limit)).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"what is held of the customer cannot be read ({error})") from error
