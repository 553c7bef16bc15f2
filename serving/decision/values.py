"""The core's nouns: what comes in, what is considered, what goes out. Frozen values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

CustomerId = NewType("CustomerId", str)
ActionId = NewType("ActionId", str)
TreatmentId = NewType("TreatmentId", str)

Scalar = bool | int | float | str | None
"""What a rule may compare. None is unknown: three-valued logic applies."""


class Stage(StrEnum):
    """How far a candidate came, in the order of the funnel."""

    AVAILABILITY = "availability"
    ELIGIBLE = "eligible"
    APPLICABLE = "applicable"
    SUITABLE = "suitable"
    CONTACT_POLICY = "contact_policy"
    PROPENSITY = "propensity"
    ARBITRATION = "arbitration"
    SHOWN = "shown"


class ProfileKind(StrEnum):
    """Whether the customer was found. Unknown, foreign and erased customers all answer ``none``."""

    KNOWN = "known"
    NONE = "none"


class FeatureState(StrEnum):
    """Why a feature has the value it has."""

    PRESENT = "present"
    MISSING = "missing"
    EXPIRED = "expired"
    MASKED = "masked"


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer as known at the decision's time.

    Parameters
    ----------
    customer_id
        None when the channel does not know who it is.
    profile
        ``known`` when features were found.
    features
        Scalar features by name, as rules see them. Empty for ``none``.
    segment
        Name of the persona, or None.
    timezone
        IANA name of the customer's zone; None means the catalogue's default.
    """

    customer_id: CustomerId | None
    profile: ProfileKind
    features: Mapping[str, Scalar] = field(default_factory=dict)
    segment: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """A placement to fill and how many slots of it."""

    name: str
    slots: int


@dataclass(frozen=True, slots=True)
class Request:
    """What the channel asks. ``context`` holds declared ``context.*`` values without the prefix."""

    channel: str
    placements: tuple[PlacementRequest, ...]
    context: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pick:
    """One action given to a customer at a time: what limits and distinctness look back on."""

    action_id: ActionId
    group: str
    issue: str
    at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What the customer was given before, oldest first; the answer's own picks are appended slot by slot."""

    picks: tuple[Pick, ...] = ()

    def with_pick(self, pick: Pick) -> History:
        """Return this history with one more pick."""
        return History((*self.picks, pick))
