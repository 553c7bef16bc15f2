"""Greedy: always the highest priority."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serving.decision.exploration import ActionDistribution, Contest


@dataclass(frozen=True, slots=True)
class Greedy:
    """All probability on the highest priority; of equals, on the first (competitors are ordered by id).

    π is 1 for what it picks and 0 for the rest, so records made under it cannot tell how another policy would
    have done. Use a policy that spreads where the records must support evaluation.

    Examples
    --------
    >>> contest = Contest(priority=np.array([0.1, 0.3, 0.3]), propensity=np.array([0.1, 0.1, 0.1]))
    >>> Greedy().distribution(contest).probabilities
    array([0., 1., 0.])
    """

    @property
    def name(self) -> str:
        """What the catalogue calls it."""
        return "greedy"

    def distribution(self, contest: Contest) -> ActionDistribution:
        """Return all mass on the first of the highest priorities."""
        probabilities = np.zeros(len(contest.priority))
        probabilities[np.argmax(contest.priority)] = 1.0
        return ActionDistribution(probabilities)
