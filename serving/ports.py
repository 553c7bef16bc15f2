"""What deciding needs from outside, as Protocols, and the values that cross the border.

Adapters implement these; only bootstrap chooses which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import astuple, dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from features.contract import FeatureContract, FeatureValue
from features.realtime import Event
from moment.errors import InvariantViolation, MomentError
from serving.decision.actions import Action, Candidate
from serving.decision.budgets import Charge
from serving.decision.catalogue import Catalogue
from serving.decision.consent_ledger import ConsentEntry
from serving.decision.contact_plan import Lookback
from serving.decision.decision import Scores
from serving.decision.values import Consent, Contact, FeatureState, History, Scalar
from serving.records import DecisionRecord, Mode, Versions


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """What the feature store knows of one customer at a time.

    Parameters
    ----------
    found
        Whether it knows the customer at all.
    values
        Every feature of the contract by name; None where missing, expired or masked. Empty when not found.
    states
        Why each value is as it is.
    event_times
        Per feature view, the time its values are as of, UTC.
    """

    found: bool
    values: Mapping[str, FeatureValue]
    states: Mapping[str, FeatureState]
    event_times: Mapping[str, datetime]

    def joined(self, realtime: CustomerFacts) -> CustomerFacts:
        """Return these facts with real-time features beside them; whether the customer is found stays."""
        return CustomerFacts(
            found=self.found,
            values={**self.values, **realtime.values},
            states={**self.states, **realtime.states},
            event_times={**self.event_times, **realtime.event_times},
        )


NOBODY = CustomerFacts(found=False, values={}, states={}, event_times={})
"""What is known of a customer nobody knows."""


class CustomerFeatures(Protocol):
    """The feature store as a decision sees it."""

    @property
    def contract(self) -> FeatureContract:
        """The features it serves."""
        ...

    def read(self, customer_id: str, now: datetime) -> CustomerFacts:
        """Return what is known of the customer at ``now``; DependencyError when the store cannot say."""
        ...

    def newest(self) -> datetime:
        """Return the time of the newest features; StepMissing when there are none."""
        ...


class Scorer(Protocol):
    """The propensity model."""

    @property
    def version(self) -> str:
        """Digest of the bundle."""
        ...

    def score(
        self,
        customer: CustomerFacts,
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],
        slots: int,
    ) -> Scores:
        """Score all contenders in one call; ``slots`` is how many offers are asked for together."""
        ...


class Segmenter(Protocol):
    """The segmentation model."""

    @property
    def version(self) -> str:
        """Digest of the bundle."""
        ...

    def assign(self, customer: CustomerFacts) -> str | None:
        """Return the name of the customer's persona, or None when too little is known."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A record on its way to the store, with what idempotency needs.

    Parameters
    ----------
    record
        The decision.
    request_sha256
        Digest of the request's body: tells the same request from another one under its id.
    """

    record: DecisionRecord
    request_sha256: bytes


class StaleHistory(MomentError):
    """What a decision looked back on has changed meanwhile: read again and decide again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a customer stands with Moment at the time of reading.

    Parameters
    ----------
    history
        What a decision looks back on.
    version
        Rises with every change of it; a reservation names the version it was decided on.
    """

    history: History
    version: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an answer takes, to be stored together with its record or not at all.

    Parameters
    ----------
    customer_id
        None for somebody nobody knows: then contacts are kept for their reports and charges alone.
    mode
        Test and live customers share nothing, not even budgets.
    version
        The version of the standing the decision was made on; of no meaning without a customer. None where it
        was made on none, because the ledger could not be read or kept changing: what is in the reservation
        (mandatory messages) is then stored without any check, of budgets neither.
    contacts
        One per offer that was arbitrated or is mandatory; for somebody unknown too.
    charges
        What those of `contacts` take whose action has a budget or a volume.
    """

    customer_id: str | None
    mode: Mode
    version: int | None
    contacts: tuple[Contact, ...]
    charges: tuple[Charge, ...] = ()

    def __post_init__(self) -> None:
        offered = {contact.tracking_id for contact in self.contacts}
        if any(charge.tracking_id not in offered for charge in self.charges):
            raise InvariantViolation("a charge has no contact, so nothing could ever end it; reserve both")


CLOCK_SKEW = timedelta(minutes=5)
"""How far a channel's clock may be from ours."""


class Verdict(StrEnum):
    """What became of one report.

    `recorded_late`: it counts, but came after the reservation's end. `duplicate`: it was reported before, the
    same. `conflict`: it was reported before, differently; the first report stands. `unknown`: no offer has
    this tracking id, or none that this reporter was given. `too_early`: it is said to have happened well
    before the decision.
    """

    RECORDED = "recorded"
    RECORDED_LATE = "recorded_late"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"
    TOO_EARLY = "too_early"


class ContactLedger(Protocol):
    """Who was given what, what they answered, and what is used of budgets and volumes.

    Reservations come in by `DecisionRecords.append`, with the record. One that is not reported presented ends
    by itself. Whatever happens at once, and whatever crashes: live reservations and presentations in time
    never exceed a limit that every decision has kept to.
    """

    def read(self, customer_id: str | None, *, mode: Mode, now: datetime, back: Lookback) -> Standing:
        """Return what the customer was given and what is used up; DependencyError when it cannot be said."""
        ...

    def present(self, tracking_id: str, *, occurred_at: datetime, reported_at: datetime) -> Verdict:
        """Record durably that an offer was shown.

        The time counts no earlier than the decision and no later than the report.
        """
        ...

    def record_outcome(
        self,
        tracking_id: str,
        kind: str,
        *,
        outcome_id: str,
        occurred_at: datetime,
        reported_at: datetime,
    ) -> Verdict:
        """Record durably what the customer answered; once per tracking id and outcome id.

        The time counts no earlier than the decision and no later than the report.
        """
        ...

    def release(self, now: datetime) -> int:
        """Give back what expired reservations hold of budgets and volumes; return how many there were.

        Nothing waits for this: it only keeps later calls fast.
        """
        ...

    def link(self, customer_id: str, other: str) -> None:
        """Let two ids be one customer from now on: each has the history of both."""
        ...

    def unlink(self, customer_id: str, other: str) -> None:
        """Undo `link`; each keeps the history it has made itself."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in a customer's history: records are ordered by this, newest first."""

    decided_at: datetime
    decision_id: str


@dataclass(frozen=True, slots=True)
class Past:
    """Which of a customer's records are wanted.

    Parameters
    ----------
    mode
        Test and live share nothing.
    limit
        How many at most.
    channel, action
        Only those of this channel, only those that offered this action; None for any.
    since, until
        Decided at or after the one, before the other; None for no bound.
    before
        Only what stands before this in time: a page goes on where another ended.
    """

    mode: Mode
    limit: int
    channel: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: Place | None = None


class DecisionRecords(Protocol):
    """The store of decision records. What it has acknowledged survives a crash."""

    def append(self, entry: Entry, reservation: Reservation | None = None) -> Future[Entry]:
        """Store a record durably, together with what its answer takes.

        The future holds the entry that stands for this request: the given one or, when the same key already
        has a record under this request id, that earlier one (the given one is then dropped, its reservation
        too). It raises StaleHistory, and nothing is stored, when the customer's version is no longer the
        reservation's or a budget or volume has run out.
        """
        ...

    def find(self, decision_id: str) -> DecisionRecord | None:
        """Return a record by its id."""
        ...

    def find_request(self, key_id: str, request_id: str) -> Entry | None:
        """Return what a key's request was answered with."""
        ...

    def find_requests(self, key_id: str, request_ids: Sequence[str]) -> dict[str, DecisionRecord]:
        """Return what several of a key's requests were answered with, by request id."""
        ...

    def history(self, customer_id: str, wanted: Past) -> tuple[DecisionRecord, ...]:
        """Return a customer's records that fit, newest first. One who was erased has none."""
        ...


@dataclass(frozen=True, slots=True)
class Expiry:
    """Until when what was recorded is kept: what was received before each of these is due.

    Parameters
    ----------
    personal
        For the personal part of live records.
    records
        For live records as a whole, with the contacts and outcomes of their offers.
    test
        For those of test traffic.
    """

    personal: datetime
    records: datetime
    test: datetime


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much was removed, or is due: personal parts, whole records, contacts, outcomes, keys of days."""

    personal: int = 0
    records: int = 0
    contacts: int = 0
    outcomes: int = 0
    keys: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Pruned(*(ours + theirs for ours, theirs in pairs))


class RetainedRecords(Protocol):
    """What a store forgets when its time has come."""

    def due(self, expiry: Expiry) -> Pruned:
        """Return how many personal parts and whole records are due; of what hangs on them, nothing."""
        ...

    def prune(self, expiry: Expiry, limit: int) -> Pruned:
        """Remove at most so many of what is due, durably; nothing was left when nothing was removed."""
        ...

    def compact(self) -> bool:
        """Overwrite what was removed wherever it still lies; False when readers did not let it."""
        ...

    def cited(self) -> Mapping[Versions, int]:
        """Return by which versions how many of the records were decided."""
        ...


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What is reported of one offer, on its way to the store.

    Parameters
    ----------
    tracking_id, decision_id
        The offer, and its decision; the signature was checked.
    kind
        ``presented``, or what the customer answered.
    event_id
        The reporter's own id: by it the same report is told from another one of the same offer.
    occurred_at
        When it happened, as claimed, UTC.
    reported_at
        When it counts as reported, UTC: tells what came too late.
    value
        Its reward in the catalogue's currency, or None.
    """

    tracking_id: str
    decision_id: str
    kind: str
    event_id: str
    occurred_at: datetime
    reported_at: datetime
    value: float | None = None

    def precedes(self, decided_at: datetime) -> bool:
        """Whether it is said to have happened further before the decision than clocks differ."""
        return self.occurred_at < decided_at - CLOCK_SKEW


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports outcomes: a key with its mode and channel (None for any), or a browser with nothing."""

    key_id: str | None = None
    mode: Mode | None = None
    channel: str | None = None

    def was_given(self, *, mode: Mode, channel: str) -> bool:
        """Whether an offer of a decision of this mode and channel is its to report on."""
        return self.key_id is None or (self.mode is mode and self.channel in (None, channel))


@dataclass(frozen=True, slots=True)
class KnownOutcome:
    """An outcome as it is kept.

    Parameters
    ----------
    tracking_id, kind, occurred_at, value
        As reported.
    received_at
        When it came, UTC.
    late
        Whether the offer's reservation had ended when it was reported presented.
    key_id
        Who reported it; None for a browser.
    """

    tracking_id: str
    kind: str
    occurred_at: datetime
    received_at: datetime
    value: float | None
    late: bool
    key_id: str | None


class Outcomes(Protocol):
    """Everything reported of offers, each report once. What it has acknowledged survives a crash.

    What counts towards limits and suppressions goes on to the contact ledger in the same transaction; a
    report on a decision that is not known yet waits for it.
    """

    def append(
        self, reports: Sequence[OutcomeReport], *, by: Reporter, received_at: datetime
    ) -> Future[tuple[Verdict, ...]]:
        """Store reports, all in one transaction; done, with the verdict of each in turn, when on the disk.

        An offer is presented once; a browser reports each kind of an offer once.
        """
        ...

    def of_decision(self, decision_id: str) -> tuple[KnownOutcome, ...]:
        """Return what was reported of a decision's offers, in the order it came."""
        ...


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An event on its way to the journal.

    Parameters
    ----------
    profile
        Whose it is: a customer id, or the key of an identity nobody has linked yet.
    event
        What is folded. Its time is no later than it was reported.
    body
        The event as reported: tells the same report under an id from another one.
    """

    profile: str
    event: Event
    body: bytes


@dataclass(frozen=True, slots=True)
class Journaled:
    """What became of events on the disk.

    Parameters
    ----------
    verdicts
        Of each in turn: recorded, duplicate or conflict.
    visible
        Done when every later decision, on every worker, sees what was recorded; False when the online store
        does not take it now. It will be tried again, after a restart too.
    """

    verdicts: tuple[Verdict, ...]
    visible: Future[bool]


class EventJournal(Protocol):
    """Every event taken, each once. What it has acknowledged survives a crash, and is folded once."""

    def append(
        self, entries: Sequence[JournalEntry], *, mode: Mode, key_id: str, received_at: datetime
    ) -> Future[Journaled]:
        """Store events together with the states they are folded into; done when all is on the disk.

        An event id stands for one event of its mode: the first report of it.
        """
        ...


class RealtimeFeatures(Protocol):
    """What customers do right now, as a decision sees it."""

    @property
    def contract(self) -> FeatureContract:
        """The features; rules and templates may name them, models do not."""
        ...

    def read(self, profile: str, *, mode: Mode, now: datetime) -> CustomerFacts:
        """Return the features of a profile at ``now``, those it is linked with included.

        `found` tells whether any event was ever taken. Test and live events never meet. DependencyError when
        the store cannot say.
        """
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """An entry on its way to the consent ledger, and whose it is."""

    customer_id: str
    entry: ConsentEntry


class Consents(Protocol):
    """The ledger of consents: appended to, never changed.

    What live keys and sources tell holds for test traffic too; what test keys tell, for test traffic alone.
    """

    def read(self, customer_id: str, *, mode: Mode, channel: str, now: datetime) -> Consent:
        """Return what the customer allows on a channel, those they are linked with included.

        DependencyError when it cannot be said.
        """
        ...

    def entries(self, customer_id: str, *, mode: Mode) -> tuple[ConsentEntry, ...]:
        """Return the customer's own entries, oldest first."""
        ...

    def append(self, told: Sequence[Told], *, mode: Mode) -> int:
        """Store entries durably and return how many are new; erased customers' are dropped."""
        ...


class IdentityKind(StrEnum):
    """What a channel may know somebody by."""

    COOKIE = "cookie"
    DEVICE = "device"
    EMAIL_HASH = "email_hash"
    LOYALTY_NO = "loyalty_no"
    SOCIAL_HANDLE = "social_handle"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a channel knows somebody by. The value is kept as a keyed hash alone."""

    kind: IdentityKind
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whose an identity is.

    Parameters
    ----------
    profile
        The identity's own profile: what it does while nobody is logged in accumulates under this id.
    customer_id
        Whose it is; None while nobody has linked it, and for one that several customers share.
    shared
        Whether several customers are linked with it: then it is nobody's.
    """

    profile: str
    customer_id: str | None
    shared: bool = False

    @property
    def who(self) -> str:
        """The id to decide for: the customer's, or the profile's own."""
        return self.customer_id or self.profile


@dataclass(frozen=True, slots=True)
class LinkedIdentity:
    """An identity of a customer, as told to people: never its value."""

    kind: IdentityKind
    linked_at: datetime
    shared: bool


class Identities(Protocol):
    """Which identities are whose. Test and live identities never meet."""

    def resolve(self, identity: Identity, *, mode: Mode) -> Resolved:
        """Return whose an identity is; DependencyError when it cannot be said."""
        ...

    def link(self, identity: Identity, customer_id: str, *, mode: Mode, at: datetime) -> Resolved:
        """Let an identity be a customer's: its profile's history, events and consents join theirs.

        Linked with a second customer it is shared: it leaves both, until all but one are unlinked. Durable,
        all at once. An erased customer is not linked.
        """
        ...

    def unlink(self, identity: Identity, customer_id: str, *, mode: Mode) -> Resolved:
        """Undo `link`; each keeps the history it has made itself."""
        ...

    def of_customer(self, customer_id: str, *, mode: Mode) -> tuple[LinkedIdentity, ...]:
        """Return a customer's identities, oldest first."""
        ...

    def mark_crossed(self, decision_ids: Sequence[str], customer_id: str, profile: str) -> None:
        """Note decisions whose experiment arm was another than their customer's, until unlinked."""
        ...

    def crossed(self) -> frozenset[str]:
        """Return the decisions that analyses of experiments leave out."""
        ...


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure on its way.

    Parameters
    ----------
    customer_id, tombstone_id, asked_at
        Who, what is left, and when it was asked for.
    online_refs
        Under which names the customer's real-time states are online.
    rows
        Rows taken out so far, by store.
    finished_at
        When all was done.
    """

    customer_id: str = field(repr=False)
    tombstone_id: str
    asked_at: datetime
    online_refs: tuple[str, ...]
    rows: Mapping[str, int]
    finished_at: datetime | None = None


class Erasures(Protocol):
    """Takes customers out of the operational database, and remembers how far an erasure came."""

    def begin(self, customer_id: str, at: datetime) -> Erasure:
        """Destroy the keys of a customer and their profiles, take everything out, leave a tombstone.

        Durable, all at once. Interrupted ones go on: the rows are then of the whole.
        """
        ...

    def step(self, erasure: Erasure, store: str, rows: int) -> None:
        """Note durably what was taken out of another store."""
        ...

    def finish(self, erasure: Erasure, at: datetime) -> None:
        """Note durably that all is done; DependencyError when a copy of the key may still be on the disk."""
        ...

    def receipt(self, customer_id: str) -> Erasure | None:
        """Return what was taken out of all stores since the first time; None for who was never erased."""
        ...

    def unfinished(self) -> tuple[str, ...]:
        """Return the customers whose erasure was interrupted."""
        ...


class CustomerStore(Protocol):
    """Another store that knows customers."""

    @property
    def name(self) -> str:
        """What receipts call it."""
        ...

    @property
    def erase(self) -> Callable[[Erasure], int]:
        """What takes a customer out of it, as often as it is called, and counts the rows there were."""
        ...


@dataclass(frozen=True, slots=True)
class HeldOutcome:
    """An outcome reported of one of a customer's offers."""

    tracking_id: str
    kind: str
    occurred_at: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """An event of a customer, as it was reported."""

    kind: str
    occurred_at: datetime
    channel: str
    attributes: Mapping[str, Scalar]


class HeldRows(Protocol):
    """Outcomes and events of one customer, linked profiles included, newest first."""

    def outcomes(self, customer_id: str, *, mode: Mode, limit: int) -> tuple[HeldOutcome, ...]:
        """Return what was reported of their offers."""
        ...

    def events(self, customer_id: str, *, mode: Mode, limit: int) -> tuple[HeldEvent, ...]:
        """Return what they did."""
        ...


class CatalogueArchive(Protocol):
    """Every catalogue a record cites."""

    def find(self, digest: str) -> Catalogue | None:
        """Return the catalogue with this digest."""
        ...


class ModelArchive(Protocol):
    """Every model a record cites, as long as it is kept."""

    def scorer(self, digest: str, actions: Sequence[Action]) -> Scorer | None:
        """Return the propensity model with this digest, for actions; None when it is not kept.

        DependencyError when it is no longer what it was.
        """
        ...

    def segmenter(self, digest: str) -> Segmenter | None:
        """Return the segmentation model with this digest; None and DependencyError likewise."""
        ...

    def contract(self, propensity: str) -> FeatureContract | None:
        """Return the features a propensity model was trained on; None and DependencyError likewise."""
        ...


class Scope(StrEnum):
    """What a key may do."""

    DECIDE = "decisions:write"
    READ_DECISIONS = "decisions:read"
    READ_CUSTOMERS = "customers:read"
    READ_SCORES = "scores:read"
    ASSERT_CONTEXT = "context:assert"
    WRITE_EVENTS = "events:write"
    WRITE_OUTCOMES = "outcomes:write"
    LINK_IDENTITIES = "identities:write"
    WRITE_CONSENTS = "consents:write"
    ERASE_CUSTOMERS = "customers:erase"
    EXPORT_CUSTOMERS = "customers:export"
    READ_METRICS = "metrics:read"


class Role(StrEnum):
    """What a person works as; it says what their key may do."""

    RISK_OFFICER = "risk_officer"
    DATA_SCIENTIST = "data_scientist"
    OPERATOR = "operator"
    SUPPORT = "support"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a key may ask; None is as much as it likes.

    Parameters
    ----------
    per_second, burst
        Requests a second in the long run, and how many at once after a rest. Both or neither.
    customers_per_hour
        Different customers it may ask about in one hour of the clock.
    """

    per_second: float | None = None
    burst: int | None = None
    customers_per_hour: int | None = None


UNBOUNDED = Bounds()


class Allowance(Protocol):
    """Counts what each key has asked lately, for all workers together."""

    def take(self, key_id: str, bounds: Bounds, now: datetime) -> float:
        """Count one request; return 0, or the seconds to wait when it is one too many."""
        ...

    def ask_about(self, key_id: str, customer_id: str, bounds: Bounds, now: datetime) -> float:
        """Count a customer asked about; return 0, or the seconds to wait when it is one too many."""
        ...


@dataclass(frozen=True, slots=True)
class Secret:
    """One of a key's secrets, told apart by when it was made; rotating a key gives it another.

    Parameters
    ----------
    created_at, expires_at
        UTC; None: it does not end by itself.
    last_used_on
        The day it last opened something, UTC; None: never.
    """

    created_at: datetime
    expires_at: datetime | None = None
    last_used_on: date | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: everything but the secret.

    Parameters
    ----------
    key_id
        Names it in records, logs and commands. Tells nothing of the secret.
    label
        What people call it.
    mode
        ``live`` or ``test``.
    scopes
        What it may do.
    channel
        The only channel it may speak for; None for any.
    created_at, revoked_at
        UTC. A revoked key opens nothing.
    expires_at
        UTC; from then on it opens nothing. None: it does not end by itself.
    bounds
        How much it may ask; None where the deployment's bounds hold.
    person, role
        Whose own key it is, and what they work as; None for a channel's.
    """

    key_id: str
    label: str
    mode: Mode
    scopes: frozenset[Scope]
    channel: str | None
    created_at: datetime
    revoked_at: datetime | None = None
    expires_at: datetime | None = None
    bounds: Bounds | None = None
    person: str | None = None
    role: Role | None = None

    def opens(self, now: datetime) -> bool:
        """Whether it still opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key, and the secret of it that was shown."""

    key: ApiKey
    secret: Secret

    def opens(self, now: datetime) -> bool:
        """Whether it still opens anything."""
        ends = self.secret.expires_at
        return self.key.opens(now) and (ends is None or now < ends)


class Keys(Protocol):
    """The store of keys. It sees digests of secrets, never a secret."""

    def add(self, key: ApiKey, secret_sha256: bytes) -> None:
        """Store a new key with its first secret."""
        ...

    def find(self, secret_sha256: bytes) -> FoundKey | None:
        """Return the key of this secret, whether or not it still opens anything."""
        ...

    def secrets(self, key_id: str) -> tuple[Secret, ...]:
        """Return a key's secrets, oldest first."""
        ...

    def rotate(self, key_id: str, secret_sha256: bytes, *, at: datetime, until: datetime) -> ApiKey | None:
        """Give a key another secret and end the earlier ones at `until`, those that end sooner excepted.

        None when there is no such key, or it is revoked.
        """
        ...

    def used(self, secret_sha256: bytes, on: date) -> None:
        """Remember the day a secret opened something. Costs nothing when that day is known already."""
        ...

    def all(self) -> tuple[ApiKey, ...]:
        """Return all keys, oldest first."""
        ...

    def revoke(self, key_id: str, at: datetime) -> ApiKey | None:
        """Revoke a key and return it; None when there is none. Revoking again changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a verified token says of who sent it.

    Parameters
    ----------
    key_id
        Made of issuer and subject, so that it names nobody in records and logs.
    mode, scopes, channel
        As a key's.
    """

    key_id: str
    mode: Mode
    scopes: frozenset[Scope]
    channel: str | None


class Tokens(Protocol):
    """Verifies tokens that somebody else has signed (JWT)."""

    def read(self, token: str, now: datetime) -> TokenClaims | None:
        """Return what it says, or None when it is not valid for Moment now, for whatever reason."""
        ...


Clock = Callable[[], datetime]
"""Returns the present instant, UTC."""

Ids = Callable[[datetime], str]
"""Returns a new decision id for a decision recorded at that instant; ids sort by it."""
