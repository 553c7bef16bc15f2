"""From a record back to what went into the decision, and through the core once more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from moment.errors import InvariantViolation
from serving.decision.actions import SetBy
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.decision import Decision, Scores
from serving.decision.seeded import Seeded
from serving.decision.shortlist import Shortlist, shortlist
from serving.decision.values import (
    ActionId,
    Consent,
    Contact,
    Customer,
    CustomerId,
    Forced,
    History,
    PastOutcome,
    PlacementRequest,
    ProfileKind,
    Request,
    TreatmentId,
    Used,
)
from serving.ports import CustomerFacts, Scorer, Segmenter
from serving.records import DecisionRecord, Personal
from serving.use_cases.decide import ATTEMPTS, PROPENSITY, SEGMENTATION
from serving.use_cases.lifetimes import living_as_recorded
from serving.use_cases.standstill import stopped_of


class ScoresFrom(StrEnum):
    """Where a replay's scores come from."""

    MODEL = "model"
    RECORD = "record"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Models:
    """The models to ask again; None for one that is not there.

    `always` asks them even where the first decision had to do without.
    """

    scorer: Scorer | None
    segmenter: Segmenter | None
    always: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Again:
    """A decision made again.

    Parameters
    ----------
    left, scores, decision
        As in the first one; scores are None where the model had nothing to say.
    scores_from
        Where they come from.
    segment
        The persona: what the model says now, or the recorded one where none was asked.
    """

    left: Shortlist
    scores: Scores | None
    scores_from: ScoresFrom
    segment: str | None
    decision: Decision


def decide_again(record: DecisionRecord, catalogue: Catalogue, models: Models) -> Again:
    """Return what a catalogue and models make of a record's inputs.

    Raises
    ------
    InvalidRequest
        The catalogue does not know what was asked for.
    """
    told = record.personal
    if told is None:
        raise InvariantViolation("a record without its personal part was replayed; answer `erased`")
    catalogue = living_as_recorded(record, catalogue)
    facts = facts_of(record, told)
    segment = record.segment
    if models.segmenter is not None and facts.found and _was_asked(SEGMENTATION, record, models):
        segment = models.segmenter.assign(facts)
    history = history_of(record, told)
    left = shortlist(
        request_of(record, told, catalogue), catalogue, customer_of(record, told), history, record.decided_at
    )
    scores, scores_from = _scores(
        record, facts, left, models.scorer if _was_asked(PROPENSITY, record, models) else None
    )
    decision = choose(left, scores, history, Seeded(record.seed))
    return Again(left, scores, scores_from, segment, decision)


def facts_of(record: DecisionRecord, told: Personal) -> CustomerFacts:
    """Return what the feature store had said."""
    return CustomerFacts(
        found=record.profile is ProfileKind.KNOWN,
        values=dict(told.features),  # type: ignore[arg-type]  # JSON knows no tuple of floats alone
        states=told.states,
        event_times=told.event_times,
    )


def history_of(record: DecisionRecord, told: Personal) -> History | None:
    """Return what was looked back on; None when the contact store was gone."""
    if told.contacts is None or told.outcomes is None:
        return None
    return History(
        contacts=tuple(
            Contact(**msgspec.structs.asdict(one) | {"action_id": ActionId(one.action_id)})
            for one in told.contacts
        ),
        outcomes=tuple(
            PastOutcome(**msgspec.structs.asdict(one) | {"action_id": ActionId(one.action_id)})
            for one in told.outcomes
        ),
        used={ActionId(name): Used(**msgspec.structs.asdict(used)) for name, used in record.used.items()},
    )


def _forced(record: DecisionRecord) -> Forced | None:
    if record.force is None:
        return None
    treatment = record.force.treatment
    return Forced(ActionId(record.force.action), None if treatment is None else TreatmentId(treatment))


def customer_of(record: DecisionRecord, told: Personal) -> Customer:
    """Return the customer as known then."""
    return Customer(
        customer_id=None if told.customer_id is None else CustomerId(told.customer_id),
        profile=record.profile,
        features={name: value for name, value in told.features.items() if not isinstance(value, tuple)},
        segment=record.segment,
        timezone=told.timezone,
        language=told.language,
        consent=None if told.purposes is None else Consent(frozenset(told.purposes), told.opted_out),
        unit=told.unit,
    )


def request_of(record: DecisionRecord, told: Personal, catalogue: Catalogue) -> Request:
    """Return the request as it came: what Moment derives itself is derived again."""
    derived = {field.name for field in catalogue.context if field.set_by is SetBy.MOMENT}
    return Request(
        channel=record.channel,
        placements=tuple(PlacementRequest(asked.name, asked.slots) for asked in record.asked),
        context={
            name: value for name, value in told.context.items() if name not in derived and value is not None
        },
        trusted=True,
        force=_forced(record),
        stopped=stopped_of(record.stops),
    )


def _was_asked(model: str, record: DecisionRecord, models: Models) -> bool:
    """Whether a model is to be asked: as it was then, or always, but never one that was stopped."""
    if any((stop.kind, stop.name) == ("model", model) for stop in record.stops):
        return False
    return models.always or model not in record.degraded


def _scores(
    record: DecisionRecord, facts: CustomerFacts, left: Shortlist, scorer: Scorer | None
) -> tuple[Scores | None, ScoresFrom]:
    """Return the scores of what is left: the model's where there is one to ask, else the recorded."""
    recorded = record.scored
    if not left.contenders or record.attempt > ATTEMPTS:
        return None, ScoresFrom.NONE
    if scorer is not None:
        slots = sum(placement.slots for placement in left.request.placements)
        return scorer.score(facts, left.contenders, left.context, slots), ScoresFrom.MODEL
    if not recorded.candidate:
        return None, ScoresFrom.NONE
    columns = [recorded.raw, recorded.propensity, *([recorded.evidence] if recorded.evidence else [])]
    return Scores(*(_aligned(recorded.candidate, column, left) for column in columns)), ScoresFrom.RECORD


def _aligned(candidates: list[int], column: list[float | None], left: Shortlist) -> NDArray[np.float64]:
    """Return a recorded column in the order of what is left; NaN for what was not scored then."""
    known = dict(zip(candidates, column, strict=True))
    return np.array([known.get(index) for index in left.contender_index.tolist()], dtype=np.float64)
