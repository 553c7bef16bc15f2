"""Exploration: a policy turns what competes for a slot into a distribution; the core draws from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """What competes for one slot, or the treatments of one action, in stable order (by id).

    Parameters
    ----------
    priority
        Shape (n,), n ≥ 1, finite.
    propensity
        Shape (n,): calibrated, in [0, 1].
    evidence
        Shape (n,): how many observations each propensity is worth; None where the model does not say.
    """

    priority: NDArray[np.float64]
    propensity: NDArray[np.float64]
    evidence: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ActionDistribution:
    """The chance of each competitor.

    Parameters
    ----------
    probabilities
        Shape (n,), not negative, sums to 1. What is drawn from, exactly.
    error
        Shape (n,): where the probabilities estimate an ideal by simulation, their standard errors; else None.
    """

    probabilities: NDArray[np.float64]
    error: NDArray[np.float64] | None = None

    def draw(self, rng: np.random.Generator) -> int:
        """Return the index of one competitor, drawn by inversion from exactly one uniform number.

        A competitor without probability is never drawn.
        """
        cumulative = np.cumsum(self.probabilities)
        index = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
        if index < len(cumulative) and self.probabilities[index] > 0:
            return index
        return int(np.flatnonzero(self.probabilities)[-1])


class Exploration(Protocol):
    """A policy of exploration. Frozen, comparable, and without state."""

    @property
    def name(self) -> str:
        """What the catalogue calls it, with its parameters."""
        ...

    def distribution(self, contest: Contest) -> ActionDistribution:
        """Return the chance of each competitor: the same for the same contest."""
        ...
