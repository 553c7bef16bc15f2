"""How well scores rank: AUC, average precision, lift of the top decile, for any number of resamples at once.

All three change only at scores that some positive row has. With rare outcomes these are few, so the rows are
summed once into the spaces between them, per cluster; a resample then costs one sparse product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from training.evaluation.intervals import FloatArray, IntArray

Sparse = Any  # scipy ships no types

_TOP = 0.1


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows in falling order of score, summed at the S distinct scores ("levels") that hold a positive row.

    Parameters
    ----------
    positives
        Positive rows by cluster and level; sparse (n_clusters, S).
    tied
        Negative rows whose score equals the level; sparse (n_clusters, S).
    between
        Negative rows between the level before and this one, the last column below all levels; sparse
        (n_clusters, S + 1).
    """

    positives: Sparse
    tied: Sparse
    between: Sparse

    @classmethod
    def of(cls, y: ArrayLike, score: ArrayLike, codes: IntArray, clusters: int) -> Ranking:
        """Sum rows with labels ``y`` (0 or 1), ``score`` and cluster ``codes``, each (n_rows,)."""
        labels = np.asarray(y).astype(bool)
        falling = -np.asarray(score, dtype=np.float64)
        levels = np.unique(falling[labels])
        left = np.searchsorted(levels, falling, side="left")
        right = np.searchsorted(levels, falling, side="right")
        on_level = left < right

        def summed(rows: NDArray[np.bool_], columns: int) -> Sparse:
            entries = (np.ones(int(rows.sum())), (codes[rows], left[rows]))
            return csr_array(entries, shape=(clusters, columns))

        return cls(
            positives=summed(labels, len(levels)),
            tied=summed(~labels & on_level, len(levels)),
            between=summed(~labels & ~on_level, len(levels) + 1),
        )

    @property
    def levels(self) -> int:
        """Number of distinct scores among the positive rows."""
        return int(self.positives.shape[1])

    def replicate(self, counts: FloatArray) -> RankMetrics:
        """Measure under weights.

        Parameters
        ----------
        counts
            Weight of each cluster in each replicate, (n_replicates, n_clusters).
        """
        positives = np.asarray(counts @ self.positives)
        tied = np.asarray(counts @ self.tied)
        between = np.asarray(counts @ self.between)
        total_positive = positives.sum(axis=1)
        total_negative = tied.sum(axis=1) + between.sum(axis=1)
        above = between[:, :-1].cumsum(axis=1) + tied.cumsum(axis=1) - tied
        with np.errstate(divide="ignore", invalid="ignore"):
            return RankMetrics(
                auc=_auc(positives, tied, above, total_positive, total_negative),
                average_precision=_average_precision(positives, above + tied, total_positive),
                top_decile_lift=_top_lift(positives, tied, above, total_positive, total_negative),
            )


@dataclass(frozen=True, slots=True)
class RankMetrics:
    """One value per replicate, each (n_replicates,); NaN without both classes."""

    auc: FloatArray
    average_precision: FloatArray
    top_decile_lift: FloatArray


def _auc(
    positives: FloatArray, tied: FloatArray, above: FloatArray, n_positive: FloatArray, n_negative: FloatArray
) -> FloatArray:
    beaten = n_negative[:, None] - above - tied / 2
    result: FloatArray = np.where(
        n_positive * n_negative > 0, (positives * beaten).sum(axis=1) / (n_positive * n_negative), np.nan
    )
    return result


def _average_precision(positives: FloatArray, false: FloatArray, n_positive: FloatArray) -> FloatArray:
    true = positives.cumsum(axis=1)
    precision = np.where(positives > 0, true / (true + false), 0.0)
    result: FloatArray = np.where(n_positive > 0, (positives * precision).sum(axis=1) / n_positive, np.nan)
    return result


def _top_lift(
    positives: FloatArray, tied: FloatArray, above: FloatArray, n_positive: FloatArray, n_negative: FloatArray
) -> FloatArray:
    total = n_positive + n_negative
    at_level = positives + tied
    before = above + positives.cumsum(axis=1) - positives
    room = (_TOP * total)[:, None] - before
    taken = np.where(at_level > 0, np.clip(room / at_level, 0.0, 1.0), 0.0)
    captured = (taken * positives).sum(axis=1)
    result: FloatArray = np.where(n_positive > 0, captured / (_TOP * n_positive), np.nan)
    return result


def rank_metrics(y: ArrayLike, score: ArrayLike) -> RankMetrics:
    """Return AUC, average precision and top-decile lift of ``score`` (n_rows,), one value each.

    - AUC: P(a positive's score is above a negative's), ties half.
    - Average precision: sum over thresholds of (recall gained) times (precision there), no interpolation.
    - Top-decile lift: rate of positives among the tenth of rows with the highest scores, divided by the
      rate among all; rows tied at the border count in proportion.

    References
    ----------
    Hanley & McNeil (1982) for the AUC; Davis & Goadrich (2006) for precision-recall.

    Examples
    --------
    >>> found = rank_metrics([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> float(found.auc[0]), round(float(found.average_precision[0]), 4)
    (0.75, 0.8333)
    """
    codes = np.zeros(np.size(np.asarray(score)), dtype=np.int64)
    return Ranking.of(y, score, codes, 1).replicate(np.ones((1, 1)))


@dataclass(frozen=True, slots=True)
class GainsPoint:
    """What is reached by taking the best-scored ``share`` of rows: ``captured`` of all positives."""

    share: float
    captured: float


def gains(y: ArrayLike, score: ArrayLike, points: int = 100) -> tuple[GainsPoint, ...]:
    """Return the cumulative gains curve at ``points`` even shares of rows; ties in order of rows."""
    labels = np.asarray(y, dtype=np.float64)
    order = np.argsort(-np.asarray(score, dtype=np.float64), kind="stable")
    captured = np.concatenate([[0.0], labels[order].cumsum()]) / max(labels.sum(), 1.0)
    shares = np.linspace(0.0, 1.0, points + 1)
    rows = np.floor(shares * len(labels)).astype(np.int64)
    return tuple(GainsPoint(float(s), float(captured[r])) for s, r in zip(shares, rows, strict=True))
