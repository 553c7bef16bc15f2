"""From a finished decision to its record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.decision.catalogue import Catalogue
from serving.decision.decision import Decision, Offer, Scores, contacts_of
from serving.decision.shortlist import Shortlist
from serving.decision.uniform import Uniform
from serving.decision.values import Forced, History
from serving.ports import Reservation
from serving.records import (
    Asked,
    ConsideredColumns,
    DecisionRecord,
    ExperimentArm,
    FunnelCounts,
    Personal,
    RecordedContact,
    RecordedForce,
    RecordedOffer,
    RecordedOutcome,
    RecordedPlacement,
    RecordedUsed,
    RecordedValue,
    ScoredColumns,
    Versions,
)
from serving.use_cases.content import render
from serving.use_cases.question import Question

T = TypeVar("T")

_CONTACT = attrgetter(*RecordedContact.__struct_fields__)
_OUTCOME = attrgetter(*RecordedOutcome.__struct_fields__)
_COUNTS = attrgetter(*FunnelCounts.__struct_fields__)


@dataclass(frozen=True, slots=True, eq=False)
class Deliberation:
    """Everything that went into one attempt to decide, and what came of it.

    `history` is None when nothing could be looked back on, `degraded` then says why. `tracking_ids` are those
    of the offers, in their order; empty for a plan, which is not recorded.
    """

    question: Question
    attempt: int
    seed: int
    history: History | None
    left: Shortlist
    scores: Scores | None
    decision: Decision
    tracking_ids: Sequence[str]
    reservation: Reservation | None
    degraded: tuple[str, ...]


def reservation_of(
    catalogue: Catalogue,
    question: Question,
    decision: Decision,
    tracking_ids: Sequence[str],
    version: int | None,
) -> Reservation | None:
    """Return what the answer takes, or None for one that takes nothing.

    What goes out though nothing could be looked back on is of no version, and counts from now on. With
    somebody nobody knows no contact is kept, but what is taken of budgets and volumes is.
    """
    if not question.ask.reserves:
        return None
    contacts = contacts_of(decision, tracking_ids)
    charges = catalogue.plan.budgets.charges(contacts, question.back.day)
    if question.ask.customer_id is None:
        charged = {charge.tracking_id for charge in charges}
        contacts = tuple(contact for contact in contacts if contact.tracking_id in charged)
    if not contacts:
        return None
    return Reservation(
        customer_id=question.ask.customer_id,
        mode=question.caller.mode,
        version=version,
        contacts=contacts,
        charges=charges,
    )


def tracking_ids(question: Question, decision: Decision) -> list[str]:
    """Return the signed id of each offer, in their order."""
    sign, decision_id = question.tracking.sign, question.decision_id
    return [sign(decision_id, number) for number, _ in enumerate(decision.offers, start=1)]


def record_of(made: Deliberation, versions: Versions) -> DecisionRecord:
    """Return the record of an attempt, with its offers' words and tracking ids."""
    question, left, decision = made.question, made.left, made.decision
    return DecisionRecord(
        decision_id=question.decision_id,
        mode=question.caller.mode,
        key_id=question.caller.key_id,
        channel=question.ask.channel,
        request_id=question.ask.request_id,
        received_at=question.received_at,
        decided_at=question.now,
        asked=tuple(Asked(placement.name, placement.slots) for placement in left.request.placements),
        include=question.ask.include,
        force=_force(question.ask.force),
        profile=left.customer.profile,
        segment=left.customer.segment,
        attempt=made.attempt,
        seed=made.seed,
        exploration=(Uniform() if decision.control else left.policy.exploration).name,
        placements=tuple(_placements(made)),
        joint_probability=decision.joint_probability,
        funnel=_funnel(decision),
        considered=_considered(decision),
        scored=_scored(left, made.scores),
        used=_used(made.history),
        versions=versions,
        stops=question.stops,
        approvals=dict(question.approvals),
        experiments=(*question.arms, *(_plain(arm, ExperimentArm) for arm in decision.assignments)),
        control=decision.control,
        held_out=decision.held_out,
        degraded=made.degraded,
        latency_ms=question.stages.milliseconds,
        personal=_personal(made),
    )


def _force(force: Forced | None) -> RecordedForce | None:
    return None if force is None else RecordedForce(force.action_id, force.treatment_id)


def _placements(made: Deliberation) -> Iterator[RecordedPlacement]:
    names = iter(made.tracking_ids)
    contacts = () if made.reservation is None else made.reservation.contacts
    reserved = {contact.tracking_id: contact.reserved_until for contact in contacts}
    for placement in made.decision.placements:
        offers = tuple(_offer(offer, next(names), reserved) for offer in placement.offers)
        yield RecordedPlacement(placement.name, placement.slots, placement.reason, offers)


def _offer(offer: Offer, tracking_id: str, reserved: Mapping[str, datetime]) -> RecordedOffer:
    return RecordedOffer(
        rank=offer.rank,
        action=offer.candidate.action.action_id,
        treatment=offer.candidate.treatment.treatment_id,
        tracking_id=tracking_id,
        expires_at=offer.expires_at,
        kind=offer.kind,
        raw=_finite(offer.raw),
        propensity=offer.propensity,
        value=offer.value,
        context_weight=offer.context_weight,
        lever=offer.lever,
        priority=offer.priority,
        action_probability=offer.action_probability,
        reserved_until=reserved.get(tracking_id),
    )


def _funnel(decision: Decision) -> FunnelCounts:
    return FunnelCounts(*_COUNTS(decision.funnel))


def _considered(decision: Decision) -> ConsideredColumns:
    table = decision.considered
    return ConsideredColumns(
        placement=table.placement.tolist(),
        candidate=table.candidate.tolist(),
        reason=table.reason.tolist(),
        rule=table.rule.tolist(),
        priority=_numbers(table.priority),
        observed=_numbers_unless(np.isnan(table.observed), table.observed),
        context_weight=_numbers_unless(table.context_weight == 1.0, table.context_weight),
    )


def _scored(left: Shortlist, scores: Scores | None) -> ScoredColumns:
    if scores is None:
        return ScoredColumns([], [], [])
    return ScoredColumns(
        candidate=left.contender_index.tolist(),
        raw=_numbers(scores.raw),
        propensity=_numbers(scores.propensity),
        evidence=[] if scores.evidence is None else _numbers(scores.evidence),
    )


def _numbers(column: NDArray[np.float64]) -> list[float | None]:
    """Return the column with None for NaN and the infinities, which no answer could show."""
    numbers: list[float | None] = column.tolist()
    finite = np.isfinite(column)
    if not np.logical_and.reduce(finite):
        for row in (~finite).nonzero()[0].tolist():
            numbers[row] = None
    return numbers


def _numbers_unless(trivial: NDArray[np.bool_], column: NDArray[np.float64]) -> list[float | None]:
    """Return the column, empty where every row of it goes without saying."""
    return [] if np.logical_and.reduce(trivial) else _numbers(column)


def _finite(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else number


def _used(history: History | None) -> dict[str, RecordedUsed]:
    if history is None:
        return {}
    return {action_id: _plain(used, RecordedUsed) for action_id, used in history.used.items()}


def _plain(value: object, kind: type[T]) -> T:
    """Return one of the core's values as the record keeps it: the fields of the same names."""
    return msgspec.convert(value, kind, from_attributes=True)


def _personal(made: Deliberation) -> Personal:
    facts, left, history = made.question.facts, made.left, made.history
    consent = left.customer.consent
    features: dict[str, RecordedValue] = dict(facts.values)
    return Personal(
        customer_id=made.question.ask.customer_id,
        context=dict(left.context),
        features=features,
        states=dict(facts.states),
        event_times=dict(facts.event_times),
        content=[
            render(offer.candidate, left.customer.features, left.context) for offer in made.decision.offers
        ],
        contacts=None
        if history is None
        else tuple(RecordedContact(*_CONTACT(one)) for one in history.contacts),
        outcomes=None
        if history is None
        else tuple(RecordedOutcome(*_OUTCOME(one)) for one in history.outcomes),
        purposes=None if consent is None else tuple(sorted(consent.purposes)),
        opted_out=consent is not None and consent.opted_out,
        unit=left.customer.unit,
        timezone=left.customer.timezone,
        language=left.customer.language,
    )
