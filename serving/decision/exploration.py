"""Exploration: a policy turns what competes for a slot into a distribution; the core draws from it."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moment.errors import InvariantViolation


class Chance(Protocol):
    """Where uniform numbers come from; ``numpy.random.Generator`` is one."""

    def random(self) -> float:
        """Return the next number, in [0, 1)."""
        ...


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
    sure
        The one competitor that has all of it, where a policy leaves nothing to chance by design; else None.
    """

    probabilities: NDArray[np.float64]
    error: NDArray[np.float64] | None = None
    sure: int | None = None

    def draw(self, rng: Chance) -> int:
        """Return the index of one competitor, drawn by inversion from exactly one uniform number.

        A competitor without probability is never drawn. Where one is sure, nothing is drawn.
        """
        if self.sure is not None:
            return self.sure
        cumulative = self.probabilities.cumsum()
        index = int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))
        if index < len(cumulative) and self.probabilities[index] > 0:
            return index
        return int(np.flatnonzero(self.probabilities)[-1])


class Exploration(Protocol):
    """A policy of exploration. Frozen, comparable, and without state.

    Those that come with Moment are dataclasses whose fields are their parameters and ``policy``, their word
    in a catalogue: the canonical form of the dataclass alone tells two of them apart in a digest.
    """

    @property
    def name(self) -> str:
        """What the catalogue calls it, with its parameters: two that differ in anything differ in name."""
        ...

    def distribution(self, contest: Contest) -> ActionDistribution:
        """Return the chance of each competitor: the same for the same contest."""
        ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number a policy takes, and what it may be.

    Parameters
    ----------
    name
        As in the catalogue and in the policy's constructor.
    least, most
        Its bounds, both included.
    above
        Whether ``least`` itself is left out.
    whole
        Whether only whole numbers will do.

    Examples
    --------
    >>> Parameter("share", 0.0, 1.0).fault(5)
    'share is 5; it is a number from 0 to 1'
    >>> Parameter("temperature", 0.0, above=True).fault("hot")
    "temperature is 'hot'; it is a number above 0"
    """

    name: str
    least: float
    most: float = math.inf
    above: bool = False
    whole: bool = False

    def fault(self, value: object) -> str | None:
        """Return what is wrong with a value, or None."""
        kinds = int if self.whole else int | float
        if (
            isinstance(value, kinds)
            and not isinstance(value, bool)
            and abs(value) <= sys.float_info.max
            and self.least <= value <= self.most
            and not (self.above and value == self.least)
        ):
            return None
        return f"{self.name} is {value!r}; it is {self._allowed()}"

    def _allowed(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.most < math.inf:
            return f"{kind} from {self.least:g} to {self.most:g}"
        return f"{kind} {'above' if self.above else 'of at least'} {self.least:g}"


def require_bounds(policy: str, exploration: object, parameters: Sequence[Parameter]) -> None:
    """Raise InvariantViolation where a policy was made with a parameter out of bounds.

    No catalogue comes here with one: reading it lists such faults before anything is made.
    """
    for parameter in parameters:
        fault = parameter.fault(getattr(exploration, parameter.name))
        if fault:
            raise InvariantViolation(f"exploration {policy}: {fault}")
