"""What a batch reads of the operational database at once, for customers from one id to another."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from moment.errors import DependencyError
from serving.adapters.database import PerThread
from serving.decision.contact_plan import Lookback
from serving.decision.values import History
from serving.ports import ContactLedger, Standing
from serving.records import DecisionRecord, Mode, Sealable, load

_WITH_HISTORY = """
SELECT customer_ref FROM contact_versions WHERE mode = ? AND customer_ref BETWEEN ? AND ?
"""
_DECIDED = """
SELECT request_id, record, personal FROM decisions
WHERE key_id = ? AND request_id BETWEEN ? AND ?
"""


class SqliteBatches:
    """Reads spans of customers from the database at `path`; single ones through its ledger."""

    def __init__(self, path: Path, ledger: ContactLedger) -> None:
        self._readers = PerThread(path)
        self._ledger = ledger

    def standings(
        self, first: str, last: str, *, mode: Mode, now: datetime, back: Lookback
    ) -> tuple[Standing, dict[str, Standing]]:
        """Return how a customer without a history stands, and, by id, how those with one do."""
        newcomer = self._ledger.read(None, mode=mode, now=now, back=back)
        used, own = newcomer.history.used, replace(back, budgets=())
        known = {}
        for row in self._select(_WITH_HISTORY, mode, first, last):
            customer_id = row[0]
            standing = self._ledger.read(customer_id, mode=mode, now=now, back=own)
            history = History(standing.history.contacts, standing.history.outcomes, used)
            known[customer_id] = Standing(history, standing.version)
        return newcomer, known

    def decided(self, key_id: str, first: str, last: str) -> dict[str, DecisionRecord]:
        """Return the records of a key's requests from one id to another, by request id."""
        found = self._select(_DECIDED, key_id, first, last)
        return {request_id: load(Sealable(record, personal)) for request_id, record, personal in found}

    def close(self) -> None:
        """Close what it reads with."""
        self._readers.close()

    def _select(self, sql: str, *values: str) -> list[Any]:
        try:
            return self._readers.get().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"the operational database does not answer ({error})") from error
