"""Where a batch meets its stores and models: once to check and start it, and once in every process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.population import Population
from moment.errors import DependencyError
from moment.home import Home
from serving.adapters.identifiers import named_id, utc_now
from serving.batch.ask import BatchAsk
from serving.batch.chunks import Chunk, Decided, Desk, Histories, NoHistories, plan_chunk
from serving.batch.deciding import Decider, nothing_stopped
from serving.batch.models import Models
from serving.batch.reserving import Reserver
from serving.batch.rows import Form
from serving.bootstrap import load_catalogue, open_tracking
from serving.decision.values import Consent
from serving.ports import Scope
from serving.records import Versions
from serving.settings import Settings
from serving.use_cases.access import Caller
from serving.use_cases.lifetimes import BATCH_KEY, living
from serving.use_cases.standstill import Standstill

if TYPE_CHECKING:
    from serving.adapters.vault import Vault

MEMORY_LIMIT = "1GB"
"""For the DuckDB of each process."""


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a process needs to know to decide chunks. Small, and sent to each.

    Parameters
    ----------
    home, settings
        Where everything is.
    ask, batch_id
        What is asked, and its name.
    population
        Whom.
    versions
        What decides: whatever is promoted meanwhile, it decides to the end. A process that finds something
        else there stops.
    approvals
        Of each model by name, whether it was approved as the batch began.
    """

    home: Home
    settings: Settings
    ask: BatchAsk
    batch_id: str
    population: Population
    versions: Versions
    approvals: Mapping[str, str] = field(default_factory=dict)


def open_work(setup: Setup) -> tuple[Callable[[Chunk], Decided], Callable[[], None]]:
    """Return what decides a chunk in this process, and what closes it.

    Raises
    ------
    DependencyError
        The catalogue or a model is another one than the batch began with.
    """
    from serving.adapters.bundles import BundleSegmenter, PopulationScorer
    from serving.adapters.vault import Vault

    ask, vault = setup.ask, Vault.for_names(setup.home)
    contract = setup.population.contract
    models = Models.reopen(setup.home, contract, setup.versions)
    catalogue = load_catalogue(setup.settings, contract) if models.policy is None else models.policy.catalogue
    if models.versions(catalogue) != setup.versions:
        raise DependencyError("the catalogue or a model changed while the batch ran; run it again")
    placement = catalogue.placement(ask.channel, ask.placement)
    if placement is None:
        raise DependencyError(f"placement `{ask.placement}` is gone from the catalogue; run the batch again")
    if ask.reserve is not None:
        catalogue = living(catalogue, ask.channel, ask.placement, ask.reserve)
    connection = open_duckdb(setup.home)
    standstill, close_life = open_standstill(setup.home)
    decider = Decider(
        ask=ask,
        batch_id=setup.batch_id,
        caller=caller_of(ask),
        catalogue=catalogue,
        scalars=[spec.name for spec in setup.population.contract.scalars],
        connection=connection,
        scorer=PopulationScorer(models.propensity, catalogue.candidates),
        segmenter=None if ask.reserve is None else BundleSegmenter(models.segmentation),
        name_of=lambda customer: decision_id(vault, ask.at, setup.batch_id, customer),
        tracking=open_tracking(vault),
        standstill=standstill,
        approvals=setup.approvals,
    )
    form = Form.of(catalogue, placement, content=ask.content)
    desk = Desk(ask, decider, form, setup.population, connection, NoHistories())
    work, close_stores = _open_stores(setup, desk)

    def close() -> None:
        close_stores()
        close_life()

    return work, close


class StopsOfLedger:
    """Says what is off now, by the ledger of models: it stays open as long as somebody may ask."""

    def __init__(self, home: Home) -> None:
        from serving.life_room import open_life

        self._opened = ExitStack()
        self._life = self._opened.enter_context(open_life(home))

    def __call__(self) -> Standstill:
        """Return what is off."""
        return Standstill.of(self._life.book().stops.values())

    def close(self) -> None:
        """Close the ledger."""
        self._opened.close()


def open_standstill(home: Home) -> tuple[Callable[[], Standstill], Callable[[], None]]:
    """Return what says what is off now, and what closes it; without a database nothing ever was."""
    if not home.database.exists():
        return nothing_stopped, lambda: None
    stops = StopsOfLedger(home)
    return stops, stops.close


def decision_id(vault: Vault, at: datetime, batch_id: str, customer_id: str) -> str:
    """Return the id of a customer's decision in a batch, always the same; it tells nobody whose it is."""
    return named_id(at, vault.blind("decision of a batch", batch_id, customer_id))


def _open_stores(setup: Setup, desk: Desk) -> tuple[Callable[[Chunk], Decided], Callable[[], None]]:
    desk, close_consents = _with_consents(setup, desk)
    if setup.ask.reserve is None:
        histories, close = open_histories(setup.home)
        reading = replace(desk, histories=histories)

        def close_both() -> None:
            close()
            close_consents()

        return lambda chunk: plan_chunk(reading, chunk), close_both
    from serving.adapters.sqlite_batches import SqliteBatches
    from serving.adapters.sqlite_contacts import SqliteContacts
    from serving.adapters.sqlite_records import SqliteRecords
    from serving.adapters.vault import Vault

    vault = Vault.open(setup.home)
    records = SqliteRecords(setup.home.database, vault)
    ledger = SqliteContacts(setup.home.database, records.writer, vault)
    batches = SqliteBatches(setup.home.database, ledger, vault)

    def close_all() -> None:
        records.close()
        ledger.close()
        batches.close()
        close_consents()

    return (
        Reserver(replace(desk, histories=batches), records, ledger, setup.versions, BATCH_KEY, utc_now),
        close_all,
    )


def _with_consents(setup: Setup, desk: Desk) -> tuple[Desk, Callable[[], None]]:
    """Return the desk with what customers allow as they are decided for, and what closes the ledger."""
    from serving.adapters.sqlite_consents import SqliteConsents
    from serving.adapters.vault import Vault

    if not setup.home.database.exists():
        return desk, lambda: None
    ledger = SqliteConsents(setup.home.database, None, Vault.open(setup.home))
    mode, channel = setup.ask.mode, setup.ask.channel

    def consents(customer_ids: Sequence[str]) -> list[Consent]:
        now = utc_now()
        return [ledger.read(one, mode=mode, channel=channel, now=now) for one in customer_ids]

    return replace(desk, consents=consents), ledger.close


def open_histories(home: Home) -> tuple[Histories, Callable[[], None]]:
    """Return what customers were given before, to be read only, and what closes it."""
    from serving.adapters.group_commit import GroupCommit
    from serving.adapters.sqlite_batches import SqliteBatches
    from serving.adapters.sqlite_contacts import SqliteContacts
    from serving.adapters.vault import Vault

    if not home.database.exists():
        return NoHistories(), lambda: None
    vault = Vault.open(home)
    writer = GroupCommit(home.database)
    ledger = SqliteContacts(home.database, writer, vault)
    batches = SqliteBatches(home.database, ledger, vault)

    def close() -> None:
        writer.close()
        ledger.close()
        batches.close()

    return batches, close


def open_duckdb(home: Home) -> Any:  # noqa: ANN401 - DuckDB has no types
    """Return a database in memory, of bounded size and one thread: processes share the cores."""
    import duckdb

    scratch = home.root / "tmp"
    settings = {"threads": "1", "memory_limit": MEMORY_LIMIT, "temp_directory": str(scratch)}
    connection = duckdb.connect(config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection


def caller_of(ask: BatchAsk) -> Caller:
    """Return who asks."""
    return Caller(key_id=BATCH_KEY, mode=ask.mode, scopes=frozenset({Scope.DECIDE}))
