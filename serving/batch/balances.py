"""Budgets and volumes while a batch goes on: what its own offers take, in the order of its customers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from serving.decision.actions import Action, Allowance
from serving.decision.budgets import MILLIONTHS, BudgetPlan, to_millionths
from serving.decision.decision import Decision
from serving.decision.values import ActionId, Used

_UNUSED = Used()
_NOTHING: Mapping[ActionId, int] = {}


class Balances:
    """What is left of each bounded action.

    Parameters
    ----------
    plan
        The actions that have a budget or a volume.
    used
        What was used of them before the batch.
    taken
        How many offers of each the batch has made before.

    Attributes
    ----------
    charged
        The actions of the offers made since, in order.
    closed
        The actions that have no room any more.
    used
        What is used now, as a decision looks at it.
    """

    def __init__(
        self, plan: BudgetPlan, used: Mapping[ActionId, Used], taken: Mapping[ActionId, int] = _NOTHING
    ) -> None:
        self._before = used
        self._bounded = {action.action_id: action for action in plan.bounded.values()}
        self._taken = Counter(taken)
        self._room = {name: _room(action, used.get(name, _UNUSED)) for name, action in self._bounded.items()}
        self.charged: list[ActionId] = []
        self.used: Mapping[ActionId, Used] = {name: self._used(name) for name in self._bounded}
        self.closed = frozenset(name for name, left in self.left().items() if left <= 0)

    def left(self) -> dict[ActionId, float]:
        """Return how many more offers of each action there may be."""
        return {name: room - self._taken[name] for name, room in self._room.items()}

    def take(self, decision: Decision) -> None:
        """Note the offers of one more answer."""
        for offer in decision.offers:
            name = offer.candidate.action.action_id
            if name in self._bounded and offer.kind.is_contact:
                self._taken[name] += 1
                self.charged.append(name)
                self.used = {**self.used, name: self._used(name)}
                if self._taken[name] >= self._room[name]:
                    self.closed |= {name}

    def _used(self, name: ActionId) -> Used:
        before = self._before.get(name, _UNUSED)
        return _more(before, self._bounded[name], self._taken[name])


def holds(
    decided_with: Mapping[ActionId, float], true: Mapping[ActionId, float], charged: Sequence[ActionId]
) -> bool:
    """Whether a chunk decided with one state would have been decided the same with the true one.

    Only whether an action has room is looked at. It had under both states as long as the chunk's own offers
    never used up the smaller.

    Parameters
    ----------
    decided_with, true
        What was left of each action when the chunk began: as its decisions saw it, and as it was.
    charged
        The actions of the chunk's offers that have a bound.
    """
    offers = Counter(charged)
    return all(
        decided_with[action] == left or offers[action] < left or max(decided_with[action], left) <= 0
        for action, left in true.items()
    )


def _room(action: Action, used: Used) -> float:
    money, offers = action.budget or Allowance(), action.volume or Allowance()
    cost = to_millionths(action.cost)
    rooms = [
        (to_millionths(bound) - to_millionths(so_far)) // cost
        for bound, so_far in ((money.total, used.budget_total), (money.per_day, used.budget_today))
        if bound is not None and cost > 0
    ]
    # A free offer of a budget that is overdrawn all the same
    rooms += [
        0
        for bound, so_far in ((money.total, used.budget_total), (money.per_day, used.budget_today))
        if bound is not None and cost == 0 and to_millionths(so_far) > to_millionths(bound)
    ]
    rooms += [
        int(bound - so_far)
        for bound, so_far in ((offers.total, used.volume_total), (offers.per_day, used.volume_today))
        if bound is not None
    ]
    return min(rooms, default=float("inf"))


def _more(used: Used, action: Action, offers: int) -> Used:
    """Return what is used after so many more offers; money is added up in millionths, as the ledger does."""
    if not offers:
        return used
    cost = to_millionths(action.cost) * offers
    return replace(
        used,
        budget_total=(to_millionths(used.budget_total) + cost) / MILLIONTHS,
        budget_today=(to_millionths(used.budget_today) + cost) / MILLIONTHS,
        volume_total=used.volume_total + offers,
        volume_today=used.volume_today + offers,
    )
