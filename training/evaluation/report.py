"""One model's figures on one set of rows, and two models' difference, with intervals clustered by customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from numpy.typing import ArrayLike

from training.evaluation.intervals import MetricInterval


class Metric(StrEnum):
    """What is measured."""

    AUC = "auc"
    AVERAGE_PRECISION = "average_precision"
    LOG_LOSS = "log_loss"
    BRIER = "brier"
    CALIBRATION_SLOPE = "calibration_slope"
    CALIBRATION_INTERCEPT = "calibration_intercept"
    TOP_DECILE_LIFT = "top_decile_lift"


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
        """Return ``{prefix}auc``, ``{prefix}auc_low``, ``{prefix}auc_high``, …, ``{prefix}rows``, …"""
        raise NotImplementedError


def evaluate(
    y: ArrayLike,
    probability: ArrayLike,
    cluster: ArrayLike,
    *,
    replicates: int = 400,
    seed: int = 0,
) -> Evaluation:
    """Measure ``probability`` against ``y``: every `Metric` with its interval."""
    raise NotImplementedError


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
    """Measure each group of rows on its own; groups under ``min_positives`` are gathered in ``(small groups)``."""
    raise NotImplementedError


def paired_differences(
    y: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    cluster: ArrayLike,
    *,
    metrics: Sequence[Metric] = tuple(Metric),
    replicates: int = 400,
    seed: int = 0,
) -> dict[Metric, MetricInterval]:
    """Measure ``first`` minus ``second`` on the same rows and the same resamples."""
    raise NotImplementedError
