"""The catalogue: everything that can be offered, checked, immutable and ready to decide with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from serving.decision.actions import Action, ContextField, Placement
from serving.decision.exploration import Exploration
from serving.decision.greedy import Greedy
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
        What competes, sorted by id, so that the order of the file never matters. Fallbacks are not among them.
    placements
        Every named place.
    context
        Declared ``context.*`` values.
    rules
        Every distinct rule; a rule's id is its index.
    propensity_floor
        A candidate under it is not shown; 0 is no floor.
    exploration
        Policy of exploration.
    digest
        SHA-256 of the canonical content: the policy version.
    """

    name: str
    currency: str
    timezone: str
    actions: tuple[Action, ...]
    placements: tuple[Placement, ...]
    context: tuple[ContextField, ...]
    rules: tuple[Rule, ...]
    propensity_floor: float = 0.0
    exploration: Exploration = field(default_factory=Greedy)
    digest: str = field(init=False)

    @property
    def version(self) -> str:
        """The first twelve characters of the digest, for people and answers."""
        return self.digest[:12]

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels that have a placement, sorted."""
        raise NotImplementedError

    def action(self, action_id: str) -> Action:
        """Return an action, competing or fallback, by id; KeyError when there is none."""
        raise NotImplementedError

    def placement(self, channel: str, name: str) -> Placement | None:
        """Return the placement, or None when the channel has none of that name."""
        raise NotImplementedError

    def rule_text(self, rule_id: int) -> str:
        """Return the SQL of a rule, as stored reasons name it."""
        return self.rules[rule_id].text
