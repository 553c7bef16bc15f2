"""A worker that decides, put together: stores, models, catalogue, and the use cases on them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from moment import __version__
from moment.home import Home
from serving.adapters.database import migrate
from serving.opening import (
    catalogue_columns,
    catalogue_path,
    check_catalogue_choice,
    load_catalogue,
    open_tracking,
)
from serving.settings import Settings
from serving.telemetry import UNTOLD, Telemetry

if TYPE_CHECKING:
    from serving.adapters.catalogue_files import CatalogueFiles
    from serving.adapters.feast_reader import FeastReader
    from serving.adapters.vault import Vault
    from serving.decision.catalogue import Catalogue
    from serving.stores import Stores
    from serving.succession import Succession, Watched
    from serving.use_cases.decide import Decide
    from serving.use_cases.desk import Desk
    from serving.use_cases.erase import EraseCustomer
    from serving.use_cases.export import ExportCustomer
    from serving.use_cases.life import Life

_FILES_SECONDS = 3600.0
"""How long an erasure waits for others to be done with the files."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The use cases, what the command line needs beside them, and how to close the stores.

    What decides follows the ledger of models once `succession` was started.
    """

    desk: Desk
    features: FeastReader
    succession: Succession
    life: Life
    close: Callable[[], None]

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue that decides."""
        return self.desk.decide.live.now.champion.catalogue


def open_all(home: Home, settings: Settings, telemetry: Telemetry = UNTOLD) -> Opened:
    """Open stores, models and catalogue. Importing Feast and the models' libraries takes seconds.

    Raises
    ------
    StepMissing
        Features or a model are not there yet; it names the command to run.
    DependencyError
        A store cannot be opened, or neither a champion nor the last good bundle of its model.
    ConfigurationError
        The catalogue is wrong, or it is the ledger that says which one decides.
    """
    # All that is heavy comes in below, so that `moment keys` need not wait for it
    from serving.adapters.catalogue_files import CatalogueFiles
    from serving.life_room import open_life
    from serving.stores import open_stores
    from serving.use_cases.shadowing import Shadowing

    _check_trained(home)
    migrate(home.database)
    archive = CatalogueFiles(home.root / "catalogues")
    with ExitStack() as closing:
        life = closing.enter_context(open_life(home))
        features = _open_features(home)
        succession = open_succession(home, settings, life, features, archive, telemetry)
        closing.callback(succession.close)
        stores = open_stores(home, features.store, telemetry)
        closing.callback(stores.close)
        shadowing = Shadowing(stores.shadows, telemetry)
        closing.callback(shadowing.close)
        decide = replace(_open_decide(settings, telemetry, succession, features, stores), shadowing=shadowing)
        closing.callback(decide.hands.close)
        rights = _open_rights(home, stores.vault, decide, features)
        closing.callback(rights.close)
        desk = _open_desk(home, telemetry, decide, archive, stores, rights)
        closing.callback(desk.aside.close)

        # What is made on first use is made now: a deadline leaves no time for it
        stores.records.writer.submit(lambda _: None).result()
        decide.rehearse()
        succession.rehearse = decide.rehearse
        return Opened(desk, features, succession, life, closing.pop_all().close)


def _check_trained(home: Home) -> None:
    """Say what to run where nothing was ever trained, before anything is made; StepMissing."""
    from serving.bundles import current

    if not home.database.exists():
        for model in ("segmentation", "propensity"):
            current(home.bundles, model)


def open_succession(  # noqa: PLR0917 - each a part that is open already
    home: Home,
    settings: Settings,
    ledger: Watched,
    features: FeastReader,
    archive: CatalogueFiles,
    telemetry: Telemetry = UNTOLD,
) -> Succession:
    """Open what the ledger says decides; where it says nothing, what decided here last.

    Raises
    ------
    StepMissing, DependencyError, ConfigurationError
        As `open_all`.
    """
    from serving.adapters.identifiers import utc_now
    from serving.adapters.shelf import Shelf
    from serving.bundles.signing import Trust
    from serving.succession import Succession

    check_catalogue_choice(settings, ledger.book())
    contract, columns = features.contract, catalogue_columns(features.contract)

    def catalogue() -> Catalogue:
        loaded = load_catalogue(settings, contract)
        archive.keep(catalogue_path(settings), loaded, columns)
        return loaded

    shelf = Shelf(home.bundles, Trust.of_home(home.keys), contract, columns, archive)
    return Succession(ledger, shelf, catalogue, code_version=__version__, clock=utc_now, telemetry=telemetry)


def _open_features(home: Home) -> FeastReader:
    """Return the store, which must not be empty."""
    from features.store import FeatureStore
    from serving.adapters.feast_reader import FeastReader

    features = FeastReader(FeatureStore(home))
    features.newest()
    return features


def _open_decide(
    settings: Settings, telemetry: Telemetry, succession: Succession, features: FeastReader, stores: Stores
) -> Decide:
    """Put together what decides."""
    from serving.adapters.identifiers import time_ordered_id, utc_now
    from serving.use_cases.breakers import Breakers
    from serving.use_cases.decide import RECORDING, RECORDS, Decide

    return Decide(
        live=succession.state,
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
    from serving.bundles.signing import Trust
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
        view_customer=ViewCustomer(features, live, stores.records, stores.consents, clock, stores.realtime),
        take_events=TakeEvents(stores.events, clock, telemetry),
        take_outcomes=TakeOutcomes(stores.outcomes, decide.tracking, clock, live.kinds, telemetry),
        identify=Identify(stores.identities, stores.records, live, clock),
        tell_consents=TellConsents(stores.consents, live, clock),
        erase=rights.erase,
        export=rights.export,
        contract=features.contract,
        models=BundleArchive(home.bundles, Trust.of_home_if_any(home.keys)),
    )


@dataclass(frozen=True, slots=True)
class _Rights:
    """What customers may ask of whoever keeps something about them."""

    erase: EraseCustomer
    export: ExportCustomer
    close: Callable[[], None]


def _open_rights(home: Home, vault: Vault, decide: Decide, features: FeastReader) -> _Rights:
    """Open what erases and exports, beside what decides."""
    from serving.adapters.erased_files import FileTurns, other_stores
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
    # Nobody is kept waiting by it: who asked is told to ask again, and it goes on in its thread
    turns = FileTurns(home, patience=_FILES_SECONDS)
    erase = EraseCustomer(erasures, other_stores(home, features.store), turns, decide.clock)

    def close() -> None:
        writer.close()
        erasures.close()
        held.close()
        identities.close()

    return _Rights(erase, export, close)
