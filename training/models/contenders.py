"""What competes to be the propensity model, and who wins: the simplest within the best one's interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from serving.bundles.calibration import Calibration
from training.evaluation.intervals import MetricInterval
from training.evaluation.report import Metric


class Contender(Protocol):
    """What `PriorRate`, `RegularizedLogistic` and `PropensityModel` have in common.

    ``margin`` is the raw score in log-odds; probabilities are ``calibration_.apply(margin, groups,
    actions)``. ``held_out_probability_`` (n_rows,) holds those of the training rows from models that had not
    seen them (that learned of earlier rows only when ``time`` is given), NaN for rows never held out.
    """

    classes_: NDArray[np.int64]
    calibration_: Calibration
    held_out_probability_: NDArray[np.float64]

    def fit(
        self,
        X: pd.DataFrame,  # noqa: N803
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        time: ArrayLike | None = None,
        label_time: ArrayLike | None = None,
        group: ArrayLike | None = None,
        action: ArrayLike | None = None,
        calibration_mask: ArrayLike | None = None,
    ) -> Self:
        """Fit on rows (n_rows, n_columns) and labels (n_rows,)."""
        ...

    def margin(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803
        """Return the raw log-odds (n_rows,)."""
        ...

    def predict_proba(
        self,
        X: pd.DataFrame,  # noqa: N803
        *,
        group: ArrayLike | None = None,
        action: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Return calibrated probabilities (n_rows, 2)."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One contender's probabilities on the rows all contenders are judged on; list them simplest first."""

    name: str
    probability: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Selection:
    """Who won and why.

    Parameters
    ----------
    winner
        Name of the simplest contender whose loss is not surely worse than the best one's.
    best
        Name of the contender with the best value.
    metric
        What was compared.
    values
        Each contender's own value.
    differences
        Each contender's value minus the best one's, paired, with interval.
    reason
        One sentence for people.
    """

    winner: str
    best: str
    metric: Metric
    values: dict[str, float]
    differences: dict[str, MetricInterval]
    reason: str


def choose_simplest(
    entries: Sequence[Entry],
    y: ArrayLike,
    cluster: ArrayLike,
    *,
    metric: Metric = Metric.LOG_LOSS,
    replicates: int = 400,
    seed: int = 0,
) -> Selection:
    """Choose the simplest contender within the best one's interval."""
    raise NotImplementedError
