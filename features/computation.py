"""Features computed by DuckDB: facts once, then each view at any time.

`Computation` is the one way from canonical tables to feature rows; snapshots and the leak check both use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import ibis
import pyarrow as pa

from features.definition import Table, Tables, View, expression, in_order
from features.grains import presence

SPINE = "spine"
GRID = "grid"


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
        return str(ibis.to_sql(expression(view, self._facts, self._spine, self._grid), dialect="duckdb"))

    def rows(self, view: View) -> pa.Table:
        """Return a view's rows, ordered by time and customer."""
        query = f'SELECT * FROM ({self.sql(view)}) ORDER BY "at", customer_id'  # noqa: S608
        return self._connection.execute(query).to_arrow_table()

    def _keep(self, backend: Table, name: str, table: Table) -> Table:
        name = self._prefix + name
        query = ibis.to_sql(table, dialect="duckdb")
        self._connection.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {query}')
        return backend.table(name)


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
