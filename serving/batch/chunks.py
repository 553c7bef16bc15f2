"""A chunk of a batch, before and after; deciding it as a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from features.population import Population, Span
from serving.batch.ask import BatchAsk
from serving.batch.balances import Balances
from serving.batch.deciding import Decider, Refused
from serving.batch.people import People, masked
from serving.batch.rows import Form
from serving.batch.tally import Given, Tally
from serving.decision.contact_plan import Lookback
from serving.decision.decision import Offer
from serving.decision.values import ActionId, Consent, History, Used
from serving.ports import Standing
from serving.records import Mode, RecordedOffer, RecordedPlacement
from serving.use_cases.consent_masks import FeatureMasks
from serving.use_cases.content import render
from serving.use_cases.question import DEFAULT_CONSENT
from serving.use_cases.recording import Deliberation

if TYPE_CHECKING:
    import pyarrow as pa

_PLACE = "batch_place"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some customers to decide for.

    Parameters
    ----------
    span
        Which customers.
    used, taken
        Of bounded actions: what was used before the batch, and how many offers it has made before this chunk.
    """

    span: Span
    used: Mapping[ActionId, Used]
    taken: Counter[ActionId]


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of a chunk.

    Parameters
    ----------
    chunk
        As it was asked for.
    table
        Its rows of the file.
    rejected
        Customers who could not be decided for, with the reason.
    tally
        Its counts.
    charged
        The actions of its offers that have a bound, in order.
    """

    chunk: Chunk
    table: pa.Table
    rejected: tuple[tuple[str, str], ...]
    tally: Tally
    charged: tuple[ActionId, ...]


class Histories(Protocol):
    """What customers were given before; see `serving.adapters.sqlite_batches.SqliteBatches`."""

    def standings(
        self, customer_ids: Sequence[str], *, mode: Mode, now: datetime, back: Lookback
    ) -> tuple[Standing, dict[str, Standing]]:
        """Return how a customer without a history stands, and, by id, how those with one do."""
        ...


class NoHistories:
    """Histories where nothing was ever written."""

    def standings(
        self,
        customer_ids: Sequence[str],  # noqa: ARG002
        *,
        mode: Mode,  # noqa: ARG002
        now: datetime,  # noqa: ARG002
        back: Lookback,  # noqa: ARG002
    ) -> tuple[Standing, dict[str, Standing]]:
        """Return that nobody has one."""
        return Standing(History(), 0), {}


def unasked(customer_ids: Sequence[str]) -> Sequence[Consent]:
    """Return the consents of customers where no ledger was ever written: absent is no, but for service."""
    return [DEFAULT_CONSENT] * len(customer_ids)


@dataclass(frozen=True, slots=True, eq=False)
class Desk:
    """What both ways of deciding a chunk need.

    Parameters
    ----------
    ask, decider, form
        What is asked, who decides, the columns of the file.
    population, connection
        Whom, and the DuckDB database they are read through.
    histories
        What limits look back on.
    consents
        What customers allow on the channel, in the order of their ids.
    """

    ask: BatchAsk
    decider: Decider
    form: Form
    population: Population
    connection: Any
    histories: Histories
    consents: Callable[[Sequence[str]], Sequence[Consent]] = unasked

    def people(self, span: Span) -> People:
        """Return the customers of a span that the predicate selects, by what they let it see."""
        table = self.population.read(self.connection, span)
        consents = self.consents(table["customer_id"].to_pylist())
        table = masked(table, FeatureMasks(self.population.contract.features), consents)
        if self.ask.condition:
            places = self._selected(table)
            table, consents = table.take(places), [consents[place] for place in places]
        return People(self.population, table, whole=self.ask.reserve is not None, consents=consents)

    def _selected(self, table: pa.Table) -> list[int]:
        """Return the places of the customers the predicate holds for, in order."""
        import pyarrow as pa

        numbered = table.append_column(_PLACE, pa.array(range(table.num_rows), pa.int64()))
        self.connection.register("batch_people", numbered)
        rows = self.connection.execute(
            f"SELECT {_PLACE} FROM batch_people WHERE {self.ask.condition} ORDER BY {_PLACE}"  # noqa: S608
        ).fetchall()
        self.connection.unregister("batch_people")
        return [place for (place,) in rows]

    def standings(self, people: People) -> tuple[Standing, Callable[[str], Standing]]:
        """Return how a customer without a history stands, and what tells how each of these does."""
        newcomer, known = self.histories.standings(
            people.ids, mode=self.ask.mode, now=self.ask.at, back=self.decider.back
        )
        return newcomer, lambda customer_id: known.get(customer_id, newcomer)


def plan_chunk(desk: Desk, chunk: Chunk) -> Decided:
    """Decide for the customers of a chunk, in order, and keep nothing: what would be offered."""
    people = desk.people(chunk.span)
    sheet = Sheet(desk, chunk, people)
    balances = Balances(desk.decider.catalogue.plan.budgets, chunk.used, chunk.taken)
    _, standing = desk.standings(people)
    turns = desk.decider.turns(people, range(len(people.ids)), standing, desk.ask.at)
    for group in desk.decider.deliberate(turns, people, balances):
        sheet.add([_planned(made, desk.ask) if isinstance(made, Deliberation) else made for _, made in group])
    return sheet.decided(balances.charged)


class Sheet:
    """What comes of a chunk, while it is decided."""

    def __init__(self, desk: Desk, chunk: Chunk, people: People) -> None:
        self._desk = desk
        self._chunk = chunk
        self._tables: list[pa.Table] = []
        self._rejected: list[tuple[str, str]] = []
        self.tally = Tally(customers=chunk.span.customers, selected=len(people.ids))

    def add(self, answers: Sequence[Given | Refused]) -> None:
        """Add what the next customers get, or why they cannot be decided for."""
        given = [one for one in answers if isinstance(one, Given)]
        refused = [one for one in answers if isinstance(one, Refused)]
        self._tables.append(self._desk.form.table(given))
        self._rejected += [(one.customer_id, one.reason) for one in refused]
        self.tally.rejected += len(refused)
        self.tally.count(given, self._desk.decider.catalogue)

    def decided(self, charged: Sequence[ActionId] = ()) -> Decided:
        """Return it, complete."""
        import pyarrow as pa

        table = pa.concat_tables(self._tables) if self._tables else self._desk.form.schema.empty_table()
        return Decided(self._chunk, table, tuple(self._rejected), self.tally, tuple(charged))


def _planned(made: Deliberation, ask: BatchAsk) -> Given:
    considered = made.decision.considered
    (placement,) = made.decision.placements
    offers = tuple(_planned_offer(offer) for offer in placement.offers)
    left = made.left
    return Given(
        customer_id=made.question.ask.customer_id or "",
        placement=RecordedPlacement(placement.name, placement.slots, placement.reason, offers),
        reason=considered.reason,
        rule=considered.rule,
        content=[render(offer.candidate, left.customer.features, left.context) for offer in placement.offers]
        if ask.content
        else (),
    )


def _planned_offer(offer: Offer) -> RecordedOffer:
    """Return an offer as a record would keep it, but for its tracking id: nothing is there to track."""
    return RecordedOffer(
        rank=offer.rank,
        action=offer.candidate.action.action_id,
        treatment=offer.candidate.treatment.treatment_id,
        tracking_id="",
        expires_at=offer.expires_at,
        kind=offer.kind,
        raw=offer.raw,
        propensity=offer.propensity,
        value=offer.value,
        context_weight=offer.context_weight,
        lever=offer.lever,
        priority=offer.priority,
        action_probability=offer.action_probability,
    )
