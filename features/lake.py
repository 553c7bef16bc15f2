"""The lake: one parquet file per canonical table and source, read through DuckDB views.

Instants in the lake are UTC, held as timestamps without zone to the microsecond; the session's zone is UTC.
A canonical table that no source provides is an empty view with the contract's columns, so that what is
built on it is null and not an error.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow.parquet as pq

from features.table_contract import TableContract
from features.tables import TABLES
from moment.errors import StepMissing
from moment.home import Home

INGEST_FIRST = "moment ingest complete-journey"


@dataclass(frozen=True, slots=True)
class TableRecord:
    """What one ingest left of one table.

    Parameters
    ----------
    rows, rejected
        Rows in the lake and rows in quarantine.
    history
        ``versions``, ``snapshot``, or None where the table asks for none.
    known_at
        The source's rule in words, e.g. ``occurred_at + 1 day``.
    """

    rows: int
    rejected: int
    history: str | None
    known_at: str


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What one ingest left of one source.

    Parameters
    ----------
    source
        Name of the source.
    digest
        SHA-256 over the source's content, its mapping and the contracts.
    tables
        What was left of each table, by name.
    erased
        How many rows of its content are missing because their customers were erased.
    left_out
        How many of them were missing at the ingest already; None in a record of before this was noted.
    """

    source: str
    digest: str
    tables: dict[str, TableRecord]
    erased: int = 0
    left_out: int | None = None

    def dumps(self) -> str:
        """Return the JSON form."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read the JSON form."""
        content: dict[str, Any] = json.loads(text)
        tables = {name: TableRecord(**fields) for name, fields in content["tables"].items()}
        return cls(
            content["source"],
            content["digest"],
            tables,
            content.get("erased", 0),
            content.get("left_out"),
        )


def table_file(home: Home, table: str, source: str) -> Path:
    """Return where the rows of a source's table are."""
    return home.lake / table / f"{source}.parquet"


def record_file(home: Home, source: str) -> Path:
    """Return where the record of a source's ingest is."""
    return home.lake / "_sources" / f"{source}.json"


def records(home: Home) -> tuple[SourceRecord, ...]:
    """Return the record of every ingested source, ordered by name."""
    files = sorted((home.lake / "_sources").glob("*.json"))
    return tuple(SourceRecord.loads(file.read_text()) for file in files)


def digest(home: Home) -> str:
    """Return the SHA-256 of the lake: equal exactly if the same sources were ingested from equal content.

    What was erased of it since makes it another.

    Raises
    ------
    StepMissing
        Nothing has been ingested.
    """
    found = records(home)
    if not found:
        raise StepMissing(f"there is no data in {home.lake}", run=INGEST_FIRST)
    parts = (
        f"{record.source}{record.digest}" + (f"-{record.erased}" if record.erased else "") for record in found
    )
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def snapshot_tables(home: Home) -> frozenset[str]:
    """Return the tables of which some source keeps no history: features from them may leak."""
    return frozenset(
        name
        for record in records(home)
        for name, table in record.tables.items()
        if table.history == "snapshot"
    )


def connect(home: Home, *, memory_limit: str = "1GB", threads: int = 2) -> duckdb.DuckDBPyConnection:
    """Open the lake: an in-memory DuckDB with one view per canonical table.

    Parameters
    ----------
    home
        Where the lake is.
    memory_limit
        DuckDB's limit; what does not fit goes to ``tmp/`` in the home.
    threads
        How many threads a query may use.

    Returns
    -------
    duckdb.DuckDBPyConnection
        A connection of the caller's own, with a view per table in ``features.tables.TABLES``. Timestamps are
        UTC without zone. Close it after use.

    Raises
    ------
    StepMissing
        Nothing has been ingested.
    """
    if not any(_files(home, name) for name in TABLES):
        raise StepMissing(f"there is no data in {home.lake}", run=INGEST_FIRST)
    connection = engine(home, memory_limit=memory_limit, threads=threads)
    for table in TABLES.values():
        connection.execute(_view(table, _files(home, table.name)))
    return connection


def engine(home: Home, *, memory_limit: str = "1GB", threads: int = 2) -> duckdb.DuckDBPyConnection:
    """Return a bare in-memory DuckDB bounded in memory, spilling into the home, in UTC."""
    spill = home.root / "tmp"
    spill.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(
        config={"memory_limit": memory_limit, "threads": threads, "temp_directory": str(spill)}
    )
    # Not in config: the zone needs an extension that is linked in but loaded only after connecting. Global,
    # because the connection's cursors are sessions of their own
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


def ibis_backend(home: Home, *, memory_limit: str = "1GB", threads: int = 2) -> Any:  # noqa: ANN401 - untyped ibis
    """Open the lake as an Ibis backend, the views as its tables; see :func:`connect`."""
    import ibis

    return ibis.duckdb.from_connection(connect(home, memory_limit=memory_limit, threads=threads))


def _files(home: Home, table: str) -> list[Path]:
    return sorted((home.lake / table).glob("*.parquet"))


def _view(table: TableContract, files: list[Path]) -> str:
    if not files:
        nulls = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in table.duckdb_columns().items())
        return f'CREATE VIEW "{table.name}" AS SELECT {nulls} WHERE FALSE'
    # A file of before a column was added to the contract has it empty
    parts = " UNION ALL ".join(_part(table, file) for file in files)
    return f'CREATE VIEW "{table.name}" AS {parts}'


def _part(table: TableContract, file: Path) -> str:
    there = set(pq.read_schema(file).names)
    columns = ", ".join(
        f'"{name}"' if name in there else f'NULL::{kind} AS "{name}"'
        for name, kind in table.duckdb_columns().items()
    )
    path = str(file).replace("'", "''")
    return f"SELECT {columns} FROM read_parquet('{path}')"  # noqa: S608
