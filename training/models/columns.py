"""What an estimator learns of a DataFrame's columns, and the one float matrix it reads them as.

The matrix is the one of ``features.rows``: one column per column in order, categories as their codes, missing
and unseen as NaN. A model fitted on a frame is therefore served from such a matrix without a frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from moment.errors import MomentError

Category = str | int | float | bool
Table = pd.DataFrame | NDArray[Any]

MAX_LEARNED_CATEGORIES = 1000
_SHOWN = 5


class FrameError(MomentError, ValueError):
    """A frame or labels an estimator cannot be fitted on or asked with. One line with the way out."""


@dataclass(frozen=True, slots=True)
class ModelColumn:
    """One column: numeric, or categorical with its categories in the order of their codes.

    Parameters
    ----------
    name
        Its name in the frame.
    categories
        None for a numeric column. Otherwise every value it may take; any other value is missing.

    Examples
    --------
    >>> brand = ModelColumn("brand", ("national", "private"))
    >>> brand.encode(pd.Series(["private", None, "unheard of"]))
    array([ 1., nan, nan], dtype=float32)
    """

    name: str
    categories: tuple[Category, ...] | None = None

    @property
    def is_categorical(self) -> bool:
        """Whether values become codes."""
        return self.categories is not None

    def encode(self, values: pd.Series) -> NDArray[np.float32]:
        """Return codes or numbers (n_rows,), NaN where missing or unseen.

        Raises
        ------
        FrameError
            A numeric column holds text or infinite values.
        """
        if self.categories is None:
            return _numbers(self.name, values)
        return to_codes(self.categories, values)


def learn_columns(frame: pd.DataFrame) -> tuple[ModelColumn, ...]:
    """Learn kind and categories of each column.

    Numbers and booleans are numeric. A pandas categorical keeps its declared categories and their order; any
    other text column gets its values in sorted order, at most the `MAX_LEARNED_CATEGORIES` most frequent.

    Raises
    ------
    FrameError
        A column's name is doubled, or it holds dates or things that are neither numbers nor words.
    """
    doubled = frame.columns[frame.columns.duplicated()]
    if len(doubled):
        raise FrameError(f"column {doubled[0]!r} is there twice; drop or rename one of them")
    return tuple(_learn(str(name), frame[name]) for name in frame.columns)


def encode(frame: pd.DataFrame, columns: Sequence[ModelColumn]) -> NDArray[np.float32]:
    """Return the matrix of a frame, C-contiguous (n_rows, n_columns).

    Raises
    ------
    FrameError
        Names or their order differ from ``columns``; see `ModelColumn.encode` for values.
    """
    check_columns(frame, columns)
    matrix = np.empty((len(frame), len(columns)), dtype=np.float32)
    for index, column in enumerate(columns):
        matrix[:, index] = column.encode(frame.iloc[:, index])
    return matrix


def check_columns(frame: pd.DataFrame, columns: Sequence[ModelColumn]) -> None:
    """Refuse a frame whose columns are not those fitted, in their order."""
    given, fitted = [str(name) for name in frame.columns], [column.name for column in columns]
    if given == fitted:
        return
    missing = [name for name in fitted if name not in set(given)]
    unknown = [name for name in given if name not in set(fitted)]
    if missing or unknown:
        parts = [f"missing {_listed(missing)}"] * bool(missing) + [f"unknown {_listed(unknown)}"] * bool(
            unknown
        )
        raise FrameError(
            f"columns are not those fitted: {', '.join(parts)}; pass the {len(fitted)} fitted ones"
        )
    where = next(i for i, (ours, theirs) in enumerate(zip(fitted, given, strict=False)) if ours != theirs)
    raise FrameError(
        f"columns are in another order: {given[where]!r} at position {where} where {fitted[where]!r} was "
        "fitted; select them in the order of feature_names_in_"
    )


def check_monotone(monotone: Mapping[str, int], columns: Sequence[ModelColumn]) -> None:
    """Refuse a direction declared for what is no numeric column."""
    unknown = sorted(set(monotone) - {column.name for column in columns if not column.is_categorical})
    if unknown:
        raise FrameError(f"monotone names {unknown[0]!r}, which is no numeric column; correct or drop it")


def as_frame(data: object) -> pd.DataFrame:
    """Return a DataFrame as it is and a 2-D array as a frame with columns ``x0``, ``x1``, …."""
    if isinstance(data, pd.DataFrame):
        return data
    array = check_array(data, dtype=None, ensure_all_finite="allow-nan", ensure_min_samples=0)
    if array.dtype.kind == "c":
        raise FrameError("Complex data not supported; pass real numbers")
    return pd.DataFrame(array, columns=[f"x{index}" for index in range(array.shape[1])])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _learn(name: str, values: pd.Series) -> ModelColumn:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return ModelColumn(name, tuple(_plain(name, value) for value in values.cat.categories))
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        return ModelColumn(name)
    if not (pd.api.types.is_object_dtype(values.dtype) or pd.api.types.is_string_dtype(values.dtype)):
        raise FrameError(f"column {name!r} is of type {values.dtype}; derive numbers or words from it")
    counts = values.value_counts(dropna=True, sort=False)
    found = {_plain(name, value): int(count) for value, count in counts.items()}
    if not any(isinstance(value, str) for value in found):
        return ModelColumn(name)
    # Mixed types have no order of their own: by type, then value
    in_order = sorted(found, key=lambda value: (type(value).__name__, value))
    frequent = set(sorted(in_order, key=lambda value: -found[value])[:MAX_LEARNED_CATEGORIES])
    return ModelColumn(name, tuple(value for value in in_order if value in frequent))


def _plain(name: str, value: object) -> Category:
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, (str, bool, int, float)):
        return plain
    raise FrameError(
        f"column {name!r} holds a {type(value).__name__}; argument must be a string or a number, "
        "so derive numbers or words from it"
    )


def to_floats(name: str, values: pd.Series) -> NDArray[np.float64]:
    """Return a number column as floats (n_rows,), NaN where missing.

    Raises
    ------
    FrameError
        It holds text.
    """
    try:
        floats: NDArray[np.float64] = pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise FrameError(f"column {name!r} was fitted as numbers and now holds something else") from error
    return floats


def to_codes(categories: Sequence[Category], values: pd.Series) -> NDArray[np.float32]:
    """Return the position of each value among ``categories`` (n_rows,), NaN where missing or unseen."""
    known = {value: code for code, value in enumerate(categories)}
    positions, distinct = pd.factorize(values)
    table = np.array([known.get(value, np.nan) for value in distinct] + [np.nan], dtype=np.float32)
    found: NDArray[np.float32] = table[positions]
    return found


def _numbers(name: str, values: pd.Series) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        numbers: NDArray[np.float32] = to_floats(name, values).astype(np.float32)
    infinite = int(np.isinf(numbers).sum())
    if infinite:
        raise FrameError(f"column {name!r} holds {infinite} infinite or too large values; clip or drop them")
    return numbers
