"""Which treatment stands for an action: picked within it, so that many of them give it no more chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.decision.exploration import ActionDistribution, Chance, Contest, Exploration
from serving.decision.side_by_side import chances_within, part, sizes_of


@dataclass(frozen=True, slots=True, eq=False)
class Within:
    """How treatments are spread within their actions.

    Parameters
    ----------
    first, sizes
        Shape (m,): where each action's treatments begin, and how many they are.
    chances
        Shape (n,): the probability of each treatment within its action.
    """

    first: NDArray[np.intp]
    sizes: NDArray[np.intp]
    chances: NDArray[np.float64]

    def pick(self, action: int, rng: Chance) -> tuple[int, float]:
        """Return the treatment picked within an action, and its probability there."""
        first, size = int(self.first[action]), int(self.sizes[action])
        if size == 1:
            return first, 1.0
        within = ActionDistribution(self.chances[first : first + size])
        treatment = within.draw(rng)
        return first + treatment, float(within.probabilities[treatment])


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What competes in a placement: actions, each standing for its treatments.

    An action competes with the mean of its treatments' priority and propensity under the distribution over
    them; so what the action's chance is does not depend on which treatment is drawn later. Every treatment of
    an action is left or none is, slot after slot, so the distributions within hold for the whole placement.

    Parameters
    ----------
    exploration
        How picks are spread, between actions as within one.
    contest
        The actions, m of them.
    action
        Shape (m,): index of each in the catalogue.
    rows
        Shape (n,): the rows of their treatments, those of one action after one another.
    several
        Where some action has several treatments: how they are spread; else None.
    """

    exploration: Exploration
    contest: Contest
    action: NDArray[np.intp]
    rows: NDArray[np.intp]
    several: Within | None = None

    def pick(self, left: NDArray[np.intp] | None, rng: Chance) -> tuple[int, float]:
        """Return the row picked among the actions left, and its probability.

        One number is drawn for the action, one more where it has several treatments; none where the policy
        leaves nothing to chance.

        Parameters
        ----------
        left
            Their positions, ascending, one at least; None where all are.
        rng
            The decision's.
        """
        contest = self.contest if left is None else part(self.contest, left)
        between = self.exploration.distribution(contest)
        drawn = between.draw(rng)
        action, chance = drawn if left is None else int(left[drawn]), float(between.probabilities[drawn])
        if self.several is None:
            return int(self.rows[action]), chance
        treatment, share = self.several.pick(action, rng)
        return int(self.rows[treatment]), chance * share


def field_of(
    exploration: Exploration,
    contest: Contest,
    rows: NDArray[np.intp],
    action: NDArray[np.intp],
    *,
    several: bool = True,
) -> Field:
    """Return the field of what competes in a placement.

    Parameters
    ----------
    exploration
        How picks are spread.
    contest
        The treatments, n of them, ordered by action and id.
    rows, action
        Shape (n,): the row and the action of each.
    several
        Whether some action may have more than one.
    """
    if not several:
        return Field(exploration, contest, action, rows)
    begins = action[1:] != action[:-1]
    if begins.all():
        return Field(exploration, contest, action, rows)
    first = np.concatenate([[0], begins.nonzero()[0] + 1])
    sizes = sizes_of(contest, first)
    within = chances_within(exploration, contest, first)
    means = Contest(
        priority=np.add.reduceat(within * contest.priority, first),
        propensity=np.add.reduceat(within * contest.propensity, first),
        evidence=None if contest.evidence is None else np.add.reduceat(within * contest.evidence, first),
    )
    return Field(exploration, means, action[first], rows, Within(first, sizes, within))
