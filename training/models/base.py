"""What all contenders for propensity share: checked input, folds, fall-back, calibration, probabilities.

A contender brings two things: how it learns, returning margins of rows it had not seen, and its margin.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from serving.bundles.calibration import Calibration
from serving.bundles.linear import LinearColumn, LinearModel
from training.models.calibration import CalibrationFit, fit_calibration
from training.models.columns import FrameError, ModelColumn, Table, as_frame, encode, learn_columns
from training.models.folds import Fold, as_instants, stratified_folds, time_ordered_folds

FloatArray = NDArray[np.float64]

_LEAST_TO_CALIBRATE = 20


class FewPositivesWarning(UserWarning):
    """Too few rows of one class to learn from: the model answers the prior rate."""


@dataclass(frozen=True, slots=True)
class FitRows:
    """Checked training rows.

    Parameters
    ----------
    matrix
        Encoded columns, (n_rows, n_columns).
    y
        1 for the positive class, else 0, (n_rows,).
    weight
        (n_rows,), not negative.
    folds
        Who is judged by models that never saw them; at least one.
    seed
        For everything random.
    """

    matrix: NDArray[np.float32]
    y: NDArray[np.int8]
    weight: FloatArray
    folds: list[Fold]
    seed: int


class CalibratedContender(ClassifierMixin, BaseEstimator):
    """Base of the contenders. Not for use on its own."""

    needs_many_positives: ClassVar[bool] = True

    folds: int
    min_positives: int
    min_offset_positives: int
    random_state: Any

    columns_: tuple[ModelColumn, ...]
    classes_: NDArray[Any]
    calibration_: Calibration
    calibrated_on_: str
    pooled_groups_: tuple[str, ...]
    pooled_actions_: tuple[str, ...]
    out_of_fold_: FloatArray
    held_out_probability_: FloatArray
    fallback_reason_: str

    @abstractmethod
    def _learn(self, rows: FitRows) -> FloatArray:
        """Fit on all rows and return out-of-fold margins (n_rows,), NaN for rows never held out."""

    @abstractmethod
    def _margin(self, matrix: NDArray[np.float32]) -> FloatArray:
        """Return log-odds (n_rows,) of encoded rows."""

    @abstractmethod
    def _learn_again(self, rows: FitRows) -> None:
        """Fit on all rows with what was found on the folds; ``rows`` have none."""

    @abstractmethod
    def _fall_back(self, prior: LinearModel) -> None:
        """Become the constant ``prior``."""

    def fit(
        self,
        X: Table,  # noqa: N803
        y: ArrayLike | None,
        *,
        sample_weight: ArrayLike | None = None,
        time: ArrayLike | None = None,
        label_time: ArrayLike | None = None,
        group: ArrayLike | None = None,
        action: ArrayLike | None = None,
        calibration_mask: ArrayLike | None = None,
    ) -> Self:
        """Fit and calibrate.

        Parameters
        ----------
        X
            Rows (n_rows, n_columns): numbers, booleans, words, categoricals; missing values anywhere.
        y
            Two classes (n_rows,); the greater one is the positive.
        sample_weight
            (n_rows,), not negative.
        time, label_time
            When each row happened and when its label was known (by default the same), dates or numbers,
            (n_rows,). With ``time``, folds are ordered in time and no model is judged on rows before all its
            labels were known; without, folds are stratified.
        group, action
            Names per row (n_rows,) for the calibration's offsets.
        calibration_mask
            Rows (n_rows,) the calibration may use, e.g. observed exposures only. All rows are used, and
            ``calibrated_on_`` says so, when these hold fewer than 20 judged positives.

        Returns
        -------
        The fitted estimator.

        Raises
        ------
        FrameError
            What is wrong with the frame, the labels or the arguments, in one line.
        """
        rows = self._checked(X, y, sample_weight, time, label_time)
        self.out_of_fold_ = self._learned(rows)
        self._calibrate(rows, _names(group, "group", rows), _names(action, "action", rows), calibration_mask)
        return self

    def reseeded(self, X: Table, y: ArrayLike, *, seed: int) -> Self:  # noqa: N803
        """Return this model fitted on the same rows with another seed; it is not changed itself.

        What the folds found stays: parameters, rounds, strength, calibration. The seed draws the rows learned
        from and the columns tried, so the two differ by chance alone.

        Parameters
        ----------
        X, y
            What it was fitted on, without weights.
        """
        again = copy(self)
        labels = (np.asarray(y) == self.classes_[1]).astype(np.int8)
        again._learn_again(FitRows(self.encode(X), labels, np.ones(len(labels)), [], seed))  # noqa: SLF001
        return again

    def encode(self, X: Table) -> NDArray[np.float32]:  # noqa: N803
        """Return the matrix (n_rows, n_columns): categories as codes, missing and unseen as NaN.

        Raises
        ------
        FrameError
            Columns missing, unknown or in another order; text or infinite values among numbers.
        """
        check_is_fitted(self)
        frame = as_frame(X)
        if not isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=False, skip_check_array=True)
        _refuse_empty(frame)
        return encode(frame, self.columns_)

    def margin(self, X: Table) -> FloatArray:  # noqa: N803
        """Return raw log-odds (n_rows,), before calibration."""
        return self._margin(self.encode(X))

    def predict_proba(
        self,
        X: Table,  # noqa: N803
        *,
        group: ArrayLike | None = None,
        action: ArrayLike | None = None,
    ) -> FloatArray:
        """Return calibrated probabilities of both classes, (n_rows, 2).

        Without ``group`` or ``action`` (n_rows,) each row stands on the level above.
        """
        margin = self.margin(X)
        nowhere = np.full(len(margin), "")
        positive = self.calibration_.apply(
            margin,
            nowhere.tolist() if group is None else np.asarray(group).astype(str).tolist(),
            nowhere.tolist() if action is None else np.asarray(action).astype(str).tolist(),
        )
        return np.column_stack([1.0 - positive, positive])

    def decision_function(self, X: Table) -> FloatArray:  # noqa: N803
        """Return globally calibrated log-odds (n_rows,)."""
        margin = self.margin(X)
        return self.calibration_.slope * margin + self.calibration_.intercept

    def predict(self, X: Table) -> NDArray[Any]:  # noqa: N803
        """Return the likelier class of each row (n_rows,): for rare outcomes hardly ever the positive."""
        likely = self.predict_proba(X)[:, 1] > 0.5
        chosen: NDArray[Any] = self.classes_[likely.astype(np.int64)]
        return chosen

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        """Tell scikit-learn: two classes only; missing, words and categoricals welcome."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _checked(
        self,
        X: Table,  # noqa: N803
        y: ArrayLike | None,
        sample_weight: ArrayLike | None,
        time: ArrayLike | None,
        label_time: ArrayLike | None,
    ) -> FitRows:
        """Return the rows to learn from, their columns and classes learned."""
        frame = as_frame(X)
        validate_data(self, X, skip_check_array=True)
        _refuse_empty(frame)
        labels = self._labels(y, len(frame))
        self.columns_ = learn_columns(frame)
        weight = _weights(sample_weight, len(frame))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        matrix = encode(frame, self.columns_)
        return FitRows(matrix, labels, weight, self._folds(labels, time, label_time, seed), seed)

    def _learned(self, rows: FitRows) -> FloatArray:
        """Fit, or fall back to the prior rate, and return out-of-fold margins (n_rows,)."""
        self.fallback_reason_ = self._too_little(rows)
        if not self.fallback_reason_:
            return self._learn(rows)
        warnings.warn(f"{self.fallback_reason_}; answering the prior rate", FewPositivesWarning, stacklevel=3)
        self._fall_back(constant_model(self.columns_, prior_margin(rows.y, rows.weight)))
        return np.full(len(rows.y), np.nan)

    def _labels(self, y: ArrayLike | None, rows: int) -> NDArray[np.int8]:
        if y is None:
            raise FrameError("fit requires y to be passed, but the target y is None; pass one label per row")
        given = column_or_1d(y, warn=True)
        if len(given) != rows:
            raise FrameError(f"y has {len(given)} labels for {rows} rows; pass one per row")
        if pd.isna(given).any() or (given.dtype.kind == "f" and np.isinf(given).any()):
            raise FrameError("Input y contains NaN or infinity; drop rows without a label")
        check_classification_targets(given)
        classes = np.unique(given)
        if len(classes) == 1 and classes[0] in (0, 1):
            classes = np.array([0, 1]).astype(classes.dtype)
        if len(classes) != 2:
            raise FrameError(
                f"Only binary classification is supported: y has {len(classes)} class(es), "
                f"{classes[:5].tolist()}; pass whether the outcome was positive"
            )
        self.classes_ = classes
        labels: NDArray[np.int8] = (given == classes[1]).astype(np.int8)
        return labels

    def _folds(
        self, y: NDArray[np.int8], time: ArrayLike | None, label_time: ArrayLike | None, seed: int
    ) -> list[Fold]:
        if time is None:
            return stratified_folds(y, self.folds, seed)
        happened = as_instants(time, "time", len(y))
        known = happened if label_time is None else as_instants(label_time, "label_time", len(y))
        return time_ordered_folds(happened, known, y, self.folds, self.min_positives)

    def _too_little(self, rows: FitRows) -> str:
        """Return why nothing can be learned, or an empty string."""
        if not self.needs_many_positives:
            return ""
        counted = rows.y[rows.weight > 0]
        for name, found in (("positive", int(counted.sum())), ("negative", int((1 - counted).sum()))):
            if found < self.min_positives:
                return f"{found} {name} rows are fewer than min_positives={self.min_positives}"
        if not rows.folds:
            return f"no point in time has {self.min_positives} positive rows known before and after it"
        return ""

    def _calibrate(
        self,
        rows: FitRows,
        group: NDArray[np.str_] | None,
        action: NDArray[np.str_] | None,
        mask: ArrayLike | None,
    ) -> None:
        judged = np.isfinite(self.out_of_fold_) & (rows.weight > 0)
        used, self.calibrated_on_ = judged, "all rows"
        if mask is not None:
            allowed = judged & _mask(mask, len(judged))
            if rows.y[allowed].sum() >= _LEAST_TO_CALIBRATE:
                used, self.calibrated_on_ = allowed, "masked rows"
        found = CalibrationFit(Calibration(), (), (), 0.0, 0.0)
        if min(rows.y[used].sum(), (1 - rows.y[used]).sum()) >= 1:
            found = fit_calibration(
                self.out_of_fold_[used],
                rows.y[used],
                weight=rows.weight[used],
                group=None if group is None else group[used],
                action=None if action is None else action[used],
                min_positives=self.min_offset_positives,
            )
        else:
            self.calibrated_on_ = "nothing"
        self.calibration_ = found.calibration
        self.pooled_groups_, self.pooled_actions_ = found.pooled_groups, found.pooled_actions
        self.group_spread_, self.action_spread_ = found.group_spread, found.action_spread
        self.held_out_probability_ = self._held_out(group, action)

    def _held_out(self, group: NDArray[np.str_] | None, action: NDArray[np.str_] | None) -> FloatArray:
        rows = np.flatnonzero(np.isfinite(self.out_of_fold_))
        groups = [""] * len(rows) if group is None else group[rows].tolist()
        actions = [""] * len(rows) if action is None else action[rows].tolist()
        held_out = np.full(len(self.out_of_fold_), np.nan)
        held_out[rows] = self.calibration_.apply(self.out_of_fold_[rows], groups, actions)
        return held_out


def thinned(rows: FitRows, index: NDArray[np.int64], max_rows: int) -> tuple[NDArray[np.int64], FloatArray]:
    """Return the rows of ``index`` to learn from and their weights, about ``max_rows`` at most.

    Every positive stays; negatives are drawn and weighted up, so probabilities keep their level.
    """
    weight = rows.weight[index]
    positive = rows.y[index] == 1
    negatives = np.flatnonzero(~positive)
    room = max(max_rows - int(positive.sum()), max_rows // 2)
    if len(index) <= max_rows or len(negatives) <= room:
        return index, weight
    drawn = np.random.default_rng(rows.seed).choice(negatives, room, replace=False)
    keep = np.sort(np.concatenate([np.flatnonzero(positive), drawn]))
    return index[keep], np.where(positive, weight, weight * (len(negatives) / room))[keep]


def prior_margin(y: NDArray[np.int8], weight: FloatArray) -> float:
    """Return the log-odds of the weighted rate with half a row added to each class, so it is finite."""
    hits = float(weight @ y) + 0.5
    misses = float(weight @ (1 - y)) + 0.5
    return float(np.log(hits / misses))


def constant_model(columns: tuple[ModelColumn, ...], margin: float) -> LinearModel:
    """Return the linear model that answers ``margin`` whatever the row."""
    return LinearModel(
        margin,
        tuple(
            LinearColumn(column.name, category_weights=(0.0,) * len(column.categories or ()))
            for column in columns
        ),
    )


def _refuse_empty(frame: pd.DataFrame) -> None:
    rows, columns = frame.shape
    if columns == 0:
        raise FrameError(f"0 feature(s) (shape=({rows}, 0)) while a minimum of 1 is required.")
    if rows == 0:
        raise FrameError(f"0 sample(s) (shape=(0, {columns})) while a minimum of 1 is required.")


def _weights(sample_weight: ArrayLike | None, rows: int) -> FloatArray:
    if sample_weight is None:
        return np.ones(rows)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (rows,) or not np.isfinite(weight).all() or (weight < 0).any():
        raise FrameError(
            f"sample_weight.shape == {weight.shape}, expected ({rows},), finite and not negative"
        )
    if not weight.any():
        raise FrameError("sample_weight has all zero weights; leave it out or weigh some row")
    return weight


def _names(values: ArrayLike | None, name: str, rows: FitRows) -> NDArray[np.str_] | None:
    if values is None:
        return None
    names = np.asarray(values).astype(str)
    if names.shape != rows.y.shape:
        raise FrameError(f"{name} has shape {names.shape} for {len(rows.y)} rows; pass one per row")
    return names


def _mask(values: ArrayLike, rows: int) -> NDArray[np.bool_]:
    mask = np.asarray(values)
    if mask.shape != (rows,) or mask.dtype != np.bool_:
        raise FrameError(f"calibration_mask has shape {mask.shape}, {mask.dtype}; pass {rows} booleans")
    return mask
