"""PropensityModel: calibrated P(positive outcome | customer, action, context) by gradient boosting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from serving.bundles.calibration import Calibration
from training.models.columns import ModelColumn


class PropensityModel(ClassifierMixin, BaseEstimator):
    """Calibrated gradient boosting for rare outcomes, good without tuning by hand.

    Attributes
    ----------
    columns_ : tuple of ModelColumn
        What it learned of the frame: name, kind, categories in the order of their codes.
    booster_ : xgboost.Booster
        Trained on ``encode(X)``; its margins are `margin`. None when only the prior rate could be fitted.
    calibration_ : Calibration
    calibrated_on_ : str
        ``"masked rows"``, ``"all rows"`` or ``"nothing"``.
    pooled_actions_, pooled_groups_ : tuple of str
        Those with too few positives for an offset of their own.
    out_of_fold_ : ndarray (n_rows,)
        Margins of held-out rows, NaN where never held out.
    best_params_, best_rounds_, trials_run_, stopped_early_, fallback_reason_
    """

    def __init__(
        self,
        *,
        trials: int = 12,
        budget_seconds: float = 40.0,
        folds: int = 3,
        max_rounds: int = 600,
        negatives_per_positive: float | None = 40.0,
        min_positives: int = 30,
        min_offset_positives: int = 50,
        monotone: Mapping[str, int] | None = None,
        nthread: int = 2,
        random_state: int = 0,
    ) -> None:
        self.trials = trials
        self.budget_seconds = budget_seconds
        self.folds = folds
        self.max_rounds = max_rounds
        self.negatives_per_positive = negatives_per_positive
        self.min_positives = min_positives
        self.min_offset_positives = min_offset_positives
        self.monotone = monotone
        self.nthread = nthread
        self.random_state = random_state

    columns_: tuple[ModelColumn, ...]
    booster_: Any
    calibration_: Calibration
    out_of_fold_: NDArray[np.float64]

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
        """Tune, fit and calibrate.

        Parameters
        ----------
        X
            Rows (n_rows, n_columns).
        y
            Two classes (n_rows,).
        time, label_time
            When each row happened and when its label was known; folds are then ordered in time and a model
            is only judged on rows after all its labels were known.
        group, action
            For the calibration's offsets.
        calibration_mask
            Rows the calibration may use, e.g. observed exposures only.
        """
        raise NotImplementedError

    def encode(self, X: pd.DataFrame) -> NDArray[np.float32]:  # noqa: N803
        """Return the matrix (n_rows, n_columns): categories as codes, missing and unseen as NaN."""
        raise NotImplementedError

    def margin(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803
        """Return raw log-odds (n_rows,), before calibration."""
        raise NotImplementedError

    def predict_proba(
        self,
        X: pd.DataFrame,  # noqa: N803
        *,
        group: ArrayLike | None = None,
        action: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Return calibrated probabilities (n_rows, 2)."""
        raise NotImplementedError
