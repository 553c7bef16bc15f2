"""Which rows are judged by a model that never saw them: ordered in time where rows have a time.

A model is only judged on rows after all the labels it learned from were known, as in service.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedKFold

from training.models.columns import FrameError

IntArray = NDArray[np.int64]

_MOST_CUTOFFS = 200


@dataclass(frozen=True, slots=True)
class Fold:
    """Row numbers to learn from and, disjoint from them, to be judged on."""

    learn: IntArray
    judge: IntArray


def stratified_folds(y: NDArray[np.int8], count: int, seed: int) -> list[Fold]:
    """Return ``count`` folds with equal shares of positives; fewer when positives or negatives are fewer."""
    count = min(count, int(y.sum()), int((1 - y).sum()))
    if count < 2:
        return []
    splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
    return [Fold(learn, judge) for learn, judge in splitter.split(np.zeros(len(y)), y)]


def time_ordered_folds(
    time: NDArray[np.float64],
    label_time: NDArray[np.float64],
    y: NDArray[np.int8],
    count: int,
    min_positives: int,
) -> list[Fold]:
    """Return up to ``count`` folds in order of time.

    Fold k learns from rows with ``label_time`` before its cutoff and is judged on rows from its cutoff to the
    next. Cutoffs are chosen one by one so that the positives are judged by models that learned from as many
    positives as they can have: they maximise the sum over judged positives of the square root of that number,
    with which a model's error falls. Even spacing would fail where outcomes come in lumps, as with campaigns.

    Parameters
    ----------
    time, label_time
        When a row happened and when its label was known, as numbers, (n_rows,).
    y
        Outcomes, 0 or 1, (n_rows,).
    count
        Most folds.
    min_positives
        A cutoff with fewer positives to learn from, or after it, is not used.
    """
    cutoffs = _candidates(time)
    hits, known = np.sort(time[y == 1]), np.sort(label_time[y == 1])
    negatives = np.sort(label_time[y == 0])
    learned = np.searchsorted(known, cutoffs, side="left")
    after = len(hits) - np.searchsorted(hits, cutoffs, side="left")
    usable = (learned >= min_positives) & (after >= min_positives)
    usable &= np.searchsorted(negatives, cutoffs, side="left") > 0
    cutoffs, learned, after = cutoffs[usable], learned[usable], after[usable]
    chosen: list[int] = []
    for _ in range(min(count, len(cutoffs))):
        gains = [_worth([*chosen, new], learned, after) for new in range(len(cutoffs))]
        chosen.append(int(np.argmax(gains)))
    ends = [float(cutoffs[index]) for index in sorted(set(chosen))]
    return [
        Fold(np.flatnonzero(label_time < start), np.flatnonzero((time >= start) & (time < stop)))
        for start, stop in zip(ends, [*ends, np.inf][1:], strict=True)
    ]


def _candidates(time: NDArray[np.float64]) -> NDArray[np.float64]:
    distinct = np.unique(time)
    if len(distinct) <= _MOST_CUTOFFS:
        return distinct
    return np.unique(np.quantile(time, np.linspace(0.0, 1.0, _MOST_CUTOFFS), method="lower"))


def _worth(chosen: list[int], learned: IntArray, after: IntArray) -> float:
    index = np.array(sorted(set(chosen)))
    judged = after[index] - np.append(after[index[1:]], 0)
    return float((judged * np.sqrt(learned[index])).sum())


def as_instants(values: ArrayLike, name: str, rows: int) -> NDArray[np.float64]:
    """Return times (n_rows,) as numbers in their order: dates in nanoseconds, numbers as they are.

    Raises
    ------
    FrameError
        Wrong length, missing values, or neither dates nor numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind == "O":
        array = _dates(array, name)
    if array.dtype.kind == "M":
        missing = np.isnat(array)
        numbers = array.astype("datetime64[ns]").astype(np.int64).astype(np.float64)
    elif array.dtype.kind in "iuf":
        numbers = array.astype(np.float64)
        missing = np.isnan(numbers)
    else:
        raise FrameError(f"{name} is of type {array.dtype}; pass dates or numbers")
    if numbers.shape != (rows,) or missing.any():
        raise FrameError(
            f"{name} has shape {numbers.shape} for {rows} rows or missing values; pass one per row"
        )
    return numbers


def _dates(array: NDArray[np.object_], name: str) -> NDArray[np.datetime64]:
    try:
        dates = pd.to_datetime(pd.Series(array), utc=True)
    except (ValueError, TypeError) as error:
        raise FrameError(f"{name} holds something that is no date; pass dates or numbers") from error
    result: NDArray[np.datetime64] = dates.dt.tz_localize(None).to_numpy()
    return result
