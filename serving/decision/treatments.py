"""Which treatment stands for an action: picked within it, so that many of them give it no more chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.decision.exploration import ActionDistribution, Contest, Exploration


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What competes in a placement: actions, each standing for its treatments.

    An action competes with the mean of its treatments' priority and propensity under the distribution over
    them; so what the action's chance is does not depend on which treatment is drawn later. Every treatment of
    an action is left or none is, slot after slot, so the distributions within hold for the whole placement.

    Parameters
    ----------
    contest
        The actions, m of them.
    action
        Shape (m,): index of each in the catalogue.
    first
        Shape (m,): row of its first treatment.
    within
        By position: the distribution over the treatments, of actions that have several.
    exploration
        How picks are spread.
    """

    contest: Contest
    action: NDArray[np.intp]
    first: NDArray[np.intp]
    within: dict[int, ActionDistribution]
    exploration: Exploration

    def pick(self, left: NDArray[np.intp], rng: np.random.Generator) -> tuple[int, float]:
        """Return the row picked among the positions left, and its probability.

        One number is drawn for the action, one more where it has several treatments.
        """
        contest = self.contest if len(left) == len(self.action) else _only(self.contest, left)
        between = self.exploration.distribution(contest)
        drawn = between.draw(rng)
        position, chance = int(left[drawn]), float(between.probabilities[drawn])
        row = int(self.first[position])
        within = self.within.get(position)
        if within is None:
            return row, chance
        treatment = within.draw(rng)
        return row + treatment, chance * float(within.probabilities[treatment])


def field_of(
    contest: Contest, rows: NDArray[np.intp], action: NDArray[np.intp], exploration: Exploration
) -> Field:
    """Return the field of what is left in a placement before its first slot.

    Parameters
    ----------
    contest
        The treatments left, n of them, ordered by action.
    rows, action
        Shape (n,): the row and the action of each. Rows of one action follow one another.
    exploration
        How picks are spread, between actions as within one.
    """
    first = np.flatnonzero(np.diff(action, prepend=-1))
    if len(first) == len(action):
        return Field(contest, action, rows, {}, exploration)
    sizes = np.diff(first, append=len(action))
    weights = np.ones(len(action))
    within = {}
    for position in np.flatnonzero(sizes > 1).tolist():
        span = slice(int(first[position]), int(first[position] + sizes[position]))
        within[position] = exploration.distribution(_only(contest, span))
        weights[span] = within[position].probabilities
    means = Contest(
        priority=np.add.reduceat(weights * contest.priority, first),
        propensity=np.add.reduceat(weights * contest.propensity, first),
        evidence=None if contest.evidence is None else np.add.reduceat(weights * contest.evidence, first),
    )
    return Field(means, action[first], rows[first], within, exploration)


def _only(contest: Contest, which: NDArray[np.intp] | slice) -> Contest:
    evidence = None if contest.evidence is None else contest.evidence[which]
    return Contest(contest.priority[which], contest.propensity[which], evidence)
