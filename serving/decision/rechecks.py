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

# Bare: numpy compares with a member of an enumeration five times slower
_OUTRANKED, _ACTION_TAKEN = int(Reason.OUTRANKED), int(Reason.ACTION_TAKEN)
_LIMIT_USED_UP, _EXCLUDED = int(Reason.LIMIT_USED_UP), int(Reason.EXCLUDED)
_TAKEN = {Distinct.GROUP: int(Reason.GROUP_TAKEN), Distinct.ISSUE: int(Reason.ISSUE_TAKEN)}


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
        self.is_untouched = True
        self._check = _check(shortlist, history)
        self._silent = shortlist.catalogue.plan.contacts.silent

    def take(self, action: int) -> None:
        """Note a pick, by index of its action."""
        self.hold(action)
        if self._check is not None:
            self._check.take(action)

    def hold(self, action: int) -> None:
        """Note what is given without being counted."""
        self.taken[action] = True
        self.is_untouched = False

    def used_up(self) -> PolicyVerdicts | None:
        """Return which limits and exclusions the picks have closed; None when they have closed none."""
        found = None if self._check is None else self._check.used_up()
        return None if found is self._silent else found


class Doors:
    """What is closed in one placement: an action in the whole answer, a group or issue in the placement.

    Limits that the answer's own picks have used up and exclusions are closed everywhere.
    """

    def __init__(self, distinct: Distinct, plan: Plan, given: Given) -> None:
        self._unit = {Distinct.GROUP: plan.group, Distinct.ISSUE: plan.issue}.get(distinct)
        self._in_taken_units = np.zeros(len(plan.group), dtype=np.bool_)
        self._reason = _TAKEN.get(distinct, _ACTION_TAKEN)
        self._given = given

    def take(self, action: int) -> None:
        """Note a pick in this placement, by index of its action."""
        self._given.take(action)
        self._close_unit(action)

    def hold(self, action: int) -> None:
        """Close a place for others without counting it: what is forced takes nothing of any limit."""
        self._given.hold(action)
        self._close_unit(action)

    def _close_unit(self, action: int) -> None:
        if self._unit is not None:
            self._in_taken_units |= self._unit == self._unit[action]

    def closed(self) -> NDArray[np.bool_]:
        """Return which actions may not be picked any more, shape (n_actions,); to be read only."""
        taken = self._given.taken
        closed = taken if self._unit is None else taken | self._in_taken_units
        used_up = self._given.used_up()
        return closed if used_up is None else closed | (used_up.reason > 0)

    def left(self, action: NDArray[np.intp]) -> NDArray[np.intp] | None:
        """Return the positions of the actions that may still be picked, ascending; None where all may."""
        if self._given.is_untouched:
            return None
        left: NDArray[np.intp] = (~self.closed().take(action)).nonzero()[0]
        return left

    def settle(
        self,
        rows: NDArray[np.intp],
        action: NDArray[np.intp],
        columns: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]],
    ) -> None:
        """Write why each row that competed is not picked: reason, policy or -1, and what it counted or NaN.

        Parameters
        ----------
        rows, action
            Shape (n,): the rows, and the action of each.
        columns
            Of reasons, policies (or rules) and observed numbers: -1 and NaN in these rows so far.
        """
        reason, policy, observed = columns
        used_up = self._given.used_up()
        if used_up is None:
            why = np.full(len(rows), _OUTRANKED, dtype=np.int32)
        else:
            why = used_up.reason.take(action)
            why[why == 0] = _OUTRANKED
        if self._unit is not None:
            why[self._in_taken_units.take(action)] = self._reason
        why[self._given.taken.take(action)] = _ACTION_TAKEN
        reason[rows] = why
        if used_up is not None:
            closed = ((why == _LIMIT_USED_UP) | (why == _EXCLUDED)).nonzero()[0]
            policy[rows[closed]], observed[rows[closed]] = (
                used_up.policy[action[closed]],
                used_up.observed[action[closed]],
            )


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
