"""Uniform: everything that is left has the same chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.decision.exploration import ActionDistribution, Contest, Parameter
from serving.decision.side_by_side import sizes_of


@dataclass(frozen=True, slots=True)
class Uniform:
    """The same probability for every competitor, whatever its priority.

    ``π(a) = 1 / n``

    What control customers get: the difference between them and the rest is what arbitration is worth, and
    every action has been seen with a known chance. It spends the customer's attention on the worst as on the
    best: for whole customers keep it to control, and to learn a little everywhere use ``EpsilonUniform``.

    Scale-invariant and permutation-equivariant.

    Examples
    --------
    >>> contest = Contest(priority=np.array([9.0, 1.0, 0.0, 3.0]), propensity=np.full(4, 0.1))
    >>> Uniform().distribution(contest).probabilities
    array([0.25, 0.25, 0.25, 0.25])
    """

    PARAMETERS: ClassVar[tuple[Parameter, ...]] = ()
    policy: str = field(default="uniform", init=False, repr=False)

    @property
    def name(self) -> str:
        """What the catalogue calls it; it has no parameters."""
        return self.policy

    def distribution(self, contest: Contest) -> ActionDistribution:
        """Return equal masses."""
        size = len(contest.priority)
        return ActionDistribution(np.full(size, 1.0 / size))

    def chances_within(self, contest: Contest, first: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the same for many contests end to end; see ``SideBySide``."""
        sizes = sizes_of(contest, first)
        return np.repeat(1.0 / sizes, sizes)
