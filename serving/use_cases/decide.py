"""One decision: read the customer, shortlist, score all at once, choose, record, answer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from moment.errors import InvalidRequest
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.decision import Scores
from serving.decision.shortlist import Shortlist, shortlist
from serving.decision.values import (
    Customer,
    CustomerId,
    History,
    PlacementRequest,
    ProfileKind,
    Request,
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
from serving.records import DecisionRecord, Versions
from serving.use_cases.access import Caller
from serving.use_cases.asking import Ask
from serving.use_cases.recording import Deliberation, record_of


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
    versions: Versions = field(init=False)
    _scalars: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        contract = self.features.contract
        versions = Versions(
            catalogue=self.catalogue.digest,
            contract=contract.digest(),
            propensity=self.scorer.version,
            segmentation=self.segmenter.version,
            code=self.code_version,
        )
        object.__setattr__(self, "versions", versions)
        object.__setattr__(self, "_scalars", tuple(spec.name for spec in contract.scalars))

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
        caller.set_time(ask.time, field="context.time")
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
        now = ask.time or received_at
        stages = _Stages()
        with stages("features"):
            facts = NOBODY if ask.customer_id is None else self.features.read(ask.customer_id, now)
        with stages("segment"):
            segment = self.segmenter.assign(facts) if facts.found else None
        with stages("shortlist"):
            customer = self._customer(ask, facts, segment)
            left = shortlist(self._request(ask), self.catalogue, customer, History(), now)
        with stages("score"):
            scores = self._score(facts, left)
        decision_id = self.ids(received_at)
        seed = seed_of(decision_id)
        with stages("choose"):
            decision = choose(left, scores, History(), np.random.default_rng(seed))
        made = Deliberation(
            decision_id=decision_id,
            attempt=1,
            seed=seed,
            caller=caller,
            ask=ask,
            received_at=received_at,
            facts=facts,
            history=History(),
            left=left,
            scores=scores,
            decision=decision,
            reserved=False,
            degraded=(),
        )
        return record_of(made, self.versions, stages.milliseconds)

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
        values = ((name, facts.values[name]) for name in (self._scalars if facts.found else ()))
        return Customer(
            customer_id=None if ask.customer_id is None else CustomerId(ask.customer_id),
            profile=ProfileKind.KNOWN if facts.found else ProfileKind.NONE,
            features={name: value for name, value in values if not isinstance(value, tuple)},
            segment=segment,
        )

    def _score(self, facts: CustomerFacts, left: Shortlist) -> Scores | None:
        if not left.contenders:
            return None
        slots = sum(placement.slots for placement in left.request.placements)
        return self.scorer.score(facts, left.contenders, left.context, slots)


def seed_of(decision_id: str) -> int:
    """Return the seed of a decision's generator: the first eight bytes of the SHA-256 of its id."""
    return int.from_bytes(hashlib.sha256(decision_id.encode()).digest()[:8], "big")


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
