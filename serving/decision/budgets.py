"""Budgets and volumes: what all customers together may get of an action, in total and per day.

Amounts of money are counted in millionths of the currency, as whole numbers, so that the sum of many costs is
exact and does not depend on their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Action, Allowance
from serving.decision.reasons import Reason
from serving.decision.values import ActionId, Contact, Used

MILLIONTHS = 1_000_000
"""Units in one of the currency."""

_UNUSED = Used()
_UNBOUNDED = Allowance()


@dataclass(frozen=True, slots=True)
class Charge:
    """What one offer takes from its action's budget and volume.

    Parameters
    ----------
    tracking_id
        The offer's.
    action_id
        The action it is of.
    day
        Which day it counts to, in the catalogue's zone: that of the decision, for good.
    cost
        What it takes from the budget, in currency; from the volume it takes one.
    budget, volume
        The bounds it must keep.
    """

    tracking_id: str
    action_id: ActionId
    day: date
    cost: float
    budget: Allowance | None
    volume: Allowance | None


@dataclass(frozen=True, slots=True, eq=False)
class BudgetPlan:
    """The actions that have a budget or a volume.

    Attributes
    ----------
    size
        Number of actions in the catalogue.
    bounded
        Those that are bounded, by their index in the catalogue.
    room
        What ``spent`` returns where every action has room.
    """

    size: int
    bounded: Mapping[int, Action]
    room: tuple[NDArray[np.int32], NDArray[np.float64]]

    @classmethod
    def of(cls, actions: Sequence[Action]) -> BudgetPlan:
        """Return the plan for actions in the catalogue's order."""
        bounded = {index: action for index, action in enumerate(actions) if action.budget or action.volume}
        room = np.zeros(len(actions), dtype=np.int32), np.full(len(actions), np.nan)
        for column in room:
            column.setflags(write=False)
        return cls(len(actions), bounded, room)

    @property
    def action_ids(self) -> tuple[ActionId, ...]:
        """Which actions' use must be known to decide."""
        return tuple(action.action_id for action in self.bounded.values())

    def optional(self) -> NDArray[np.bool_]:
        """Return which actions are bounded and need not go out, shape (n_actions,)."""
        found = np.zeros(self.size, dtype=np.bool_)
        found[[index for index, action in self.bounded.items() if action.mandatory is None]] = True
        return found

    def spent(self, used: Mapping[ActionId, Used]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return per action whether its bounds leave no room for one more offer, and what is used up.

        Parameters
        ----------
        used
            From the ledger; live reservations are included.

        Returns
        -------
        reason : shape (n_actions,)
            Code of the reason, 0 where there is room: budget before volume, total before today.
        observed : shape (n_actions,)
            What is used of the bound that has no room, in its unit; NaN where there is room.

        Both may be shared with other callers and then are read-only: copy before writing.
        """
        found = [(index, *why) for index, action in self.bounded.items() if (why := _full(action, used))]
        if not found:
            return self.room
        reason, observed = np.zeros(self.size, dtype=np.int32), np.full(self.size, np.nan)
        for index, code, amount in found:
            reason[index], observed[index] = code, amount
        return reason, observed

    def charges(self, contacts: Iterable[Contact], day: date) -> tuple[Charge, ...]:
        """Return what the offers of an answer take on a day of the catalogue."""
        bounded = {action.action_id: action for action in self.bounded.values()}
        return tuple(
            Charge(contact.tracking_id, action.action_id, day, action.cost, action.budget, action.volume)
            for contact in contacts
            if (action := bounded.get(contact.action_id)) is not None
        )


def first_full(
    cost: float, budget: Allowance | None, volume: Allowance | None, used: Used
) -> tuple[Reason, float] | None:
    """Return the first bound that one more offer would break and what is used of it; None when all hold.

    Examples
    --------
    >>> first_full(0.1, Allowance(total=0.3), None, Used(budget_total=0.2)) is None
    True
    >>> first_full(0.1, None, Allowance(per_day=2), Used(volume_today=2))
    (<Reason.VOLUME_REACHED_TODAY: 108>, 2.0)
    """
    money, offers = budget or _UNBOUNDED, volume or _UNBOUNDED
    checks = (
        (Reason.BUDGET_SPENT, used.budget_total, cost, money.total),
        (Reason.BUDGET_SPENT_TODAY, used.budget_today, cost, money.per_day),
        (Reason.VOLUME_REACHED, used.volume_total, 1, offers.total),
        (Reason.VOLUME_REACHED_TODAY, used.volume_today, 1, offers.per_day),
    )
    for reason, so_far, more, bound in checks:
        if bound is not None and to_millionths(so_far) + to_millionths(more) > to_millionths(bound):
            return reason, float(so_far)
    return None


def to_millionths(amount: float) -> int:
    """Return an amount in millionths, to the nearest."""
    return round(amount * MILLIONTHS)


def _full(action: Action, used: Mapping[ActionId, Used]) -> tuple[Reason, float] | None:
    return first_full(action.cost, action.budget, action.volume, used.get(action.action_id, _UNUSED))
