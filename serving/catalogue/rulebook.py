"""The rules of a catalogue: each text read once, every fault noted where it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from serving.catalogue.drafts import DraftRule, DraftUse, DraftWeight
from serving.decision.actions import Weighting
from serving.decision.columns import Column
from serving.decision.parsing import Parsed, parse_rule
from serving.decision.rules import Level, Rule, RuleUse, Tier

_TIERS = {tier: position for position, tier in enumerate(Tier)}
_LEVELS = {level: position for position, level in enumerate(Level)}


class RuleBook:
    """Collects the rules of all actions; then numbers them by their text."""

    def __init__(self, columns: Mapping[str, Column], *, closed: bool) -> None:
        self._columns = columns
        self._closed = closed
        self._parsed: dict[str, Parsed] = {}
        self._blamed: set[int] = set()
        self._numbers: dict[str, int] = {}

    def read(self, drafts: Iterable[DraftRule]) -> None:
        """Read the rules of one action; a rule it inherits is blamed only once."""
        for draft in drafts:
            if draft.text not in self._parsed:
                self._parsed[draft.text] = parse_rule(draft.text, self._columns, closed=self._closed)
            if id(draft) not in self._blamed:
                self._blamed.add(id(draft))
                for message in self._parsed[draft.text].faults:
                    draft.section.fault(draft.entry, message, draft.line)

    def number(self) -> tuple[Rule, ...]:
        """Give every readable rule its id, in the order of their texts, and return them."""
        readable = {
            text: parsed.expression for text, parsed in sorted(self._parsed.items()) if parsed.expression
        }
        rules = tuple(Rule(number, *one) for number, one in enumerate(readable.items()))
        self._numbers = {rule.text: rule.rule_id for rule in rules}
        return rules

    def uses(self, drafts: Iterable[DraftUse]) -> tuple[RuleUse, ...]:
        """Return an action's rules in the order they are asked: by tier, then from issue to action."""
        ordered = sorted(drafts, key=lambda draft: (_TIERS[draft.tier], _LEVELS[draft.level]))
        return tuple(
            RuleUse(draft.tier, draft.level, self._numbers[draft.rule.text])
            for draft in ordered
            if draft.rule.text in self._numbers
        )

    def weightings(self, drafts: Iterable[DraftWeight]) -> tuple[Weighting, ...]:
        """Return an action's context weights, from issue to action."""
        return tuple(
            Weighting(self._numbers[draft.rule.text], draft.weight)
            for draft in drafts
            if draft.rule.text in self._numbers
        )
