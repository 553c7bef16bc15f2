"""One placement while it is being filled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Candidate
from serving.decision.decision import FilledPlacement, FillReason, Offer, OfferKind
from serving.decision.exploration import Chance, Contest, Exploration
from serving.decision.mandatory import in_turn
from serving.decision.reasons import Reason
from serving.decision.rechecks import Doors, Given
from serving.decision.scoring import Scored
from serving.decision.shortlist import Shortlist
from serving.decision.stopped import taken_off
from serving.decision.treatments import Field, field_of

_NEUTRAL_WEIGHT = 1.0
# Bare: numpy compares with a member of an enumeration five times slower
_UNDECIDED, _SHOWN = int(Reason.UNDECIDED), int(Reason.SHOWN)

_FILL_REASONS = {
    1: FillReason.NOTHING_AVAILABLE,
    2: FillReason.NOTHING_ELIGIBLE,
    3: FillReason.NOTHING_APPLICABLE,
    4: FillReason.NOTHING_SUITABLE,
    5: FillReason.NOTHING_WITHIN_CONTACT_POLICY,
    6: FillReason.NOTHING_SCORED,
    7: FillReason.NOTHING_LEFT,
}


class Seats:
    """The slots of one placement. Mutable, local to ``choose``, used once.

    Parameters
    ----------
    shortlist
        What is left.
    scored
        Its numbers, and the table whose reasons are settled here.
    given
        What the answer has given so far, in all its placements.
    position
        Which of the requested placements.
    first
        Its first row in the table.
    """

    def __init__(self, shortlist: Shortlist, scored: Scored, given: Given, position: int, first: int) -> None:
        slate = shortlist.slates[position]
        table, plan = scored.table, shortlist.catalogue.plan
        rows = slice(first, first + len(slate.candidate))
        self._shortlist, self._scored, self._given, self._slate = shortlist, scored, given, slate
        self._asked = shortlist.request.placements[position]
        self._reason, self._rule, self._observed = table.reason[rows], table.rule[rows], table.observed[rows]
        self._propensity, self._priority = table.propensity[rows], table.priority[rows]
        self._doors = Doors(slate.placement.distinct, plan, given)
        self._undecided: NDArray[np.intp] = (self._reason == _UNDECIDED).nonzero()[0]
        self._must = None if plan.mandatory is None else plan.mandatory[slate.action[self._undecided]]
        self._shown: list[int] = []
        self._forced: int | None = None
        self._offers: list[Offer] = []

    def place_forced(self, row: int) -> None:
        """Give the first slot to what a test key forces, as if it were no contact."""
        self._forced = row
        self._doors.hold(int(self._slate.action[row]))
        self._add(row, OfferKind.FORCED, 1.0)

    def place_mandatory(self) -> None:
        """Give the first slots to what must go out."""
        if self._must is None:
            return
        rows = self._undecided[self._must]
        lever = self._shortlist.policy.lever[self._slate.candidate[rows]]
        for row in in_turn(rows, self._slate.action[rows], lever).tolist():
            if self._is_open() and not self._doors.closed()[self._slate.action[row]]:
                self._give(row, OfferKind.MANDATORY, 1.0)

    def arbitrate(self, exploration: Exploration, rng: Chance) -> None:
        """Fill what is open from what competes, then settle the reason of every candidate."""
        rows = self._undecided if self._must is None else self._undecided[~self._must]
        if len(rows) and self._is_open():
            field = self._field(rows, exploration)
            while self._is_open():
                left = self._doors.left(field.action)
                if left is not None and not len(left):
                    break
                row, chance = field.pick(left, rng)
                self._give(row, OfferKind.ARBITRATED, chance)
        self._settle()

    def filled(self) -> FilledPlacement:
        """Return the placement, with its fallback where a slot stayed open."""
        why = _why_short(self._reason) if self._is_open() else FillReason.FILLED
        if self._is_open():
            self._give_fallback()
        return FilledPlacement(self._asked.name, self._asked.slots, tuple(self._offers), why)

    def _is_open(self) -> bool:
        return len(self._offers) < self._asked.slots

    def _field(self, rows: NDArray[np.intp], exploration: Exploration) -> Field:
        slate = self._slate
        contest = Contest(
            self._priority.take(rows),
            self._propensity.take(rows),
            self._scored.evidence_of(slate.candidate.take(rows)),
        )
        return field_of(exploration, contest, rows, slate.action.take(rows), several=slate.several)

    def _settle(self) -> None:
        rows = self._undecided
        self._doors.settle(rows, self._slate.action.take(rows), (self._reason, self._rule, self._observed))
        self._reason[self._shown] = _SHOWN
        if self._forced is not None:
            forced = self._forced
            self._reason[forced], self._rule[forced], self._observed[forced] = Reason.FORCED, -1, np.nan

    def _give(self, row: int, kind: OfferKind, chance: float) -> None:
        self._shown.append(row)
        self._doors.take(int(self._slate.action[row]))
        self._add(row, kind, chance)

    def _add(self, row: int, kind: OfferKind, chance: float) -> None:
        """Add what the catalogue's actions offer, with its numbers where it competed."""
        action, index = int(self._slate.action[row]), int(self._slate.candidate[row])
        competed = kind is OfferKind.ARBITRATED
        self._offer(
            self._shortlist.catalogue.plan.candidates[index],
            kind,
            float(self._shortlist.context_weight[action]),
            float(self._shortlist.policy.lever[index]),
            chance,
            raw=self._scored.raw_of(index) if competed else None,
            propensity=float(self._propensity[row]) if competed else None,
            priority=float(self._priority[row]) if competed else None,
        )

    def _give_fallback(self) -> None:
        """Add the placement's fallback, unless it has none, it is stopped or the answer holds it already."""
        candidate, request = self._slate.placement.fallback, self._shortlist.request
        if candidate is None or candidate.action.action_id in self._given.fallbacks:
            return
        if not request.stopped.is_empty and taken_off(candidate.action, request.channel, request.stopped):
            return
        self._given.fallbacks.add(candidate.action.action_id)
        self._offer(candidate, OfferKind.FALLBACK, _NEUTRAL_WEIGHT, candidate.action.lever, 1.0)

    def _offer(
        self,
        candidate: Candidate,
        kind: OfferKind,
        context_weight: float,
        lever: float,
        chance: float,
        *,
        raw: float | None = None,
        propensity: float | None = None,
        priority: float | None = None,
    ) -> None:
        """Fill the next slot."""
        expires_at, reserved_until = self._slate.placement.lifetime_of(candidate.action, self._shortlist.now)
        self._offers.append(
            Offer(
                placement=self._asked.name,
                rank=len(self._offers) + 1,
                candidate=candidate,
                kind=kind,
                raw=raw,
                propensity=propensity,
                value=candidate.action.value,
                context_weight=context_weight,
                lever=lever,
                priority=priority,
                action_probability=chance,
                expires_at=expires_at,
                reserved_until=reserved_until,
            )
        )


def _why_short(reason: NDArray[np.int32]) -> FillReason:
    """Return why slots stayed open: the furthest any candidate came that is not shown."""
    rest = reason[reason < Reason.SHOWN]
    if not len(rest):
        return FillReason.NOTHING_LEFT if len(reason) else FillReason.NOTHING_AVAILABLE
    return _FILL_REASONS[int(rest.max()) // 100]
