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
from serving.ports import Keys
from serving.ports.life import Signer
from serving.settings import Settings
from serving.telemetry import UNTOLD, Telemetry

if TYPE_CHECKING:
    from features.consents import CustomerLedger
    from features.contract import FeatureContract
    from serving.adapters.catalogue_files import CatalogueFiles
    from serving.adapters.feast_reader import FeastReader
    from serving.adapters.jwt_tokens import JwtTokens
    from serving.adapters.sqlite_journal import SqliteJournal
    from serving.adapters.vault import Vault
    from serving.bundles import PropensityBundle, SegmentationBundle
    from serving.decision.catalogue import Catalogue
    from serving.decision.columns import Column
    from serving.stores import Stores
    from serving.use_cases.access import Access
    from serving.use_cases.case import OpenCase
    from serving.use_cases.decide import Decide
    from serving.use_cases.desk import Desk
    from serving.use_cases.erase import EraseCustomer
    from serving.use_cases.export import ExportCustomer
    from serving.use_cases.life import Life
    from serving.use_cases.recall import Recall
    from serving.use_cases.replay import Replay
    from serving.use_cases.tracking import Tracking

PACKAGED_CATALOGUE = Path(__file__).parent / "catalogue" / "examples" / "groceries.yaml"
"""What decides where no other catalogue is named."""

_RETRY_SECONDS = 5.0


def catalogue_path(settings: Settings) -> Path:
    """Return the file of the catalogue that decides."""
    return settings.catalogue or PACKAGED_CATALOGUE


def load_catalogue(settings: Settings, contract: FeatureContract) -> Catalogue:
    """Return the catalogue that decides, which must read nothing of the customer that no feature computes.

    Raises
    ------
    ConfigurationError
        It is wrong, every fault is listed; or it reads what the features lack.
    """
    from serving.catalogue import load
    from serving.catalogue.feature_columns import missing_columns

    path, columns = catalogue_path(settings), catalogue_columns(contract)
    catalogue = load(path, columns)
    missing = missing_columns(catalogue, columns)
    if missing:
        raise ConfigurationError(
            f"{path.name} reads {', '.join(missing)} of the customer, which the features do not have: define "
            "them as features, or name another catalogue with MOMENT_CATALOGUE"
        )
    return catalogue


def catalogue_columns(contract: FeatureContract) -> dict[str, Column]:
    """Return what a catalogue's rules may name of the customer, with these features in the store."""
    from features.realtime_features import REALTIME_V1
    from serving.catalogue.feature_columns import feature_columns

    return feature_columns(contract) | feature_columns(REALTIME_V1)


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


def open_tracking(vault: Vault) -> Tracking:
    """Return what signs tracking ids: the same in every process of a home."""
    from serving.use_cases.tracking import LABEL, Tracking

    return Tracking(vault.derived_key(LABEL))


def open_telemetry() -> Telemetry:
    """Return what counts in a worker, in the folder that BentoML has told it."""
    from serving.adapters.prometheus import PrometheusTelemetry, set_aside

    folder = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""))
    if folder.name and folder.is_dir():
        set_aside(folder)
    return PrometheusTelemetry()


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
    from serving.adapters.vault import Vault
    from serving.use_cases.case import OpenCase
    from serving.use_cases.recall import Recall
    from serving.use_cases.replay import Replay

    keys, vault, models = open_keys(home), Vault.open(home), BundleArchive(home.bundles)
    records = SqliteRecords(home.database, vault)
    outcomes = SqliteOutcomes(home.database, records.writer, vault)
    recall = Recall(records, CatalogueFiles(home.root / "catalogues"))
    replay = Replay(recall, models, __version__)

    def close() -> None:
        outcomes.close()
        records.close()
        keys.close()

    return ReadingRoom(recall, replay, OpenCase(replay, models, outcomes, keys, utc_now), close)


def open_journal(home: Home) -> SqliteJournal:
    """Open the decisions in the order in which they were recorded."""
    from serving.adapters.sqlite_journal import SqliteJournal

    migrate(home.database)
    return SqliteJournal(home.database)


@contextmanager
def open_erasing(home: Home) -> Iterator[EraseCustomer]:
    """Open what erases customers, without models or catalogue. Importing Feast takes seconds."""
    from features.store import FeatureStore
    from serving.adapters.erased_files import other_stores
    from serving.adapters.group_commit import GroupCommit
    from serving.adapters.identifiers import utc_now
    from serving.adapters.sqlite_erasures import SqliteErasures
    from serving.adapters.vault import Vault
    from serving.use_cases.erase import EraseCustomer

    vault = Vault.open(home)
    writer = GroupCommit(home.database)
    erasures = SqliteErasures(home.database, writer, vault)
    try:
        yield EraseCustomer(erasures, other_stores(home, FeatureStore(home)), utc_now)
    finally:
        writer.close()
        erasures.close()


@dataclass(frozen=True, slots=True)
class Opened:
    """The use cases, what the command line needs beside them, and how to close the stores."""

    desk: Desk
    catalogue: Catalogue
    features: FeastReader
    close: Callable[[], None]


def open_all(home: Home, settings: Settings, telemetry: Telemetry = UNTOLD) -> Opened:
    """Open stores, models and catalogue. Importing Feast and the models' libraries takes seconds.

    Raises
    ------
    StepMissing
        Features or a model are not there yet; it names the command to run.
    DependencyError
        A store or a bundle cannot be opened.
    ConfigurationError
        The catalogue is wrong.
    """
    # All that is heavy comes in below, so that `moment keys` need not wait for it
    from serving.adapters.catalogue_files import CatalogueFiles
    from serving.stores import open_stores

    models = _open_models(home)
    features = _open_features(home, models)
    catalogue = load_catalogue(settings, features.contract)
    archive = CatalogueFiles(home.root / "catalogues")
    archive.keep(catalogue_path(settings), catalogue, catalogue_columns(features.contract))
    stores = open_stores(home, features.store, telemetry)
    decide = _open_decide(settings, telemetry, catalogue, models, features, stores)
    rights = _open_rights(home, stores.vault, decide, features)
    desk = _open_desk(home, telemetry, decide, archive, stores, rights)

    # What is made on first use is made now: a deadline leaves no time for it
    stores.records.writer.submit(lambda _: None).result()
    decide.rehearse()

    def close() -> None:
        decide.hands.close()
        desk.aside.close()
        rights.close()
        stores.close()

    return Opened(desk, catalogue, features, close)


def _open_decide(  # noqa: PLR0917 - each a part that is open already
    settings: Settings,
    telemetry: Telemetry,
    catalogue: Catalogue,
    models: _Models,
    features: FeastReader,
    stores: Stores,
) -> Decide:
    """Put together what decides."""
    from serving.adapters.bundles import BundleScorer, BundleSegmenter
    from serving.adapters.identifiers import time_ordered_id, utc_now
    from serving.records import Versions
    from serving.use_cases.breakers import Breakers
    from serving.use_cases.decide import RECORDING, RECORDS, Decide
    from serving.use_cases.version_set import Live, LiveState, VersionSet

    segmenter = BundleSegmenter(models.segmentation)
    scorer = BundleScorer(models.propensity, catalogue.actions)
    versions = Versions(
        catalogue=catalogue.digest,
        contract=features.contract.digest(),
        propensity=scorer.version,
        segmentation=segmenter.version,
        code=__version__,
    )
    return Decide(
        live=LiveState(Live(VersionSet(catalogue, scorer, segmenter, versions))),
        features=features,
        ledger=stores.ledger,
        records=stores.records,
        clock=utc_now,
        ids=time_ordered_id,
        consents=stores.consents,
        identities=stores.identities,
        tracking=open_tracking(stores.vault),
        realtime=stores.realtime,
        telemetry=telemetry,
        seconds=settings.deadline_ms / 1000,
        breakers=Breakers(told=lambda name, up: telemetry.dependency(name, up=up), of={RECORDS: RECORDING}),
    )


def _open_desk(  # noqa: PLR0917 - each a part that is open already
    home: Home, telemetry: Telemetry, decide: Decide, archive: CatalogueFiles, stores: Stores, rights: _Rights
) -> Desk:
    """Put together the use cases around deciding."""
    from serving.adapters.model_archive import BundleArchive
    from serving.use_cases.consents import TellConsents
    from serving.use_cases.customers import ViewCustomer
    from serving.use_cases.desk import Desk
    from serving.use_cases.events import TakeEvents
    from serving.use_cases.identity import Identify
    from serving.use_cases.outcomes import TakeOutcomes
    from serving.use_cases.recall import Recall

    clock, features, live = decide.clock, decide.features, decide.live
    return Desk(
        decide=decide,
        recall=Recall(stores.records, archive),
        view_customer=ViewCustomer(features, live, stores.records, clock, stores.realtime),
        take_events=TakeEvents(stores.events, clock, telemetry),
        take_outcomes=TakeOutcomes(stores.outcomes, decide.tracking, clock, live.kinds, telemetry),
        identify=Identify(stores.identities, stores.records, live, clock),
        tell_consents=TellConsents(stores.consents, clock),
        erase=rights.erase,
        export=rights.export,
        contract=features.contract,
        models=BundleArchive(home.bundles),
    )


@dataclass(frozen=True, slots=True)
class _Rights:
    """What customers may ask of whoever keeps something about them."""

    erase: EraseCustomer
    export: ExportCustomer
    close: Callable[[], None]


def _open_rights(home: Home, vault: Vault, decide: Decide, features: FeastReader) -> _Rights:
    """Open what erases and exports, beside what decides."""
    from serving.adapters.erased_files import other_stores
    from serving.adapters.group_commit import GroupCommit
    from serving.adapters.sqlite_erasures import SqliteErasures
    from serving.adapters.sqlite_held import SqliteHeld
    from serving.adapters.sqlite_identities import SqliteIdentities
    from serving.use_cases.erase import EraseCustomer
    from serving.use_cases.export import ExportCustomer

    # A writer of its own: erasing changes much at once, and no decision's group should wait within it
    writer = GroupCommit(home.database)
    erasures = SqliteErasures(home.database, writer, vault)
    held = SqliteHeld(home.database, vault)
    identities = SqliteIdentities(home.database, writer, vault)
    export = ExportCustomer(
        features, decide.realtime, decide.consents, identities, decide.records, held, erasures, decide.clock
    )
    erase = EraseCustomer(erasures, other_stores(home, features.store), decide.clock)

    def close() -> None:
        writer.close()
        erasures.close()
        held.close()
        identities.close()

    return _Rights(erase, export, close)


@dataclass(frozen=True, slots=True)
class _Models:
    segmentation: SegmentationBundle
    propensity: PropensityBundle


def _open_models(home: Home) -> _Models:
    from serving.bundles import open_current_propensity, open_current_segmentation

    return _Models(open_current_segmentation(home.bundles), open_current_propensity(home.bundles))


def _open_features(home: Home, models: _Models) -> FeastReader:
    """Return the store, which must not be empty and must serve what the models were trained on."""
    from features.store import FeatureStore
    from serving.adapters.feast_reader import FeastReader

    features = FeastReader(FeatureStore(home))
    features.newest()
    trained = {"segmentation": models.segmentation.contract, "propensity": models.propensity.contract}
    for model, contract in trained.items():
        if contract.digest() != features.contract.digest():
            raise DependencyError(
                f"the {model} model was trained on other features than are served; "
                f"run `moment train {model}` again"
            )
    return features


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
        """The life of models; DependencyError when its ledger is away."""
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
        return True

    def _keep_trying(self) -> None:
        while not self._closing.wait(_RETRY_SECONDS):
            if self._try():
                return
