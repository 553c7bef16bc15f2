"""Thompson sampling: each competitor wins as often as it may be the best, as far as we know."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.decision.exploration import ActionDistribution, Contest, Parameter, require_bounds

CERTAIN = 1e-12
"""A propensity this close to 0 or 1 is taken as known: there is nothing to draw."""

BLOCK = 1 << 18
"""Draws held in memory at a time (2 MiB)."""

LEFT_OUT = 1e-4
"""Wins, over all simulations, that a competitor which is not played could have been expected to have."""

LEADERS = 64
"""How many of the highest priorities are asked how high the bar is."""

BISECTIONS = 20
"""Steps in which it is found."""

FEW = 4
"""So many competitors are all played: that takes less than finding the bar."""


@dataclass(frozen=True, slots=True)
class Thompson:
    """The chance of being the best, given how uncertain each propensity is.

    ``θ(a) ~ Beta(p·m, (1 - p)·m)``, ``π(a) = P(priority(a) · θ(a) / p(a) is the highest)``

    with p the propensity and m what it is worth in observations: the contest's ``evidence``, or where the
    model does not say, the parameter. The mean of the posterior is the calibrated propensity itself. A
    competitor that is little known wins often, one that is known to be poor hardly ever, so exploration goes
    where it can change what we do and ends by itself.

    There is no closed form for the chance of being the best of many; it is simulated, and the frequencies
    **are** the distribution: what is drawn from is exactly what is stated, and ``error`` says how far it may
    be from the ideal. The simulation is seeded with the SHA-256 of the contest, so the same contest has the
    same distribution in every process (another release of numpy may draw other numbers). Equals share a win.
    A competitor that could provably not expect a win in thousands of such simulations is not played and has
    none.

    Use ``EpsilonUniform`` over it where every chance must be positive: here it can be zero. Use ``Softmax``
    where time is short: a simulation of 1,000 over 200 competitors takes milliseconds for each slot, and each
    action with several treatments is a contest of its own. A priority that is not
    proportional to the propensity (an own formula) is still scaled as if it were. The error holds per
    competitor, not for all at once.

    Permutation-equivariant and scale-invariant within the error only: another order is another simulation.

    Parameters
    ----------
    evidence
        How many observations a propensity is worth where the model does not say; at least 1. The contest's
        own evidence is taken as at least 1 too.
    simulations
        How often the contest is played; the error falls with its root.

    References
    ----------
    W. Thompson, *On the Likelihood that One Unknown Probability Exceeds Another* (Biometrika 25, 1933);
    O. Chapelle, L. Li, *An Empirical Evaluation of Thompson Sampling* (NIPS 2011).

    Examples
    --------
    Certain of both, the better wins; of two that are the same, each half.

    >>> sure = Contest(np.array([2.0, 1.0]), np.array([1.0, 1.0]))
    >>> Thompson(evidence=200).distribution(sure).probabilities
    array([1., 0.])
    >>> same = Contest(np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    >>> Thompson(evidence=200).distribution(same).probabilities
    array([0.5, 0.5])

    With m = 2 and p = 0.5 the posterior is uniform; against a sure 0.75 it wins a quarter of the time.

    >>> odds = Contest(np.array([0.5, 0.75]), np.array([0.5, 1.0]))
    >>> found = Thompson(evidence=2, simulations=100_000).distribution(odds)
    >>> bool(abs(found.probabilities[0] - 0.25) < 4 * found.error[0])
    True
    """

    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("evidence", 1.0),
        Parameter("simulations", 100, 100_000, whole=True),
    )
    evidence: float
    simulations: int = 1_000
    policy: str = field(default="thompson", init=False, repr=False)

    def __post_init__(self) -> None:
        require_bounds(self.policy, self, self.PARAMETERS)

    @property
    def name(self) -> str:
        """The policy with its parameters."""
        return f"{self.policy}(evidence={float(self.evidence)!r}, simulations={self.simulations})"

    def distribution(self, contest: Contest) -> ActionDistribution:
        """Return how often each competitor won, and the standard errors of that."""
        size = len(contest.priority)
        if size == 1:
            return ActionDistribution(np.ones(1), np.zeros(1))
        posterior = _Posterior.of(contest, self.evidence)
        playing = np.flatnonzero(~self.left_out(contest))
        rng = np.random.Generator(np.random.PCG64(self._seed(posterior)))
        wins = np.zeros(size)
        for played in posterior.only(playing).played(self.simulations, rng):
            best = played == played.max(axis=1, keepdims=True)
            wins[playing] += (best / best.sum(axis=1, keepdims=True)).sum(axis=0)
        return ActionDistribution(wins / wins.sum(), _standard_error(wins, self.simulations))

    def left_out(self, contest: Contest) -> NDArray[np.bool_]:
        """Return which competitors are not played: shape (n,)."""
        return _Posterior.of(contest, self.evidence).beaten(LEFT_OUT / self.simulations)

    def _seed(self, posterior: _Posterior) -> int:
        digest = hashlib.sha256(self.name.encode())
        for array in (posterior.priority, posterior.propensity, posterior.evidence):
            digest.update((array + 0.0).astype("<f8").tobytes())  # -0.0 is 0.0
        return int.from_bytes(digest.digest()[:16], "big")


@dataclass(frozen=True, slots=True, eq=False)
class _Posterior:
    """What is known of each competitor; all of shape (n,), priorities relative to the largest."""

    priority: NDArray[np.float64]
    propensity: NDArray[np.float64]
    evidence: NDArray[np.float64]

    @classmethod
    def of(cls, contest: Contest, evidence: float) -> _Posterior:
        largest = float(np.abs(contest.priority).max())
        given = np.full(len(contest.priority), float(evidence))
        if contest.evidence is not None:
            given = np.maximum(np.where(np.isnan(contest.evidence), given, contest.evidence), 1.0)
        return cls(contest.priority / (largest or 1.0), contest.propensity, given)

    @property
    def uncertain(self) -> NDArray[np.bool_]:
        return (self.propensity > CERTAIN) & (self.propensity < 1.0 - CERTAIN)

    def only(self, competitors: NDArray[np.intp]) -> _Posterior:
        return _Posterior(
            self.priority[competitors], self.propensity[competitors], self.evidence[competitors]
        )

    def played(self, simulations: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        """Yield priorities as they came out, shape (k, n), until all simulations are played."""
        uncertain = self.uncertain
        p, m = self.propensity[uncertain], self.evidence[uncertain]
        block = max(1, BLOCK // len(self.priority))
        for first in range(0, simulations, block):
            rows = min(block, simulations - first)
            played = np.tile(self.priority, (rows, 1))
            played[:, uncertain] *= rng.beta(p * m, (1.0 - p) * m, size=(rows, len(p))) / p
            yield played

    def beaten(self, chance: float) -> NDArray[np.bool_]:
        """Return which competitors win with a chance that is provably under ``chance``: shape (n,).

        Where the leaders all stay under a bar with less than half of ``chance``, and a competitor passes it
        with less than the other half, that competitor wins with less than ``chance``. Both follow from the
        Chernoff bound of the Beta: P(θ beyond x) ≤ exp(-m · KL(p, x)) on either side of p.
        """
        unlikely = math.log(2.0 / chance)
        leaders = self.only(np.argsort(-self.priority, kind="stable")[:LEADERS])
        low, high = 0.0, float(leaders.priority[0])
        if high <= 0.0 or len(self.priority) <= FEW:
            return np.zeros(len(self.priority), dtype=np.bool_)
        for _ in range(BISECTIONS):
            bar = (low + high) / 2.0
            below = leaders.distance(bar)[leaders.priority > bar]
            low, high = (bar, high) if below.sum() >= unlikely else (low, bar)
        return np.asarray((self.priority < low) & (self.distance(low) >= unlikely))

    def distance(self, bar: float) -> NDArray[np.float64]:
        """Return ``m · KL(p, x)`` with x where a competitor's priority comes out as ``bar``, above 0."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            p, x = self.propensity, self.propensity * bar / self.priority
            found = self.evidence * (p * np.log(p / x) + (1.0 - p) * np.log((1.0 - p) / (1.0 - x)))
        possible = self.uncertain & (self.priority > 0.0) & (x < 1.0)
        return np.where(possible, found, np.inf)


def _standard_error(wins: NDArray[np.float64], simulations: int) -> NDArray[np.float64]:
    """Return the errors of frequencies, with half a win added: never having won is not certainty."""
    smoothed = (wins + 0.5) / (simulations + 1.0)
    return np.asarray(np.sqrt(smoothed * (1.0 - smoothed) / simulations))
