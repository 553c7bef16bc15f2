"""The decision record: everything needed to explain and replay one decision.

A record has two parts. The open part (ids, versions, reasons, scores) stays countable for ever. The personal
part (who it was, what was known of them, what they were told) is stored apart: sealing it with a key of the
customer's own, so that destroying the key erases it, is still to come; the place for it is here.

Candidates, reasons and rules are small integers; `catalogue` names the version that gives them their words.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from serving.decision.decision import FillReason, OfferKind
from serving.decision.values import FeatureState, ProfileKind, Scalar

RecordedValue = bool | int | float | str | tuple[str | float, ...] | None
"""A feature's value as JSON gives it back, equal to what it was."""


class Mode(StrEnum):
    """Whether a key, and all it asks for, counts. Test traffic never reaches training or monitoring."""

    LIVE = "live"
    TEST = "test"


class Asked(Struct, frozen=True):
    """One placement of the request."""

    name: str
    slots: int


class Versions(Struct, frozen=True):
    """What decided. Digests of the catalogue, the feature contract and the bundles; version of the code."""

    catalogue: str
    contract: str
    propensity: str
    segmentation: str
    code: str


class ConsideredColumns(Struct, frozen=True):
    """Every candidate of every requested placement with its final reason, as aligned columns.

    `placement` indexes the request's placements, `candidate` the catalogue's candidates; `reason` is
    the code of `serving.decision.reasons.Reason`; `rule` indexes the catalogue's rules, -1 for none.
    """

    placement: list[int]
    candidate: list[int]
    reason: list[int]
    rule: list[int]
    priority: list[float | None]


class ScoredColumns(Struct, frozen=True):
    """What the model said of each contender, as aligned columns; `candidate` as in `ConsideredColumns`."""

    candidate: list[int]
    raw: list[float | None]
    propensity: list[float | None]


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
    """One filled slot, with the factors of its priority and its action probability π."""

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


class RecordedPlacement(Struct, frozen=True):
    """One placement of the answer."""

    name: str
    slots: int
    reason: FillReason
    offers: tuple[RecordedOffer, ...]


class Personal(Struct, frozen=True):
    """What is about a person.

    `states` names only the features that are not present; `content` is what each offer said, in their order.
    """

    customer_id: str | None
    context: dict[str, Scalar]
    features: dict[str, RecordedValue]
    states: dict[str, FeatureState]
    event_times: dict[str, datetime]
    content: list[dict[str, str]]


class DecisionRecord(Struct, frozen=True, kw_only=True):
    """One decision.

    `personal` is None once it was erased. `latency_ms` is by stage, up to the writing of the record.
    """

    format: int = 1
    decision_id: str
    mode: Mode
    key_id: str
    channel: str
    request_id: str | None
    received_at: datetime
    decided_at: datetime
    asked: tuple[Asked, ...]
    include: tuple[str, ...]
    profile: ProfileKind
    segment: str | None
    seed: int
    placements: tuple[RecordedPlacement, ...]
    joint_probability: float
    funnel: FunnelCounts
    considered: ConsideredColumns
    scored: ScoredColumns
    versions: Versions
    experiments: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    latency_ms: dict[str, float] = {}
    personal: Personal | None = None


class Sealable(Struct, frozen=True):
    """A record as it is stored: the open part and, apart from it, the personal one."""

    open: bytes
    personal: bytes | None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DecisionRecord)
_personal_decoder = msgspec.json.Decoder(Personal)


def dump(record: DecisionRecord) -> Sealable:
    """Return the two parts of a record as JSON."""
    opened = msgspec.structs.replace(record, personal=None)
    personal = None if record.personal is None else _encoder.encode(record.personal)
    return Sealable(_encoder.encode(opened), personal)


def load(stored: Sealable) -> DecisionRecord:
    """Read a record back. Without its personal part it is the record of an erased customer."""
    record = _decoder.decode(stored.open)
    if stored.personal is None:
        return record
    return msgspec.structs.replace(record, personal=_personal_decoder.decode(stored.personal))
