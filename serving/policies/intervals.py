"""Intervals of what the gates of a policy measure, by bootstrap with a fixed seed: asked again, the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000
_INTERVAL = (2.5, 97.5)

Estimate = tuple[float | None, float | None, float | None]
"""A value and the ends of its 95 % interval; None where there is no number."""


def clustered(over: NDArray[np.float64], under: NDArray[np.float64], customers: Sequence[str]) -> Estimate:
    """Return a ratio of sums with its interval by bootstrap over customers: requests of one are alike.

    Parameters
    ----------
    over, under
        Shape (n,): summed above and below the line.
    customers
        Whose request each is.
    """
    if not under.any():
        return None, None, None
    names = {name: place for place, name in enumerate(dict.fromkeys(customers))}
    cluster = np.array([names[name] for name in customers])
    above, below = (np.bincount(cluster, column, len(names)) for column in (over, under))
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_RESAMPLES)
    sums = drawn @ below
    ratios = (drawn @ above)[sums > 0] / sums[sums > 0]
    low, high = np.percentile(ratios, _INTERVAL).tolist()
    return float(above.sum() / below.sum()), low, high


def interval_of(
    values: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> tuple[float, float, float]:
    """Return a statistic with its interval by bootstrap."""
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))]
    low, high = np.percentile(statistic(drawn), _INTERVAL).tolist()
    return float(statistic(values)), low, high
