"""From a DataFrame's columns to the axes on which customers are compared, and rows to points on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serving.bundles.personas import Axis
from training.models.columns import FrameError, ModelColumn, to_codes, to_floats

FloatArray = NDArray[np.float64]

_SKEWED = 1.0
_LIMIT = 3.0
_NORMAL_IQR = 1.349
_MOST_LEVELS = 12


def learn_axes(
    columns: Sequence[ModelColumn],
    matrix: NDArray[np.float32],
    *,
    categorical_weight: float,
    weights: Mapping[str, float],
) -> tuple[Axis, ...]:
    """Learn how each column becomes coordinates; columns that never vary are left out.

    Numbers: missing becomes the median; skewed ones go through ``sign(x) log(1 + |x|)``; then median and
    interquartile range (the deviation where most values are equal) set centre and scale, and 3 is the limit,
    so no extreme customer draws a persona to itself. Each number's weight is
    ``1 / sqrt(sum_j r_ij^2)`` over its correlations with all numbers, itself included: five columns that say
    the same weigh as much as one. Words: at most the 12 most frequent, one coordinate each.

    Parameters
    ----------
    columns, matrix
        As of `training.models.columns`, (n_rows, n_columns).
    categorical_weight
        Of every word column.
    weights
        Multiplies the weight of the columns it names.

    Raises
    ------
    FrameError
        ``weights`` names no column, or no column varies.
    """
    unknown = sorted(set(weights) - {column.name for column in columns})
    if unknown:
        raise FrameError(f"weights names {unknown[0]!r}, which is no column; correct or drop it")
    found: list[Axis] = []
    numbers: list[FloatArray] = []
    for column, values in zip(columns, matrix.T, strict=True):
        axis = _words(column, values) if column.is_categorical else _number(column.name, values)
        if axis is None:
            continue
        found.append(axis)
        if not axis.categories:
            numbers.append(coordinates(axis, values.astype(np.float64)))
    if not found:
        raise FrameError("no column varies, so all customers are alike; pass at least one that does")
    balanced = iter(_balance(numbers))
    return tuple(
        _weighted(
            axis, weights.get(axis.name, 1.0) * (categorical_weight if axis.categories else next(balanced))
        )
        for axis in found
    )


def points(axes: Sequence[Axis], frame: pd.DataFrame) -> FloatArray:
    """Return each row's point (n_rows, n_coordinates), equal to `Personas.point` of that row."""
    blocks = [
        _one_hot(axis, frame[axis.name])
        if axis.categories
        else coordinates(axis, to_floats(axis.name, frame[axis.name]))[:, None]
        for axis in axes
    ]
    return np.concatenate(blocks, axis=1)


def coordinates(axis: Axis, values: FloatArray) -> FloatArray:
    """Return the coordinates (n_rows,) of a number column, as `Axis.coordinates` does one by one."""
    filled = np.where(np.isnan(values), axis.fill, values)
    shaped = np.sign(filled) * np.log1p(np.abs(filled)) if axis.log else filled
    result: FloatArray = axis.weight * np.clip((shaped - axis.center) / axis.scale, -axis.limit, axis.limit)
    return result


def _number(name: str, values: NDArray[np.float32]) -> Axis | None:
    known = values[~np.isnan(values)].astype(np.float64)
    if not known.size or np.ptp(known) == 0.0:
        return None
    z = (known - known.mean()) / known.std()
    skewed = abs(float((z**3).mean())) > _SKEWED
    shaped = np.sign(known) * np.log1p(np.abs(known)) if skewed else known
    low, centre, high = np.quantile(shaped, [0.25, 0.5, 0.75])
    spread = (high - low) / _NORMAL_IQR
    deviation = float(shaped.std())
    if spread < deviation / 4:
        centre, spread = shaped.mean(), deviation
    return Axis(
        name,
        fill=float(np.median(known)),
        log=skewed,
        center=float(centre),
        scale=float(spread),
        limit=_LIMIT,
    )


def _words(column: ModelColumn, values: NDArray[np.float32]) -> Axis | None:
    categories = column.categories or ()
    counts = np.bincount(values[~np.isnan(values)].astype(np.int64), minlength=len(categories))
    if np.count_nonzero(counts) + bool(np.isnan(values).any()) < 2:
        return None
    kept = np.sort(np.argsort(-counts, kind="stable")[:_MOST_LEVELS])
    return Axis(
        column.name, categories=cast("tuple[str, ...]", tuple(categories[i] for i in kept if counts[i]))
    )


def _balance(numbers: Sequence[FloatArray]) -> FloatArray:
    if not numbers:
        return np.zeros(0)
    stacked = np.column_stack(numbers)
    deviation = stacked.std(axis=0)
    z = (stacked - stacked.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    squared = (z.T @ z / len(z)) ** 2
    np.fill_diagonal(squared, 1.0)
    result: FloatArray = 1.0 / np.sqrt(squared.sum(axis=1))
    return result


def _weighted(axis: Axis, weight: float) -> Axis:
    return replace(axis, weight=float(weight))


def _one_hot(axis: Axis, values: pd.Series) -> FloatArray:
    codes = to_codes(axis.categories, values)
    result: FloatArray = axis.weight * (codes[:, None] == np.arange(len(axis.categories)))
    return result
