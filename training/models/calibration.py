"""From margins to probabilities that mean what they say: globally, then by group, then by action.

Fitted on margins of rows the model had not seen. Offsets are shrunk by empirical Bayes: how far groups differ
is learned from all of them together, so a group that says little stays with the global calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from serving.bundles.calibration import Calibration, sigmoid

FloatArray = NDArray[np.float64]
StringArray = NDArray[np.str_]

SLOPE_PRIOR_SD = 0.5
_LEAST_SLOPE = 0.05
_STEPS = 100
_TOLERANCE = 1e-10
_GRID = np.linspace(-3.0, 3.0, 121)
_SPREADS = np.concatenate([[0.0], np.geomspace(0.02, 2.0, 41)])


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """A calibration and what it rests on.

    Parameters
    ----------
    calibration
        What serving applies.
    pooled_groups, pooled_actions
        Those with too few positives for an offset of their own, sorted: they stand on the level above.
    group_spread, action_spread
        Estimated standard deviation of the offsets, in log-odds; 0 where the data show no difference.
    """

    calibration: Calibration
    pooled_groups: tuple[str, ...]
    pooled_actions: tuple[str, ...]
    group_spread: float
    action_spread: float


@dataclass(frozen=True, slots=True)
class _Level:
    offsets: dict[str, float]
    pooled: tuple[str, ...]
    spread: float
    by_row: FloatArray


def fit_calibration(
    margin: FloatArray,
    y: NDArray[np.int8],
    *,
    weight: FloatArray,
    group: StringArray | None = None,
    action: StringArray | None = None,
    min_positives: int = 50,
) -> CalibrationFit:
    """Fit slope and intercept, then offsets by group, then by action within its group.

    Parameters
    ----------
    margin
        Log-odds of rows the model has not seen, (n_rows,).
    y
        Outcomes, 0 or 1, (n_rows,), both present.
    weight
        Weight of each row, (n_rows,).
    group, action
        Names per row, (n_rows,), or None for no such level.
    min_positives
        A group or action with fewer positive rows is pooled to the level above.
    """
    slope, intercept = fit_line(margin, y, weight)
    base = slope * margin + intercept
    groups = _level(base, y, weight, group, min_positives)
    actions = _level(base + groups.by_row, y, weight, action, min_positives)
    return CalibrationFit(
        Calibration(slope, intercept, groups.offsets, actions.offsets),
        groups.pooled,
        actions.pooled,
        groups.spread,
        actions.spread,
    )


def fit_line(margin: FloatArray, y: NDArray[np.int8], weight: FloatArray) -> tuple[float, float]:
    """Return slope b and intercept a of ``logit P(y) = a + b * margin`` (Platt scaling).

    The slope has a normal prior with mean 1 and standard deviation 0.5, which hundreds of positives overrule
    and a handful do not; it is never below 0.05, so an order of scores is never reversed. A constant margin
    keeps slope 1.

    References
    ----------
    Platt (1999), "Probabilistic outputs for support vector machines"; Cox (1958) for the recalibration line.
    """
    centre = float(np.average(margin, weights=weight * np.where(y == 1, 1.0, 0.0)))
    z = margin - centre
    if np.ptp(z) < _TOLERANCE:
        return 1.0, best_intercept(margin, y, weight)
    a, b = centre, 1.0
    for _ in range(_STEPS):
        p = sigmoid(a + b * z)
        residual, spread = weight * (y - p), weight * p * (1.0 - p)
        g = np.array([residual.sum(), residual @ z - (b - 1.0) / SLOPE_PRIOR_SD**2])
        cross = float(spread @ z)
        h = np.array([[spread.sum(), cross], [cross, spread @ (z * z) + SLOPE_PRIOR_SD**-2]])
        step = np.clip(np.linalg.solve(h, g), -1.0, 1.0)
        a, b = a + float(step[0]), b + float(step[1])
        if np.abs(step).max() < _TOLERANCE:
            break
    if b < _LEAST_SLOPE:
        return _LEAST_SLOPE, best_intercept(_LEAST_SLOPE * margin, y, weight)
    return b, a - b * centre


def best_intercept(
    margin: FloatArray, y: NDArray[np.int8], weight: FloatArray, *, start: float = 0.0
) -> float:
    """Return a of ``logit P(y) = a + margin`` by Newton's method from ``start``."""
    a = start
    for _ in range(_STEPS):
        p = sigmoid(margin + a)
        slack = max(float(weight @ (p * (1.0 - p))), _TOLERANCE)
        step = float(np.clip(float(weight @ (y - p)) / slack, -1.0, 1.0))
        a += step
        if abs(step) < _TOLERANCE:
            break
    return a


def _level(
    base: FloatArray, y: NDArray[np.int8], weight: FloatArray, names: StringArray | None, min_positives: int
) -> _Level:
    if names is None:
        return _Level({}, (), 0.0, np.zeros(len(base)))
    found, codes = np.unique(names, return_inverse=True)
    enough = np.bincount(codes[y == 1], minlength=len(found)) >= min_positives
    pooled = tuple(str(name) for name in found[~enough])
    if not enough.any():
        return _Level({}, pooled, 0.0, np.zeros(len(base)))
    kept = enough[codes]
    order = np.cumsum(enough) - 1
    offsets, spread = shrunk_offsets(base[kept], y[kept], weight[kept], order[codes[kept]])
    by_row = np.where(kept, offsets[np.maximum(order[codes], 0)], 0.0)
    named = {str(name): float(offset) for name, offset in zip(found[enough], offsets, strict=True)}
    return _Level(named if spread else {}, pooled, spread, by_row)


def shrunk_offsets(
    base: FloatArray, y: NDArray[np.int8], weight: FloatArray, codes: NDArray[np.int64]
) -> tuple[FloatArray, float]:
    r"""Return each group's offset in log-odds, (n_groups,), shrunk towards 0, and how far groups differ.

    Group g has likelihood :math:`L_g(d) = \prod_{i \in g} p_i(d)^{y_i} (1 - p_i(d))^{1 - y_i}` with
    :math:`p_i(d) = \mathrm{sigmoid}(base_i + d)`, and offsets are drawn from :math:`N(0, t^2)`. The spread
    :math:`t` maximises the marginal likelihood :math:`\prod_g \int L_g(d) N(d; 0, t^2) \, dd`; the offset is
    the posterior mean :math:`\int d \, L_g(d) N(d; 0, t^2) \, dd \,/ \int L_g(d) N(d; 0, t^2) \, dd`. Both
    integrals are sums over a grid from -3 to 3, exact for rare outcomes where a normal approximation is not.

    Parameters
    ----------
    base
        Calibrated log-odds so far, (n_rows,).
    y, weight
        Outcomes (0 or 1) and weights, (n_rows,).
    codes
        Group of each row, 0 … n_groups - 1, (n_rows,).

    References
    ----------
    Morris (1983), "Parametric empirical Bayes inference: theory and applications"; Robbins (1956).
    """
    groups = int(codes.max()) + 1
    hits = np.bincount(codes, weights=weight * y, minlength=groups)
    normalizer = np.column_stack(
        [np.bincount(codes, weights=weight * np.logaddexp(0.0, base + d), minlength=groups) for d in _GRID]
    )
    likelihood = hits[:, None] * _GRID - normalizer
    likelihood -= likelihood.max(axis=1, keepdims=True)
    priors = [_log_prior(spread) for spread in _SPREADS]
    evidence = [float(logsumexp(likelihood + prior, axis=1).sum()) for prior in priors]
    best = int(np.argmax(evidence))
    posterior = likelihood + priors[best]
    posterior = np.exp(posterior - logsumexp(posterior, axis=1, keepdims=True))
    return posterior @ _GRID, float(_SPREADS[best])


def _log_prior(spread: float) -> FloatArray:
    """Return log N(d; 0, spread²) on the grid, normalised there; a spike at 0 for spread 0."""
    if spread == 0.0:
        return np.where(np.arange(len(_GRID)) == len(_GRID) // 2, 0.0, -np.inf)
    density = -0.5 * (_GRID / spread) ** 2
    result: FloatArray = density - logsumexp(density)
    return result
