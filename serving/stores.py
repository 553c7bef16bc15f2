"""What a deciding worker keeps on the disk, opened together and closed together."""

from __future__ import annotations

from dataclasses import dataclass

from features.store import FeatureStore
from moment.home import Home
from serving.adapters.database import PerThread
from serving.adapters.realtime_push import RealtimePusher
from serving.adapters.realtime_reader import RealtimeReader
from serving.adapters.sqlite_consents import SqliteConsents
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_events import KeptStates, SqliteEvents
from serving.adapters.sqlite_identities import SqliteIdentities
from serving.adapters.sqlite_outcomes import SqliteOutcomes
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.sqlite_shadows import SqliteShadows
from serving.adapters.vault import Vault
from serving.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one worker; what they write goes through the one writer of the records."""

    vault: Vault
    records: SqliteRecords
    ledger: SqliteContacts
    outcomes: SqliteOutcomes
    consents: SqliteConsents
    identities: SqliteIdentities
    realtime: RealtimeReader
    pusher: RealtimePusher
    events: SqliteEvents
    shadows: SqliteShadows

    def close(self) -> None:
        """Write what waits and close them, what feeds others first."""
        self.pusher.close()
        self.realtime.close()
        self.consents.close()
        self.identities.close()
        self.outcomes.close()
        self.records.close()
        self.shadows.close()
        self.ledger.close()


def open_stores(home: Home, features: FeatureStore, telemetry: Telemetry) -> Stores:
    """Open every store of a worker.

    Raises
    ------
    DependencyError
        The database, or the secret its records are sealed under, cannot be opened.
    """
    vault = Vault.open(home)
    records = SqliteRecords(home.database, vault)
    records.writer.watched_by(telemetry.waiting)
    # What every decision reads; the others read seldom, and for themselves
    deciding = PerThread(home.database)
    # A client of Feast of its own: a push must not keep decisions from reading
    pusher = RealtimePusher(KeptStates(home.database, records.writer), FeatureStore(home).push)
    return Stores(
        vault=vault,
        records=records,
        ledger=SqliteContacts(deciding, records.writer, vault),
        outcomes=SqliteOutcomes(home.database, records.writer, vault),
        consents=SqliteConsents(deciding, records.writer, vault),
        identities=SqliteIdentities(home.database, records.writer, vault),
        realtime=RealtimeReader(features, deciding, vault),
        pusher=pusher,
        events=SqliteEvents(records.writer, vault, pusher.announce),
        shadows=SqliteShadows(home.database, records.writer),
    )
