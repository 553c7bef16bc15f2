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
class _Numbers:
    """The numeric columns side by side, so that all are computed at once; each array is (columns,)."""

    index: NDArray[np.intp]
    log: NDArray[np.intp]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    limit: NDArray[np.float64]
    weight: NDArray[np.float64]
    missing: NDArray[np.float64]

    @classmethod
    def of(cls, columns: Sequence[LinearColumn]) -> Self:
        numeric = [(index, column) for index, column in enumerate(columns) if not column.category_weights]
        return cls(
            index=np.array([index for index, _ in numeric], dtype=np.intp),
            log=np.array([place for place, (_, column) in enumerate(numeric) if column.log], dtype=np.intp),
            center=np.array([column.center for _, column in numeric]),
            scale=np.array([column.scale for _, column in numeric]),
            limit=np.array([column.limit for _, column in numeric]),
            weight=np.array([column.weight for _, column in numeric]),
            missing=np.array([column.missing_weight for _, column in numeric]),
        )

    def margins(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        # In rows of C order: a row then sums the same alone and among others
        values = matrix[:, self.index].astype(np.float64, order="C")
        missing = np.isnan(values)
        values[missing] = 0.0
        skewed = values[:, self.log]
        values[:, self.log] = np.sign(skewed) * np.log1p(np.abs(skewed))
        parts = self.weight * np.clip((values - self.center) / self.scale, -self.limit, self.limit)
        total: NDArray[np.float64] = np.where(missing, self.missing, parts).sum(axis=1)
        return total


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A logistic model over the columns of a row layout, in its order."""

    intercept: float
    columns: tuple[LinearColumn, ...]
    _numbers: _Numbers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay the numeric columns side by side, once."""
        object.__setattr__(self, "_numbers", _Numbers.of(self.columns))

    def margins(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return log-odds, shape ``(n,)``.

        Parameters
        ----------
        matrix
            Rows as of ``features.rows.request_matrix``, shape ``(n, columns)``: categories as codes,
            missing as NaN.
        """
        total = np.full(len(matrix), self.intercept, dtype=np.float64)
        for start in range(0, len(matrix), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            total[rows] += self._numbers.margins(matrix[rows])
        for index, column in enumerate(self.columns):
            if column.category_weights:
                total += column.margins(matrix[:, index])
        return total

    def read_as(self) -> str:
        """Return the SHA-256 of the weights as they were read."""
        return sha256(canonical_json(self.to_json()))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"intercept": self.intercept, "columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        columns: Sequence[Mapping[str, Any]] = data["columns"]
        return cls(
            float(data["intercept"]),
            tuple(
                LinearColumn(**{**column, "category_weights": tuple(column["category_weights"])})
                for column in columns
            ),
        )
