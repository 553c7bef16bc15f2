"""What a batch came to, counted chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.decision.catalogue import Catalogue
from serving.decision.decision import OfferKind
from serving.decision.reasons import Reason
from serving.records import RecordedPlacement

STAGES = (
    "considered",
    "available",
    "eligible",
    "applicable",
    "suitable",
    "within_contact_policy",
    "scored",
    "shown",
)
"""The funnel's steps, as in `serving.decision.considered.Funnel`."""

_BY_POLICY = frozenset({Reason.LIMIT_REACHED, Reason.SUPPRESSED, Reason.COOLING_OFF, Reason.QUIET_HOURS})
_BOUNDS = frozenset(
    {Reason.BUDGET_SPENT, Reason.BUDGET_SPENT_TODAY, Reason.VOLUME_REACHED, Reason.VOLUME_REACHED_TODAY}
)
_OTHERS = frozenset(
    {
        Reason.HELD_OUT,
        Reason.RECENTLY_EXCLUDED,
        Reason.CONTACT_STORE_GONE,
        Reason.NO_CONSENT,
        Reason.OPTED_OUT,
        Reason.ACTION_STOPPED,
        Reason.ISSUE_STOPPED,
        Reason.CHANNEL_STOPPED,
        Reason.POLICY_STOPPED,
    }
)
_STOPS = np.array(sorted(_BY_POLICY | _BOUNDS | _OTHERS))


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What one customer gets, and why nothing else.

    Parameters
    ----------
    customer_id
        Who.
    placement
        The offers, as a decision record keeps them; in a plan they have no tracking id.
    reason, rule
        Of each considered candidate, as in `serving.decision.considered.ConsideredTable`.
    content
        What each offer says; empty where it is not wanted.
    """

    customer_id: str
    placement: RecordedPlacement
    reason: NDArray[np.int32]
    rule: NDArray[np.int32]
    content: Sequence[Mapping[str, str]] = ()


@dataclass(slots=True)
class Tally:
    """Counts over customers.

    Parameters
    ----------
    customers
        How many were read.
    selected
        How many of them the predicate selected.
    decided, rejected
        How many of those were decided; how many could not be.
    earlier
        How many of those decided had been by an earlier run of the same batch.
    again
        How many had to be decided more than once, as what they looked back on changed meanwhile.
    offered
        How many get at least one offer that competed or is mandatory.
    nothing
        How many get nothing at all, not even a fallback.
    funnel
        Per step, for how many customers at least one action came that far.
    reach
        Per action, how many customers get it; fallbacks apart.
    expected
        Per action, the sum of their propensities: how many positive outcomes to expect.
    fallbacks
        Per fallback action, how many customers get it.
    stopped
        Per contact policy, exclusion set, kind of bound or of what people stopped: for how many customers it
        kept back at least one action.
    reasons
        Per reason of the placement, how many customers.
    """

    customers: int = 0
    selected: int = 0
    decided: int = 0
    rejected: int = 0
    earlier: int = 0
    again: int = 0
    offered: int = 0
    nothing: int = 0
    funnel: Counter[str] = field(default_factory=Counter)
    reach: Counter[str] = field(default_factory=Counter)
    expected: dict[str, float] = field(default_factory=dict)
    fallbacks: Counter[str] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another chunk's counts."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                for key, amount in theirs.items():
                    mine[key] = mine.get(key, 0) + amount
            else:
                setattr(self, name, mine + theirs)

    def count(self, given: Sequence[Given], catalogue: Catalogue) -> None:
        """Count what some customers get; their candidates are considered in the same order."""
        self.decided += len(given)
        for one in given:
            self._count_offers(one.placement)
        if not given:
            return
        reason = np.stack([one.reason for one in given])
        rule = np.stack([one.rule for one in given])
        furthest = reason.max(axis=1, initial=0) // 100
        self.funnel.update({name: int((furthest > place).sum()) for place, name in enumerate(STAGES)})
        self._count_stops(reason, rule, catalogue)

    def _count_offers(self, placement: RecordedPlacement) -> None:
        self.reasons[placement.reason.value] += 1
        self.nothing += not placement.offers
        self.offered += any(offer.kind is not OfferKind.FALLBACK for offer in placement.offers)
        for offer in placement.offers:
            if offer.kind is OfferKind.FALLBACK:
                self.fallbacks[offer.action] += 1
            else:
                self.reach[offer.action] += 1
                self.expected[offer.action] = self.expected.get(offer.action, 0.0) + (offer.propensity or 0.0)

    def _count_stops(self, reason: NDArray[np.int32], rule: NDArray[np.int32], catalogue: Catalogue) -> None:
        """Count for how many customers each policy or bound stopped something."""
        stopped = np.isin(reason, _STOPS)
        if not stopped.any():
            return
        for code in np.unique(reason[stopped]).tolist():
            here = reason == code
            for index in np.unique(rule[here]).tolist():
                name = _name_of_stop(Reason(code), index, catalogue)
                self.stopped[name] += int((here & (rule == index)).any(axis=1).sum())


def _name_of_stop(reason: Reason, index: int, catalogue: Catalogue) -> str:
    words = reason.name.lower().replace("_", " ")
    if reason in _BY_POLICY:
        return f"{words}: {catalogue.contact_policies[index].name}"
    if reason is Reason.RECENTLY_EXCLUDED:
        return f"{words}: {catalogue.exclusions[index].name}"
    return words
