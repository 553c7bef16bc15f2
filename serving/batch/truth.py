"""The rules of a catalogue over a table of customers: each distinct predicate once, as a column of SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.realtime_features import REALTIME_V1
from serving.decision.actions import ContextField
from serving.decision.catalogue import Catalogue
from serving.decision.columns import ColumnType
from serving.decision.context import CONTEXT_PREFIX
from serving.decision.rule_plan import Verdicts
from serving.decision.to_sql import to_sql
from serving.decision.values import Scalar

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS_AT_ONCE = 400
"""Predicates in one query: DuckDB plans very wide ones slowly."""

_CELLS_AT_ONCE = 2_000_000
"""Customers x actions x rules settled at once: bounds the memory of large catalogues."""

_UNKNOWN = 2


class TruthTable:
    """Asks a catalogue's rules of many customers.

    Parameters
    ----------
    catalogue
        Whose rules.
    connection
        To a DuckDB database that keeps the order of rows.
    """

    def __init__(self, catalogue: Catalogue, connection: Any) -> None:  # noqa: ANN401 - DuckDB has no types
        self._fields = catalogue.context
        self._plan = catalogue.plan.rules
        self._connection = connection
        texts = [f"{to_sql(one)} AS p{n}" for n, one in enumerate(self._plan.predicates)]
        self._queries = [
            f"SELECT {', '.join(texts[start : start + _COLUMNS_AT_ONCE])} FROM batch_people"  # noqa: S608
            for start in range(0, len(texts), _COLUMNS_AT_ONCE)
        ]

    def verdicts(
        self, people: pa.Table, contexts: Sequence[Mapping[str, Scalar]], context: NDArray[np.intp]
    ) -> Verdicts:
        """Return what the rules say of each customer and action, (customers, actions).

        Parameters
        ----------
        people
            ``n`` customers with their features by name.
        contexts
            The distinct contexts they are in: every declared value, without the prefix.
        context
            Shape (n,): which of them each customer is in.
        """
        for field in self._fields:
            column = _context_column(field, contexts, context)
            people = people.append_column(CONTEXT_PREFIX + field.name, column)
        return self._settled(self._truth(_with_realtime(people)))

    def _truth(self, people: pa.Table) -> NDArray[np.int8]:
        """Return 0 true, 1 false, 2 unknown, shape (customers, predicates)."""
        truth = np.empty((people.num_rows, len(self._plan.predicates)), dtype=np.int8)
        self._connection.register("batch_people", people)
        place = 0
        for query in self._queries:
            for column in self._connection.execute(query).to_arrow_table().columns:
                truth[:, place] = _three_valued(column)
                place += 1
        self._connection.unregister("batch_people")
        return truth

    def _settled(self, truth: NDArray[np.int8]) -> Verdicts:
        size = max(1, _CELLS_AT_ONCE // max(1, self._plan.predicate.size))
        parts = [self._plan.settle(truth[start : start + size]) for start in range(0, len(truth), size)]
        if not parts:
            return self._plan.settle(truth)
        return Verdicts(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _with_realtime(people: pa.Table) -> pa.Table:
    """Add the real-time features, unknown for everybody: a batch decides for no moment anybody is in."""
    import pyarrow as pa

    types = _arrow_types()
    for spec in REALTIME_V1.scalars:
        unknown = pa.nulls(people.num_rows, types[ColumnType(spec.dtype.value)])
        people = people.append_column(spec.name, unknown)
    return people


def _three_valued(column: pa.ChunkedArray) -> NDArray[np.int8]:
    import pyarrow as pa
    import pyarrow.compute as pc

    failed = pc.cast(pc.invert(column), pa.int8())
    found: NDArray[np.int8] = pc.fill_null(failed, _UNKNOWN).to_numpy()
    return found


def _context_column(
    field: ContextField, contexts: Sequence[Mapping[str, Scalar]], context: NDArray[np.intp]
) -> Any:  # noqa: ANN401 - an Arrow array
    import pyarrow as pa

    values = pa.array([one[field.name] for one in contexts], _arrow_types()[field.type])
    return values.take(pa.array(context))


def _arrow_types() -> dict[ColumnType, Any]:
    import pyarrow as pa

    return {
        ColumnType.BOOL: pa.bool_(),
        ColumnType.INT: pa.int64(),
        ColumnType.FLOAT: pa.float64(),
        ColumnType.STRING: pa.string(),
    }
