"""One model's figures on one set of rows, and two models' difference, with clustered intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moment.errors import MomentError
from training.evaluation.calibration import BinnedLogOdds, row_losses
from training.evaluation.discrimination import Ranking
from training.evaluation.intervals import ClusterBootstrap, FloatArray, MetricInterval, percentile_interval

_CHUNK_NUMBERS = 2_000_000
SMALL_GROUPS = "(small groups)"


class EvaluationError(MomentError, ValueError):
    """What is to be measured cannot be measured."""


class Metric(StrEnum):
    """What is measured."""

    AUC = "auc"
    AVERAGE_PRECISION = "average_precision"
    LOG_LOSS = "log_loss"
    BRIER = "brier"
    CALIBRATION_SLOPE = "calibration_slope"
    CALIBRATION_INTERCEPT = "calibration_intercept"
    TOP_DECILE_LIFT = "top_decile_lift"

    @property
    def lower_is_better(self) -> bool:
        """Whether a loss."""
        return self in (Metric.LOG_LOSS, Metric.BRIER)

    @property
    def spoken(self) -> str:
        """What people call it."""
        return _SPOKEN[self]


_SPOKEN: Mapping[Metric, str] = {
    Metric.AUC: "AUC",
    Metric.AVERAGE_PRECISION: "average precision",
    Metric.LOG_LOSS: "log-loss",
    Metric.BRIER: "Brier",
    Metric.CALIBRATION_SLOPE: "calibration slope",
    Metric.CALIBRATION_INTERCEPT: "calibration intercept",
    Metric.TOP_DECILE_LIFT: "top-decile lift",
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one model on one slice.

    Parameters
    ----------
    rows, positives, clusters
        What the figures rest on.
    metrics
        One interval per `Metric`.
    """

    rows: int
    positives: int
    clusters: int
    metrics: Mapping[Metric, MetricInterval]

    def flat(self, prefix: str = "") -> dict[str, float]:
        """Return ``{prefix}auc``, ``{prefix}auc_low``, ``{prefix}auc_high``, … and what they rest on."""
        flat = {f"{prefix}rows": self.rows, f"{prefix}positives": self.positives}
        found: dict[str, float] = {**flat, f"{prefix}clusters": self.clusters}
        for metric, interval in self.metrics.items():
            found[f"{prefix}{metric}"] = interval.value
            found[f"{prefix}{metric}_low"] = interval.low
            found[f"{prefix}{metric}_high"] = interval.high
        return found


def evaluate(
    y: ArrayLike,
    probability: ArrayLike,
    cluster: ArrayLike,
    *,
    replicates: int = 400,
    seed: int = 0,
) -> Evaluation:
    """Measure probabilities against outcomes: every `Metric` with its 95 % interval.

    Parameters
    ----------
    y
        Outcomes, 0 or 1, (n_rows,).
    probability
        Predictions, 0 to 1, (n_rows,).
    cluster
        Customer of each row, (n_rows,): rows of one customer are drawn together.
    replicates, seed
        Of the bootstrap. Memory stays bounded whatever their number.

    Raises
    ------
    EvaluationError
        Lengths differ, no rows, labels other than 0 and 1, or probabilities that are none.
    """
    labels, p = _checked(y, probability, cluster)
    bootstrap = ClusterBootstrap.of(cluster, replicates=replicates, seed=seed)
    metrics = {
        metric: percentile_interval(float(drawn[0]), drawn[1:])
        for metric, drawn in _replicated(labels, p, bootstrap).items()
    }
    return Evaluation(len(labels), int(labels.sum()), bootstrap.clusters, metrics)


def evaluate_groups(
    y: ArrayLike,
    probability: ArrayLike,
    cluster: ArrayLike,
    group: ArrayLike,
    *,
    min_positives: int = 10,
    replicates: int = 400,
    seed: int = 0,
) -> dict[str, Evaluation]:
    """Measure each group of rows on its own, largest number of positives first.

    Groups with fewer than ``min_positives`` positives are measured together as ``(small groups)``, last.
    """
    labels, p = _checked(y, probability, cluster)
    names = np.asarray(group).astype(str)
    if len(names) != len(labels):
        raise EvaluationError(f"group has {len(names)} values for {len(labels)} rows; pass one per row")
    clusters = np.asarray(cluster)
    found, codes = np.unique(names, return_inverse=True)
    hits = np.bincount(codes, weights=labels, minlength=len(found))
    large = [int(code) for code in np.argsort(-hits, kind="stable") if hits[code] >= min_positives]
    parts = {str(found[code]): codes == code for code in large}
    rest = ~np.isin(codes, large)
    if rest.any():
        parts[SMALL_GROUPS] = rest
    return {
        name: evaluate(labels[rows], p[rows], clusters[rows], replicates=replicates, seed=seed)
        for name, rows in parts.items()
    }


def paired_differences(
    y: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    cluster: ArrayLike,
    *,
    replicates: int = 400,
    seed: int = 0,
) -> dict[Metric, MetricInterval]:
    """Measure predictions ``first`` minus ``second`` on the same rows and the same resamples.

    Two models err on the same customers, so the interval of their difference is much narrower than their own
    intervals let one think.
    """
    labels, p = _checked(y, first, cluster)
    _, q = _checked(y, second, cluster)
    bootstrap = ClusterBootstrap.of(cluster, replicates=replicates, seed=seed)
    ours, theirs = _replicated(labels, p, bootstrap), _replicated(labels, q, bootstrap)
    differences = {metric: ours[metric] - theirs[metric] for metric in Metric}
    return {metric: percentile_interval(float(d[0]), d[1:]) for metric, d in differences.items()}


def _replicated(
    labels: NDArray[np.int8], probability: FloatArray, bootstrap: ClusterBootstrap
) -> dict[Metric, FloatArray]:
    """Return each metric on the data itself, then on each resample, (1 + replicates,)."""
    codes, clusters = bootstrap.codes, bootstrap.clusters
    ranking = Ranking.of(labels, probability, codes, clusters)
    binned = BinnedLogOdds.of(labels, probability, codes, clusters)
    losses = row_losses(labels, probability)
    sums = np.column_stack(
        [
            np.bincount(codes, weights=column, minlength=clusters)
            for column in (*losses.T, np.ones(len(codes)))
        ]
    )
    chunk = max(1, _CHUNK_NUMBERS // max(ranking.levels, len(binned.centre), clusters))
    drawn: dict[Metric, list[FloatArray]] = {metric: [] for metric in Metric}
    for counts in (np.ones((1, clusters)), *bootstrap.counts(chunk)):
        ranked, line, total = ranking.replicate(counts), binned.replicate(counts), counts @ sums
        drawn[Metric.AUC].append(ranked.auc)
        drawn[Metric.AVERAGE_PRECISION].append(ranked.average_precision)
        drawn[Metric.TOP_DECILE_LIFT].append(ranked.top_decile_lift)
        drawn[Metric.LOG_LOSS].append(total[:, 0] / total[:, 2])
        drawn[Metric.BRIER].append(total[:, 1] / total[:, 2])
        drawn[Metric.CALIBRATION_SLOPE].append(line.slope)
        drawn[Metric.CALIBRATION_INTERCEPT].append(line.intercept)
    return {metric: np.concatenate(parts) for metric, parts in drawn.items()}


def _checked(y: ArrayLike, probability: ArrayLike, cluster: ArrayLike) -> tuple[NDArray[np.int8], FloatArray]:
    labels, p = np.asarray(y), np.asarray(probability, dtype=np.float64)
    lengths = {"y": len(labels), "probability": len(p), "cluster": len(np.asarray(cluster))}
    if len(set(lengths.values())) > 1 or not len(labels):
        raise EvaluationError(f"lengths are {lengths}; pass the same number of rows, at least one")
    if not np.isin(labels, (0, 1)).all():
        raise EvaluationError("y holds values other than 0 and 1; pass whether the outcome was positive")
    if not ((p >= 0) & (p <= 1)).all():
        raise EvaluationError("probability holds values outside 0 to 1; pass calibrated probabilities")
    return labels.astype(np.int8), p
