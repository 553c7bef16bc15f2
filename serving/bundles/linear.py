"""A regularized logistic model as a table of weights: what serving needs of it, on numpy alone.

``training.models`` exports its logistic contender to this value; :meth:`LinearModel.margins` is the one
place where it is applied, so training and serving cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


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
class LinearModel:
    """A logistic model over the columns of a row layout, in its order."""

    intercept: float
    columns: tuple[LinearColumn, ...]

    def margins(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return log-odds, shape ``(n,)``.

        Parameters
        ----------
        matrix
            Rows as of ``features.rows.request_matrix``, shape ``(n, columns)``: categories as codes,
            missing as NaN.
        """
        total = np.full(len(matrix), self.intercept, dtype=np.float64)
        for index, column in enumerate(self.columns):
            total += column.margins(matrix[:, index])
        return total

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
