"""What goes in and out over HTTP. OpenAPI's schemas are made from these."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from serving.decision.decision import FillReason, OfferKind
from serving.decision.values import FeatureState, ProfileKind, Scalar, Stage
from serving.ports import Identity, IdentityKind
from serving.records import ExperimentArm, FunnelCounts, Mode, RecordedStop, RecordedValue, Versions

MAX_PLACEMENTS = 10
MAX_CONTEXT = 50
MAX_WORD = 256

Approval = Literal["approved", "none", "expired"]
"""Whether a person approved what decides: ``none`` has, or the approval is ``expired``."""

Instant = Annotated[datetime, Meta(tz=True)]
"""A time with its offset, as RFC 3339 writes it."""

Identifier = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="1 to 128 characters, no control characters.",
    ),
]


class PlacementAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """A placement to fill."""

    name: Annotated[Identifier, Meta(description="Name of the placement in the catalogue.")]
    slots: (
        Annotated[int, Meta(ge=1, le=100, description="How many offers; without it, as many as it has.")]
        | UnsetType
    ) = UNSET


class IdentityNamed(Struct, frozen=True, forbid_unknown_fields=True):
    """What a channel knows somebody by, where it has no customer id of them."""

    kind: Annotated[IdentityKind, Meta(description="What it is.")]
    value: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=512,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description=(
                "The value, or better its SHA-256 in hexadecimal digits, which means the same. It is kept as "
                "a keyed hash alone."
            ),
        ),
    ]

    @property
    def identity(self) -> Identity:
        """It, as use cases take it."""
        return Identity(self.kind, self.value)


class ForceAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """What is shown first whatever the rules say, in the first placement it is made for."""

    action: Annotated[Identifier, Meta(description="Id of the action in the catalogue.")]
    treatment: (
        Annotated[Identifier, Meta(description="Id of its treatment; without it, the first that fits.")]
        | UnsetType
    ) = UNSET


class DecisionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Asks what to show a customer now."""

    channel: Annotated[Identifier, Meta(description="Where the answer will be shown.")]
    placements: Annotated[
        tuple[PlacementAsked, ...],
        Meta(min_length=1, max_length=MAX_PLACEMENTS, description="Each placement once."),
    ]
    customer_id: (
        Annotated[Identifier, Meta(description="Who it is; leave it out for a visitor nobody knows.")]
        | UnsetType
    ) = UNSET
    identity: (
        Annotated[
            IdentityNamed,
            Meta(
                description=(
                    "What the channel knows them by, instead of a `customer_id`: they are the customer it is "
                    "linked with, or a profile of its own."
                )
            ),
        ]
        | UnsetType
    ) = UNSET
    context: Annotated[
        dict[Identifier, Any],
        Meta(
            max_length=MAX_CONTEXT,
            description=(
                "What the channel knows of the moment: fields the catalogue declares, each one word of at "
                f"most {MAX_WORD} characters, a number or true/false. What it declares for systems needs the "
                "scope `context:assert`. `time` "
                "(RFC 3339 with offset) is the instant to decide for; only test keys may set it."
            ),
            extra_json_schema={"additionalProperties": {"type": ["string", "number", "boolean"]}},
        ),
    ] = {}
    request_id: (
        Annotated[
            Identifier,
            Meta(description="Your own id of this request. Asking again under it gives the same answer."),
        ]
        | UnsetType
    ) = UNSET
    language: (
        Annotated[
            str,
            Meta(
                max_length=35,
                pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
                description=(
                    "BCP 47 tag of the language it is shown in, e.g. `de-AT`. Without it, the customer's; "
                    "what has no words in it is shown in the catalogue's."
                ),
            ),
        ]
        | UnsetType
    ) = UNSET
    force: (
        Annotated[
            ForceAsked,
            Meta(
                description=(
                    "Only for test keys: shows this action to see it in its place. It is no contact, "
                    "takes nothing of any limit, and nothing learns from it."
                )
            ),
        ]
        | UnsetType
    ) = UNSET
    include: Annotated[
        tuple[Literal["scores"], ...],
        Meta(max_length=8, description="`scores` needs the scope `scores:read`."),
    ] = ()


class Scores(Struct, frozen=True):
    """The numbers behind one offer; null for a fallback."""

    propensity: float | None
    priority: float | None
    action_probability: float


class OfferAnswered(Struct, frozen=True):
    """One offer to show. Do not show it after `expires_at`; report what became of it by `tracking_id`."""

    rank: int
    action: str
    treatment: str
    content: dict[str, str]
    tracking_id: str
    expires_at: Instant
    scores: Scores | UnsetType = UNSET


class PlacementAnswered(Struct, frozen=True):
    """One placement's offers in rank order; `reason` is `filled` or says why there are not more."""

    name: str
    offers: tuple[OfferAnswered, ...]
    reason: FillReason


class DecisionAnswer(Struct, frozen=True):
    """What to show, the arm of each experiment the customer is in, and what Moment had to do without.

    `approval` is the worst of the three models': `expired`, `none` or `approved`.
    """

    decision_id: str
    placements: tuple[PlacementAnswered, ...]
    profile: ProfileKind
    experiments: tuple[ExperimentArm, ...]
    degraded: tuple[str, ...]
    approval: Approval
    versions: Versions
    mode: Mode
    segment: str | UnsetType | None = UNSET


class FeatureUsed(Struct, frozen=True):
    """A feature's value as a decision used it: why it is as it is, and the time it was as of."""

    name: str
    value: RecordedValue
    state: FeatureState
    as_of: Instant | None


class CandidateScores(Struct, frozen=True):
    """The numbers behind one candidate; null where it was not scored."""

    propensity: float | None
    priority: float | None


class BoundReached(Struct, frozen=True):
    """What held a candidate back, and its bound: a contact policy, exclusion, budget, volume or stop."""

    kind: str
    name: str
    observed: float | None
    bound: float | None
    unit: str


class CandidateConsidered(Struct, frozen=True):
    """One candidate, how far it came, and why it stopped there: a rule, a bound, or its rank."""

    placement: str
    action: str
    treatment: str
    stage: Stage
    reason: str
    why: str
    rule: str | None
    observed: dict[str, Scalar]
    policy: BoundReached | None
    scores: CandidateScores | UnsetType = UNSET


class OfferFactors(Struct, frozen=True):
    """The numbers behind one offer, as used; null where it did not compete."""

    propensity: float | None
    value: float
    context_weight: float
    lever: float
    priority: float | None
    action_probability: float


class RecordedOfferAnswered(Struct, frozen=True):
    """An offer of a recorded decision: how it came to be, and how long it could be reported shown in time."""

    rank: int
    action: str
    treatment: str
    content: dict[str, str]
    tracking_id: str
    expires_at: Instant
    reserved_until: Instant | None
    kind: OfferKind
    scores: OfferFactors | UnsetType = UNSET


class RecordedPlacementAnswered(Struct, frozen=True):
    """A placement of a recorded decision."""

    name: str
    slots: int
    reason: FillReason
    offers: tuple[RecordedOfferAnswered, ...]


class RecordAnswer(Struct, frozen=True):
    """A recorded decision: what was asked, known, considered and answered, and by which versions.

    `stops` is all that was off then, `approvals` whether each model that decided was approved.
    """

    decision_id: str
    mode: Mode
    channel: str
    customer_id: str | None
    request_id: str | None
    received_at: Instant
    decided_at: Instant
    profile: ProfileKind
    placements: tuple[RecordedPlacementAnswered, ...]
    context: dict[str, Scalar]
    features: tuple[FeatureUsed, ...]
    funnel: FunnelCounts
    considered: tuple[CandidateConsidered, ...]
    experiments: tuple[ExperimentArm, ...]
    control: bool
    held_out: bool
    exploration: str
    degraded: tuple[str, ...]
    stops: tuple[RecordedStop, ...]
    approvals: dict[str, Approval]
    versions: Versions
    attempt: int
    seed: str
    latency_ms: dict[str, float]
    segment: str | UnsetType | None = UNSET


class FeatureAnswered(Struct, frozen=True):
    """A feature of a customer: its value, how old, and what it means."""

    name: str
    value: RecordedValue
    state: FeatureState
    as_of: Instant | None
    age_seconds: float | None
    unit: str
    meaning: str


class PastOffer(Struct, frozen=True):
    """An offer of an earlier decision."""

    placement: str
    rank: int
    action: str
    treatment: str
    tracking_id: str


class PastDecision(Struct, frozen=True):
    """An earlier decision."""

    decision_id: str
    decided_at: Instant
    channel: str
    offers: tuple[PastOffer, ...]


class CustomerAnswer(Struct, frozen=True):
    """Everything known of a customer. One nobody knows has the same shape, with nothing in it."""

    customer_id: str
    profile: ProfileKind
    as_of: Instant
    segment: str | None
    features: tuple[FeatureAnswered, ...]
    decisions: tuple[PastDecision, ...]


class Ready(Struct, frozen=True):
    """Requests are answered, by these versions."""

    versions: Versions
    status: Literal["ready"] = "ready"


class Alive(Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"] = "alive"
