"""The simpler contenders: `PriorRate` and `RegularizedLogistic`. Same interface as `PropensityModel`.

Both expose ``linear_`` (`serving.bundles.linear.LinearModel`) over the matrix of ``encode`` for a bundle.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from serving.bundles.calibration import sigmoid
from serving.bundles.linear import LinearColumn, LinearModel
from training.evaluation.calibration import row_losses
from training.models.base import (
    CalibratedContender,
    FitRows,
    FloatArray,
    constant_model,
    prior_margin,
    thinned,
)
from training.models.calibration import best_intercept
from training.models.columns import ModelColumn, check_monotone

_SKEWED = 2.0
_LIMIT = 4.0
_TOLERANCE = 1e-4


class PriorRate(CalibratedContender):
    """The rate of positives, for everybody; by group and action through the calibration's offsets.

    The floor that any model has to beat.

    Parameters
    ----------
    folds, min_positives, min_offset_positives, random_state
        As of `PropensityModel`.

    Attributes
    ----------
    linear_ : LinearModel
        The constant.
    kind_ : str
        ``linear``. Other attributes are those of `PropensityModel`.
    """

    kind_ = "linear"
    needs_many_positives: ClassVar[bool] = False
    linear_: LinearModel

    def __init__(
        self,
        *,
        folds: int = 3,
        min_positives: int = 20,
        min_offset_positives: int = 50,
        random_state: Any = 0,  # noqa: ANN401
    ) -> None:
        self.folds = folds
        self.min_positives = min_positives
        self.min_offset_positives = min_offset_positives
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        """Tell scikit-learn that this one is no good by design."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _learn(self, rows: FitRows) -> FloatArray:
        margin = prior_margin(rows.y, rows.weight)
        self.linear_ = constant_model(self.columns_, margin)
        out_of_fold = np.full(len(rows.y), np.nan)
        for fold in rows.folds:
            # One level for all folds: a constant has no order to learn, and calibration sets its level
            out_of_fold[fold.judge] = margin
        return out_of_fold

    def _learn_again(self, rows: FitRows) -> None:
        """Stay as it is: nothing here is drawn."""

    def _fall_back(self, prior: LinearModel) -> None:
        self.linear_ = prior

    def _margin(self, matrix: NDArray[np.float32]) -> FloatArray:
        return self.linear_.margins(matrix)


class RegularizedLogistic(CalibratedContender):
    """Logistic regression with an L2 penalty, its strength chosen on the folds.

    Numbers are standardized by mean and deviation and clipped at 4 deviations; skewed ones go through
    ``sign(x) log(1 + |x|)`` first. Every column with missing values gets a weight for being missing; words
    become one weight per category.

    Parameters
    ----------
    strengths
        Tried as scikit-learn's ``C``, the variance of each weight's normal prior: smaller is stronger.
    max_rows
        As of `PropensityModel`.
    max_iter
        Of the solver, Newton's method.
    monotone
        1 or -1 by numeric column: the score may only rise, or fall, with it. A weight of the other sign is
        set to 0 and the others are fitted again, until none is left.
    folds, min_positives, min_offset_positives, random_state
        As of `PropensityModel`.

    Attributes
    ----------
    linear_ : LinearModel
        The weights over the matrix of `encode`, the same in training and in service.
    strength_ : float
        The chosen one.
    n_iter_ : int
        Steps of the solver in the last fit.
    kind_ : str
        ``linear``. Other attributes are those of `PropensityModel`.

    References
    ----------
    Hoerl & Kennard (1970) for the penalty; le Cessie & van Houwelingen (1992) for logistic regression.
    """

    kind_ = "linear"
    linear_: LinearModel

    def __init__(
        self,
        *,
        strengths: Sequence[float] = (0.001, 0.005, 0.025),
        folds: int = 3,
        max_rows: int = 20_000,
        max_iter: int = 100,
        min_positives: int = 20,
        min_offset_positives: int = 50,
        monotone: Mapping[str, int] | None = None,
        random_state: Any = 0,  # noqa: ANN401
    ) -> None:
        self.strengths = strengths
        self.folds = folds
        self.max_rows = max_rows
        self.max_iter = max_iter
        self.min_positives = min_positives
        self.min_offset_positives = min_offset_positives
        self.monotone = monotone
        self.random_state = random_state

    def _learn(self, rows: FitRows) -> FloatArray:
        check_monotone(self.monotone or {}, self.columns_)
        shapes = self._shapes(rows)
        # Threads of the algebra wait for each other; on these sizes that costs more than it gains
        with threadpool_limits(1):
            tried = np.full((len(self.strengths), len(rows.y)), np.nan)
            for fold in rows.folds:
                found = self._fitted(rows, fold.learn, shapes, self.strengths)
                tried[:, fold.judge] = [model.margins(rows.matrix[fold.judge]) for model, _ in found]
            best = int(np.argmin([_loss(rows, margins) for margins in tried]))
            self.strength_ = float(self.strengths[best])
            (final,) = self._fitted(rows, np.arange(len(rows.y)), shapes, [self.strength_])
        self.linear_, self.n_iter_ = final
        out_of_fold: FloatArray = tried[best]
        return out_of_fold

    def _learn_again(self, rows: FitRows) -> None:
        if not self.fallback_reason_:
            with threadpool_limits(1):
                (found,) = self._fitted(rows, np.arange(len(rows.y)), self._shapes(rows), [self.strength_])
            self.linear_, self.n_iter_ = found

    def _shapes(self, rows: FitRows) -> list[LinearColumn]:
        return [_shape(column, rows.matrix[:, i]) for i, column in enumerate(self.columns_)]

    def _fitted(
        self,
        rows: FitRows,
        index: NDArray[np.int64],
        shapes: Sequence[LinearColumn],
        strengths: Sequence[float],
    ) -> list[tuple[LinearModel, int]]:
        """Return one model and its number of steps per strength."""
        index, weight = thinned(rows, index, self.max_rows)
        design, y = _design(shapes, rows.matrix[index]), rows.y[index]
        declared = _declared(shapes, self.monotone or {})
        found: list[tuple[LinearModel, int]] = []
        for strength in strengths:
            solver, free = self._solved(design, y, weight, strength), dict(declared)
            # Each strength by itself: a fit with this one alone must come out the same
            held = design.copy() if _wrong(solver, free) else design
            while wrong := _wrong(solver, free):
                free = {place: sign for place, sign in free.items() if place not in wrong}
                held[:, wrong] = 0.0
                solver = self._solved(held, y, weight, strength)
            model = _with_weights(shapes, solver.coef_[0], float(solver.intercept_[0]))
            found.append((model, int(solver.n_iter_.max())))
        return found

    def _solved(
        self, design: FloatArray, y: NDArray[np.int8], weight: FloatArray, strength: float
    ) -> LogisticRegression:
        """Return the solver with its weights found; a column of zeros gets the weight 0."""
        solver = LogisticRegression(
            C=strength, solver="newton-cholesky", max_iter=self.max_iter, tol=_TOLERANCE
        )
        with warnings.catch_warnings():
            # Weights that have not quite settled only make a weaker contender
            warnings.simplefilter("ignore", ConvergenceWarning)
            return solver.fit(design, y, sample_weight=weight)

    def _fall_back(self, prior: LinearModel) -> None:
        self.linear_, self.strength_, self.n_iter_ = prior, 0.0, 1

    def _margin(self, matrix: NDArray[np.float32]) -> FloatArray:
        return self.linear_.margins(matrix)


def _loss(rows: FitRows, margin: FloatArray) -> float:
    """Return the summed log-loss over the judged rows, each fold's level set right as calibration will."""
    total = 0.0
    for fold in rows.folds:
        y, weight, m = rows.y[fold.judge], rows.weight[fold.judge], margin[fold.judge]
        level = best_intercept(m, y, weight)
        total += float(weight @ row_losses(y, sigmoid(m + level))[:, 0])
    return total


def _shape(column: ModelColumn, values: NDArray[np.float32]) -> LinearColumn:
    """Return how a column is standardized, its weights still 0."""
    if column.categories is not None:
        return LinearColumn(column.name, category_weights=(0.0,) * len(column.categories))
    known = values[~np.isnan(values)].astype(np.float64)
    if not known.size or np.ptp(known) == 0.0:
        return LinearColumn(column.name, center=float(known[0]) if known.size else 0.0, limit=_LIMIT)
    z = (known - known.mean()) / known.std()
    skewed = abs(float((z**3).mean())) > _SKEWED
    shaped = np.sign(known) * np.log1p(np.abs(known)) if skewed else known
    return LinearColumn(
        column.name, center=float(shaped.mean()), scale=float(shaped.std()), limit=_LIMIT, log=skewed
    )


def _design(shapes: Sequence[LinearColumn], matrix: NDArray[np.float32]) -> FloatArray:
    """Return one column per weight of `LinearModel`: (n_rows, n_weights), missing last in each block."""
    blocks: list[FloatArray] = []
    for shape, values in zip(shapes, matrix.T, strict=True):
        missing = np.isnan(values)
        if shape.category_weights:
            codes = np.where(missing, -1, values)
            blocks.append((codes[:, None] == np.arange(len(shape.category_weights))).astype(np.float64))
        else:
            blocks.append(replace(shape, weight=1.0).margins(values)[:, None])
        blocks.append(missing[:, None].astype(np.float64))
    return np.concatenate(blocks, axis=1)


def _declared(shapes: Sequence[LinearColumn], monotone: Mapping[str, int]) -> dict[int, int]:
    """Return the direction declared for a column's weight, by its place in the design."""
    declared: dict[int, int] = {}
    start = 0
    for shape in shapes:
        if shape.name in monotone:
            declared[start] = monotone[shape.name]
        start += max(len(shape.category_weights), 1) + 1
    return declared


def _wrong(solver: LogisticRegression, declared: Mapping[int, int]) -> list[int]:
    """Return the places of weights against their declared direction."""
    return [place for place, sign in declared.items() if sign * solver.coef_[0, place] < 0]


def _with_weights(shapes: Sequence[LinearColumn], weights: FloatArray, intercept: float) -> LinearModel:
    columns: list[LinearColumn] = []
    start = 0
    for shape in shapes:
        stop = start + max(len(shape.category_weights), 1)
        own, missing = weights[start:stop], float(weights[stop])
        if shape.category_weights:
            columns.append(replace(shape, category_weights=tuple(map(float, own)), missing_weight=missing))
        else:
            columns.append(replace(shape, weight=float(own[0]), missing_weight=missing))
        start = stop + 1
    return LinearModel(intercept, tuple(columns))
