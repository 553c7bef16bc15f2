"""One decision: read the customer, shortlist, score all at once, choose, reserve and record, answer.

Reserving and recording are one transaction. When what a decision looked back on has changed, nothing is
written and it is decided again, from what is there now. After three attempts, or when the contact store is
gone, the answer is what needs no looking back.
"""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from moment.errors import DependencyError, InvalidRequest
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.decision import Decision, Scores, contacts_of
from serving.decision.shortlist import Shortlist, shortlist
from serving.decision.values import Consent
from serving.ports import (
    NOBODY,
    Clock,
    Consents,
    ContactLedger,
    CustomerFacts,
    CustomerFeatures,
    DecisionRecords,
    Entry,
    Ids,
    RealtimeFeatures,
    Reservation,
    Scorer,
    Segmenter,
    StaleHistory,
    Standing,
)
from serving.records import DecisionRecord, Versions
from serving.telemetry import UNTOLD, Telemetry
from serving.use_cases.access import Caller
from serving.use_cases.asking import Ask
from serving.use_cases.consent_masks import FeatureMasks
from serving.use_cases.question import DEFAULT_CONSENT, Question, Stages, customer_of, request_of
from serving.use_cases.recording import Deliberation, record_of, tracking_ids

ATTEMPTS = 3
"""How often a request is decided before the answer is what needs no looking back."""

CONTACTS = "contacts"
"""What ``degraded`` calls the contact store."""

CONSENTS = "consents"
"""What ``degraded`` calls the ledger of consents."""

REALTIME = "realtime"
"""What ``degraded`` calls the real-time features."""


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One try; `recorded` holds the entry that stands for the request, or raises StaleHistory."""

    question: Question
    number: int
    recorded: Future[Entry]


@dataclass(frozen=True, slots=True)
class Decide:
    """The use case; one per process.

    Parameters
    ----------
    catalogue
        What can be offered, and the rules.
    features, segmenter, scorer, ledger, records, clock, ids
        See ``serving.ports``. The records store an answer's reservation in the ledger.
    code_version
        Version of Moment, for the record.
    consents
        What customers allow, read anew for every request.
    realtime
        What customers do right now, for rules and templates; None where nobody reports it.
    telemetry
        Counts decisions.
    """

    catalogue: Catalogue
    features: CustomerFeatures
    segmenter: Segmenter
    scorer: Scorer
    ledger: ContactLedger
    records: DecisionRecords
    clock: Clock
    ids: Ids
    code_version: str
    consents: Consents
    realtime: RealtimeFeatures | None = None
    telemetry: Telemetry = UNTOLD
    versions: Versions = field(init=False)
    _scalars: tuple[str, ...] = field(init=False)
    _masks: FeatureMasks = field(init=False)

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
        realtime = () if self.realtime is None else self.realtime.contract.scalars
        object.__setattr__(self, "_masks", FeatureMasks((*contract.features, *realtime)))
        names = tuple(spec.name for spec in (*contract.scalars, *realtime))
        object.__setattr__(self, "_scalars", names)

    def __call__(self, caller: Caller, ask: Ask) -> DecisionRecord:
        """Decide, wait until it is recorded, and return the record to answer with.

        Raises
        ------
        InvalidRequest
            The request does not fit the catalogue, the caller may not ask it, or its id stands for another.
        DependencyError
            A store or model does not answer.
        """
        earlier = self._earlier(caller, ask)
        if earlier is not None:
            return _settled(ask, earlier)
        attempt = self._begin(caller, ask)
        while True:
            try:
                return self._told(attempt, attempt.recorded.result())
            except StaleHistory:
                attempt = self._again(attempt)

    async def answer(self, caller: Caller, ask: Ask) -> DecisionRecord:
        """Do the same without holding up the event loop while a record is on its way to the disk."""
        earlier = self._earlier(caller, ask)
        if earlier is not None:
            return _settled(ask, earlier)
        attempt = self._begin(caller, ask)
        while True:
            try:
                return self._told(attempt, await asyncio.wrap_future(attempt.recorded))
            except StaleHistory:
                attempt = self._again(attempt)

    def _earlier(self, caller: Caller, ask: Ask) -> Entry | None:
        """Return what this request was answered with before, having checked that the caller may ask it."""
        caller.speak_for(ask.channel)
        caller.set_time(ask.time, field="context.time")
        caller.ask_about(ask.customer_id)
        if ask.request_id is None:
            return None
        return self.records.find_request(caller.key_id, ask.request_id)

    def _told(self, attempt: Attempt, entry: Entry) -> DecisionRecord:
        """Return the record to answer with; one that this attempt has made is counted."""
        record = _settled(attempt.question.ask, entry)
        if record.decision_id == attempt.question.decision_id:
            self.telemetry.decision(record, self.catalogue)
        return record

    def _begin(self, caller: Caller, ask: Ask) -> Attempt:
        received_at = self.clock()
        return self._try(self._question(caller, ask, received_at, ask.time or received_at), 1)

    def _again(self, attempt: Attempt) -> Attempt:
        return self._try(attempt.question, attempt.number + 1)

    def _question(self, caller: Caller, ask: Ask, received_at: datetime, now: datetime) -> Question:
        stages = Stages()
        with stages("consent"):
            consent = self._consent(caller, ask, received_at)
        with stages("features"):
            facts, degraded = self._facts(caller, ask, now)
            facts = self._masks(facts, consent)
        with stages("segment"):
            segment = self.segmenter.assign(facts) if facts.found else None
        return Question(
            caller=caller,
            ask=ask,
            decision_id=self.ids(received_at),
            received_at=received_at,
            now=now,
            facts=facts,
            customer=customer_of(caller, ask, facts, segment, self._scalars, consent=consent),
            request=request_of(caller, ask, self.catalogue, consent),
            back=self.catalogue.plan.contacts.lookback(now),
            stages=stages,
            degraded=(*degraded, *((CONSENTS,) if consent is None else ())),
        )

    def _consent(self, caller: Caller, ask: Ask, received_at: datetime) -> Consent | None:
        """Return what the customer allows now, whatever time it is decided for; None where nobody can say.

        A test key that decides for a time long past must not bring back what was withdrawn since.
        """
        if ask.customer_id is None:
            return DEFAULT_CONSENT
        try:
            return self.consents.read(ask.customer_id, mode=caller.mode, channel=ask.channel, now=received_at)
        except DependencyError:
            return None

    def _facts(self, caller: Caller, ask: Ask, now: datetime) -> tuple[CustomerFacts, tuple[str, ...]]:
        """Return what is known of the customer, and which store could not say."""
        if ask.customer_id is None:
            return NOBODY, ()
        facts = self.features.read(ask.customer_id, now)
        if self.realtime is None:
            return facts, ()
        try:
            return facts.joined(self.realtime.read(ask.customer_id, mode=caller.mode, now=now)), ()
        except DependencyError:
            return facts, (REALTIME,)

    def _try(self, question: Question, number: int) -> Attempt:
        """Decide once and hand record and reservation to the store."""
        stages = question.stages
        standing = self._standing(question) if number <= ATTEMPTS else None
        history = None if standing is None else standing.history
        with stages("shortlist"):
            left = shortlist(question.request, self.catalogue, question.customer, history, question.now)
        with stages("score"):
            scores = self._score(question, left) if number <= ATTEMPTS else None
        seed = seed_of(question.decision_id, number)
        with stages("choose"):
            decision = choose(left, scores, history, np.random.default_rng(seed))
        made = Deliberation(
            question=question,
            attempt=number,
            seed=seed,
            history=history,
            left=left,
            scores=scores,
            decision=decision,
            reservation=None if standing is None else self._reservation(question, decision, standing),
            degraded=(*question.degraded, *(() if standing else (CONTACTS,))),
        )
        entry = Entry(record_of(made, self.versions), question.ask.body_sha256)
        return Attempt(question, number, self.records.append(entry, made.reservation))

    def _standing(self, question: Question) -> Standing | None:
        """Return what to look back on, or None when the contact store is gone."""
        with question.stages("history"):
            try:
                return self.ledger.read(
                    question.ask.customer_id,
                    mode=question.caller.mode,
                    now=question.now,
                    back=question.back,
                )
            except DependencyError:
                return None

    def _score(self, question: Question, left: Shortlist) -> Scores | None:
        if not left.contenders:
            return None
        slots = sum(placement.slots for placement in left.request.placements)
        return self.scorer.score(question.facts, left.contenders, left.context, slots)

    def _reservation(self, question: Question, decision: Decision, standing: Standing) -> Reservation | None:
        """Return what the answer takes, or None for one that takes nothing.

        With somebody nobody knows no contact is kept, but what is taken of budgets and volumes is.
        """
        if not question.ask.reserves:
            return None
        contacts = contacts_of(decision, tracking_ids(question.decision_id, decision))
        charges = self.catalogue.plan.contacts.budgets.charges(contacts, question.back.day)
        if question.ask.customer_id is None:
            charged = {charge.tracking_id for charge in charges}
            contacts = tuple(contact for contact in contacts if contact.tracking_id in charged)
        if not contacts:
            return None
        return Reservation(
            customer_id=question.ask.customer_id,
            mode=question.caller.mode,
            version=standing.version,
            contacts=contacts,
            charges=charges,
        )


def seed_of(decision_id: str, attempt: int = 1) -> int:
    """Return the seed of an attempt's generator: the first eight bytes of the SHA-256 of its name.

    The first attempt is named like the decision, the others ``<decision_id>#<attempt>``: each draws anew, and
    none depends on what an earlier one drew.
    """
    name = decision_id if attempt == 1 else f"{decision_id}#{attempt}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _settled(ask: Ask, entry: Entry) -> DecisionRecord:
    """Return the record to answer with; InvalidRequest when its request_id stands for another request."""
    if entry.request_sha256 != ask.body_sha256:
        raise InvalidRequest(
            "this request_id was used for a different request; take a new one",
            code="request-id-reused",
            field="request_id",
        )
    return entry.record
