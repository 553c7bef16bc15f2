"""One decision: read the customer, shortlist, score all at once, choose, record, answer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from moment.errors import InvalidRequest
from serving.decision.actions import Candidate
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.decision import Decision, Offer, Scores
from serving.decision.shortlist import Shortlist, shortlist
from serving.decision.values import (
    Customer,
    CustomerId,
    FeatureState,
    History,
    PlacementRequest,
    ProfileKind,
    Request,
    Scalar,
)
from serving.ports import (
    NOBODY,
    Clock,
    CustomerFacts,
    CustomerFeatures,
    DecisionRecords,
    Entry,
    Ids,
    Scorer,
    Segmenter,
)
from serving.records import (
    Asked,
    ConsideredColumns,
    DecisionRecord,
    FunnelCounts,
    Mode,
    Personal,
    RecordedOffer,
    RecordedPlacement,
    RecordedValue,
    ScoredColumns,
    Versions,
)
from serving.use_cases.access import Caller
from serving.use_cases.content import render

OFFER_LIFETIME = timedelta(minutes=30)
"""How long a channel may show an offer after the decision."""

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a caller asks, well formed; whether it makes sense is checked against the catalogue.

    Parameters
    ----------
    customer_id
        None when the channel does not know who it is.
    channel
        Where the answer will be shown.
    placements
        Names and, where the caller said so, numbers of slots; None is as many as the placement has.
    context
        Declared ``context.*`` values, without the time.
    time
        The instant to decide for; None is now. Only for test keys.
    request_id
        The caller's own id for this request: asking again under it gives the same answer.
    include
        What the caller wants besides the offers.
    body_sha256
        Digest of the request as sent.
    """

    customer_id: str | None
    channel: str
    placements: tuple[tuple[str, int | None], ...]
    context: Mapping[str, Scalar] = dataclass_field(default_factory=dict)
    time: datetime | None = None
    request_id: str | None = None
    include: tuple[str, ...] = ()
    body_sha256: bytes = b""


@dataclass(frozen=True, slots=True)
class Decide:
    """The use case; one per process.

    Parameters
    ----------
    catalogue
        What can be offered, and the rules.
    features, segmenter, scorer, records, clock, ids
        See ``serving.ports``.
    code_version
        Version of Moment, for the record.
    """

    catalogue: Catalogue
    features: CustomerFeatures
    segmenter: Segmenter
    scorer: Scorer
    records: DecisionRecords
    clock: Clock
    ids: Ids
    code_version: str
    _candidates: Mapping[str, int] = dataclass_field(init=False)
    _scalars: frozenset[str] = dataclass_field(init=False)
    _versions: Versions = dataclass_field(init=False)

    def __post_init__(self) -> None:
        numbers = {item.treatment.treatment_id: index for index, item in enumerate(self.catalogue.candidates)}
        scalars = frozenset(spec.name for spec in self.features.contract.scalars)
        versions = Versions(
            catalogue=self.catalogue.digest,
            contract=self.features.contract.digest(),
            propensity=self.scorer.version,
            segmentation=self.segmenter.version,
            code=self.code_version,
        )
        object.__setattr__(self, "_candidates", numbers)
        object.__setattr__(self, "_scalars", scalars)
        object.__setattr__(self, "_versions", versions)

    def begin(self, caller: Caller, ask: Ask) -> Future[Entry]:
        """Decide and hand the record to the store, or find the answer given before.

        Nothing may leave before the future is done; `settle` then says what to answer.

        Raises
        ------
        InvalidRequest
            The request does not fit the catalogue or the caller may not ask it.
        DependencyError
            A store or model does not answer.
        """
        caller.speak_for(ask.channel)
        check_time(caller, ask.time, field="context.time")
        if ask.request_id is not None:
            earlier = self.records.find_request(caller.key_id, ask.request_id)
            if earlier is not None:
                return _done(earlier)
        return self.records.append(Entry(self._decide(caller, ask), ask.body_sha256))

    def settle(self, ask: Ask, entry: Entry) -> DecisionRecord:
        """Return the record to answer with; InvalidRequest when its request_id stands for another request."""
        if entry.request_sha256 != ask.body_sha256:
            raise InvalidRequest(
                "this request_id was used for a different request; take a new one",
                code="request-id-reused",
                field="request_id",
            )
        return entry.record

    def __call__(self, caller: Caller, ask: Ask) -> DecisionRecord:
        """Decide, wait until it is recorded, and return the record."""
        return self.settle(ask, self.begin(caller, ask).result())

    def _decide(self, caller: Caller, ask: Ask) -> DecisionRecord:
        received_at = self.clock()
        decided_at = ask.time or received_at
        stages = _Stages()
        with stages("features"):
            facts = NOBODY if ask.customer_id is None else self.features.read(ask.customer_id, decided_at)
        with stages("segment"):
            segment = self.segmenter.assign(facts) if facts.found else None
        with stages("shortlist"):
            request = self._request(ask)
            customer = self._customer(ask, facts, segment)
            left = shortlist(request, self.catalogue, customer, History(), decided_at)
        with stages("score"):
            scores = self._score(facts, left)
        decision_id = self.ids(received_at)
        seed = seed_of(decision_id)
        with stages("choose"):
            decision = choose(left, scores, History(), np.random.default_rng(seed))
        with stages("answer"):
            placements = tuple(_placements(decision, decision_id, decided_at))
            content = [render(offer.candidate, customer.features, left.context) for offer in decision.offers]
        return DecisionRecord(
            decision_id=decision_id,
            mode=caller.mode,
            key_id=caller.key_id,
            channel=ask.channel,
            request_id=ask.request_id,
            received_at=received_at,
            decided_at=decided_at,
            asked=tuple(Asked(item.name, item.slots) for item in request.placements),
            include=ask.include,
            profile=customer.profile,
            segment=segment,
            seed=seed,
            placements=placements,
            joint_probability=decision.joint_probability,
            funnel=FunnelCounts(**asdict(decision.funnel)),
            considered=_considered(decision),
            scored=self._scored(left.contenders, scores),
            versions=self._versions,
            latency_ms=stages.milliseconds,
            personal=_personal(ask, facts, left, content),
        )

    def _request(self, ask: Ask) -> Request:
        return Request(
            channel=ask.channel,
            placements=tuple(self._placement(ask.channel, name, slots) for name, slots in ask.placements),
            context=ask.context,
        )

    def _placement(self, channel: str, name: str, slots: int | None) -> PlacementRequest:
        if slots is None:
            known = self.catalogue.placement(channel, name)
            slots = 1 if known is None else known.slots
        return PlacementRequest(name, slots)

    def _customer(self, ask: Ask, facts: CustomerFacts, segment: str | None) -> Customer:
        return Customer(
            customer_id=None if ask.customer_id is None else CustomerId(ask.customer_id),
            profile=ProfileKind.KNOWN if facts.found else ProfileKind.NONE,
            features={
                name: value
                for name, value in facts.values.items()
                if name in self._scalars and not isinstance(value, tuple)
            },
            segment=segment,
        )

    def _score(self, facts: CustomerFacts, left: Shortlist) -> Scores | None:
        if not left.contenders:
            return None
        slots = sum(placement.slots for placement in left.request.placements)
        return self.scorer.score(facts, left.contenders, left.context, slots)

    def _scored(self, contenders: Iterable[Candidate], scores: Scores | None) -> ScoredColumns:
        if scores is None:
            return ScoredColumns([], [], [])
        return ScoredColumns(
            candidate=[self._candidates[item.treatment.treatment_id] for item in contenders],
            raw=_numbers(scores.raw),
            propensity=_numbers(scores.propensity),
        )


def seed_of(decision_id: str) -> int:
    """Return the seed of a decision's generator: the first eight bytes of the SHA-256 of its id."""
    return int.from_bytes(hashlib.sha256(decision_id.encode()).digest()[:8], "big")


def check_time(caller: Caller, instant: datetime | None, *, field: str) -> None:
    """Refuse a time from a live key, or one no decision is made for."""
    if instant is None:
        return
    if caller.mode is not Mode.TEST:
        raise InvalidRequest("only a test key may set the time; leave it out", code="test-only", field=field)
    if not EARLIEST <= instant < LATEST:
        raise InvalidRequest(
            f"the time must be between {EARLIEST:%Y} and {LATEST:%Y}",
            code="time-out-of-range",
            field=field,
        )


def _placements(decision: Decision, decision_id: str, decided_at: datetime) -> Iterator[RecordedPlacement]:
    number = 0
    for placement in decision.placements:
        offers = []
        for offer in placement.offers:
            number += 1
            offers.append(_offer(offer, f"{decision_id}.{number}", decided_at))
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


def _considered(decision: Decision) -> ConsideredColumns:
    table = decision.considered
    return ConsideredColumns(
        placement=table.placement.tolist(),
        candidate=table.candidate.tolist(),
        reason=table.reason.tolist(),
        rule=table.rule.tolist(),
        priority=_numbers(table.priority),
    )


def _numbers(column: NDArray[np.float64]) -> list[float | None]:
    """Return the column with None for NaN, which JSON has not."""
    return [None if number != number else number for number in column.tolist()]  # noqa: PLR0124


def _personal(ask: Ask, facts: CustomerFacts, left: Shortlist, content: list[dict[str, str]]) -> Personal:
    features: dict[str, RecordedValue] = dict(facts.values)
    return Personal(
        customer_id=ask.customer_id,
        context=dict(left.context),
        features=features,
        states={name: state for name, state in facts.states.items() if state is not FeatureState.PRESENT},
        event_times=dict(facts.event_times),
        content=content,
    )


def _done(entry: Entry) -> Future[Entry]:
    future: Future[Entry] = Future()
    future.set_result(entry)
    return future


class _Stages:
    """How long each stage took."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter_ns()
        yield
        self.milliseconds[name] = round((time.perf_counter_ns() - started) / 1e6, 3)
