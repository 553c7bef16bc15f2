"""What a batch reads of the operational database at once, for many customers."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec

from moment.errors import DependencyError
from serving.adapters.database import PerThread
from serving.adapters.vault import Vault
from serving.decision.contact_plan import Lookback
from serving.decision.values import History
from serving.ports import ContactLedger, Standing
from serving.records import Mode

_WITH_HISTORY = """
SELECT customer_ref FROM contact_versions
WHERE mode = ? AND customer_ref IN (SELECT value FROM json_each(?))
"""


class SqliteBatches:
    """Reads how many customers stand from the database at `path`; single ones through its ledger."""

    def __init__(self, path: Path, ledger: ContactLedger, vault: Vault) -> None:
        self._readers = PerThread(path)
        self._ledger = ledger
        self._vault = vault

    def standings(
        self, customer_ids: Sequence[str], *, mode: Mode, now: datetime, back: Lookback
    ) -> tuple[Standing, dict[str, Standing]]:
        """Return how a customer without a history stands, and, by id, how those with one do."""
        newcomer = self._ledger.read(None, mode=mode, now=now, back=back)
        used, own = newcomer.history.used, replace(back, budgets=())
        known = {}
        for customer_id in self._with_history(customer_ids, mode):
            standing = self._ledger.read(customer_id, mode=mode, now=now, back=own)
            history = History(standing.history.contacts, standing.history.outcomes, used)
            known[customer_id] = Standing(history, standing.version)
        return newcomer, known

    def close(self) -> None:
        """Close what it reads with."""
        self._readers.close()

    def _with_history(self, customer_ids: Sequence[str], mode: Mode) -> list[str]:
        by_ref = {self._vault.ref(customer_id): customer_id for customer_id in customer_ids}
        wanted = msgspec.json.encode(list(by_ref)).decode()
        try:
            found = self._readers.get().execute(_WITH_HISTORY, (mode, wanted)).fetchall()
        except sqlite3.Error as error:
            raise DependencyError(f"the operational database does not answer ({error})") from error
        return [by_ref[row[0]] for row in found]
