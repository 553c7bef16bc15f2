"""The catalogue's nouns: actions, treatments, candidates, placements, declared context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from serving.decision.columns import ColumnType
from serving.decision.rules import RuleUse
from serving.decision.values import ActionId, Purpose, Scalar, TreatmentId


@dataclass(frozen=True, slots=True)
class Treatment:
    """One rendering of an action for a channel and its placements.

    Parameters
    ----------
    treatment_id
        Unique in the catalogue: ``<action_id>-<key>``.
    channel
        The channel it is made for.
    placements
        Names of the channel's placements it fits.
    language
        BCP 47 tag, e.g. ``en``.
    content
        Templates by field (``title``, ``body``, ``image``, ``link``). ``{{ action.label }}``,
        ``{{ customer.x }}`` and ``{{ context.x }}`` are filled when an offer is rendered; every name was
        checked at load.
    """

    treatment_id: TreatmentId
    channel: str
    placements: tuple[str, ...]
    language: str
    content: Mapping[str, str]


class LawfulBasis(StrEnum):
    """Why a mandatory message may go out without consent (GDPR, article 6)."""

    LEGAL_OBLIGATION = "legal_obligation"
    CONTRACT = "contract"
    VITAL_INTEREST = "vital_interest"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTEREST = "legitimate_interest"


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of an action all customers together may get; None is no bound.

    In currency for a budget, in offers for a volume. Days are those of the catalogue's zone.
    """

    total: float | None = None
    per_day: float | None = None


@dataclass(frozen=True, slots=True)
class Weighting:
    """A context weight of an action: where the rule is true, the priority is multiplied by ``weight``."""

    rule_id: int
    weight: float


@dataclass(frozen=True, slots=True)
class Action:
    """What can be offered.

    Parameters
    ----------
    action_id
        Unique in the catalogue.
    label
        Name for people.
    issue, group
        Its place in issue > group > action.
    value
        What a positive outcome is worth, in the catalogue's currency. Not negative.
    window
        Attribution window: an outcome later than this after the presentation does not count.
    attributes
        Facts rules (``action.x``) and models may use: ``category``, ``department``, ``typical_price``, …
    rules
        Its engagement policy: own rules and those of its group and issue, in order of tier and level.
    treatments
        At least one, sorted by id.
    starts_at, ends_at
        Available from (inclusive) and until (exclusive); None is open.
    lever
        Business lever, a factor of the priority: the product of those of its issue, its group and itself.
    positive_outcome
        The kind of outcome the propensity predicts, e.g. ``accepted``.
    purposes
        What the customer must have consented to. Not asked of a mandatory message.
    mandatory
        The lawful basis of a message that must go out; None for everything that competes.
    cost
        What one offer takes from its budget, in currency.
    budget, volume
        Bounds over all customers; None where there are none.
    exclusions
        Names of the exclusion sets it is in: no two actions of a set in one answer.
    weightings
        Context weights of its issue, its group and itself.
    """

    action_id: ActionId
    label: str
    issue: str
    group: str
    value: float
    window: timedelta
    attributes: Mapping[str, Scalar]
    rules: tuple[RuleUse, ...]
    treatments: tuple[Treatment, ...]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    lever: float = 1.0
    positive_outcome: str = "accepted"
    purposes: frozenset[Purpose] = frozenset({Purpose.MARKETING})
    mandatory: LawfulBasis | None = None
    cost: float = 0.0
    budget: Allowance | None = None
    volume: Allowance | None = None
    exclusions: tuple[str, ...] = ()
    weightings: tuple[Weighting, ...] = ()

    @property
    def is_marketing(self) -> bool:
        """Whether it must rest while consents or contacts cannot be read: all but service and mandatory."""
        return self.mandatory is None and self.purposes != {Purpose.SERVICE}

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.treatments, key=lambda treatment: treatment.treatment_id))
        object.__setattr__(self, "treatments", ordered)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An action-treatment pair considered in one decision."""

    action: Action
    treatment: Treatment


class Distinct(StrEnum):
    """What may not be repeated within one placement. An action is never twice in one answer anyway."""

    ACTION = "action"
    GROUP = "group"
    ISSUE = "issue"


@dataclass(frozen=True, slots=True)
class Placement:
    """A named place on a channel.

    Parameters
    ----------
    channel, name
        Together unique in the catalogue.
    slots
        Most slots a request may ask for here.
    distinct
        What may not be repeated in it.
    fallback
        What fills the first slot nothing is left for, or None. It does not compete, needs no score and is
        never part of learning (π = 1). Never twice in one answer.
    lifetime
        How long an offer made here may be shown: its ``expires_at``, unless the action ends before.
    report_within
        How long after that a presentation may still be reported in time; until then its reservation lives.
    """

    channel: str
    name: str
    slots: int
    distinct: Distinct = Distinct.ACTION
    fallback: Candidate | None = None
    lifetime: timedelta = timedelta(minutes=30)
    report_within: timedelta = timedelta(minutes=10)

    def lifetime_of(self, action: Action, now: datetime) -> tuple[datetime, datetime]:
        """Return when an offer made now expires, and until when its presentation may be reported in time.

        What has ended before is offered where it is forced alone: then its end does not count.
        """
        expires_at = now + self.lifetime
        if action.ends_at is not None and now < action.ends_at < expires_at:
            expires_at = action.ends_at.astimezone(UTC)  # written in the catalogue's zone, maybe
        return expires_at, expires_at + self.report_within


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A set of actions of which an answer holds one at most.

    Parameters
    ----------
    name
        What ``Action.exclusions`` calls it.
    rests
        How long after one of the set was given to a customer the others rest; zero for no time at all.
    """

    name: str
    rests: timedelta = timedelta(0)


class SetBy(StrEnum):
    """Who may assert a context value."""

    CHANNEL = "channel"
    MOMENT = "moment"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class ContextField:
    """One declared ``context.*`` value.

    Parameters
    ----------
    name
        Without the prefix.
    type
        Type of its values.
    set_by
        ``channel``: every caller may send it. ``system``: a trusted caller only, for what a channel must not
        assert, such as a passed credit check. ``moment``: derived by the core; nobody may send it.
    meaning
        One line for people.
    categories
        Every word it may hold, or empty.
    purpose
        The consent it needs: without it, it is unknown whoever sent it. None: it tells nothing of a person.
    """

    name: str
    type: ColumnType
    set_by: SetBy
    meaning: str
    categories: tuple[str, ...] = field(default=())
    purpose: Purpose | None = None
