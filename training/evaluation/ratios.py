"""Positives observed for each one expected, as a whole and segment by segment: calibration in the large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from training.evaluation.intervals import (
    ClusterBootstrap,
    FloatArray,
    IntArray,
    MetricInterval,
    percentile_interval,
)
from training.evaluation.report import EvaluationError


@dataclass(frozen=True, slots=True)
class SegmentRatio:
    """One segment's rows.

    Parameters
    ----------
    rows
        How many.
    observed, expected
        Positives found, and the sum of their predicted probabilities.
    ratio
        Observed by expected with its 95 % interval: above 1, predictions are too low.
    """

    rows: int
    observed: int
    expected: float
    ratio: MetricInterval


def observed_to_expected(
    y: ArrayLike,
    probability: ArrayLike,
    cluster: ArrayLike,
    segment: ArrayLike,
    *,
    replicates: int = 400,
    seed: int = 0,
) -> dict[str, SegmentRatio]:
    """Return the ratio of observed to expected positives of each segment.

    Parameters
    ----------
    y, probability
        Outcomes, 0 or 1, and predictions, (n_rows,).
    cluster
        Customer of each row, (n_rows,): rows of one customer are drawn together.
    segment
        Name of each row's segment, (n_rows,).

    Raises
    ------
    EvaluationError
        Lengths differ, or there are no rows.

    References
    ----------
    Van Calster et al. (2019), "Calibration: the Achilles heel of predictive analytics", for O:E.

    Examples
    --------
    >>> found = observed_to_expected([1, 0, 1, 0], [0.5, 0.5, 0.25, 0.25], list("abcd"), ["x", "x", "y", "y"])
    >>> {name: float(item.ratio.value) for name, item in found.items()}
    {'x': 1.0, 'y': 2.0}
    """
    labels, p = np.asarray(y, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    names = np.asarray(segment).astype(str)
    lengths = {len(labels), len(p), len(names), len(np.asarray(cluster))}
    if len(lengths) > 1 or not len(labels):
        raise EvaluationError(f"lengths are {sorted(lengths)}; pass the same number of rows, at least one")
    bootstrap = ClusterBootstrap.of(cluster, replicates=replicates, seed=seed)
    found, codes = np.unique(names, return_inverse=True)
    cells = bootstrap.codes * len(found) + codes
    hits, sums = (_by_cluster(cells, weights, bootstrap.clusters, len(found)) for weights in (labels, p))
    drawn = np.concatenate([_ratio(counts @ hits, counts @ sums) for counts in bootstrap.counts(1000)])
    rows = np.bincount(codes, minlength=len(found))
    return {
        str(name): SegmentRatio(
            rows=int(rows[index]),
            observed=int(hits[:, index].sum()),
            expected=float(sums[:, index].sum()),
            ratio=percentile_interval(
                float(_ratio(hits[:, index].sum(), sums[:, index].sum())), drawn[:, index]
            ),
        )
        for index, name in enumerate(found)
    }


def ratios(found: Mapping[str, SegmentRatio]) -> dict[str, MetricInterval]:
    """Return the ratios alone, by segment."""
    return {name: item.ratio for name, item in found.items()}


def _by_cluster(cells: IntArray, weights: FloatArray, clusters: int, segments: int) -> FloatArray:
    summed: FloatArray = np.bincount(cells, weights=weights, minlength=clusters * segments).astype(np.float64)
    return summed.reshape(clusters, segments)


def _ratio(observed: FloatArray, expected: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        result: FloatArray = np.where(expected > 0, observed / expected, np.nan)
    return result
