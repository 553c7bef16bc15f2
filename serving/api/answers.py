"""From records and views to what goes over HTTP. Scores go only to who asked for them and may have them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import cast

import msgspec
from msgspec import UNSET

from features.contract import FeatureSpec
from serving.api.customers_schemas import ErasureReceipt, StoreErased
from serving.api.schemas import (
    Approval,
    BoundReached,
    CandidateConsidered,
    CandidateScores,
    CustomerAnswer,
    DecisionAnswer,
    FeatureAnswered,
    FeatureUsed,
    OfferAnswered,
    OfferFactors,
    PastDecision,
    PastOffer,
    PlacementAnswered,
    RecordAnswer,
    RecordedOfferAnswered,
    RecordedPlacementAnswered,
    Scores,
)
from serving.decision.catalogue import Catalogue
from serving.decision.considered import Considered
from serving.decision.explanation import explain_candidate
from serving.decision.reasons import Reason
from serving.decision.values import FeatureState
from serving.decision.wording import stopped_by
from serving.ports import CustomerFacts
from serving.records import DecisionRecord, Personal, RecordedOffer, RecordedPlacement
from serving.use_cases.customers import CustomerView
from serving.use_cases.erase import Receipt
from serving.use_cases.recall import Recalled
from serving.use_cases.version_set import worst_approval

_NUMBERED = frozenset({Reason.BELOW_FLOOR, Reason.OUTRANKED, Reason.SHOWN})
"""Reasons whose words hold propensity and priority."""

NO_PERSON = Personal(None, {}, {}, {}, {}, [])
"""What stands where the personal part was erased."""


def decision_answer(record: DecisionRecord) -> DecisionAnswer:
    """Return the answer to the request that this record is of."""
    scores = "scores" in record.include
    return DecisionAnswer(
        decision_id=record.decision_id,
        placements=tuple(
            PlacementAnswered(
                placement.name,
                tuple(_offer(offer, content, scores=scores) for offer, content in offers),
                placement.reason,
            )
            for placement, offers in _placements(record)
        ),
        profile=record.profile,
        experiments=record.experiments,
        degraded=record.degraded,
        approval=cast("Approval", worst_approval(record.approvals)),
        versions=record.versions,
        mode=record.mode,
        segment=record.segment if scores else UNSET,
    )


def record_answer(recalled: Recalled, *, views: dict[str, str], scores: bool) -> RecordAnswer:
    """Return a record in words; ``views`` names each feature's view, which has its time."""
    record = recalled.record
    personal = record.personal or NO_PERSON
    return RecordAnswer(
        decision_id=record.decision_id,
        mode=record.mode,
        channel=record.channel,
        customer_id=personal.customer_id,
        request_id=record.request_id,
        received_at=record.received_at,
        decided_at=record.decided_at,
        profile=record.profile,
        placements=tuple(
            RecordedPlacementAnswered(
                placement.name,
                placement.slots,
                placement.reason,
                tuple(_recorded_offer(offer, content, scores=scores) for offer, content in offers),
            )
            for placement, offers in _placements(record)
        ),
        context=personal.context,
        features=tuple(
            FeatureUsed(
                name=name,
                value=value,
                state=personal.states.get(name, FeatureState.PRESENT),
                as_of=personal.event_times.get(views.get(name, "")),
            )
            for name, value in personal.features.items()
        ),
        funnel=record.funnel,
        considered=tuple(_candidate(item, recalled, scores=scores) for item in recalled.considered()),
        experiments=record.experiments,
        control=record.control,
        held_out=record.held_out,
        exploration=record.exploration,
        degraded=record.degraded,
        stops=record.stops,
        approvals=cast("dict[str, Approval]", record.approvals),
        versions=record.versions,
        attempt=record.attempt,
        seed=str(record.seed),
        latency_ms=record.latency_ms,
        segment=record.segment if scores else UNSET,
    )


def erasure_receipt(receipt: Receipt) -> ErasureReceipt:
    """Return the receipt of an erasure."""
    stores = tuple(StoreErased(store, rows) for store, rows in receipt.rows)
    return ErasureReceipt(receipt.tombstone_id, receipt.asked_at, receipt.finished_at, stores)


def feature_answers(
    facts: CustomerFacts, specs: Iterable[FeatureSpec], now: datetime
) -> tuple[FeatureAnswered, ...]:
    """Return features with their state and age."""
    return tuple(_feature(facts, spec, now) for spec in specs)


def _feature(facts: CustomerFacts, spec: FeatureSpec, now: datetime) -> FeatureAnswered:
    as_of, value = facts.event_times.get(spec.view), facts.values.get(spec.name)
    absent = facts.states.get(spec.name, FeatureState.MISSING)
    return FeatureAnswered(
        name=spec.name,
        value=value,
        state=absent if value is None else FeatureState.PRESENT,
        as_of=as_of,
        age_seconds=None if as_of is None else (now - as_of).total_seconds(),
        unit=spec.unit,
        meaning=spec.meaning,
    )


def customer_answer(view: CustomerView) -> CustomerAnswer:
    """Return the 360 view of a customer."""
    return CustomerAnswer(
        customer_id=view.customer_id,
        profile=view.profile,
        as_of=view.as_of,
        segment=view.segment,
        features=feature_answers(view.facts, view.specs, view.as_of),
        decisions=tuple(map(past_decision, view.decisions)),
    )


def _placements(
    record: DecisionRecord,
) -> list[tuple[RecordedPlacement, list[tuple[RecordedOffer, dict[str, str]]]]]:
    """Return each placement with its offers and what each said."""
    content = iter((record.personal or NO_PERSON).content)
    return [
        (placement, [(offer, next(content, {})) for offer in placement.offers])
        for placement in record.placements
    ]


def _offer(offer: RecordedOffer, content: dict[str, str], *, scores: bool) -> OfferAnswered:
    return OfferAnswered(
        rank=offer.rank,
        action=offer.action,
        treatment=offer.treatment,
        content=content,
        tracking_id=offer.tracking_id,
        expires_at=offer.expires_at,
        scores=Scores(offer.propensity, offer.priority, offer.action_probability) if scores else UNSET,
    )


def _recorded_offer(offer: RecordedOffer, content: dict[str, str], *, scores: bool) -> RecordedOfferAnswered:
    return RecordedOfferAnswered(
        rank=offer.rank,
        action=offer.action,
        treatment=offer.treatment,
        content=content,
        tracking_id=offer.tracking_id,
        expires_at=offer.expires_at,
        reserved_until=offer.reserved_until,
        kind=offer.kind,
        scores=msgspec.convert(offer, OfferFactors, from_attributes=True) if scores else UNSET,
    )


def _candidate(item: Considered, recalled: Recalled, *, scores: bool) -> CandidateConsidered:
    stopped = stopped_by(item, recalled.catalogue)
    return CandidateConsidered(
        placement=item.placement,
        action=item.candidate.action.action_id,
        treatment=item.candidate.treatment.treatment_id,
        stage=item.stage,
        reason=item.reason.name.lower(),
        why=_why(item, recalled.catalogue, scores=scores),
        rule=None if item.rule is None else recalled.catalogue.rule_text(item.rule),
        observed=dict(item.observed),
        policy=None if stopped is None else msgspec.convert(stopped, BoundReached, from_attributes=True),
        scores=CandidateScores(item.propensity, item.priority) if scores else UNSET,
    )


def _why(item: Considered, catalogue: Catalogue, *, scores: bool) -> str:
    """Return why a candidate stopped; without its numbers to whom they are not told."""
    if scores or item.reason not in _NUMBERED:
        return explain_candidate(item, catalogue).text
    return f"{item.stage}: {item.reason.name.lower().replace('_', ' ')}"


def past_decision(record: DecisionRecord) -> PastDecision:
    """Return an earlier decision in short."""
    return PastDecision(
        decision_id=record.decision_id,
        decided_at=record.decided_at,
        channel=record.channel,
        offers=tuple(
            PastOffer(placement.name, offer.rank, offer.action, offer.treatment, offer.tracking_id)
            for placement in record.placements
            for offer in placement.offers
        ),
    )
