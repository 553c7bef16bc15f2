"""From a finished decision to its record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from serving.decision.decision import Decision, Offer, Scores
from serving.decision.shortlist import Shortlist
from serving.decision.values import FeatureState
from serving.ports import CustomerFacts
from serving.records import (
    Asked,
    ConsideredColumns,
    DecisionRecord,
    FunnelCounts,
    Personal,
    RecordedOffer,
    RecordedPlacement,
    RecordedValue,
    ScoredColumns,
    Versions,
)
from serving.use_cases.access import Caller
from serving.use_cases.asking import Ask
from serving.use_cases.content import render

OFFER_LIFETIME = timedelta(minutes=30)
"""How long a channel may show an offer after the decision."""


@dataclass(frozen=True, slots=True, eq=False)
class Deliberation:
    """Everything that went into one decision, and what came of it."""

    decision_id: str
    seed: int
    caller: Caller
    ask: Ask
    received_at: datetime
    facts: CustomerFacts
    left: Shortlist
    scores: Scores | None
    decision: Decision


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
        seed=made.seed,
        placements=tuple(_placements(made)),
        joint_probability=decision.joint_probability,
        funnel=_funnel(decision),
        considered=_considered(decision),
        scored=_scored(left, made.scores),
        versions=versions,
        latency_ms=dict(latency_ms),
        personal=_personal(made),
    )


def _placements(made: Deliberation) -> Iterator[RecordedPlacement]:
    number = 0
    for placement in made.decision.placements:
        offers = []
        for offer in placement.offers:
            number += 1
            offers.append(_offer(offer, f"{made.decision_id}.{number}", made.left.now))
        yield RecordedPlacement(placement.name, placement.slots, placement.reason, tuple(offers))


def _offer(offer: Offer, tracking_id: str, decided_at: datetime) -> RecordedOffer:
    action = offer.candidate.action
    expires_at = decided_at + OFFER_LIFETIME
    return RecordedOffer(
        rank=offer.rank,
        action=action.action_id,
        treatment=offer.candidate.treatment.treatment_id,
        tracking_id=tracking_id,
        expires_at=expires_at if action.ends_at is None else min(expires_at, action.ends_at),
        kind=offer.kind,
        raw=offer.raw,
        propensity=offer.propensity,
        value=offer.value,
        context_weight=offer.context_weight,
        lever=offer.lever,
        priority=offer.priority,
        action_probability=offer.action_probability,
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


def _personal(made: Deliberation) -> Personal:
    facts, left = made.facts, made.left
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
    )
