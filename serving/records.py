"""The decision record: everything needed to explain and replay one decision.

A record has two parts. The open part (ids, versions, reasons, scores) stays countable for ever. The personal
part (who it was, what was known of them, what they were told, and the request id, whose words the channel
chose) is stored apart, sealed with a key of the customer's own: destroying the key erases it.

Candidates, reasons and rules are small integers; `catalogue` names the version that gives them their words.

`FORMAT` counts up when what is stored changes, in meaning or in form. What a format adds has a default here,
so that records of every earlier one are read as they were meant.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import msgspec
from msgspec import Struct

from moment.errors import DependencyError
from serving.decision.decision import FillReason, OfferKind
from serving.decision.values import FeatureState, ProfileKind, Purpose, Scalar

FORMAT = 6
"""The format written. 2 added limits, budgets, experiments, attempts and what they looked back on; 3 keeps
the request id in the personal part; 4 adds what was stopped, what was approved, and the policy; 5 is
MessagePack, where all before is JSON: numbers take half the room and a fifth of the time, bit for bit; 6 is
stored behind a mark that binds both parts, and says how long a batch's offers live."""

MARKED = 6
"""From which format on a stored record has a mark; see `serving.adapters.record_marks`."""

_REQUEST_ID_SEALED = 3

T = TypeVar("T")

RecordedValue = bool | int | float | str | tuple[str | float, ...] | None
"""A feature's value as JSON gives it back, equal to what it was."""


class Mode(StrEnum):
    """Whether a key, and all it asks for, counts. Test traffic never reaches training or monitoring."""

    LIVE = "live"
    TEST = "test"


class Asked(Struct, frozen=True, omit_defaults=True):
    """One placement of the request.

    `lifetime_seconds` is how long its offers live where a batch reserved them for longer or shorter than the
    catalogue says.
    """

    name: str
    slots: int
    lifetime_seconds: float | None = None


class Versions(Struct, frozen=True):
    """What decided. Digests of the catalogue, the feature contract and the bundles; version of the code.

    `policy` is the digest of the next-best-action bundle that holds the catalogue, empty where none does.
    """

    catalogue: str
    contract: str
    propensity: str
    segmentation: str
    code: str
    policy: str = ""


class ConsideredColumns(Struct, frozen=True):
    """Every candidate of every requested placement with its final reason, as aligned columns.

    `placement` indexes the request's placements, `candidate` the catalogue's candidates; `reason` is
    the code of `serving.decision.reasons.Reason`; `rule` indexes what that reason speaks of (rules, contact
    policies or exclusions), -1 for none. `observed` is the count, rest or hour that failed; empty where
    nothing was observed. `context_weight` is empty where all are 1.
    """

    placement: list[int]
    candidate: list[int]
    reason: list[int]
    rule: list[int]
    priority: list[float | None]
    observed: list[float | None] = []
    context_weight: list[float | None] = []


class ScoredColumns(Struct, frozen=True):
    """What the model said of each contender, as aligned columns; `candidate` as in `ConsideredColumns`.

    `evidence` is how many observations a propensity is worth, empty where the model does not say.
    """

    candidate: list[int]
    raw: list[float | None]
    propensity: list[float | None]
    evidence: list[float | None] = []


class FunnelCounts(Struct, frozen=True):
    """How many actions came how far."""

    considered: int
    available: int
    eligible: int
    applicable: int
    suitable: int
    within_contact_policy: int
    scored: int
    shown: int


class RecordedOffer(Struct, frozen=True):
    """One filled slot, with the factors of its priority and its action probability π.

    `reserved_until` is None where the offer holds no reservation: a fallback, a visitor nobody knows, a
    contact store that is gone.
    """

    rank: int
    action: str
    treatment: str
    tracking_id: str
    expires_at: datetime
    kind: OfferKind
    raw: float | None
    propensity: float | None
    value: float
    context_weight: float
    lever: float
    priority: float | None
    action_probability: float
    reserved_until: datetime | None = None


class RecordedPlacement(Struct, frozen=True):
    """One placement of the answer."""

    name: str
    slots: int
    reason: FillReason
    offers: tuple[RecordedOffer, ...]


class ExperimentArm(Struct, frozen=True):
    """The arm a customer was in, in one experiment."""

    layer: str
    experiment: str
    arm: str


class RecordedForce(Struct, frozen=True):
    """What a test key had shown whatever the rules say; without a treatment, the first that fits."""

    action: str
    treatment: str | None = None


class RecordedUsed(Struct, frozen=True):
    """What all customers together had used of an action when it was decided."""

    budget_total: float
    budget_today: float
    volume_total: int
    volume_today: int


class RecordedContact(Struct, frozen=True, array_like=True):
    """One offer the customer had been given before, in few bytes; new fields go to the end."""

    tracking_id: str
    action_id: str
    group: str
    issue: str
    channel: str
    decided_at: datetime
    reserved_until: datetime
    presented_at: datetime | None
    recorded_late: bool
    mandatory: bool
    timezone: str | None


class RecordedOutcome(Struct, frozen=True, array_like=True):
    """One answer the customer had given before, in few bytes; new fields go to the end."""

    kind: str
    action_id: str
    group: str
    issue: str
    channel: str
    at: datetime


class RecordedStop(Struct, frozen=True):
    """Something that was off when it was decided.

    `kind` is action, issue, channel or model; `stop_id` names the entry of the ledger that stopped it.
    """

    stop_id: str
    kind: str
    name: str


class Personal(Struct, frozen=True):
    """What is about a person.

    `states` names only the features that are not present; `content` is what each offer said, in their order.
    `contacts` and `outcomes` are what limits looked back on, None when the contact store was gone; `purposes`
    is what was consented to, None when the consent store was gone; `unit` is what control, holdout and
    experiments were drawn by.
    """

    customer_id: str | None
    context: dict[str, Scalar]
    features: dict[str, RecordedValue]
    states: dict[str, FeatureState]
    event_times: dict[str, datetime]
    content: list[dict[str, str]]
    contacts: tuple[RecordedContact, ...] | None = ()
    outcomes: tuple[RecordedOutcome, ...] | None = ()
    purposes: tuple[Purpose, ...] | None = ()
    opted_out: bool = False
    unit: str | None = None
    timezone: str | None = None
    language: str | None = None


class DecisionRecord(Struct, frozen=True, kw_only=True):
    """One decision.

    `attempt` counts how often it was decided until nothing had changed meanwhile, 4 is the fallback after
    three; `seed` and all else are of the last one. `exploration` names the policy that gave π, and how often
    it simulates where it does. `used` is what was used of the actions that have a budget or a volume.
    `stops` is all that was off then, whether it mattered here or not; `approvals` says of each model by its
    name whether the version that decided was approved: none, approved or expired.
    `personal` is None once it was erased. `latency_ms` is by stage, up to the writing of the record, all
    attempts together.
    """

    format: int = FORMAT
    decision_id: str
    mode: Mode
    key_id: str
    channel: str
    request_id: str | None
    received_at: datetime
    decided_at: datetime
    asked: tuple[Asked, ...]
    include: tuple[str, ...]
    force: RecordedForce | None = None
    profile: ProfileKind
    segment: str | None
    attempt: int = 1
    seed: int
    exploration: str = ""
    placements: tuple[RecordedPlacement, ...]
    joint_probability: float
    funnel: FunnelCounts
    considered: ConsideredColumns
    scored: ScoredColumns
    used: dict[str, RecordedUsed] = {}
    versions: Versions
    stops: tuple[RecordedStop, ...] = ()
    approvals: dict[str, str] = {}
    experiments: tuple[ExperimentArm, ...] = ()
    control: bool = False
    held_out: bool = False
    degraded: tuple[str, ...] = ()
    latency_ms: dict[str, float] = {}
    personal: Personal | None = None


class Sealable(Struct, frozen=True):
    """A record as it is stored: the open part and, to be sealed, the personal one."""

    open: bytes
    personal: bytes | None


class _PersonalPart(Struct, frozen=True):
    """What is sealed of a record."""

    request_id: str | None
    personal: Personal


class PartReader(Generic[T]):
    """Reads a part of stored records, whichever format it was written in."""

    def __init__(self, kind: type[T]) -> None:
        self._packed = msgspec.msgpack.Decoder(kind)
        self._json = msgspec.json.Decoder(kind)

    def decode(self, part: bytes) -> T:
        """Return the part; JSON alone begins with a brace, for MessagePack that would be a number."""
        return (self._json if part.startswith(b"{") else self._packed).decode(part)


class OpenPart(Protocol):
    """What is read of an open part."""

    @property
    def format(self) -> int:
        """In which format it was written."""
        ...


class _Named(Struct, frozen=True):
    """What an open part says in every format, those to come among them."""

    decision_id: str
    format: int


Opened = TypeVar("Opened", bound=OpenPart)


class OpenReader(PartReader[Opened]):
    """Reads the open part of stored records, whichever format up to this one it was written in."""

    def decode(self, part: bytes) -> Opened:
        """Return the open part.

        Raises
        ------
        DependencyError
            A newer Moment wrote it.
        """
        try:
            opened = super().decode(part)
        except msgspec.ValidationError:
            _refuse_newer(part)
            raise
        if opened.format > FORMAT:
            _refuse_newer(part)
        return opened


_named_reader = PartReader(_Named)


def _refuse_newer(part: bytes) -> None:
    named = _named_reader.decode(part)
    if named.format > FORMAT:
        raise DependencyError(
            f"decision {named.decision_id} is recorded in format {named.format}, this Moment reads up to "
            f"{FORMAT}; upgrade Moment"
        )


_encoder = msgspec.msgpack.Encoder()
_reader = OpenReader(DecisionRecord)
_part_reader = PartReader(_PersonalPart)
_personal_reader = PartReader(Personal)


def dump(record: DecisionRecord) -> Sealable:
    """Return the two parts of a record as MessagePack. What was erased of it stays so."""
    opened = msgspec.structs.replace(record, format=FORMAT, personal=None, request_id=None)
    part = None if record.personal is None else _PersonalPart(record.request_id, record.personal)
    return Sealable(_encoder.encode(opened), None if part is None else _encoder.encode(part))


def load(stored: Sealable) -> DecisionRecord:
    """Read a record back. Without its personal part it is the record of an erased customer.

    Raises
    ------
    DependencyError
        A newer Moment wrote it.
    """
    record = _reader.decode(stored.open)
    if stored.personal is None:
        return record
    if record.format < _REQUEST_ID_SEALED:
        return msgspec.structs.replace(record, personal=_personal_reader.decode(stored.personal))
    part = _part_reader.decode(stored.personal)
    return msgspec.structs.replace(record, personal=part.personal, request_id=part.request_id)
