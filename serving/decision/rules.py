"""Engagement policy: rules in SQL, and where an action takes them from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from serving.decision.expression import Expression, columns_of
from serving.decision.values import Stage


class Tier(StrEnum):
    """The three questions of an engagement policy, in the order they are asked."""

    ELIGIBLE = "eligible"
    APPLICABLE = "applicable"
    SUITABLE = "suitable"

    @property
    def stage(self) -> Stage:
        """The stage of the funnel where this tier is asked."""
        return Stage(self.value)


class Level(StrEnum):
    """Where a rule is written. Wider levels are asked first."""

    ISSUE = "issue"
    GROUP = "group"
    ACTION = "action"


@dataclass(frozen=True, slots=True)
class Rule:
    """One distinct predicate of a catalogue.

    Parameters
    ----------
    rule_id
        Its index in ``Catalogue.rules``; the same text anywhere in the catalogue is the same rule.
    text
        The SQL as written, white space folded.
    expression
        The checked form that is evaluated.
    """

    rule_id: int
    text: str
    expression: Expression

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns it reads, sorted; ``context.`` and ``action.`` with their prefix."""
        return columns_of(self.expression)


@dataclass(frozen=True, slots=True)
class RuleUse:
    """A rule that applies to an action: the question it answers, where it is written, which it is."""

    tier: Tier
    level: Level
    rule_id: int
