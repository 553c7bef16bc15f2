"""Deciding for some customers together: rules and model asked of all at once, then each as if alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from features.population_rows import Customers
from moment.errors import DependencyError, MomentError
from serving.batch.ask import BatchAsk
from serving.batch.balances import Balances
from serving.batch.people import People
from serving.batch.truth import TruthTable
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.context import complete_context, zone_of
from serving.decision.decision import Decision, Scores
from serving.decision.rule_plan import Verdicts
from serving.decision.seeded import Seeded
from serving.decision.shortlist import Shortlist, shortlist
from serving.decision.values import History
from serving.ports import Reservation, Segmenter, Standing
from serving.use_cases.access import Caller
from serving.use_cases.asking import Ask
from serving.use_cases.decide import CONTACTS, PROPENSITY, SEGMENTATION, seed_of
from serving.use_cases.question import Question, Stages, customer_of, request_of
from serving.use_cases.recording import Deliberation, reservation_of, tracking_ids
from serving.use_cases.standstill import NOTHING, Standstill
from serving.use_cases.tracking import Tracking

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 1000
"""Customers whose shortlists are held while they are scored together."""


class ManyScorer(Protocol):
    """The propensity model, for many customers at once; see `serving.adapters.bundles.PopulationScorer`."""

    def customers(self, table: pa.Table) -> Customers:
        """Return what scoring needs of a table of customers."""
        ...

    def score(
        self, customers: Customers, rows: Sequence[int], contenders: Sequence[NDArray[np.intp]], slots: int
    ) -> list[Scores]:
        """Score the contenders of some of them in one call."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One customer to decide for.

    Parameters
    ----------
    place
        Among the customers of the chunk.
    question
        What is asked for them.
    standing
        How they stood when the chunk was read.
    verdicts
        What the rules say of every action.
    """

    place: int
    question: Question
    standing: Standing
    verdicts: Verdicts

    @property
    def customer_id(self) -> str:
        """Who."""
        return self.question.ask.customer_id or ""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What is left for a customer, and the history that was looked back on."""

    left: Shortlist
    history: History | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A customer who could not be decided for, and why."""

    customer_id: str
    reason: str


def nothing_stopped() -> Standstill:
    """Return that nothing is off: what holds where no ledger was ever written."""
    return NOTHING


class Decider:
    """Decides for the customers of a chunk; one per process.

    Parameters
    ----------
    ask, batch_id
        What is asked, and its name.
    caller
        Who asks, for the record.
    catalogue
        What can be offered, and the rules.
    scalars
        Names of the features that rules may name.
    connection
        To a DuckDB database.
    scorer, segmenter
        The models; personas are only told to records.
    name_of
        From a customer's id to the id of their decision.
    tracking
        Signs the tracking ids of offers.
    standstill
        Says what is off now. It is asked for every thousand customers: a stop holds within a batch as well.
    approvals
        Of each model by name, whether it was approved as the batch began.
    """

    def __init__(
        self,
        *,
        ask: BatchAsk,
        batch_id: str,
        caller: Caller,
        catalogue: Catalogue,
        scalars: Sequence[str],
        connection: Any,  # noqa: ANN401 - DuckDB has no types
        scorer: ManyScorer,
        segmenter: Segmenter | None,
        name_of: Callable[[str], str],
        tracking: Tracking,
        standstill: Callable[[], Standstill] = nothing_stopped,
        approvals: Mapping[str, str] | None = None,
    ) -> None:
        self.catalogue = catalogue
        self._ask = ask
        self._batch_id = batch_id
        self._caller = caller
        self._scalars = scalars
        self._scorer = scorer
        self._segmenter = segmenter
        self._name_of = name_of
        self._tracking = tracking
        self._approvals = approvals or {}
        self._standstill = standstill
        self._truth = TruthTable(catalogue, connection)
        self.back = catalogue.plan.contacts.lookback(ask.at)
        self._body = bytes.fromhex(batch_id)
        self._request = request_of(caller, self._single(""), catalogue)

    def request_id(self, customer_id: str) -> str:
        """Return the id of a customer's request: asked again under it, the answer stays the same."""
        return f"{self._batch_id}:{customer_id}"

    def turns(
        self,
        people: People,
        places: Sequence[int],
        standing: Callable[[str], Standing],
        received_at: datetime,
    ) -> list[Turn]:
        """Return a turn for each of some customers, with what the rules say of every action.

        Parameters
        ----------
        people
            The customers of a chunk.
        places
            Whose turns, by place among them.
        standing
            From a customer's id to how they stand.
        received_at
            When they were asked for.
        """
        questions = [self._question(people, place, received_at) for place in places]
        zones: dict[ZoneInfo, int] = {}
        context = [
            zones.setdefault(zone_of(one.customer.timezone, self.catalogue.timezone), len(zones))
            for one in questions
        ]
        contexts = [
            complete_context(self._request, self.catalogue.context, self._ask.at, zone) for zone in zones
        ]
        verdicts = self._truth.verdicts(
            people.table.take(np.array(places, np.int64)), contexts, np.array(context, np.intp)
        )
        return [
            Turn(
                place,
                question,
                standing(people.ids[place]),
                Verdicts(verdicts.reason[row], verdicts.rule[row], verdicts.weight[row]),
            )
            for row, (place, question) in enumerate(zip(places, questions, strict=True))
        ]

    def deliberate(
        self, turns: Sequence[Turn], people: People, balances: Balances
    ) -> Iterator[list[tuple[Turn, Deliberation | Refused]]]:
        """Yield what is decided for the customers, some at a time, in order.

        Each sees of budgets and volumes what those before left.
        """
        customers = self._scorer.customers(people.table)
        for start in range(0, len(turns), _AT_ONCE):
            halt = self._standstill()
            group = [_under(halt, turn) for turn in turns[start : start + _AT_ONCE]]
            yield self._together(group, customers, balances)

    def again(self, turn: Turn, people: People, standing: Standing | None, number: int) -> Deliberation:
        """Decide once more for one customer, from what is there now.

        Parameters
        ----------
        turn, people
            The customer, and the customers of the chunk.
        standing
            How they stand now; None when nothing is to be looked back on any more.
        number
            Which attempt it is.
        """
        history = None if standing is None else standing.history
        view = View(self._shortlist(turn, history), history)
        scores = None
        if standing is not None and _is_scored(turn, view):
            customers = self._scorer.customers(people.table.slice(turn.place, 1))
            (scores,) = self._scorer.score(customers, [0], [view.left.contender_index], self._ask.slots)
        return self._deliberation(turn, view, scores, standing, number)

    def _single(self, customer_id: str) -> Ask:
        ask = self._ask
        return Ask(
            customer_id=customer_id,
            channel=ask.channel,
            placements=((ask.placement, ask.slots),),
            time=ask.at,
            request_id=self.request_id(customer_id),
            body_sha256=self._body,
        )

    def _question(self, people: People, place: int, received_at: datetime) -> Question:
        customer_id, facts, consent = people.ids[place], people.facts(place), people.consent(place)
        ask = self._single(customer_id)
        segment = None if self._segmenter is None else self._segmenter.assign(facts)
        return Question(
            caller=self._caller,
            ask=ask,
            decision_id=self._name_of(customer_id),
            received_at=received_at,
            now=self._ask.at,
            facts=facts,
            customer=customer_of(self._caller, ask, facts, segment, self._scalars, consent=consent),
            request=self._request,
            back=self.back,
            stages=Stages(),
            tracking=self._tracking,
            approvals=self._approvals,
        )

    def _together(
        self, turns: Sequence[Turn], customers: Customers, balances: Balances
    ) -> list[tuple[Turn, Deliberation | Refused]]:
        closed = balances.closed
        views = [self._view(turn, balances) for turn in turns]
        scores = self._scored(turns, views, customers)
        done: list[tuple[Turn, Deliberation | Refused]] = []
        for turn, first, own in zip(turns, views, scores, strict=True):
            if balances.closed == closed or isinstance(first, Refused):
                made = self._chosen(turn, first, own)
            else:
                # A bound was reached meanwhile: what is left now was among what was left, and scored, then
                view = self._view(turn, balances)
                made = self._chosen(turn, view, _some(own, first, view))
            if isinstance(made, Deliberation):
                balances.take(made.decision)
            done.append((turn, made))
        return done

    def _view(self, turn: Turn, balances: Balances) -> View | Refused:
        history = turn.standing.history
        if balances.used:
            history = replace(history, used=balances.used)
        try:
            return View(self._shortlist(turn, history), history)
        except DependencyError:
            raise
        except MomentError as error:
            return Refused(turn.customer_id, str(error))

    def _shortlist(self, turn: Turn, history: History | None) -> Shortlist:
        question = turn.question
        return shortlist(
            question.request, self.catalogue, question.customer, history, question.now, turn.verdicts
        )

    def _scored(
        self, turns: Sequence[Turn], views: Sequence[View | Refused], customers: Customers
    ) -> list[Scores | None]:
        """Return the scores of each, None where there is nothing to score: one call of the model for all."""
        places, contenders, rows = [], [], []
        for row, (turn, view) in enumerate(zip(turns, views, strict=True)):
            if isinstance(view, View) and _is_scored(turn, view):
                rows.append(row)
                places.append(turn.place)
                contenders.append(view.left.contender_index)
        scores: list[Scores | None] = [None] * len(turns)
        if not rows:
            return scores
        found = self._scorer.score(customers, places, contenders, self._ask.slots)
        for row, own in zip(rows, found, strict=True):
            scores[row] = own
        return scores

    def _chosen(self, turn: Turn, view: View | Refused, scores: Scores | None) -> Deliberation | Refused:
        if isinstance(view, Refused):
            return view
        try:
            return self._deliberation(turn, view, scores, turn.standing, 1)
        except DependencyError:
            raise
        except MomentError as error:
            return Refused(turn.customer_id, str(error))

    def _deliberation(
        self, turn: Turn, view: View, scores: Scores | None, standing: Standing | None, number: int
    ) -> Deliberation:
        question = turn.question
        seed = seed_of(question.decision_id, number)
        decision = choose(view.left, scores, view.history, Seeded(seed))
        names = () if self._ask.reserve is None else tracking_ids(question, decision)
        return Deliberation(
            question=question,
            attempt=number,
            seed=seed,
            history=view.history,
            left=view.left,
            scores=scores,
            decision=decision,
            tracking_ids=names,
            reservation=None if standing is None else self._reservation(question, decision, names, standing),
            degraded=() if standing else (CONTACTS,),
        )

    def _reservation(
        self, question: Question, decision: Decision, names: Sequence[str], standing: Standing
    ) -> Reservation | None:
        """Return what the answer takes; None for a plan, and for an answer that takes nothing."""
        if self._ask.reserve is None:
            return None
        return reservation_of(self.catalogue, question, decision, names, standing.version)


def _under(halt: Standstill, turn: Turn) -> Turn:
    """Return a customer's turn with what is off now."""
    question = turn.question
    if halt.recorded == question.stops:
        return turn
    unnamed = halt.has(SEGMENTATION)
    new = replace(
        question,
        request=replace(question.request, stopped=halt.stopped),
        customer=replace(question.customer, segment=None) if unnamed else question.customer,
        stops=halt.recorded,
    )
    return replace(turn, question=new)


def _is_scored(turn: Turn, view: View) -> bool:
    """Whether the model is asked: something competes, and nobody has stopped the model."""
    return bool(view.left.contenders) and PROPENSITY not in turn.question.request.stopped.models


def _some(scores: Scores | None, before: View, now: View | Refused) -> Scores | None:
    """Return the scores of those contenders of before that are left now."""
    if scores is None or isinstance(now, Refused) or not now.left.contenders:
        return None
    places = np.searchsorted(before.left.contender_index, now.left.contender_index)
    evidence = None if scores.evidence is None else scores.evidence[places]
    return Scores(scores.raw[places], scores.propensity[places], evidence)
