"""DeLong's test: whether two models' areas under the ROC curve differ, without resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata

from training.evaluation.intervals import FloatArray, IntArray, MetricInterval
from training.evaluation.report import EvaluationError

_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class AucDifference:
    """Two models' AUC on the same rows.

    Parameters
    ----------
    first, second
        AUC of each.
    difference
        First minus second, with the 95 % interval of a normal distribution.
    error
        Standard error of the difference.
    p_value
        Two-sided, of the difference being 0; 1 where both rank alike.
    """

    first: float
    second: float
    difference: MetricInterval
    error: float
    p_value: float


def delong(
    y: ArrayLike, first: ArrayLike, second: ArrayLike, cluster: ArrayLike | None = None
) -> AucDifference:
    """Compare the AUC of two models on the same rows.

    With m positives and n negatives, a positive's *placement* ``V10_i`` is the share of negatives scored
    below it, ties half, and a negative's ``V01_j`` the share of positives scored above it. The AUC is the
    mean of either. For two models the placements are vectors of two, and

        ``var(AUC_1 - AUC_2) = L (S10 / m + S01 / n) L'``,  ``L = (1, -1)``

    with ``S10``, ``S01`` their sample covariances. Rows of one customer are not independent; with
    ``cluster`` placements are summed within each customer first, and the covariance between a customer's
    positives and negatives is added.

    Parameters
    ----------
    y
        Outcomes, 0 or 1, (n_rows,).
    first, second
        Scores of the two models, (n_rows,); only their order counts.
    cluster
        Customer of each row, (n_rows,); None: rows are independent.

    Raises
    ------
    EvaluationError
        Lengths differ, or there are fewer than two rows (or customers) of one class.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver
    operating characteristic curves"; Obuchowski (1997), "Nonparametric analysis of clustered ROC curve data",
    for clusters; Sun & Xu (2014), "Fast implementation of DeLong's algorithm", for placements by ranks.

    Examples
    --------
    >>> found = delong([0, 0, 0, 1, 1], [1, 2, 3, 2.5, 4], [1, 3, 2, 2.5, 4])
    >>> round(found.first, 4), round(found.second, 4), found.p_value
    (0.8333, 0.8333, 1.0)
    """
    labels = np.asarray(y).astype(bool)
    scores = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)])
    if scores.shape[1] != len(labels):
        raise EvaluationError(f"{scores.shape[1]} scores for {len(labels)} rows; pass one of each per row")
    codes = np.arange(len(labels)) if cluster is None else _codes(cluster, len(labels))
    above, below = _placements(scores[:, labels], scores[:, ~labels])
    areas = above.mean(axis=1)
    contrast = np.array([1.0, -1.0])
    covariance = _covariance(above, below, areas, codes[labels], codes[~labels])
    error = float(np.sqrt(max(contrast @ covariance @ contrast, 0.0)))
    difference = float(areas[0] - areas[1])
    p_value = float(2.0 * norm.sf(abs(difference) / error)) if error > 0 else float(difference == 0.0)
    interval = MetricInterval(difference, difference - _Z * error, difference + _Z * error)
    return AucDifference(float(areas[0]), float(areas[1]), interval, error, p_value)


def _codes(cluster: ArrayLike, rows: int) -> IntArray:
    codes: IntArray = np.unique(np.asarray(cluster), return_inverse=True)[1].astype(np.int64)
    if len(codes) != rows:
        raise EvaluationError(f"cluster has {len(codes)} values for {rows} rows; pass one per row")
    return codes


def _placements(positive: FloatArray, negative: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return placements of positives (2, m) and negatives (2, n), by ranks among all and their own."""
    m, n = positive.shape[1], negative.shape[1]
    if min(m, n) < 2:
        raise EvaluationError(f"there are {m} positive and {n} negative rows; two of each are needed")
    ranks = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    above = (ranks[:, :m] - rankdata(positive, axis=1)) / n
    below = 1.0 - (ranks[:, m:] - rankdata(negative, axis=1)) / m
    return above, below


def _covariance(
    above: FloatArray, below: FloatArray, areas: FloatArray, positive: IntArray, negative: IntArray
) -> FloatArray:
    """Return the covariance (2, 2) of both areas; ``positive`` and ``negative`` are the rows' clusters."""
    m, n = above.shape[1], below.shape[1]
    clusters = int(max(positive.max(), negative.max())) + 1
    ours = _summed(above - areas[:, None], positive, clusters)
    theirs = _summed(below - areas[:, None], negative, clusters)
    with_positive, with_negative = len(np.unique(positive)), len(np.unique(negative))
    everyone = len(np.unique(np.concatenate([positive, negative])))
    if min(with_positive, with_negative) < 2:
        raise EvaluationError("one class is of a single customer; more customers are needed")
    within = _unbiased(with_positive) * (ours @ ours.T) / m**2
    within += _unbiased(with_negative) * (theirs @ theirs.T) / n**2
    across = _unbiased(everyone) * (ours @ theirs.T) / (m * n)
    result: FloatArray = within + across + across.T
    return result


def _summed(values: FloatArray, codes: IntArray, clusters: int) -> FloatArray:
    return np.stack([np.bincount(codes, weights=row, minlength=clusters) for row in values])


def _unbiased(count: int) -> float:
    return count / (count - 1)
