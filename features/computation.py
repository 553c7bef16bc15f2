"""Features computed by DuckDB: facts once, then each view at any time.

`Computation` is the one way from canonical tables to feature rows; snapshots and the leak check both use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import ibis
import pyarrow as pa

from features.contract import DType
from features.definition import Table, Tables, View, expression, in_order
from features.grains import presence

SPINE = "spine"
GRID = "grid"

ENCODE_BELOW = 10
"""A column of words is held as numbers when each word stands in more than so many rows on average."""

_DUCKDB = {
    DType.BOOL: "BOOLEAN",
    DType.INT64: "BIGINT",
    DType.FLOAT64: "DOUBLE",
    DType.STRING: "VARCHAR",
    DType.STRING_LIST: "VARCHAR[]",
    DType.FLOAT_LIST: "DOUBLE[]",
}


class Computation:
    """Facts of some views, held in tables of one DuckDB database.

    Parameters
    ----------
    backend
        An Ibis DuckDB backend on a database of the caller's own; tables are made in it.
    tables
        Canonical tables by name.
    views
        The views to compute.
    prefix
        Begins the name of every table, so that two computations can share a database.
    """

    def __init__(self, backend: Table, tables: Tables, views: Iterable[View], *, prefix: str = "") -> None:
        self._connection = backend.con
        self._connection.execute("SET enable_progress_bar = false")
        self._prefix = prefix
        known: dict[str, Table] = dict(tables)
        for facts in in_order(facts for view in views for facts in view.facts):
            known[facts.name] = self._keep(backend, facts.name, facts.build(known))
        self._facts = known
        self._spine = self._keep(backend, SPINE, presence(tables))
        self._grid = ibis.table({"at": "timestamp"}, name=GRID)

    @contextmanager
    def at(self, *times: datetime) -> Iterator[Any]:
        """Open a DuckDB cursor in which `sql` computes at these times; cursors may be used in parallel."""
        cursor = self._connection.cursor()
        try:
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.execute(f'CREATE TEMP TABLE "{GRID}" ("at" TIMESTAMP)')
            rows = [[time.astimezone(UTC).replace(tzinfo=None)] for time in times]
            cursor.executemany(f'INSERT INTO "{GRID}" VALUES (?)', rows)  # noqa: S608 - a name of our own
            yield cursor
        finally:
            cursor.close()

    def sql(self, view: View) -> str:
        """Return the query of a view's rows: ``customer_id``, ``at`` and the features in order."""
        rows = expression(view, self._facts, self._spine, self._grid)
        columns = ", ".join(
            f'"{feature.name}"::{_DUCKDB[feature.dtype]} AS "{feature.name}"' for feature in view.features
        )
        query = ibis.to_sql(rows, dialect="duckdb")
        return f'SELECT customer_id::VARCHAR AS customer_id, "at", {columns} FROM ({query})'  # noqa: S608

    def rows(self, view: View, *times: datetime) -> pa.Table:
        """Return a view's rows at these times, ordered by time and customer."""
        query = f'SELECT * FROM ({self.sql(view)}) ORDER BY "at", customer_id'  # noqa: S608
        with self.at(*times) as cursor:
            return cursor.execute(query).to_arrow_table()

    def _keep(self, backend: Table, name: str, table: Table) -> Table:
        name = self._prefix + name
        query = ibis.to_sql(table, dialect="duckdb")
        self._connection.execute(f'CREATE OR REPLACE TABLE "{name}" AS {query}')
        for column, dtype in table.schema().items():
            if dtype.is_string():
                self._encode(name, column)
        return backend.table(name)

    def _encode(self, table: str, column: str) -> None:
        """Hold a column of few different words as numbers: grouping by them takes a quarter less time."""
        distinct = f'SELECT DISTINCT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL'  # noqa: S608
        words, rows = self._connection.execute(
            f'SELECT approx_count_distinct("{column}"), count(*) FROM "{table}"'  # noqa: S608
        ).fetchone()
        if 0 < words < rows / ENCODE_BELOW:
            name = f"{table}_{column}"
            self._connection.execute(f'CREATE OR REPLACE TYPE "{name}" AS ENUM ({distinct} ORDER BY 1)')
            self._connection.execute(f'ALTER TABLE "{table}" ALTER "{column}" TYPE "{name}"')


def definition_digest(tables: Tables, view: View) -> str:
    """Return the SHA-256 of what computes a view: the queries of its facts and of its features.

    Parameters
    ----------
    tables
        Canonical tables by name.
    view
        The view.
    """
    parts = [ibis.to_sql(presence(tables), dialect="duckdb")]
    known = dict(tables)
    for facts in view.facts:
        query = facts.build(known)
        parts.append(ibis.to_sql(query, dialect="duckdb"))
        known[facts.name] = ibis.table(query.schema(), name=facts.name)
    spine = ibis.table(presence(tables).schema(), name=SPINE)
    grid = ibis.table({"at": "timestamp"}, name=GRID)
    parts.append(ibis.to_sql(expression(view, known, spine, grid), dialect="duckdb"))
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
