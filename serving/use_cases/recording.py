"""From a finished decision to its record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.decision.decision import Decision, Offer, Scores
from serving.decision.shortlist import Shortlist
from serving.decision.values import FeatureState, History
from serving.ports import CustomerFacts
from serving.records import (
    Asked,
    ConsideredColumns,
    DecisionRecord,
    ExperimentArm,
    FunnelCounts,
    Personal,
    RecordedContact,
    RecordedOffer,
    RecordedOutcome,
    RecordedPlacement,
    RecordedUsed,
    RecordedValue,
    ScoredColumns,
    Versions,
)
from serving.use_cases.access import Caller
from serving.use_cases.asking import Ask
from serving.use_cases.content import render

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Deliberation:
    """Everything that went into one decision, and what came of it.

    `history` is None when the contact store was gone; `reserved` says whether the offers hold reservations.
    """

    decision_id: str
    attempt: int
    seed: int
    caller: Caller
    ask: Ask
    received_at: datetime
    facts: CustomerFacts
    history: History | None
    left: Shortlist
    scores: Scores | None
    decision: Decision
    reserved: bool
    degraded: tuple[str, ...]

    @property
    def tracking_ids(self) -> list[str]:
        """The id of each offer, in their order."""
        return [f"{self.decision_id}.{number}" for number, _ in enumerate(self.decision.offers, start=1)]


def record_of(made: Deliberation, versions: Versions, latency_ms: Mapping[str, float]) -> DecisionRecord:
    """Return the record of a decision, with its offers' words and tracking ids."""
    left, decision = made.left, made.decision
    return DecisionRecord(
        decision_id=made.decision_id,
        mode=made.caller.mode,
        key_id=made.caller.key_id,
        channel=made.ask.channel,
        request_id=made.ask.request_id,
        received_at=made.received_at,
        decided_at=left.now,
        asked=tuple(Asked(placement.name, placement.slots) for placement in left.request.placements),
        include=made.ask.include,
        profile=left.customer.profile,
        segment=left.customer.segment,
        attempt=made.attempt,
        seed=made.seed,
        placements=tuple(_placements(made)),
        joint_probability=decision.joint_probability,
        funnel=_funnel(decision),
        considered=_considered(decision),
        scored=_scored(left, made.scores),
        used=_used(made.history),
        versions=versions,
        experiments=tuple(_plain(arm, ExperimentArm) for arm in decision.assignments),
        control=decision.control,
        held_out=decision.held_out,
        degraded=made.degraded,
        latency_ms=dict(latency_ms),
        personal=_personal(made),
    )


def _placements(made: Deliberation) -> Iterator[RecordedPlacement]:
    tracking_ids = iter(made.tracking_ids)
    for placement in made.decision.placements:
        offers = tuple(
            _offer(offer, next(tracking_ids), reserved=made.reserved) for offer in placement.offers
        )
        yield RecordedPlacement(placement.name, placement.slots, placement.reason, offers)


def _offer(offer: Offer, tracking_id: str, *, reserved: bool) -> RecordedOffer:
    return RecordedOffer(
        rank=offer.rank,
        action=offer.candidate.action.action_id,
        treatment=offer.candidate.treatment.treatment_id,
        tracking_id=tracking_id,
        expires_at=offer.expires_at,
        kind=offer.kind,
        raw=offer.raw,
        propensity=offer.propensity,
        value=offer.value,
        context_weight=offer.context_weight,
        lever=offer.lever,
        priority=offer.priority,
        action_probability=offer.action_probability,
        reserved_until=offer.reserved_until if reserved and offer.kind.is_contact else None,
    )


def _funnel(decision: Decision) -> FunnelCounts:
    funnel = decision.funnel
    return FunnelCounts(**{name: getattr(funnel, name) for name in FunnelCounts.__struct_fields__})


def _considered(decision: Decision) -> ConsideredColumns:
    table = decision.considered
    return ConsideredColumns(
        placement=table.placement.tolist(),
        candidate=table.candidate.tolist(),
        reason=table.reason.tolist(),
        rule=table.rule.tolist(),
        priority=_numbers(table.priority),
        observed=_numbers(table.observed),
    )


def _scored(left: Shortlist, scores: Scores | None) -> ScoredColumns:
    if scores is None:
        return ScoredColumns([], [], [])
    return ScoredColumns(
        candidate=left.contender_index.tolist(),
        raw=_numbers(scores.raw),
        propensity=_numbers(scores.propensity),
    )


def _numbers(column: NDArray[np.float64]) -> list[float | None]:
    """Return the column with None for NaN, which JSON has not."""
    return [None if math.isnan(number) else number for number in column.tolist()]


def _used(history: History | None) -> dict[str, RecordedUsed]:
    if history is None:
        return {}
    return {action_id: _plain(used, RecordedUsed) for action_id, used in history.used.items()}


def _plain(value: object, kind: type[T]) -> T:
    """Return one of the core's values as the record keeps it: the fields of the same names."""
    return msgspec.convert(value, kind, from_attributes=True)


def _personal(made: Deliberation) -> Personal:
    facts, left, history = made.facts, made.left, made.history
    consent = left.customer.consent
    features: dict[str, RecordedValue] = dict(facts.values)
    return Personal(
        customer_id=made.ask.customer_id,
        context=dict(left.context),
        features=features,
        states={name: state for name, state in facts.states.items() if state is not FeatureState.PRESENT},
        event_times=dict(facts.event_times),
        content=[
            render(offer.candidate, left.customer.features, left.context) for offer in made.decision.offers
        ],
        contacts=None if history is None else tuple(_plain(one, RecordedContact) for one in history.contacts),
        outcomes=None if history is None else tuple(_plain(one, RecordedOutcome) for one in history.outcomes),
        purposes=None if consent is None else tuple(sorted(consent.purposes)),
        opted_out=consent is not None and consent.opted_out,
        unit=left.customer.unit,
        timezone=left.customer.timezone,
        language=left.customer.language,
    )
