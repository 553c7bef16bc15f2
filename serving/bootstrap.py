"""The one place where ports meet their adapters: from a home and settings to open use cases."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moment import __version__
from moment.errors import ConfigurationError, DependencyError, MomentError
from moment.home import Home
from serving.adapters.database import migrate
from serving.adapters.sqlite_keys import SqliteKeys
from serving.life_room import open_life
from serving.opening import (
    PACKAGED_CATALOGUE,
    catalogue_columns,
    catalogue_path,
    load_catalogue,
    open_tracking,
)
from serving.ports import Keys
from serving.ports.life import Signer
from serving.settings import Settings
from serving.telemetry import UNTOLD, Telemetry
from serving.worker import Opened, open_all

if TYPE_CHECKING:
    from features.consents import CustomerLedger
    from serving.adapters.counting import CountsSoon
    from serving.adapters.jwt_tokens import JwtTokens
    from serving.adapters.sqlite_journal import SqliteJournal
    from serving.ports.shadows import ShadowRecords
    from serving.use_cases.access import Access
    from serving.use_cases.case import OpenCase
    from serving.use_cases.desk import Desk
    from serving.use_cases.erase import EraseCustomer
    from serving.use_cases.life import Life
    from serving.use_cases.recall import Recall
    from serving.use_cases.replay import Replay

__all__ = [
    "PACKAGED_CATALOGUE",
    "LateOffice",
    "Opened",
    "ReadingRoom",
    "catalogue_columns",
    "catalogue_path",
    "load_catalogue",
    "open_access",
    "open_all",
    "open_customer_ledger",
    "open_erasing",
    "open_journal",
    "open_keys",
    "open_reading_room",
    "open_telemetry",
    "open_tokens",
    "open_tracking",
]

_RETRY_SECONDS = 5.0


def open_keys(home: Home) -> SqliteKeys:
    """Open the store of keys, creating the database where there is none."""
    migrate(home.database)
    return SqliteKeys(home.database)


def open_access(keys: Keys, home: Home, settings: Settings) -> Access:
    """Open the door: keys, tokens where they are set up, and what bounds both.

    Raises
    ------
    ConfigurationError
        The file of the keys that sign tokens is wrong.
    """
    from serving.adapters.file_rates import SharedAllowance
    from serving.adapters.identifiers import utc_now
    from serving.adapters.vault import Vault
    from serving.use_cases.access import Access
    from serving.use_cases.allowance import Rates

    allowance = SharedAllowance(home.root / "allowances", Vault.open(home).ref)
    return Access(keys, utc_now, open_tokens(settings), Rates(settings.bounds, allowance))


def open_tokens(settings: Settings) -> JwtTokens | None:
    """Return what verifies tokens, or None where none are accepted; ConfigurationError for wrong keys."""
    if settings.jwks is None:
        return None
    from serving.adapters.jwt_tokens import JwtTokens, Trust

    return JwtTokens(
        Trust(settings.jwks, settings.jwt_issuer, settings.jwt_audience, settings.jwt_algorithms)
    )


def open_telemetry() -> CountsSoon:
    """Return what counts in a worker, in the folder that BentoML has told it."""
    from serving.adapters.counting import CountsSoon
    from serving.adapters.prometheus import set_aside

    folder = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""))
    if folder.name and folder.is_dir():
        set_aside(folder)
    return CountsSoon()


def open_customer_ledger(home: Home) -> AbstractContextManager[CustomerLedger]:
    """Open what an ingest tells consents to, and asks who was erased."""
    from serving.adapters.ingest_ledger import customer_ledger

    return customer_ledger(home)


@dataclass(frozen=True, slots=True)
class ReadingRoom:
    """What reading recorded decisions takes: no features, and no model but those that records cite."""

    recall: Recall
    replay: Replay
    open_case: OpenCase
    shadows: ShadowRecords
    close: Callable[[], None]


def open_reading_room(home: Home) -> ReadingRoom:
    """Open what is kept of decisions. Nothing is decided here, so nothing of today is needed.

    Raises
    ------
    DependencyError
        A store cannot be opened.
    """
    from serving.adapters.catalogue_files import CatalogueFiles
    from serving.adapters.identifiers import utc_now
    from serving.adapters.model_archive import BundleArchive
    from serving.adapters.sqlite_outcomes import SqliteOutcomes
    from serving.adapters.sqlite_records import SqliteRecords
    from serving.adapters.sqlite_shadows import SqliteShadows
    from serving.adapters.vault import Vault
    from serving.bundles.signing import Trust
    from serving.use_cases.case import OpenCase
    from serving.use_cases.recall import Recall
    from serving.use_cases.replay import Replay

    keys, vault = open_keys(home), Vault.open(home)
    models = BundleArchive(home.bundles, Trust.of_home_if_any(home.keys))
    records = SqliteRecords(home.database, vault)
    outcomes = SqliteOutcomes(home.database, records.writer, vault)
    shadows = SqliteShadows(home.database, None)
    recall = Recall(records, CatalogueFiles(home.root / "catalogues"))
    replay = Replay(recall, models, __version__)

    def close() -> None:
        shadows.close()
        outcomes.close()
        records.close()
        keys.close()

    return ReadingRoom(recall, replay, OpenCase(replay, models, outcomes, keys, utc_now), shadows, close)


def open_journal(home: Home) -> SqliteJournal:
    """Open the decisions in the order in which they were recorded."""
    from serving.adapters.sqlite_journal import SqliteJournal
    from serving.adapters.vault import Vault

    return SqliteJournal(home.database, Vault.open(home))


@contextmanager
def open_erasing(home: Home) -> Iterator[EraseCustomer]:
    """Open what erases customers, without models or catalogue. Importing Feast takes seconds."""
    from features.store import FeatureStore
    from serving.adapters.erased_files import FileTurns, other_stores
    from serving.adapters.group_commit import GroupCommit
    from serving.adapters.identifiers import utc_now
    from serving.adapters.sqlite_erasures import SqliteErasures
    from serving.adapters.vault import Vault
    from serving.use_cases.erase import EraseCustomer

    vault = Vault.open(home)
    writer = GroupCommit(home.database)
    erasures = SqliteErasures(home.database, writer, vault)
    try:
        yield EraseCustomer(erasures, other_stores(home, FeatureStore(home)), FileTurns(home), utc_now)
    finally:
        writer.close()
        erasures.close()


class LateOffice:
    """The API's office in a running service: what cannot be opened yet is tried again until it can.

    Parameters
    ----------
    home, settings, telemetry
        As for `open_all`.
    """

    def __init__(self, home: Home, settings: Settings, telemetry: Telemetry = UNTOLD) -> None:
        self._home = home
        self._settings = settings
        self._telemetry = telemetry
        self._keys: SqliteKeys | None = None
        self._access: Access | None = None
        self._life: Life | None = None
        self._life_open = ExitStack()
        self._opened: Opened | None = None
        self._refusal: MomentError = DependencyError("Moment is still opening its stores; try again soon")
        self._closing = threading.Event()
        self._retry: threading.Thread | None = None

    @property
    def keys(self) -> Keys:
        """The store of keys; DependencyError when the database is away."""
        if self._keys is None:
            self._keys = open_keys(self._home)
        return self._keys

    @property
    def access(self) -> Access:
        """The door; DependencyError when the store of keys is away."""
        if self._access is None:
            self._access = open_access(self.keys, self._home, self._settings)
        return self._access

    @property
    def life(self) -> Life:
        """The life of models, by the ledger that is followed; DependencyError when it is away."""
        if self._opened is not None:
            return self._opened.life
        if self._life is None:
            self._life = self._life_open.enter_context(open_life(self._home))
        return self._life

    def signer(self, secret: str) -> Signer:
        """Return the person whose own key has this secret; the secret is kept nowhere."""
        from serving.adapters.personal_signing import PersonalSigner

        return PersonalSigner(secret, self.keys)

    def desk(self) -> Desk:
        """Return the open desk, or raise why there is none."""
        if self._opened is None:
            raise self._refusal
        return self._opened.desk

    def open(self) -> None:
        """Open everything; when something is missing, go on trying in the background."""
        if not self._try() and self._retry is None:
            self._retry = threading.Thread(target=self._keep_trying, name="opening", daemon=True)
            self._retry.start()

    def close(self) -> None:
        """Write what waits and close every store."""
        self._closing.set()
        if self._opened is not None:
            self._opened.close()
        self._life_open.close()
        if self._keys is not None:
            self._keys.close()

    def _try(self) -> bool:
        try:
            self._opened = open_all(self._home, self._settings, self._telemetry)
        except (DependencyError, ConfigurationError) as refusal:
            self._refusal = refusal
            return False
        self._telemetry.opened(self._opened.desk.versions)
        self._telemetry.followed(self._opened.succession.state.now.seq)
        self._opened.succession.start()
        self._opened.desk.erasing.resume()
        return True

    def _keep_trying(self) -> None:
        while not self._closing.wait(_RETRY_SECONDS):
            if self._try():
                return
