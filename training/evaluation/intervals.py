"""Intervals by bootstrap over clusters, and the counts that every metric is replicated with.

Rows of one customer resemble each other, so a bootstrap over rows would promise too much. Whole clusters
are drawn with replacement instead; a replicate is then nothing but a count per cluster, and a metric that is
a sum over rows becomes one product of the counts with per-cluster sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MetricInterval:
    """A metric's value on the data with its 95 % interval. NaN where the data cannot tell."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"

    def contains(self, value: float) -> bool:
        """Whether ``value`` lies within the interval, ends included."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class ClusterBootstrap:
    """Resamples of whole clusters, as counts.

    Parameters
    ----------
    codes
        Cluster of each row, 0 … ``clusters - 1``; shape (n_rows,).
    clusters
        Number of clusters.
    replicates
        Number of resamples.
    seed
        Equal seeds give equal resamples, so two models compared under one seed are paired.
    """

    codes: IntArray
    clusters: int
    replicates: int
    seed: int

    @classmethod
    def of(cls, cluster: ArrayLike, *, replicates: int = 400, seed: int = 0) -> ClusterBootstrap:
        """Prepare resamples of the distinct values of ``cluster`` (n_rows,)."""
        names, codes = np.unique(np.asarray(cluster), return_inverse=True)
        return cls(codes.astype(np.int64), len(names), replicates, seed)

    def counts(self, chunk: int) -> Iterator[FloatArray]:
        """Yield how often each cluster was drawn, in blocks of at most (chunk, clusters).

        The draws do not depend on ``chunk``.
        """
        rng = np.random.default_rng(self.seed)
        even = np.full(self.clusters, 1.0 / self.clusters)
        for start in range(0, self.replicates, chunk):
            size = min(chunk, self.replicates - start)
            yield rng.multinomial(self.clusters, even, size=size).astype(np.float64)


def percentile_interval(value: float, replicates: FloatArray, level: float = 0.95) -> MetricInterval:
    """Return ``value`` with the percentile interval of its replicates (n,), undefined ones left out.

    The interval is NaN when more than half of the replicates are undefined (for instance because a resample
    holds no positive row).

    References
    ----------
    Efron & Tibshirani (1993), *An Introduction to the Bootstrap*, chapter 13; Field & Welsh (2007),
    "Bootstrapping clustered data", for drawing whole clusters.
    """
    defined = replicates[np.isfinite(replicates)]
    if defined.size * 2 <= replicates.size:
        return MetricInterval(value, float("nan"), float("nan"))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return MetricInterval(value, float(low), float(high))


def wilson_interval(share: float, count: int) -> MetricInterval:
    """Return a share of ``count`` independent cases with its 95 % interval; NaN of none.

    References
    ----------
    Wilson (1927), "Probable inference, the law of succession, and statistical inference".

    Examples
    --------
    >>> str(wilson_interval(0.75, 100))
    '0.75 [0.657, 0.8245]'
    """
    if not count:
        return MetricInterval(float("nan"), float("nan"), float("nan"))
    z = 1.96
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * float(np.sqrt((share * (1 - share) + z * z / (4 * count)) / count)) / (1 + z * z / count)
    return MetricInterval(share, max(centre - half, 0.0), min(centre + half, 1.0))


def median_interval(values: ArrayLike) -> MetricInterval:
    """Return the median of ``values`` (n,) with its 95 % interval by order statistics; whatever their shape.

    The median lies between the k-th smallest and the k-th largest value with the probability that a fair coin
    thrown n times shows heads k to n - k times: ``k = n / 2 - 0.98 sqrt(n)``.

    References
    ----------
    Conover (1999), *Practical Nonparametric Statistics*, section 3.2.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    if not count:
        return MetricInterval(float("nan"), float("nan"), float("nan"))
    rank = max(int(np.floor(count / 2 - 0.98 * np.sqrt(count))), 1)
    return MetricInterval(float(np.median(ordered)), float(ordered[rank - 1]), float(ordered[count - rank]))
