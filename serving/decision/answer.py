"""The answer while it is being filled: slot by slot, each pick looking back on those before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Candidate, Distinct, Placement
from serving.decision.arbitration import NEUTRAL_WEIGHT
from serving.decision.considered import ConsideredTable
from serving.decision.decision import FilledPlacement, FillReason, Offer, OfferKind
from serving.decision.exploration import Contest, Exploration
from serving.decision.plan import Plan, Slate
from serving.decision.reasons import Reason
from serving.decision.shortlist import Shortlist
from serving.decision.values import History

_TAKEN = {Distinct.GROUP: Reason.GROUP_TAKEN, Distinct.ISSUE: Reason.ISSUE_TAKEN}
_FILL_REASONS = {
    1: FillReason.NOTHING_AVAILABLE,
    2: FillReason.NOTHING_ELIGIBLE,
    3: FillReason.NOTHING_APPLICABLE,
    4: FillReason.NOTHING_SUITABLE,
    5: FillReason.NOTHING_WITHIN_CONTACT_POLICY,
    6: FillReason.NOTHING_SCORED,
    7: FillReason.NOTHING_LEFT,
}


class Answer:
    """One answer in the making. Mutable, local to ``choose``, used once.

    Parameters
    ----------
    shortlist
        What is left.
    table
        Considered candidates; their reasons are settled here, placement by placement.
    raw
        Shape (n_candidates,): raw scores over the catalogue's candidates.
    history
        What the customer was given before.
    """

    def __init__(
        self, shortlist: Shortlist, table: ConsideredTable, raw: NDArray[np.float64], history: History | None
    ) -> None:
        self.action = np.concatenate([slate.action for slate in shortlist.slates])
        self._shortlist = shortlist
        self._table = table
        self._raw = raw
        self._history = history
        self._given: list[Candidate] = []
        self._taken = np.zeros(len(shortlist.catalogue.actions), dtype=np.bool_)
        self._first_row = np.cumsum([0, *(len(slate.candidate) for slate in shortlist.slates)]).tolist()

    def fill(self, position: int, rng: np.random.Generator) -> FilledPlacement:
        """Fill one requested placement and settle the reasons of its candidates."""
        slate = self._shortlist.slates[position]
        asked = self._shortlist.request.placements[position]
        rows = slice(self._first_row[position], self._first_row[position + 1])
        reason = self._table.reason[rows]
        contending = reason == Reason.UNDECIDED
        blocked = _Distinctness(slate, self._shortlist.catalogue.plan, self._taken)
        shown: list[int] = []
        offers: list[Offer] = []
        while len(offers) < asked.slots:
            left = np.flatnonzero(contending & ~blocked.rows())
            if not len(left):
                break
            row, chance = self._pick(slate, rows, left, rng)
            shown.append(row)
            blocked.take(row)
            offers.append(self._offer(slate, rows, row, len(offers) + 1, chance))
        reason[contending] = Reason.OUTRANKED
        blocked.settle(reason, contending)
        reason[shown] = Reason.SHOWN
        why = FillReason.FILLED if len(offers) == asked.slots else _why_short(reason)
        if len(offers) < asked.slots:
            offers.extend(self._fallback(slate.placement, len(offers) + 1))
        return FilledPlacement(asked.name, asked.slots, tuple(offers), why)

    def _pick(
        self, slate: Slate, rows: slice, left: NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[int, float]:
        """Return the row picked among those left, and its probability."""
        exploration = self._shortlist.catalogue.exploration
        contest = Contest(self._table.priority[rows][left], self._table.propensity[rows][left])
        if slate.several:
            index, chance = _pick_with_treatments(exploration, contest, slate.action[left], rng)
        else:
            distribution = exploration.distribution(contest)
            index = distribution.draw(rng)
            chance = float(distribution.probabilities[index])
        return int(left[index]), chance

    def _offer(self, slate: Slate, rows: slice, row: int, rank: int, chance: float) -> Offer:
        index = int(slate.candidate[row])
        candidate = self._shortlist.catalogue.candidates[index]
        self._given.append(candidate)
        expires_at, reserved_until = slate.placement.lifetime_of(candidate.action, self._shortlist.now)
        priority, propensity = self._table.priority[rows][row], self._table.propensity[rows][row]
        return Offer(
            placement=slate.placement.name,
            rank=rank,
            candidate=candidate,
            kind=OfferKind.ARBITRATED,
            raw=float(self._raw[index]),
            propensity=float(propensity),
            value=candidate.action.value,
            context_weight=NEUTRAL_WEIGHT,
            lever=candidate.action.lever,
            priority=float(priority),
            action_probability=chance,
            expires_at=expires_at,
            reserved_until=reserved_until,
        )

    def _fallback(self, placement: Placement, rank: int) -> tuple[Offer, ...]:
        """Return the placement's fallback, unless it has none or this answer holds it already."""
        candidate = placement.fallback
        if candidate is None or any(given.action == candidate.action for given in self._given):
            return ()
        self._given.append(candidate)
        expires_at, reserved_until = placement.lifetime_of(candidate.action, self._shortlist.now)
        return (
            Offer(
                placement=placement.name,
                rank=rank,
                candidate=candidate,
                kind=OfferKind.FALLBACK,
                raw=None,
                propensity=None,
                value=candidate.action.value,
                context_weight=NEUTRAL_WEIGHT,
                lever=candidate.action.lever,
                priority=None,
                action_probability=1.0,
                expires_at=expires_at,
                reserved_until=reserved_until,
            ),
        )


class _Distinctness:
    """What may not come again: an action in the whole answer, a group or issue in its placement."""

    def __init__(self, slate: Slate, plan: Plan, taken: NDArray[np.bool_]) -> None:
        numbers = {Distinct.ACTION: None, Distinct.GROUP: plan.group, Distinct.ISSUE: plan.issue}
        unit = numbers[slate.placement.distinct]
        self._action = slate.action
        self._taken = taken
        self._unit = np.empty(0, dtype=np.intp) if unit is None else unit[slate.action]
        self._in_taken_units = np.zeros(len(slate.action), dtype=np.bool_)
        self._reason = _TAKEN.get(slate.placement.distinct, Reason.ACTION_TAKEN)

    def rows(self) -> NDArray[np.bool_]:
        """Return which rows may not be picked any more."""
        return self._taken[self._action] | self._in_taken_units

    def take(self, row: int) -> None:
        """Note a pick."""
        self._taken[self._action[row]] = True
        if len(self._unit):
            self._in_taken_units |= self._unit == self._unit[row]

    def settle(self, reason: NDArray[np.int32], contending: NDArray[np.bool_]) -> None:
        """Write the reason of every contender that distinctness stopped."""
        reason[contending & self._in_taken_units] = self._reason
        reason[contending & self._taken[self._action]] = Reason.ACTION_TAKEN


def _pick_with_treatments(
    exploration: Exploration, contest: Contest, action: NDArray[np.intp], rng: np.random.Generator
) -> tuple[int, float]:
    """Pick an action, then the treatment within it; the treatment's probability multiplies.

    An action competes with the mean of its treatments' priority and propensity under the distribution over
    them, so what the action's chance is does not depend on which treatment is drawn later.
    """
    first = np.flatnonzero(np.diff(action, prepend=-1))
    within = [
        exploration.distribution(Contest(contest.priority[start:end], contest.propensity[start:end]))
        for start, end in zip(first, [*first[1:], len(action)], strict=True)
    ]
    weights = np.concatenate([distribution.probabilities for distribution in within])
    between = exploration.distribution(
        Contest(
            np.add.reduceat(weights * contest.priority, first),
            np.add.reduceat(weights * contest.propensity, first),
        )
    )
    drawn = between.draw(rng)
    treatment = within[drawn].draw(rng) if len(within[drawn].probabilities) > 1 else 0
    chance = float(between.probabilities[drawn]) * float(within[drawn].probabilities[treatment])
    return int(first[drawn]) + treatment, chance


def _why_short(reason: NDArray[np.int32]) -> FillReason:
    """Return why slots stayed open: the furthest any candidate came that is not shown."""
    rest = reason[reason != Reason.SHOWN]
    if not len(rest):
        return FillReason.NOTHING_LEFT if len(reason) else FillReason.NOTHING_AVAILABLE
    return _FILL_REASONS[int(rest.max()) // 100]
