"""One decision: read the customer, shortlist, score all at once, choose, reserve and record, answer.

Reserving and recording are one transaction. When what a decision looked back on has changed, nothing is
written and it is decided again, from what is there now. After three attempts, or when the contact store is
gone, the answer is what needs no looking back. Without features the customer is one nobody knows; without
the model nothing competes, and mandatory messages and fallbacks are left; without consents there is no
marketing. What people stopped is not shown, and a model they stopped is not asked: the record says so by the
stop, and nothing is degraded. Without the store of records there is no answer: nothing goes out unrecorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import numpy as np

from moment.errors import DependencyError, InvalidRequest, InvariantViolation, Overloaded
from serving.decision.choose import choose
from serving.decision.decision import Scores
from serving.decision.seeded import Seeded
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
    Identities,
    Ids,
    RealtimeFeatures,
    StaleHistory,
    Standing,
)
from serving.records import DecisionRecord, Mode
from serving.telemetry import UNTOLD, Telemetry
from serving.use_cases.access import Caller
from serving.use_cases.asking import Ask
from serving.use_cases.breakers import Breakers, Tolerance
from serving.use_cases.consent_masks import FeatureMasks
from serving.use_cases.deadline import Deadline, Errand, Gone, recorded, watched
from serving.use_cases.hands import Hands
from serving.use_cases.question import DEFAULT_CONSENT, Question, Stages, customer_of, request_of
from serving.use_cases.recording import Deliberation, record_of, reservation_of, tracking_ids
from serving.use_cases.tracking import Tracking
from serving.use_cases.version_set import Live, LiveState, VersionSet
from serving.use_cases.withdrawal import is_stopped, still_stands

HANDS = 4
"""How many decisions a process works on at a time, at most: while one waits for a store, others go on."""

ALONE = 0.01
"""So many seconds without taking up another decision, and whoever decides seems to wait for a store."""

ATTEMPTS = 3
"""How often a request is decided before the answer is what needs no looking back."""

FEATURES = "features"
"""What ``degraded`` calls the feature store."""

CONTACTS = "contacts"
"""What ``degraded`` calls the contact store."""

CONSENTS = "consents"
"""What ``degraded`` calls the ledger of consents."""

IDENTITIES = "identities"
"""What ``degraded`` calls the store of identities."""

REALTIME = "realtime"
"""What ``degraded`` calls the real-time features."""

SEGMENTATION, PROPENSITY = "segmentation", "propensity"
"""What ``degraded`` calls the models."""

RECORDS, REQUESTS = "records", "requests"
"""Writing records, and reading what requests were answered with: without either there is no answer."""

RECORDING = Tolerance(failures=10, rest=0.25, longest_rest=2.0)
"""Nothing stands in for the store of records: it is given up late, and asked again soon."""


@dataclass(frozen=True, slots=True, eq=False)
class Inquiry:
    """A question, and what was live when it came: whatever is swapped meanwhile, it is decided by that.

    Parameters
    ----------
    question
        What was asked.
    live, by
        What was live, and what of it decides for this customer.
    """

    question: Question
    live: Live
    by: VersionSet


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One try; `recorded` holds the entry that stands for the request, or raises StaleHistory.

    `inquiry` and `made` are None where the request was answered before.
    """

    inquiry: Inquiry | None
    number: int
    recorded: Future[Entry]
    made: Deliberation | None = None


@dataclass(frozen=True, slots=True)
class Decide:
    """The use case; one per process.

    Parameters
    ----------
    live
        What is live: catalogue, models, what is stopped. Taken once for every request.
    features, ledger, records, clock, ids
        See ``serving.ports``. The records store an answer's reservation in the ledger.
    consents
        What customers allow, read anew for every request.
    tracking
        Signs the tracking ids of offers.
    identities
        Whose the identities are that channels send; None where they send none.
    realtime
        What customers do right now, for rules and templates; None where nobody reports it.
    telemetry
        Counts decisions.
    shadowing
        Takes what was decided and recorded, for challengers to be asked beside; it does not wait.
    """

    live: LiveState
    features: CustomerFeatures
    ledger: ContactLedger
    records: DecisionRecords
    clock: Clock
    ids: Ids
    consents: Consents
    tracking: Tracking
    realtime: RealtimeFeatures | None = None
    identities: Identities | None = None
    telemetry: Telemetry = UNTOLD
    seconds: float | None = None
    breakers: Breakers = field(default_factory=lambda: Breakers(of={RECORDS: RECORDING}))
    hands: Hands = field(default_factory=lambda: Hands(HANDS, alone=ALONE))
    shadowing: Callable[[Live, VersionSet, Deliberation], None] | None = None
    _scalars: tuple[str, ...] = field(init=False)
    _masks: FeatureMasks = field(init=False)

    def __post_init__(self) -> None:
        contract = self.features.contract
        realtime = () if self.realtime is None else self.realtime.contract.scalars
        object.__setattr__(self, "_masks", FeatureMasks((*contract.features, *realtime)))
        names = tuple(spec.name for spec in (*contract.scalars, *realtime))
        object.__setattr__(self, "_scalars", names)

    def __call__(self, caller: Caller, ask: Ask) -> DecisionRecord:
        """Decide, wait until it is recorded however long that takes, and return the record to answer with.

        Raises
        ------
        InvalidRequest
            The request does not fit the catalogue, the caller may not ask it, or its id stands for another.
        DependencyError
            The store of records does not answer.
        """
        _check_caller(caller, ask)
        attempt = self._begin(Errand(self.breakers), caller, ask)
        while True:
            try:
                entry = attempt.recorded.result()
            except StaleHistory:
                attempt = self._again(Errand(self.breakers), attempt)
            else:
                record = _settled(ask, entry)
                self._tell(attempt, record)
                return record

    async def answer(self, caller: Caller, ask: Ask) -> DecisionRecord:
        """Do the same by the deadline, without what does not answer, and without holding up the event loop.

        Raises
        ------
        InvalidRequest, DependencyError
            As above; and when it is not on the disk by the deadline.
        Overloaded
            It would have to wait too long, or was not made by the deadline.
        """
        deadline = Deadline(self.seconds)
        _check_caller(caller, ask)
        self._admit(deadline)
        attempt = await self._watched(partial(self._begin, caller=caller, ask=ask), deadline)
        while True:
            try:
                entry = await recorded(attempt.recorded, self.breakers[RECORDS], deadline)
            except StaleHistory:
                attempt = await self._watched(partial(self._again, attempt=attempt), deadline)
            else:
                record = _settled(ask, entry)
                self._tell(attempt, record)
                return record

    def rehearse(self, live: Live | None = None) -> None:
        """Decide once for nobody, unrecorded: the first customer need not wait for what first use makes.

        Without being told by what, it is decided by what is live.
        """
        live = live or self.live.now
        place = live.champion.catalogue.placements[0]
        ask = Ask("nobody", place.channel, ((place.name, None),))
        caller = Caller("rehearsal", Mode.TEST, frozenset())
        errand = Errand(Breakers())
        inquiry = self._inquiry(errand, caller, ask, self.clock(), live)
        self._deliberate(errand, inquiry, 1)

    def _admit(self, deadline: Deadline) -> None:
        """Refuse at once what cannot be answered in time, or not be recorded."""
        patience = deadline.patience()
        if patience is not None and self.hands.wait() > patience:
            raise Overloaded("more decisions are asked for than can be made in time; see Retry-After")
        if not self.breakers[RECORDS].would_admit():
            raise Gone(RECORDS)

    def _tell(self, attempt: Attempt, record: DecisionRecord) -> None:
        """Tell of a record that this attempt has made; one that stood before has been told of."""
        inquiry, made = attempt.inquiry, attempt.made
        if inquiry is not None and record.decision_id == inquiry.question.decision_id:
            self.telemetry.decision(record, inquiry.by.catalogue)
            if self.shadowing is not None and made is not None and inquiry.live.shadows:
                self.shadowing(inquiry.live, inquiry.by, made)

    async def _watched(self, work: Callable[[Errand], Attempt], deadline: Deadline) -> Attempt:
        return await watched(work, self.hands, self.breakers, deadline)

    def _begin(self, errand: Errand, caller: Caller, ask: Ask) -> Attempt:
        """Answer as before, or decide for the first time."""
        earlier = self._earlier(errand, caller, ask)
        if earlier is not None:
            return Attempt(None, 0, earlier)
        received_at = self.clock()
        return self._try(errand, self._inquiry(errand, caller, ask, received_at, self.live.now), 1)

    def _earlier(self, errand: Errand, caller: Caller, ask: Ask) -> Future[Entry] | None:
        """Return what this request was answered with before."""
        request_id = ask.request_id
        if request_id is None:
            return None
        entry = errand.ask(REQUESTS, lambda: self.records.find_request(caller.key_id, request_id))
        if entry is None:
            return None
        if entry.request_sha256 == ask.body_sha256:
            self._confirm(errand, caller, ask, entry.record)
        known: Future[Entry] = Future()
        known.set_result(entry)
        return known

    def _confirm(self, errand: Errand, caller: Caller, ask: Ask, record: DecisionRecord) -> None:
        """Refuse to answer as before what the customer has withdrawn since, or people stopped."""
        live = self.live.now
        if is_stopped(record, live.standstill.stopped, live.champion.catalogue):
            raise InvalidRequest(
                "part of the answer to this request has been stopped since; ask again under a new request_id",
                code="answer-withdrawn",
                field="request_id",
            )
        whose = None if record.personal is None else record.personal.customer_id
        consent = self._consent(errand, caller, replace(ask, customer_id=whose), self.clock())
        if not still_stands(record, consent):
            raise InvalidRequest(
                "the customer's consents have changed since this request was answered; ask again under a new "
                "request_id",
                code="answer-withdrawn",
                field="request_id",
            )

    def _again(self, errand: Errand, attempt: Attempt) -> Attempt:
        if attempt.inquiry is None:
            raise InvariantViolation("an answer that stands already was decided again")
        return self._try(errand, attempt.inquiry, attempt.number + 1)

    def _inquiry(
        self, errand: Errand, caller: Caller, ask: Ask, received_at: datetime, live: Live
    ) -> Inquiry:
        stages, now = Stages(), ask.time or received_at
        ask = self._known(errand, caller, ask)
        by, arms = live.assigned(ask.customer_id if caller.mode is Mode.LIVE else None)
        with stages("consent"):
            consent = self._consent(errand, caller, ask, received_at)
        with stages("features"):
            facts = self._masks(self._facts(errand, caller, ask, now), consent)
        with stages("segment"):
            segment = None if live.standstill.has(SEGMENTATION) else self._segment(errand, facts, by)
        question = Question(
            caller=caller,
            ask=ask,
            decision_id=self.ids(received_at),
            received_at=received_at,
            now=now,
            facts=facts,
            customer=customer_of(caller, ask, facts, segment, self._scalars, consent=consent),
            request=request_of(caller, ask, by.catalogue, consent, live.standstill.stopped),
            back=by.catalogue.plan.contacts.lookback(now),
            stages=stages,
            tracking=self.tracking,
            degraded=tuple(sorted(errand.degraded)),
            stops=live.standstill.recorded,
            approvals=by.approved(received_at),
            arms=arms,
        )
        return Inquiry(question, live, by)

    def _known(self, errand: Errand, caller: Caller, ask: Ask) -> Ask:
        """Return the request with who it is for: the identity's customer, else its own profile."""
        identity, identities = ask.identity, self.identities
        if identity is None or identities is None:
            return ask
        found = errand.ask_or(IDENTITIES, lambda: identities.resolve(identity, mode=caller.mode), None)
        if found is None:
            return ask
        caller.ask_about(found.who)
        return replace(ask, customer_id=found.who)

    def _consent(self, errand: Errand, caller: Caller, ask: Ask, received_at: datetime) -> Consent | None:
        """Return what the customer allows now, whatever time it is decided for; None where nobody can say.

        A test key that decides for a time long past must not bring back what was withdrawn since.
        """
        customer_id = ask.customer_id
        if customer_id is None:
            return DEFAULT_CONSENT
        return errand.ask_or(
            CONSENTS,
            lambda: self.consents.read(customer_id, mode=caller.mode, channel=ask.channel, now=received_at),
            None,
        )

    def _facts(self, errand: Errand, caller: Caller, ask: Ask, now: datetime) -> CustomerFacts:
        """Return what is known of the customer; of one whose features do not come, nothing."""
        customer_id, realtime = ask.customer_id, self.realtime
        if customer_id is None:
            return NOBODY
        facts = errand.ask_or(FEATURES, lambda: self.features.read(customer_id, now), NOBODY)
        if realtime is None:
            return facts
        if FEATURES in errand.degraded:
            # The same store: to wait for it twice would leave too little time for the record
            errand.degraded.add(REALTIME)
            return facts
        newest = errand.ask_or(REALTIME, lambda: realtime.read(customer_id, mode=caller.mode, now=now), None)
        return facts if newest is None else facts.joined(newest)

    def _segment(self, errand: Errand, facts: CustomerFacts, by: VersionSet) -> str | None:
        if not facts.found:
            return None
        return errand.ask_or(SEGMENTATION, lambda: by.segmenter.assign(facts), None)

    def _try(self, errand: Errand, inquiry: Inquiry, number: int) -> Attempt:
        """Decide once and hand record and reservation to the store."""
        made = self._deliberate(errand, inquiry, number)
        entry = Entry(record_of(made, inquiry.by.versions), inquiry.question.ask.body_sha256)
        more = self.hands.behind
        kept = errand.commit(RECORDS, lambda: self.records.append(entry, made.reservation, more=more))
        return Attempt(inquiry, number, kept, made)

    def _deliberate(self, errand: Errand, inquiry: Inquiry, number: int) -> Deliberation:
        question, catalogue = inquiry.question, inquiry.by.catalogue
        stages = question.stages
        with stages("history"):
            standing = self._standing(errand, question) if number <= ATTEMPTS else None
        history = None if standing is None else standing.history
        with stages("shortlist"):
            left = shortlist(question.request, catalogue, question.customer, history, question.now)
        with stages("score"):
            scores = self._score(errand, inquiry, left) if number <= ATTEMPTS else None
        seed = seed_of(question.decision_id, number)
        with stages("choose"):
            decision = choose(left, scores, history, Seeded(seed))
        names = tracking_ids(question, decision)
        missing = {*question.degraded, *errand.degraded, *(() if standing else (CONTACTS,))}
        return Deliberation(
            question=question,
            attempt=number,
            seed=seed,
            history=history,
            left=left,
            scores=scores,
            decision=decision,
            tracking_ids=names,
            reservation=reservation_of(
                catalogue, question, decision, names, None if standing is None else standing.version
            ),
            degraded=tuple(sorted(missing)),
        )

    def _standing(self, errand: Errand, question: Question) -> Standing | None:
        """Return what to look back on, or None when the contact store is gone."""
        return errand.ask_or(
            CONTACTS,
            lambda: self.ledger.read(
                question.ask.customer_id,
                mode=question.caller.mode,
                now=question.now,
                back=question.back,
            ),
            None,
        )

    def _score(self, errand: Errand, inquiry: Inquiry, left: Shortlist) -> Scores | None:
        """Return the scores of what competes, or None when the model is gone or stopped."""
        if not left.contenders or inquiry.live.standstill.has(PROPENSITY):
            return None
        facts, scorer = inquiry.question.facts, inquiry.by.scorer
        slots = sum(placement.slots for placement in left.request.placements)
        return errand.ask_or(
            PROPENSITY,
            lambda: _sound(scorer.score(facts, left.contenders, left.context, slots), len(left.contenders)),
            None,
        )


def seed_of(decision_id: str, attempt: int = 1) -> int:
    """Return the seed of an attempt's generator: the first eight bytes of the SHA-256 of its name.

    The first attempt is named like the decision, the others ``<decision_id>#<attempt>``: each draws anew, and
    none depends on what an earlier one drew.
    """
    name = decision_id if attempt == 1 else f"{decision_id}#{attempt}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _check_caller(caller: Caller, ask: Ask) -> None:
    """Refuse what the caller may not ask; this counts whom they ask about."""
    caller.speak_for(ask.channel)
    caller.set_time(ask.time, field="context.time")
    caller.force(ask.force)
    caller.ask_about(ask.customer_id)


def _sound(scores: Scores, contenders: int) -> Scores:
    """Return scores that can be decided by; DependencyError when they are garbage."""
    propensity = scores.propensity
    shaped = propensity.shape == scores.raw.shape == (contenders,)
    # These pass over NaN, unless there is nothing else
    if not shaped or not (np.fmin.reduce(propensity) >= 0 and np.fmax.reduce(propensity) <= 1):
        raise DependencyError("the scores of the propensity model make no sense; see whether it is up")
    return scores


def _settled(ask: Ask, entry: Entry) -> DecisionRecord:
    """Return the record to answer with; InvalidRequest when its request_id stands for another request."""
    if entry.request_sha256 != ask.body_sha256:
        raise InvalidRequest(
            "this request_id was used for a different request; take a new one",
            code="request-id-reused",
            field="request_id",
        )
    return entry.record
