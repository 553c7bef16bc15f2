"""From what was typed to a batch that can run: everything checked, in the order of what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from features.contract import FeatureContract
from features.population import Span
from moment import private
from moment.errors import InvalidRequest
from moment.home import Home
from moment.progress import Step
from serving.adapters.catalogue_files import CatalogueFiles
from serving.adapters.database import migrate
from serving.adapters.identifiers import utc_now
from serving.batch.ask import BatchAsk, check_file, condition_of, find_placement, slots_of
from serving.batch.models import Models, book_of
from serving.batch.opening import Setup, open_duckdb, open_histories
from serving.batch.rows import Form
from serving.batch.running import Bounds, run
from serving.batch.tally import Tally
from serving.bootstrap import catalogue_columns, catalogue_path, load_catalogue
from serving.catalogue.feature_columns import feature_columns
from serving.decision.actions import Placement
from serving.decision.catalogue import Catalogue
from serving.lifecycle import Model
from serving.opening import check_catalogue_choice
from serving.ports import Clock
from serving.records import Mode
from serving.settings import Settings

CHUNK = 10_000
"""Customers in a chunk: what a process holds at a time."""

_LATE = timedelta(minutes=10)
"""How far back a live batch that reserves may be dated, to allow for the time of typing."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed, well formed.

    Parameters
    ----------
    placement, channel
        What is filled; a channel of None is the only one that has the placement.
    where
        Which customers; empty for all.
    out
        The file.
    at
        The instant to decide for; None for the newest features' (test) or now (live).
    reserve
        How long offers are reserved; None for a plan.
    slots
        How many are filled; None for all.
    workers, chunk
        How many processes; customers in a chunk.
    mode
        Whose histories count.
    content
        Whether the offers' words are wanted.
    """

    placement: str
    out: Path
    channel: str | None = None
    where: str = ""
    at: datetime | None = None
    reserve: timedelta | None = None
    slots: int | None = None
    workers: int = 2
    chunk: int = CHUNK
    mode: Mode = Mode.TEST
    content: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A batch that can run.

    Parameters
    ----------
    typed, setup
        What was typed, and what it means.
    catalogue
        What decides.
    resumed
        Whether it goes on where an earlier run was interrupted.
    """

    typed: Typed
    setup: Setup
    catalogue: Catalogue
    spans: tuple[Span, ...]
    resumed: bool

    @property
    def customers(self) -> int:
        """How many customers there are, selected or not."""
        return sum(span.customers for span in self.spans)

    @property
    def report_within(self) -> timedelta:
        """How long after an offer's end it is still reserved, as its presentation may be reported."""
        return self._placement().report_within

    def run(self, step: Step) -> Tally:
        """Decide for everybody and write the file."""
        ask = self.setup.ask
        form = Form.of(self.catalogue, self._placement(), content=ask.content)
        mark = Mark(self.typed.out)
        if ask.reserve is not None:
            migrate(self.setup.home.database)
            mark.write(self.setup)
        tally = run(self.setup, self.spans, form, self._bounds(), self.typed.out, self.typed.workers, step)
        mark.remove()
        return tally

    def _placement(self) -> Placement:
        ask = self.setup.ask
        placement = self.catalogue.placement(ask.channel, ask.placement)
        if placement is None:
            raise InvalidRequest(f"no placement `{ask.placement}`", code="unknown-placement")
        return placement

    def _bounds(self) -> Bounds | None:
        """Return the budgets a plan has to keep by itself; the ledger keeps those of reservations."""
        plan = self.catalogue.plan
        ask = self.setup.ask
        if ask.reserve is not None or not plan.budgets.bounded:
            return None
        histories, close = open_histories(self.setup.home)
        try:
            newcomer, _ = histories.standings(
                (), mode=ask.mode, now=ask.at, back=plan.contacts.lookback(ask.at)
            )
        finally:
            close()
        return Bounds(plan.budgets, newcomer.history.used)


def check(
    typed: Typed,
    settings: Settings,
    contract: FeatureContract,
    now: datetime,
    catalogue: Catalogue | None = None,
) -> tuple[Catalogue, BatchAsk]:
    """Return the catalogue and what is asked, for now at the typed time or the present.

    Without a catalogue that decides, it is the one of the settings.

    Nothing here takes long: what is wrong is said at once.

    Raises
    ------
    InvalidRequest
        Something typed does not fit: the file, the placement, the slots, the predicate.
    ConfigurationError
        The catalogue is wrong.
    """
    check_file(typed.out)
    _check_time(typed, now)
    catalogue = catalogue or load_catalogue(settings, contract)
    placement = find_placement(catalogue, typed.placement, typed.channel)
    ask = BatchAsk(
        channel=placement.channel,
        placement=placement.name,
        slots=slots_of(placement, typed.slots),
        where=" ".join(typed.where.split()),
        condition=condition_of(typed.where, feature_columns(contract)),
        at=(typed.at or now).astimezone(UTC),
        mode=typed.mode,
        reserve=typed.reserve,
        content=typed.content,
    )
    return catalogue, ask


def start(typed: Typed, home: Home, settings: Settings, clock: Clock = utc_now) -> Batch:
    """Check everything and return the batch, ready to run.

    Raises
    ------
    InvalidRequest
        Something typed does not fit.
    StepMissing
        Features or models are not there yet; it names the command to run.
    DependencyError
        A store or model cannot be opened.
    """
    from features.definitions import customer_contract
    from features.store import FeatureStore

    contract = customer_contract()
    book = book_of(home)
    check_catalogue_choice(settings, book)
    has_policy = book.champion(Model.NEXT_BEST_ACTION) is not None
    # What is typed is checked before models are opened, unless it is one of them that says what may be asked
    catalogue, ask = (None, None) if has_policy else check(typed, settings, contract, clock())
    store = FeatureStore(home)
    models = Models.open(home, contract)
    if catalogue is None or ask is None:
        policy = models.policy
        chosen = None if policy is None else policy.catalogue
        catalogue, ask = check(typed, settings, contract, clock(), chosen)
    approvals = models.approved(clock())

    def setup_at(at: datetime) -> Setup:
        asked = replace(ask, at=at.astimezone(UTC))
        population, versions = store.population(asked.at), models.versions(catalogue)
        batch_id = asked.batch_id(versions, population.as_of)
        return Setup(home, settings, asked, batch_id, population, versions, approvals)

    setup = _resumed(typed, setup_at)
    resumed = setup is not None
    if setup is None:
        newest = typed.mode is Mode.TEST and typed.at is None
        setup = setup_at(store.newest_event_time() if newest else ask.at)
    if models.policy is None:
        archive = CatalogueFiles(home.root / "catalogues")
        archive.keep(catalogue_path(settings), catalogue, catalogue_columns(contract))
    with open_duckdb(home) as connection:
        spans = setup.population.spans(connection, typed.chunk)
    return Batch(typed, setup, catalogue, spans, resumed)


def _resumed(typed: Typed, setup_at: Callable[[datetime], Setup]) -> Setup | None:
    """Return the same batch as of when it was interrupted; None where there is none."""
    mark = Mark(typed.out).read()
    if mark is None or typed.reserve is None or typed.at not in (None, mark.at):
        return None
    try:
        setup = setup_at(mark.at)
    except InvalidRequest:
        return None  # the features have changed since: it would be another batch
    return setup if setup.batch_id == mark.batch_id else None


def _check_time(typed: Typed, now: datetime) -> None:
    """Refuse to reserve in live mode for a time that is over."""
    if typed.at is None or typed.reserve is None or typed.mode is Mode.TEST:
        return
    unfinished = Mark(typed.out).read()
    if typed.at < now - _LATE and (unfinished is None or unfinished.at != typed.at):
        raise InvalidRequest(
            "--at lies in the past, and live reservations are made for now or later; leave it out, or take "
            "--mode test",
            code="time-in-the-past",
            field="at",
        )


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A batch that was begun, and the instant it decides for."""

    batch_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """A note beside the file of a batch that reserves: which it is, as long as it is not finished.

    A batch is named by its time among others, so that the same command, run again without one, must find it.
    """

    out: Path

    @property
    def path(self) -> Path:
        """Where the note is."""
        return self.out.with_name(self.out.name + ".unfinished.json")

    def read(self) -> Unfinished | None:
        """Return which batch is unfinished; None when there is no note, or none that can be read."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return Unfinished(content["batch_id"], datetime.fromisoformat(content["at"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, setup: Setup) -> None:
        """Note that a batch has begun."""
        content = {"batch_id": setup.batch_id, "at": setup.ask.at.isoformat()}
        private.write(self.path, json.dumps(content))

    def remove(self) -> None:
        """Note that it is finished."""
        self.path.unlink(missing_ok=True)
