"""Features computed by DuckDB: facts once, then each view at any time.

`Computation` is the one way from canonical tables to feature rows; snapshots and the leak check both use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

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
    """Facts of some views, held in temporary tables of one DuckDB connection.

    Parameters
    ----------
    backend
        An Ibis DuckDB backend; temporary tables are made in it.
    tables
        Canonical tables by name.
    views
        The views to compute.
    prefix
        Begins the name of every temporary table, so that two computations can share a connection.
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
        self._connection.execute(f'CREATE OR REPLACE TEMP TABLE "{prefix}{GRID}" ("at" TIMESTAMP)')
        self._grid = backend.table(prefix + GRID)

    def move_to(self, times: Sequence[datetime]) -> None:
        """Compute at these times from now on."""
        table = self._prefix + GRID
        self._connection.execute(f'DELETE FROM "{table}"')  # noqa: S608 - a name of our own
        rows = [[time.astimezone(UTC).replace(tzinfo=None)] for time in times]
        self._connection.executemany(f'INSERT INTO "{table}" VALUES (?)', rows)  # noqa: S608

    def sql(self, view: View) -> str:
        """Return the query of a view's rows: ``customer_id``, ``at`` and the features in order."""
        rows = expression(view, self._facts, self._spine, self._grid)
        columns = ", ".join(
            f'"{feature.name}"::{_DUCKDB[feature.dtype]} AS "{feature.name}"' for feature in view.features
        )
        query = ibis.to_sql(rows, dialect="duckdb")
        return f'SELECT customer_id::VARCHAR AS customer_id, "at", {columns} FROM ({query})'  # noqa: S608

    def rows(self, view: View) -> pa.Table:
        """Return a view's rows, ordered by time and customer."""
        query = f'SELECT * FROM ({self.sql(view)}) ORDER BY "at", customer_id'  # noqa: S608
        return self._connection.execute(query).to_arrow_table()

    def _keep(self, backend: Table, name: str, table: Table) -> Table:
        name = self._prefix + name
        query = ibis.to_sql(table, dialect="duckdb")
        self._connection.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {query}')
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
            self._connection.execute(
                f'CREATE OR REPLACE TEMP TYPE "{table}_{column}" AS ENUM ({distinct} ORDER BY 1)'
            )
            self._connection.execute(f'ALTER TABLE "{table}" ALTER "{column}" TYPE "{table}_{column}"')


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
