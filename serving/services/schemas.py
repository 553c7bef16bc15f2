"""What the services of single models take and answer. Features are checked against the bundle's contract."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from serving.api.schemas import MAX_CONTEXT, MAX_PLACEMENTS, Identifier, PlacementAsked
from serving.decision.decision import FillReason, OfferKind
from serving.decision.values import ProfileKind, Purpose

MAX_ROWS = 1000
MAX_ACTIONS = 1000

Features = Annotated[
    dict[Identifier, Any],
    Meta(
        max_length=2000,
        description=(
            "Every feature of the contract by name, null where it is missing, expired or may not be used; no "
            "other. The order does not matter, the names and types do."
        ),
        extra_json_schema={"additionalProperties": {}},
    ),
]


class SegmentationRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A customer to place."""

    features: Features


class SegmentationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Asks which persona customers are."""

    rows: Annotated[tuple[SegmentationRow, ...], Meta(min_length=1, max_length=MAX_ROWS)]


class PersonaNear(Struct, frozen=True):
    """How far a customer is from a persona, in the model's own units."""

    persona: str
    distance: float


class SegmentationScore(Struct, frozen=True):
    """A customer's persona, null where nothing the model reads is known; all personas, nearest first."""

    persona: str | None
    nearest: tuple[PersonaNear, ...]


class SegmentationAnswer(Struct, frozen=True):
    """The personas of the rows, in their order; `version` is the digest of the model."""

    version: str
    rows: tuple[SegmentationScore, ...]


class PropensityRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A customer, and the actions to score for them."""

    features: Annotated[
        Features | None, Meta(description="As of the contract; null for a customer nobody knows.")
    ]
    actions: Annotated[
        tuple[Identifier, ...],
        Meta(min_length=1, max_length=MAX_ACTIONS, description="Ids of actions in the catalogue, each once."),
    ]
    slots: Annotated[int, Meta(ge=1, le=100, description="How many offers are presented together.")] = 1


class PropensityRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Asks how likely customers are to answer to actions they would be presented now."""

    rows: Annotated[tuple[PropensityRow, ...], Meta(min_length=1, max_length=MAX_ROWS)]


class ActionScore(Struct, frozen=True):
    """The probability of one action's positive outcome: before calibration, and calibrated."""

    action: str
    raw: float
    propensity: float


class PropensityScore(Struct, frozen=True):
    """The scores of one row, in the order of its actions."""

    scores: tuple[ActionScore, ...]


class PropensityAnswer(Struct, frozen=True):
    """The scores of the rows, in their order; digests of the model and of the catalogue."""

    version: str
    catalogue: str
    rows: tuple[PropensityScore, ...]


class NextBestActionRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A customer in a moment. Nothing is read of them but what stands here."""

    channel: Annotated[Identifier, Meta(description="Where the answer would be shown.")]
    placements: Annotated[
        tuple[PlacementAsked, ...],
        Meta(min_length=1, max_length=MAX_PLACEMENTS, description="Each placement once."),
    ]
    features: Annotated[
        Features | None,
        Meta(
            description=(
                "As of the contract, and of the real-time features those that are known; null for a customer "
                "nobody knows."
            )
        ),
    ]
    context: Annotated[
        dict[Identifier, Any],
        Meta(
            max_length=MAX_CONTEXT,
            description="Fields the catalogue declares. Who sends features is believed in all of them.",
            extra_json_schema={"additionalProperties": {"type": ["string", "number", "boolean"]}},
        ),
    ] = {}
    purposes: Annotated[
        tuple[Purpose, ...],
        Meta(
            max_length=len(Purpose),
            description="What the customer consents to. Absent consent is no, but for service.",
        ),
    ] = ()
    language: (
        Annotated[str, Meta(max_length=35, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")] | UnsetType
    ) = UNSET
    at: (
        Annotated[
            str, Meta(max_length=40, description="The instant to decide for (RFC 3339); without it, now.")
        ]
        | UnsetType
    ) = UNSET
    seed: (
        Annotated[
            int,
            Meta(ge=0, lt=2**53, description="The seed of chance; the same seed gives the same decision."),
        ]
        | UnsetType
    ) = UNSET


class NextBestActionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Asks what the policy would pick: without contact history, limits, budgets, stops, experiments."""

    rows: Annotated[tuple[NextBestActionRow, ...], Meta(min_length=1, max_length=MAX_ROWS)]


class PickAnswered(Struct, frozen=True):
    """One pick; scores and priority are null for what did not compete."""

    rank: int
    action: str
    treatment: str
    kind: OfferKind
    raw: float | None
    propensity: float | None
    priority: float | None
    action_probability: float


class PlacementPicked(Struct, frozen=True):
    """One placement's picks in rank order; `reason` is `filled` or says why there are not more."""

    name: str
    reason: FillReason
    offers: tuple[PickAnswered, ...]


class NextBestActionScore(Struct, frozen=True):
    """What the policy picks for one row, at which instant and with which seed."""

    at: datetime
    seed: int
    profile: ProfileKind
    segment: str | None
    placements: tuple[PlacementPicked, ...]


class NextBestActionAnswer(Struct, frozen=True):
    """The picks of the rows, in their order; digests of the policy (its catalogue) and of both models."""

    version: str
    propensity: str
    segmentation: str
    rows: tuple[NextBestActionScore, ...]
