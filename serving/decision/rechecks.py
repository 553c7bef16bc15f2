"""What may not come again: each pick of an answer closes doors for the next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Distinct
from serving.decision.contact_check import ContactCheck
from serving.decision.contact_plan import PolicyVerdicts
from serving.decision.plan import Plan
from serving.decision.reasons import Reason
from serving.decision.shortlist import Shortlist
from serving.decision.stages import contact_check
from serving.decision.values import ActionId, History

_TAKEN = {Distinct.GROUP: Reason.GROUP_TAKEN, Distinct.ISSUE: Reason.ISSUE_TAKEN}


class Given:
    """What an answer has given so far, in all its placements. Mutable, local to ``choose``.

    Parameters
    ----------
    shortlist
        What is left.
    history
        What the customer was given before; None when that is not known.
    """

    def __init__(self, shortlist: Shortlist, history: History | None) -> None:
        self.fallbacks: set[ActionId] = set()
        self.taken = np.zeros(len(shortlist.catalogue.actions), dtype=np.bool_)
        self._check = _check(shortlist, history)

    def take(self, action: int) -> None:
        """Note a pick, by index of its action."""
        self.taken[action] = True
        if self._check is not None:
            self._check.take(action)

    def used_up(self) -> PolicyVerdicts | None:
        """Return which limits and exclusions the picks have closed; None when there are none to close."""
        return None if self._check is None else self._check.used_up()


class Doors:
    """What is closed in one placement: an action in the whole answer, a group or issue in the placement.

    Limits that the answer's own picks have used up and exclusions are closed everywhere.
    """

    def __init__(self, distinct: Distinct, plan: Plan, given: Given) -> None:
        self._unit = {Distinct.GROUP: plan.group, Distinct.ISSUE: plan.issue}.get(distinct)
        self._in_taken_units = np.zeros(0 if self._unit is None else len(self._unit), dtype=np.bool_)
        self._reason = _TAKEN.get(distinct, Reason.ACTION_TAKEN)
        self._given = given

    def take(self, action: int) -> None:
        """Note a pick in this placement, by index of its action."""
        self._given.take(action)
        self.hold(action)

    def hold(self, action: int) -> None:
        """Close a place for others without counting it: what is forced takes nothing of any limit."""
        self._given.taken[action] = True
        if self._unit is not None:
            self._in_taken_units |= self._unit == self._unit[action]

    def closed(self) -> NDArray[np.bool_]:
        """Return which actions may not be picked any more, shape (n_actions,)."""
        closed = self._given.taken
        if self._unit is not None:
            closed = closed | self._in_taken_units
        used_up = self._given.used_up()
        return closed if used_up is None else closed | (used_up.reason > 0)

    def why(
        self, action: NDArray[np.intp]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """Return why each row that competed is not picked: reason, policy or -1, and what it counted or NaN.

        Parameters
        ----------
        action
            Shape (n,): the action of each row.
        """
        used_up = self._given.used_up()
        if used_up is None:
            reason = np.zeros(len(action), dtype=np.int32)
            policy, observed = np.full(len(action), -1, dtype=np.int32), np.full(len(action), np.nan)
        else:
            reason, policy = used_up.reason[action], used_up.policy[action]
            observed = used_up.observed[action]
        if self._unit is not None:
            self._overrule(self._in_taken_units[action], self._reason, (reason, policy, observed))
        self._overrule(self._given.taken[action], Reason.ACTION_TAKEN, (reason, policy, observed))
        reason[reason == 0] = Reason.OUTRANKED
        return reason, policy, observed

    @staticmethod
    def _overrule(
        rows: NDArray[np.bool_],
        code: Reason,
        why: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]],
    ) -> None:
        reason, policy, observed = why
        reason[rows], policy[rows], observed[rows] = code, -1, np.nan


def _check(shortlist: Shortlist, history: History | None) -> ContactCheck | None:
    """Return the check the picks are registered with; None when no pick can close anything for another."""
    contacts = shortlist.catalogue.plan.contacts
    several = sum(placement.slots for placement in shortlist.request.placements) > 1
    if not several or not (contacts.uses or contacts.exclusions):
        return None
    if history is shortlist.history:
        return shortlist.check.again()
    return contact_check(
        shortlist.catalogue.plan, shortlist.request.channel, history, shortlist.now, shortlist.zone
    )
