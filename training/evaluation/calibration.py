"""Whether probabilities mean what they say: log-loss, Brier score, calibration slope and intercept.

The first two are sums over rows. Slope and intercept come from a logistic regression of the outcome on the
predicted log-odds, solved for all resamples at once over fine bins of the log-odds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from serving.bundles.calibration import sigmoid
from training.evaluation.intervals import FloatArray, IntArray

_EDGE = 1e-12
_BINS = 4000
_STEPS = 50
_TOLERANCE = 1e-9


def log_odds(probability: ArrayLike) -> FloatArray:
    """Return log(p / (1 - p)) with p kept within 1e-12 of the ends, same shape."""
    p = np.clip(np.asarray(probability, dtype=np.float64), _EDGE, 1.0 - _EDGE)
    result: FloatArray = np.log(p) - np.log1p(-p)
    return result


def row_losses(y: ArrayLike, probability: ArrayLike) -> FloatArray:
    """Return each row's log-loss (nats) and squared error, (n_rows, 2)."""
    labels = np.asarray(y, dtype=np.float64)
    p = np.clip(np.asarray(probability, dtype=np.float64), _EDGE, 1.0 - _EDGE)
    loss = -(labels * np.log(p) + (1.0 - labels) * np.log1p(-p))
    return np.column_stack([loss, (p - labels) ** 2])


@dataclass(frozen=True, slots=True)
class CalibrationLine:
    """One logistic recalibration per replicate, each (n_replicates,).

    ``slope`` is b of ``logit P(y) = a + b * logit(p)``: under 1, predictions are too extreme. ``intercept``
    is a of ``logit P(y) = a + logit(p)`` ("calibration in the large"): above 0, predictions are too low.
    """

    slope: FloatArray
    intercept: FloatArray


@dataclass(frozen=True, slots=True)
class BinnedLogOdds:
    """Rows summed per cluster into equal-width bins of predicted log-odds.

    Parameters
    ----------
    centre
        Mean log-odds of the rows in each bin, (n_bins,).
    rows, positives
        Rows, and positive rows, by cluster and bin; sparse (n_clusters, n_bins).
    """

    centre: FloatArray
    rows: Any
    positives: Any

    @classmethod
    def of(cls, y: ArrayLike, probability: ArrayLike, codes: IntArray, clusters: int) -> BinnedLogOdds:
        """Sum rows with labels ``y`` (0 or 1), ``probability`` and cluster ``codes``, each (n_rows,)."""
        labels = np.asarray(y).astype(bool)
        x = log_odds(probability)
        width = (x.max() - x.min()) / _BINS or 1.0
        used, bins = np.unique(np.floor((x - x.min()) / width).astype(np.int64), return_inverse=True)
        size = np.bincount(bins)
        shape = (clusters, len(used))
        return cls(
            centre=np.bincount(bins, weights=x) / size,
            rows=csr_array((np.ones(len(x)), (codes, bins)), shape=shape),
            positives=csr_array((np.ones(int(labels.sum())), (codes[labels], bins[labels])), shape=shape),
        )

    def replicate(self, counts: FloatArray) -> CalibrationLine:
        """Recalibrate under cluster weights ``counts`` (replicates, clusters); NaN without both classes."""
        rows = np.asarray(counts @ self.rows)
        positives = np.asarray(counts @ self.positives)
        hits = positives.sum(axis=1)
        undefined = (hits == 0) | (hits == rows.sum(axis=1))
        rows[undefined], positives[undefined] = 1.0, 0.5
        intercept = _in_the_large(self.centre, rows, positives)
        slope = np.full_like(intercept, np.nan)
        if np.ptp(self.centre) > 0:
            slope = _slope(self.centre, rows, positives)
        intercept[undefined] = slope[undefined] = np.nan
        return CalibrationLine(slope, intercept)


def _in_the_large(x: FloatArray, rows: FloatArray, positives: FloatArray) -> FloatArray:
    a = np.zeros(len(rows))
    for _ in range(_STEPS):
        p = sigmoid(x + a[:, None])
        expected = (rows * p).sum(axis=1)
        step = (positives.sum(axis=1) - expected) / np.maximum((rows * p * (1 - p)).sum(axis=1), _EDGE)
        a += np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < _TOLERANCE:
            break
    return a


def _slope(x: FloatArray, rows: FloatArray, positives: FloatArray) -> FloatArray:
    """Newton's method on (a, b) with log-odds centred where the positives are, for a well-set start."""
    shift = (positives * x).sum(axis=1, keepdims=True) / positives.sum(axis=1, keepdims=True)
    z = x - shift
    a, b = shift[:, 0].copy(), np.ones(len(rows))
    for _ in range(_STEPS):
        p = sigmoid(a[:, None] + b[:, None] * z)
        residual, spread = positives - rows * p, rows * p * (1 - p)
        g0, g1 = residual.sum(axis=1), (residual * z).sum(axis=1)
        h00, h01, h11 = spread.sum(axis=1), (spread * z).sum(axis=1), (spread * z * z).sum(axis=1)
        det = np.maximum(h00 * h11 - h01**2, _EDGE)
        da, db = (h11 * g0 - h01 * g1) / det, (h00 * g1 - h01 * g0) / det
        a, b = a + np.clip(da, -2.0, 2.0), b + np.clip(db, -0.5, 0.5)
        if max(np.abs(da).max(), np.abs(db).max()) < _TOLERANCE:
            break
    return b


def calibration_line(y: ArrayLike, probability: ArrayLike) -> CalibrationLine:
    """Return calibration slope and intercept of ``probability`` (n_rows,), one value each.

    References
    ----------
    Cox (1958), "Two further applications of a model for binary regression"; Van Calster et al. (2016),
    "A calibration hierarchy for risk models was defined", for slope and intercept as used here.
    """
    codes = np.zeros(np.size(np.asarray(probability)), dtype=np.int64)
    return BinnedLogOdds.of(y, probability, codes, 1).replicate(np.ones((1, 1)))


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of similar prediction: how many, mean prediction, observed rate."""

    rows: int
    predicted: float
    observed: float


def reliability(y: ArrayLike, probability: ArrayLike, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Return ``bins`` bins of equal numbers of expected positives, from low to high prediction.

    Equal expected positives, not equal rows: with rare outcomes nine of ten deciles would say nothing.
    """
    labels = np.asarray(y, dtype=np.float64)
    p = np.asarray(probability, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    expected = p[order].cumsum()
    edges = np.searchsorted(expected, np.linspace(0.0, expected[-1], bins + 1)[1:-1])
    parts = [part for part in np.split(order, np.unique(edges)) if part.size]
    return tuple(
        ReliabilityBin(len(part), float(p[part].mean()), float(labels[part].mean())) for part in parts
    )


def expected_calibration_error(y: ArrayLike, probability: ArrayLike, bins: int = 10) -> float:
    """Return the mean absolute gap of `reliability`, weighted by rows."""
    found = reliability(y, probability, bins)
    total = sum(part.rows for part in found)
    return sum(part.rows * abs(part.predicted - part.observed) for part in found) / total
