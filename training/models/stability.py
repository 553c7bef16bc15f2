"""How many clusters the data hold: the number that other samples of the same customers would find again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from training.evaluation.intervals import MetricInterval

FloatArray = NDArray[np.float64]

_SAMPLE = 0.8
_MOST_ROWS = 5000


@dataclass(frozen=True, slots=True)
class ClusterTrial:
    """One number of clusters: how stable it is and how large its smallest cluster."""

    clusters: int
    stability: MetricInterval
    smallest_share: float


def try_clusters(points: FloatArray, clusters: int, *, pairs: int, seed: int) -> ClusterTrial:
    """Measure the stability of ``clusters`` on points (n_rows, n_coordinates).

    Each pair draws two samples of 80 % of the rows, fits both, labels all rows by both and takes their
    adjusted Rand index: 1 when they agree on every pair of customers, 0 when by chance. The interval is
    that of the mean, ``mean +- 1.96 sd / sqrt(pairs)``.

    References
    ----------
    Ben-Hur, Elisseeff & Guyon (2002), "A stability based method for discovering structure in clustered
    data"; Hubert & Arabie (1985) for the index.
    """
    rng = np.random.default_rng(seed)
    if len(points) > _MOST_ROWS:
        points = points[np.sort(rng.choice(len(points), _MOST_ROWS, replace=False))]
    found = np.array([_agreement(points, clusters, rng) for _ in range(pairs)])
    mean, error = (
        float(found.mean()),
        1.96 * float(found.std(ddof=1)) / np.sqrt(pairs) if pairs > 1 else np.nan,
    )
    whole = fit_means(points, clusters, seed)
    share = np.bincount(whole.labels_, minlength=clusters).min() / len(points)
    interval = MetricInterval(mean, float(mean - error), float(min(mean + error, 1.0)))
    return ClusterTrial(clusters, interval, float(share))


def fit_means(points: FloatArray, clusters: int, seed: int, starts: int = 5) -> KMeans:
    """Return KMeans fitted from ``starts`` k-means++ starts."""
    return KMeans(clusters, n_init=starts, random_state=seed % 2**32).fit(points)


def _agreement(points: FloatArray, clusters: int, rng: np.random.Generator) -> float:
    labels = []
    for _ in range(2):
        rows = rng.choice(len(points), max(clusters, int(_SAMPLE * len(points))), replace=False)
        labels.append(fit_means(points[rows], clusters, int(rng.integers(2**31)), starts=3).predict(points))
    return float(adjusted_rand_score(*labels))
