"""The catalogue: everything that can be offered, checked, immutable and ready to decide with."""

from __future__ import annotations

from dataclasses import dataclass, field

from serving.decision.actions import Action, Candidate, ContextField, Exclusion, Placement
from serving.decision.contact import ContactPolicy
from serving.decision.contact_plan import make_contact_plan
from serving.decision.digest import digest_of
from serving.decision.experiments import Layer, Share
from serving.decision.exploration import Exploration
from serving.decision.formula import Formula
from serving.decision.greedy import Greedy
from serving.decision.plan import Plan, make_plan
from serving.decision.policy import Policy, effective
from serving.decision.rules import Rule


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One version of the policy.

    Parameters
    ----------
    name
        Name for people.
    currency
        ISO 4217 code of every value.
    timezone
        IANA zone in which days and hours are computed for customers whose zone is unknown.
    actions
        What competes; kept in order of id, so that the order of a file never matters. Fallbacks are not among
        them.
    placements
        Every named place.
    context
        Declared ``context.*`` values.
    rules
        Every distinct rule, ordered by text; a rule's id is its index.
    propensity_floor
        A candidate under it is not shown; 0 is no floor.
    exploration
        Policy of exploration.
    language
        BCP 47 tag of the language for customers whose own is not known.
    formula
        What arbitration sorts by; None is ``propensity * value * context_weight * lever``.
    outbound
        Channels on which Moment turns to the customer (e-mail, push, call): quiet hours apply there.
    contact_policies
        Limits, suppressions, cool-offs and quiet hours, kept in order of name.
    exclusions
        Sets of actions that exclude one another, kept in order of name.
    layers
        Experiments, kept in order of name.
    control, holdout
        Shares of customers drawn apart: filled uniformly; without marketing.

    Attributes
    ----------
    digest
        SHA-256 of the canonical content: the policy version. Comments, order and layout do not change it.
    plan
        What is computed once, from the content alone.
    policy
        How candidates are ranked and picked for customers in no experiment.
    """

    name: str
    currency: str
    timezone: str
    actions: tuple[Action, ...]
    placements: tuple[Placement, ...]
    context: tuple[ContextField, ...] = ()
    rules: tuple[Rule, ...] = ()
    propensity_floor: float = 0.0
    exploration: Exploration = field(default_factory=Greedy)
    language: str = "en"
    formula: Formula | None = None
    outbound: frozenset[str] = frozenset()
    contact_policies: tuple[ContactPolicy, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    layers: tuple[Layer, ...] = ()
    control: Share | None = None
    holdout: Share | None = None
    digest: str = field(init=False)
    plan: Plan = field(init=False, repr=False, compare=False)
    policy: Policy = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        content = {
            "actions": tuple(sorted(self.actions, key=lambda action: action.action_id)),
            "placements": tuple(sorted(self.placements, key=lambda place: (place.channel, place.name))),
            "context": tuple(sorted(self.context, key=lambda declared: declared.name)),
            "contact_policies": tuple(sorted(self.contact_policies, key=lambda policy: policy.name)),
            "exclusions": tuple(sorted(self.exclusions, key=lambda exclusion: exclusion.name)),
            "layers": tuple(sorted(self.layers, key=lambda layer: layer.name)),
        }
        for name, value in content.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "digest", digest_of(self._content()))
        contacts = make_contact_plan(
            self.actions, self.contact_policies, self.exclusions, self.outbound, self.timezone
        )
        object.__setattr__(self, "plan", make_plan(self.actions, self.placements, self.rules, contacts))
        object.__setattr__(self, "policy", effective(self, ()))

    @property
    def version(self) -> str:
        """The first twelve characters of the digest, for people and answers."""
        return self.digest[:12]

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels that have a placement, sorted."""
        return tuple(sorted({placement.channel for placement in self.placements}))

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every action-treatment pair, ordered by id; stored reasons name them by index."""
        return self.plan.candidates

    @property
    def fallbacks(self) -> tuple[Action, ...]:
        """The actions that fill a slot nothing is left for, ordered by id."""
        found = {
            place.fallback.action.action_id: place.fallback.action
            for place in self.placements
            if place.fallback
        }
        return tuple(found[action_id] for action_id in sorted(found))

    def action(self, action_id: str) -> Action:
        """Return an action, competing or fallback, by id; KeyError when there is none."""
        for action in (*self.actions, *self.fallbacks):
            if action.action_id == action_id:
                return action
        raise KeyError(action_id)

    def placement(self, channel: str, name: str) -> Placement | None:
        """Return the placement, or None when the channel has none of that name."""
        slate = self.plan.slates.get((channel, name))
        return slate.placement if slate else None

    def rule_text(self, rule_id: int) -> str:
        """Return the SQL of a rule, as stored reasons name it."""
        return self.rules[rule_id].text

    def _content(self) -> dict[str, object]:
        """Return what the digest covers. Rules count by their text, where they are used."""
        return {
            "name": self.name,
            "currency": self.currency,
            "timezone": self.timezone,
            "actions": self.actions,
            "placements": self.placements,
            "context": self.context,
            "rules": [rule.text for rule in self.rules],
            "propensity_floor": self.propensity_floor,
            "exploration": self.exploration.name,
            "language": self.language,
            "formula": None if self.formula is None else self.formula.text,
            "outbound": self.outbound,
            "contact_policies": [(type(policy).__name__, policy) for policy in self.contact_policies],
            "exclusions": self.exclusions,
            "layers": self.layers,
            "control": self.control,
            "holdout": self.holdout,
        }
