"""The core's nouns: what comes in, what is considered, what goes out. Frozen values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


class Purpose(StrEnum):
    """What a customer may consent to. The names are those of the feature contract's purposes."""

    SERVICE = "service"
    PROFILING = "profiling"
    MARKETING = "marketing"
    LOCATION = "location"
    SOCIAL = "social"
    PARTNER = "partner"


@dataclass(frozen=True, slots=True)
class Consent:
    """What the customer allows on the channel that asks, as the consent ledger resolved it.

    Parameters
    ----------
    purposes
        Purposes consented to. Absent consent is no, but for service.
    opted_out
        Whether the customer wants nothing on this channel; only a legal obligation goes past it.
    """

    purposes: frozenset[Purpose] = frozenset({Purpose.SERVICE})
    opted_out: bool = False


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
    language
        BCP 47 tag of the customer's language; None means the catalogue's default.
    consent
        None when the consent store is gone: then there is no marketing.
    unit
        What control, holdout and experiments are drawn by, usually the customer id; None keeps the customer
        out of all of them (test traffic, unknown customers).
    """

    customer_id: CustomerId | None
    profile: ProfileKind
    features: Mapping[str, Scalar] = field(default_factory=dict)
    segment: str | None = None
    timezone: str | None = None
    language: str | None = None
    consent: Consent | None = Consent()
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """A placement to fill and how many slots of it."""

    name: str
    slots: int


@dataclass(frozen=True, slots=True)
class Forced:
    """An action to show whatever the rules say, and in which treatment (None: the first that fits)."""

    action_id: ActionId
    treatment_id: TreatmentId | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """What people took off at once. Absolute: what must go out, what is forced and fallbacks are off as well.

    Parameters
    ----------
    actions, issues, channels
        Names; whatever is of them is not shown.
    models
        Models that are not to be asked. ``next-best-action``: no marketing is shown at all; what must go out,
        service messages and fallbacks are. Of the others the caller passes nothing.
    """

    actions: frozenset[str] = frozenset()
    issues: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is stopped."""
        return not (self.actions or self.issues or self.channels or self.models)


NOTHING_STOPPED = Stopped()


@dataclass(frozen=True, slots=True)
class Request:
    """What the channel asks.

    Parameters
    ----------
    channel, placements
        Where, and how many slots.
    context
        Declared ``context.*`` values without the prefix.
    trusted
        Whether the caller may send what the catalogue lets only a system set.
    force
        What is shown in the first slot it fits; None for nothing, as for every customer that counts.
    stopped
        What is off at this moment.
    """

    channel: str
    placements: tuple[PlacementRequest, ...]
    context: Mapping[str, Scalar] = field(default_factory=dict)
    trusted: bool = False
    force: Forced | None = None
    stopped: Stopped = NOTHING_STOPPED


@dataclass(frozen=True, slots=True)
class Contact:
    """One offer given to a customer: what limits, cool-offs and exclusions look back on.

    It holds a reservation from the decision until ``reserved_until``. Reported shown before that, it is a
    presentation in time; reported later, it still counts and is marked ``recorded_late``; never reported, it
    stops counting as a presentation by itself.

    Parameters
    ----------
    tracking_id
        The offer's id, unique.
    action_id, group, issue, channel
        What was offered where, as the catalogue had it then.
    decided_at, reserved_until
        When it was decided; when its reservation ends (the offer's ``expires_at`` plus the placement's
        ``report_within``).
    presented_at
        When it was shown, once reported.
    recorded_late
        Whether the report came after ``reserved_until``.
    mandatory
        A mandatory message: it counts towards cool-offs but not towards limits.
    timezone
        IANA name of the customer's zone at the decision; None means the catalogue's default.
    """

    tracking_id: str
    action_id: ActionId
    group: str
    issue: str
    channel: str
    decided_at: datetime
    reserved_until: datetime
    presented_at: datetime | None = None
    recorded_late: bool = False
    mandatory: bool = False
    timezone: str | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether it may still become a presentation in time."""
        return self.presented_at is None and now < self.reserved_until


@dataclass(frozen=True, slots=True)
class PastOutcome:
    """What a customer answered to an offer: what suppressions look back on."""

    kind: str
    action_id: ActionId
    group: str
    issue: str
    channel: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Used:
    """What all customers together have used of an action: its budget (currency) and its volume (count).

    Live reservations are included. Days are the catalogue's.
    """

    budget_total: float = 0.0
    budget_today: float = 0.0
    volume_total: int = 0
    volume_today: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """What a decision looks back on.

    Parameters
    ----------
    contacts
        What the customer was offered before, oldest first; the answer's own picks join it slot by slot.
    outcomes
        What the customer answered, oldest first.
    used
        Of actions that have a budget or a volume: what is used up. An action that is missing is unused.
    """

    contacts: tuple[Contact, ...] = ()
    outcomes: tuple[PastOutcome, ...] = ()
    used: Mapping[ActionId, Used] = field(default_factory=dict)

    def merged_with(self, other: History) -> History:
        """Return the union of two histories, for identities that turned out to be one customer."""
        return History(
            contacts=_by_time({one.tracking_id: one for one in (*self.contacts, *other.contacts)}.values()),
            outcomes=tuple(
                sorted({*self.outcomes, *other.outcomes}, key=lambda one: (one.at, one.action_id))
            ),
            used={**other.used, **self.used},
        )


def _by_time(contacts: Iterable[Contact]) -> tuple[Contact, ...]:
    return tuple(sorted(contacts, key=lambda one: (one.decided_at, one.tracking_id)))
