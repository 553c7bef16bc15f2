"""Epsilon-uniform: a small share of traffic is uniform, the rest follows another policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.decision.exploration import (
    ActionDistribution,
    Contest,
    Exploration,
    Parameter,
    require_bounds,
)
from serving.decision.greedy import Greedy, best
from serving.decision.side_by_side import chances_within, sizes_of


@dataclass(frozen=True, slots=True)
class EpsilonUniform:
    """A mix: with probability ``share`` uniform over all competitors, else as ``base`` would choose.

    ``π(a) = (1 - share) · base(a) + share / n``

    The default of a catalogue. Every competitor has at least ``share / n``, so the weights of off-policy
    evaluation stay under ``n / share`` whatever policy is asked about, and what it costs is known beforehand:
    ``share`` of the difference between ``base`` and chance.

    It explores the hopeless as much as the promising: with many competitors and little traffic use
    ``Softmax``, which prefers near misses, or ``Thompson``, which prefers what is not known yet; as ``base``
    they keep the floor under every competitor that they lack themselves.

    Scale-invariant and permutation-equivariant where ``base`` is.

    Parameters
    ----------
    share
        Share of uniform choices, in [0, 1].
    base
        The policy of the rest.

    References
    ----------
    C. Watkins, *Learning from Delayed Rewards* (1989), on occasional random choice; A. Strehl, J. Langford,
    L. Li, S. Kakade, *Learning from Logged Implicit Exploration Data* (NIPS 2010), on why each logged action
    needs a known, positive chance.

    Examples
    --------
    >>> import numpy as np
    >>> contest = Contest(priority=np.array([0.1, 0.3]), propensity=np.array([0.1, 0.1]))
    >>> EpsilonUniform(share=0.5).distribution(contest).probabilities
    array([0.25, 0.75])
    """

    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (Parameter("share", 0.0, 1.0),)
    share: float = 0.05
    base: Exploration = field(default_factory=Greedy)
    policy: str = field(default="epsilon_uniform", init=False, repr=False)

    def __post_init__(self) -> None:
        require_bounds(self.policy, self, self.PARAMETERS)

    @property
    def name(self) -> str:
        """The policy with its parameters."""
        return f"{self.policy}(share={float(self.share)!r}, base={self.base.name})"

    def distribution(self, contest: Contest) -> ActionDistribution:
        """Return the mix; its error is what the base's error leaves of it."""
        size, rest = len(contest.priority), 1.0 - self.share
        if isinstance(self.base, Greedy):  # by default: it need not write down a distribution of its own
            probabilities = np.full(size, self.share / size)
            probabilities[best(contest)] += rest
            return ActionDistribution(probabilities)
        base = self.base.distribution(contest)
        probabilities = rest * base.probabilities + self.share / size
        error = None if base.error is None else rest * base.error
        return ActionDistribution(probabilities, error)

    def chances_within(self, contest: Contest, first: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the same for many contests end to end; see ``SideBySide``."""
        sizes = sizes_of(contest, first)
        base = chances_within(self.base, contest, first)
        return (1.0 - self.share) * base + np.repeat(self.share / sizes, sizes)
