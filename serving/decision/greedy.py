"""Greedy: always the highest priority."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.decision.exploration import ActionDistribution, Contest, Parameter
from serving.decision.side_by_side import sizes_of


def best(contest: Contest) -> int:
    """Return which competitor has the highest priority; of equals, the first."""
    return int(contest.priority.argmax())


@dataclass(frozen=True, slots=True)
class Greedy:
    """All probability on the highest priority; of equals, on the first (competitors are ordered by id).

    ``π(a) = 1 if a = argmax priority else 0``

    π is 1 for what it picks and 0 for the rest, so records made under it cannot tell how another policy would
    have done. Use ``EpsilonUniform`` or ``Softmax`` where the records must support evaluation.

    Scale-invariant: only the order of priorities counts. Permutation-equivariant where no two priorities are
    the same.

    Examples
    --------
    >>> contest = Contest(priority=np.array([0.1, 0.3, 0.3]), propensity=np.array([0.1, 0.1, 0.1]))
    >>> Greedy().distribution(contest).probabilities
    array([0., 1., 0.])
    """

    PARAMETERS: ClassVar[tuple[Parameter, ...]] = ()
    policy: str = field(default="greedy", init=False, repr=False)

    @property
    def name(self) -> str:
        """What the catalogue calls it; it has no parameters."""
        return self.policy

    def distribution(self, contest: Contest) -> ActionDistribution:
        """Return all mass on the first of the highest priorities."""
        probabilities, sure = np.zeros(len(contest.priority)), best(contest)
        probabilities[sure] = 1.0
        return ActionDistribution(probabilities, sure=sure)

    def chances_within(self, contest: Contest, first: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the same for many contests end to end; see ``SideBySide``."""
        sizes = sizes_of(contest, first)
        highest = np.repeat(np.maximum.reduceat(contest.priority, first), sizes)
        tops = np.flatnonzero(contest.priority == highest)
        of = np.repeat(np.arange(len(first)), sizes)[tops]
        probabilities = np.zeros(len(contest.priority))
        probabilities[tops[np.flatnonzero(np.diff(of, prepend=-1))]] = 1.0
        return probabilities
