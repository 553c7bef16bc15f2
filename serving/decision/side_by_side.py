"""Many small contests at once: the treatments of every action, laid end to end."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from serving.decision.exploration import Contest, Exploration


@runtime_checkable
class SideBySide(Protocol):
    """What a policy of exploration may offer besides: its distributions over many contests, as arrays.

    Without it each contest is asked for by itself, which takes microseconds each.
    """

    def chances_within(self, contest: Contest, first: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return what ``distribution`` would of each contest.

        Parameters
        ----------
        contest
            The competitors of all contests, n of them, end to end.
        first
            Shape (m,): where each contest begins; the first is 0.

        Returns
        -------
        Shape (n,): the probabilities; those of each contest sum to 1.
        """
        ...


def chances_within(
    exploration: Exploration, contest: Contest, first: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the probabilities within each of several contests; see ``SideBySide.chances_within``.

    Examples
    --------
    >>> from serving.decision.greedy import Greedy
    >>> contest = Contest(np.array([1.0, 2.0, 5.0, 4.0, 4.0]), np.full(5, 0.1))
    >>> chances_within(Greedy(), contest, np.array([0, 2, 3]))
    array([0., 1., 1., 1., 0.])
    """
    if isinstance(exploration, SideBySide):
        return exploration.chances_within(contest, first)
    chances = np.ones(len(contest.priority))
    for begin, end in zip(first.tolist(), [*first[1:].tolist(), len(chances)], strict=True):
        if end - begin > 1:
            chances[begin:end] = exploration.distribution(part(contest, slice(begin, end))).probabilities
    return chances


def part(contest: Contest, which: NDArray[np.intp] | slice) -> Contest:
    """Return some of the competitors."""
    evidence = None if contest.evidence is None else contest.evidence[which]
    return Contest(contest.priority[which], contest.propensity[which], evidence)


def sizes_of(contest: Contest, first: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return how many competitors each contest has, shape (m,)."""
    return np.diff(first, append=len(contest.priority))
