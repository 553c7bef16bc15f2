"""A regularized logistic model as a table of weights: what serving needs of it, on numpy alone.

``training.models`` exports its logistic contender to this value; :meth:`LinearModel.margins` is the one
place where it is applied, so training and serving cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from serving.bundles.manifest import canonical_json, sha256

_ROWS_AT_ONCE = 8192
"""Bounds the memory of scoring many rows; a row's margin does not depend on it."""


@dataclass(frozen=True, slots=True)
class LinearColumn:
    """How one column of the row layout adds to the margin.

    Numeric: ``weight * clip((t(x) - center) / scale, -limit, limit)``, with ``t(x) = sign(x) log(1 + |x|)``
    where ``log`` is set. Categorical (``category_weights`` not empty): the weight of the value's code.
    A missing value adds ``missing_weight`` and nothing else.

    Parameters
    ----------
    name
        Name of the column in the row layout.
    weight, center, scale, limit, log
        Of a numeric column; ``limit`` in scaled units.
    missing_weight
        Added where the value is missing.
    category_weights
        Of a categorical column: one weight per category of the layout, in its order.
    """

    name: str
    weight: float = 0.0
    center: float = 0.0
    scale: float = 1.0
    limit: float = 10.0
    log: bool = False
    missing_weight: float = 0.0
    category_weights: tuple[float, ...] = ()

    def margins(self, values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return this column's part of the margin, shape ``(n,)``."""
        missing = np.isnan(values)
        if self.category_weights:
            codes = np.where(missing, 0, values).astype(np.intp)
            part = np.asarray(self.category_weights)[codes]
        else:
            known = np.where(missing, 0.0, values).astype(np.float64)
            shaped = np.sign(known) * np.log1p(np.abs(known)) if self.log else known
            part = self.weight * np.clip((shaped - self.center) / self.scale, -self.limit, self.limit)
        result: NDArray[np.float64] = np.where(missing, self.missing_weight, part)
        return result


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numeric ones of some columns side by side, so that all are computed at once.

    Each array is (numeric columns,); ``index`` says where they are in a row.
    """

    index: NDArray[np.intp]
    log: NDArray[np.bool_]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    weight: NDArray[np.float64]
    missing: NDArray[np.float64]

    @classmethod
    def of(cls, columns: Sequence[LinearColumn], within: range) -> Self:
        """Take the numeric ones within a range of the columns."""
        numeric = [(place, columns[place]) for place in within if not columns[place].category_weights]
        return cls(
            index=np.array([place for place, _ in numeric], dtype=np.intp),
            log=np.array([column.log for _, column in numeric], dtype=np.bool_),
            center=np.array([column.center for _, column in numeric]),
            scale=np.array([column.scale for _, column in numeric]),
            lowest=np.array([-column.limit for _, column in numeric]),
            highest=np.array([column.limit for _, column in numeric]),
            weight=np.array([column.weight for _, column in numeric]),
            missing=np.array([column.missing_weight for _, column in numeric]),
        )

    def parts(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each column adds to each row's margin, shape ``(n, numeric columns)``."""
        return self.added(matrix.take(self.index, axis=1).astype(np.float64))

    def added(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Put what each column adds in the place of its value; ``values`` may be of the first ones only."""
        first = slice(values.shape[-1])
        missing = np.isnan(values)
        logs = np.abs(values)
        np.log1p(logs, out=logs)
        np.copysign(logs, values, out=logs)
        np.copyto(values, logs, where=self.log[first])
        values -= self.center[first]
        values /= self.scale[first]
        np.maximum(values, self.lowest[first], out=values)
        np.minimum(values, self.highest[first], out=values)
        values *= self.weight[first]
        np.copyto(values, self.missing[first], where=missing)
        return values


@dataclass(frozen=True, slots=True)
class Words:
    """The categorical ones of some columns side by side.

    Parameters
    ----------
    index
        Shape (categorical columns,): their places in a row.
    weights
        Shape (categorical columns, categories + 2): the weights of the categories, NaN for a code that no
        category has, and last the weight where the value is missing.
    """

    index: NDArray[np.intp]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, columns: Sequence[LinearColumn], within: range) -> Self:
        """Take the categorical ones within a range of the columns."""
        index = [place for place in within if columns[place].category_weights]
        most = max((len(columns[place].category_weights) for place in index), default=0)
        weights = np.full((len(index), most + 2), np.nan)
        for row, place in zip(weights, index, strict=True):
            row[: len(columns[place].category_weights)] = columns[place].category_weights
            row[-1] = columns[place].missing_weight
        return cls(np.array(index, dtype=np.intp), weights)

    def parts(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what each column adds to each row's margin, shape ``(n, categorical columns)``."""
        # A missing code becomes -1: the last
        codes = np.fmax(matrix.take(self.index, axis=1), -1).astype(np.intp)
        parts: NDArray[np.float64] = self.weights[np.arange(len(self.index)), codes]
        return parts


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A logistic model over the columns of a row layout, in its order.

    Parameters
    ----------
    intercept
        Log-odds of a row whose columns add nothing.
    columns
        What each column adds.
    customer_columns
        How many of the first columns say the same in all rows of one customer: they are computed once for
        each. No margin depends on it.
    """

    intercept: float
    columns: tuple[LinearColumn, ...]
    customer_columns: int = field(default=0, compare=False)
    _customers: tuple[Numbers, Words] = field(init=False, repr=False, compare=False)
    _others: tuple[Numbers, Words] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay the columns side by side, once."""
        first, columns = self.customer_columns, self.columns
        for name, within in (("_customers", range(first)), ("_others", range(first, len(columns)))):
            object.__setattr__(self, name, (Numbers.of(columns, within), Words.of(columns, within)))

    def margins(
        self, matrix: NDArray[np.float32], counts: Sequence[int] | None = None
    ) -> NDArray[np.float64]:
        """Return log-odds, shape ``(n,)``.

        Parameters
        ----------
        matrix
            Rows as of ``features.rows.request_matrix``, shape ``(n, columns)``: categories as codes,
            missing as NaN.
        counts
            How many rows each customer has, one customer after another, none of them 0; None where each row
            may be another's.
        """
        if counts is not None and len(counts) == 1:
            return self._sums(matrix, matrix[:1], None)
        owner = np.arange(len(matrix)) if counts is None else np.repeat(np.arange(len(counts)), counts)
        customers = matrix if counts is None else matrix[np.cumsum(counts) - counts]
        total = np.empty(len(matrix))
        for start in range(0, len(matrix), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            whose = owner[rows]
            first, last = whose[0], whose[-1]
            total[rows] = self._sums(matrix[rows], customers[first : last + 1], whose - first)
        return total

    def _sums(
        self, rows: NDArray[np.float32], customers: NDArray[np.float32], whose: NDArray[np.intp] | None
    ) -> NDArray[np.float64]:
        """Return log-odds of some rows, each of the customer that ``whose`` says; None where there is one."""
        (customer_numbers, customer_words), (own_numbers, own_words) = self._customers, self._others
        numbers = _beside(customer_numbers.parts(customers), whose, own_numbers.parts(rows))
        words = _beside(customer_words.parts(customers), whose, own_words.parts(rows))
        return summed(self.intercept, numbers, words)

    def read_as(self) -> str:
        """Return the SHA-256 of the weights as they were read."""
        return sha256(canonical_json(self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"intercept": self.intercept, "columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], customer_columns: int = 0) -> Self:
        """Read the JSON form."""
        columns: Sequence[Mapping[str, Any]] = data["columns"]
        return cls(
            float(data["intercept"]),
            tuple(
                LinearColumn(**{**column, "category_weights": tuple(column["category_weights"])})
                for column in columns
            ),
            customer_columns,
        )


def summed(intercept: float, numbers: NDArray[np.float64], words: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of each row, of C order."""
    total: NDArray[np.float64] = np.add.reduce(numbers, axis=1)
    total += intercept
    # One word after another: a row sums the same alone and among others
    for column in words.T:
        total += column
    return total


def _beside(
    shared: NDArray[np.float64], whose: NDArray[np.intp] | None, own: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what a row's customer adds and what the row itself does."""
    middle = shared.shape[1]
    both = np.empty((len(own), middle + own.shape[1]))
    both[:, :middle] = shared if whose is None else shared[whose]
    both[:, middle:] = own
    return both
