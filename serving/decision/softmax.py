"""Softmax: the higher the priority, the higher the chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.decision.exploration import ActionDistribution, Contest, Parameter, require_bounds
from serving.decision.side_by_side import sizes_of


@dataclass(frozen=True, slots=True)
class Softmax:
    """Chances that fall off exponentially with the distance to the best.

    ``π(a) ∝ exp(priority(a) / (temperature · max |priority|))``

    The temperature is relative to the largest priority of the contest, so it has no unit: a competitor worth
    half of the best has ``exp(-0.5 / temperature)`` times its chance, in euros as in cents, for a segment of
    small values as for one of large ones. The largest and not the spread, for two reasons. Priorities are
    expected values, with a meaning for zero: ten competitors within one per cent of each other are nearly the
    same, and get nearly the same chance; relative to their spread they would be told apart by noise. And a
    hopeless competitor that joins widens the spread, which would even out the chances of the good ones; the
    largest it leaves alone.

    0.05 is near greedy, 0.2 prefers near misses, 1 is close to uniform. Use ``EpsilonUniform`` over it where
    evaluation needs a floor under every chance (here it can be as low as ``exp(-1 / temperature) / n``, and
    less for negative priorities); use ``Thompson`` where the point is not to spread but to find out what the
    model does not know: softmax pays no attention to uncertainty.

    Scale-invariant (to rounding) and permutation-equivariant. Where every priority is 0: uniform.

    Parameters
    ----------
    temperature
        Above 0.

    References
    ----------
    R. Luce, *Individual Choice Behavior* (1959), for the choice rule; J. Bridle, *Training Stochastic Model
    Recognition Algorithms as Networks* (NIPS 1989), for the name; R. Sutton, A. Barto, *Reinforcement
    Learning* (2018), section 2.3, for its use.

    Examples
    --------
    >>> contest = Contest(priority=np.array([40.0, 20.0, 0.0]), propensity=np.full(3, 0.1))
    >>> Softmax(temperature=0.5).distribution(contest).probabilities.round(4)
    array([0.6652, 0.2447, 0.09  ])
    >>> Softmax(temperature=0.5 / np.log(2)).distribution(contest).probabilities.round(4)
    array([0.5714, 0.2857, 0.1429])
    """

    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (Parameter("temperature", 0.0, above=True),)
    temperature: float
    policy: str = field(default="softmax", init=False, repr=False)

    def __post_init__(self) -> None:
        require_bounds(self.policy, self, self.PARAMETERS)

    @property
    def name(self) -> str:
        """The policy with its parameters."""
        return f"{self.policy}(temperature={float(self.temperature)!r})"

    def distribution(self, contest: Contest) -> ActionDistribution:
        """Return the chances. Exponents are never positive, so that nothing overflows."""
        size = len(contest.priority)
        largest = float(np.abs(contest.priority).max())
        if largest == 0.0:
            return ActionDistribution(np.full(size, 1.0 / size))
        relative = contest.priority / largest
        with np.errstate(over="ignore", under="ignore"):  # so cold that a chance is zero: it is zero
            weights = np.exp((relative - relative.max()) / self.temperature)
        return ActionDistribution(weights / weights.sum())

    def chances_within(self, contest: Contest, first: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the same for many contests end to end; see ``SideBySide``."""
        sizes = sizes_of(contest, first)
        largest = np.maximum.reduceat(np.abs(contest.priority), first)
        relative = contest.priority / np.repeat(np.where(largest == 0.0, 1.0, largest), sizes)
        with np.errstate(over="ignore", under="ignore"):  # so cold that a chance is zero: it is zero
            highest = np.repeat(np.maximum.reduceat(relative, first), sizes)
            weights: NDArray[np.float64] = np.exp((relative - highest) / self.temperature)
        totals: NDArray[np.float64] = np.repeat(np.add.reduceat(weights, first), sizes)
        return weights / totals
