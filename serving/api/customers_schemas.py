"""What goes in and out of consents, identities, erasure and export, with examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from serving.api.examples import JSON
from serving.api.schemas import FeatureAnswered, Identifier, IdentityNamed, Instant, PastDecision
from serving.decision.consent_ledger import ConsentStatus
from serving.decision.values import ProfileKind, Purpose, Scalar
from serving.ports import IdentityKind

MAX_CHOICES = 50


class ConsentChosen(Struct, frozen=True, forbid_unknown_fields=True):
    """What the customer chose for one purpose."""

    purpose: Annotated[
        Purpose,
        Meta(description="What for. Refusing `service` on a channel is to opt out of that channel."),
    ]
    status: ConsentStatus
    channel: (
        Annotated[Identifier, Meta(description="The only channel it holds for; without it, every channel.")]
        | UnsetType
    ) = UNSET


class ConsentsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a customer chose; what is not named stays as it was."""

    consents: Annotated[tuple[ConsentChosen, ...], Meta(min_length=1, max_length=MAX_CHOICES)]


class ProfileConsentsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody chose who is known by an identity alone."""

    identity: IdentityNamed
    consents: Annotated[tuple[ConsentChosen, ...], Meta(min_length=1, max_length=MAX_CHOICES)]


class ConsentsAnswer(Struct, frozen=True):
    """What is in the ledger now. It holds for every request that comes later, on every worker."""

    consents: tuple[ConsentChosen, ...]
    valid_from: Instant


class LinkRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An identity, and the customer who has logged in or asks for it to be undone."""

    identity: IdentityNamed
    customer_id: Annotated[Identifier, Meta(description="Whose it is.")]


class LinkAnswer(Struct, frozen=True):
    """Whose the identity is now. `shared` is nobody's: two customers or more are linked with it."""

    kind: IdentityKind
    status: Literal["linked", "shared", "unlinked"]


class StoreErased(Struct, frozen=True):
    """How many rows were taken out of one store."""

    store: str
    rows: int


class ErasureReceipt(Struct, frozen=True):
    """What was erased since it was asked for the first time, and the tombstone that keeps it so."""

    tombstone_id: str
    asked_at: Instant
    finished_at: Instant
    stores: tuple[StoreErased, ...]


class ConsentHeld(Struct, frozen=True):
    """One entry of the consent ledger."""

    purpose: Purpose
    channel: str | None
    status: ConsentStatus
    valid_from: Instant
    valid_to: Instant | None
    known_at: Instant
    source: str


class IdentityHeld(Struct, frozen=True):
    """An identity, by its kind alone: its value is not kept."""

    kind: IdentityKind
    linked_at: Instant
    shared: bool


class OutcomeHeld(Struct, frozen=True):
    """What was reported of an offer."""

    tracking_id: str
    kind: str
    occurred_at: Instant
    value: float | None


class EventHeld(Struct, frozen=True):
    """What the customer did."""

    kind: str
    occurred_at: Instant
    channel: str
    attributes: dict[str, Scalar]


class ExportAnswer(Struct, frozen=True):
    """Everything held about a customer. One nobody knows has the same shape, with nothing in it."""

    customer_id: str
    profile: ProfileKind
    as_of: Instant
    features: tuple[FeatureAnswered, ...]
    consents: tuple[ConsentHeld, ...]
    identities: tuple[IdentityHeld, ...]
    decisions: tuple[PastDecision, ...]
    outcomes: tuple[OutcomeHeld, ...]
    events: tuple[EventHeld, ...]


_CHOICES: JSON = [
    {"purpose": "marketing", "status": "granted"},
    {"purpose": "profiling", "status": "denied", "channel": "app"},
]
_COOKIE: JSON = {"kind": "cookie", "value": "c6f1d2a7b3"}

CONSENT_REQUESTS: Mapping[str, JSON] = {
    "two choices": {"consents": _CHOICES},
    "no more on this channel": {"consents": [{"purpose": "service", "status": "denied", "channel": "app"}]},
}
CONSENT_ANSWERS: Mapping[str, JSON] = {
    "recorded": {"consents": _CHOICES, "valid_from": "2026-05-01T18:30:00Z"}
}
PROFILE_CONSENT_REQUESTS: Mapping[str, JSON] = {
    "a visitor agrees": {
        "identity": _COOKIE,
        "consents": [{"purpose": "profiling", "status": "granted", "channel": "web"}],
    }
}
LINK_REQUESTS: Mapping[str, JSON] = {"at log-in": {"identity": _COOKIE, "customer_id": "1228"}}
LINK_ANSWERS: Mapping[str, JSON] = {
    "linked": {"kind": "cookie", "status": "linked"},
    "a family's computer": {"kind": "cookie", "status": "shared"},
}
UNLINK_ANSWERS: Mapping[str, JSON] = {"undone": {"kind": "cookie", "status": "unlinked"}}
RECEIPTS: Mapping[str, JSON] = {
    "erased": {
        "tombstone_id": "tomb_5f0c2e7a9b1d4c6e8f013a57",
        "asked_at": "2026-05-01T18:30:00Z",
        "finished_at": "2026-05-01T18:30:02Z",
        "stores": [{"store": "decisions", "rows": 12}, {"store": "online_features", "rows": 60}],
    }
}
EXPORTS: Mapping[str, JSON] = {
    "nobody known": {
        "customer_id": "nobody",
        "profile": "none",
        "as_of": "2026-05-01T18:30:00Z",
        "features": [],
        "consents": [],
        "identities": [],
        "decisions": [],
        "outcomes": [],
        "events": [],
    }
}
