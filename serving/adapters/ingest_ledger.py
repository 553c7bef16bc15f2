"""The operational database as an ingest sees it: takes consents, and knows who was erased."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from features.consents import CustomerLedger, ToldConsent
from moment.errors import DependencyError
from moment.home import Home
from serving.adapters.database import PerThread
from serving.adapters.group_commit import GroupCommit
from serving.adapters.sqlite_consents import SqliteConsents
from serving.adapters.vault import Vault
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.values import Purpose
from serving.ports import Told
from serving.records import Mode

_ERASED = "SELECT customer_ref FROM tombstones"


class IngestLedger:
    """The port `features.consents.CustomerLedger`; who was erased is read at every question."""

    def __init__(self, readers: PerThread, consents: SqliteConsents, vault: Vault) -> None:
        self._readers = readers
        self._consents = consents
        self._vault = vault

    def erased(self, customer_ids: Sequence[str]) -> frozenset[str]:
        """Return which of the customers were erased."""
        # Not once for all: an erasure may be done between the opening and the ingest's turn at the files
        try:
            refs = frozenset(row[0] for row in self._readers.get().execute(_ERASED))
        except sqlite3.Error as error:
            raise DependencyError(f"who was erased cannot be read ({error}); try again later") from error
        return frozenset(one for one in customer_ids if self._vault.ref(one) in refs) if refs else refs

    def tell(self, consents: Sequence[ToldConsent]) -> int:
        """Append consents and return how many were new."""
        return self._consents.append([_told(one) for one in consents], mode=Mode.LIVE)


@contextmanager
def customer_ledger(home: Home) -> Iterator[CustomerLedger]:
    """Open it, making the database where there is none."""
    vault = Vault.open(home)
    writer, readers = GroupCommit(home.database), PerThread(home.database)
    consents = SqliteConsents(home.database, writer, vault)
    try:
        yield IngestLedger(readers, consents, vault)
    finally:
        writer.close()
        consents.close()
        readers.close()


def _told(one: ToldConsent) -> Told:
    entry = ConsentEntry(
        Purpose(one.purpose),
        one.channel,
        ConsentStatus(one.status),
        one.valid_from,
        one.valid_to,
        one.known_at,
        one.source,
    )
    return Told(one.customer_id, entry)
