"""Checking a batch of rows: the good ones go on, the others go to quarantine with table, row and reason."""

from __future__ import annotations

import json
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.casting import FAULTS, cast_query
from features.sources import Batch, Declaration
from features.table_contract import TableContract
from moment.errors import InvariantViolation

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    import duckdb
    import pandas as pd
    from numpy.typing import NDArray

QUARANTINE_SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("file", pa.string()),
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("content", pa.string()),
    ]
)
"""Columns of a quarantine file. ``content`` is the row as it came, as JSON, or the text of a broken line."""


_CASE = ("index", "schema_context", "column", "check", "failure_case")


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row that does not keep the contract: its file and row number, why, and what it holds."""

    place: str
    row: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch after checking.

    Parameters
    ----------
    rows
        Numbers of the good rows in their file, shape (n,).
    good
        The n good rows with the contract's columns and types.
    rejected
        The others.
    """

    rows: NDArray[np.int64]
    good: pa.Table
    rejected: tuple[Rejected, ...]


def check_batch(
    batch: Batch,
    table: TableContract,
    declaration: Declaration,
    engine: duckdb.DuckDBPyConnection,
    now: datetime,
) -> Checked:
    """Cast a batch and check it against the contract.

    Parameters
    ----------
    batch
        Raw rows; their columns have been found to fit the contract.
    table, declaration
        What the rows must keep.
    engine
        A DuckDB in UTC, to cast with.
    now
        Time of ingest, for tables known from then.

    Returns
    -------
    Checked
        Every row of the batch once, good or rejected. Whether keys are unique cannot be seen here.
    """
    engine.register("raw_batch", batch.data)
    query = cast_query(table, declaration, batch.data.schema, "raw_batch", now)
    cast = engine.execute(query).to_arrow_table()
    engine.unregister("raw_batch")
    reasons = _cast_reasons(cast.column(FAULTS))
    typed = cast.drop_columns([FAULTS]).cast(_nullable(table))
    positions = np.setdiff1d(np.arange(typed.num_rows), np.fromiter(reasons, dtype=np.int64))
    castable = typed.take(pa.array(positions)) if reasons else typed
    for position, reason in _contract_reasons(castable, table):
        reasons[int(positions[position])].append(reason)
    bad = np.array(sorted(reasons), dtype=np.int64)
    keep = np.setdiff1d(np.arange(typed.num_rows), bad)
    good = (typed.take(pa.array(keep)) if len(bad) else typed).cast(table.arrow_schema())
    broken = tuple(Rejected(batch.place, line.row, line.reason, line.text) for line in batch.bad_lines)
    return Checked(batch.rows[keep], good, broken + _rejected(batch, bad, reasons))


def _cast_reasons(faults: pa.ChunkedArray) -> dict[int, list[str]]:
    reasons: dict[int, list[str]] = defaultdict(list)
    texts = faults.to_numpy()
    for position in np.flatnonzero(texts != ""):
        reasons[int(position)] += texts[position].split("\n")
    return reasons


def _contract_reasons(rows: pa.Table, table: TableContract) -> list[tuple[int, str]]:
    # Slow to import, and not needed when nothing has changed since the last ingest
    import pandas as pd
    from pandera.errors import SchemaErrors

    from features.table_schema import pandera_schema

    frame = rows.to_pandas(types_mapper=pd.ArrowDtype)
    try:
        with warnings.catch_warnings():
            # pandera concatenates its findings in a way that pandas will read differently one day
            warnings.filterwarnings("ignore", "The behavior of DataFrame concatenation", FutureWarning)
            pandera_schema(table).validate(frame, lazy=True)
    except SchemaErrors as errors:
        return _reasons(errors.failure_cases, table)
    return []


def _reasons(cases: pd.DataFrame, table: TableContract) -> list[tuple[int, str]]:
    found: dict[tuple[int, str], None] = {}
    named = zip(*(cases[column].tolist() for column in _CASE), strict=True)
    for index, context, column, check, value in named:
        if index is None or index != index:  # noqa: PLR0124 - NaN
            raise InvariantViolation(f"{table.name}: cast rows do not fit the contract: {check}")
        found[int(index), _reason(context, column, check, value)] = None
    return list(found)


def _reason(context: str, column: str, check: str, value: object) -> str:
    if context != "Column":
        return check
    if check == "not_nullable":
        return f"{column}: is missing"
    return f'{column}: "{value}" {check}'


def _nullable(table: TableContract) -> pa.Schema:
    return pa.schema([column.with_nullable(nullable=True) for column in table.arrow_schema()])


def _rejected(
    batch: Batch, positions: NDArray[np.int64], reasons: dict[int, list[str]]
) -> tuple[Rejected, ...]:
    contents = batch.data.take(pa.array(positions)).to_pylist() if len(positions) else []
    return tuple(
        Rejected(batch.place, int(batch.rows[at]), "; ".join(reasons[int(at)]), as_json(content))
        for at, content in zip(positions, contents, strict=True)
    )


def as_json(content: dict[str, object]) -> str:
    """Return a row as JSON, instants as ISO 8601."""
    return json.dumps(content, default=str, ensure_ascii=False)


@dataclass(slots=True)
class Quarantine:
    """The rejected rows of one table, written as they come. A context manager; no rows leave no file.

    Parameters
    ----------
    path
        The parquet file to write.
    table
        Name of the table.
    """

    path: Path
    table: str
    count: int = 0
    by_file: Counter[str] = field(default_factory=Counter)
    by_column: Counter[str] = field(default_factory=Counter)
    _writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, rejected: tuple[Rejected, ...]) -> None:
        """Write some rejected rows."""
        if not rejected:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, QUARANTINE_SCHEMA, compression="zstd")
        rows = [
            {"table": self.table, "file": r.place, "row": r.row, "reason": r.reason, "content": r.content}
            for r in rejected
        ]
        self._writer.write_table(pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA))
        self.count += len(rejected)
        self.by_file.update(r.place for r in rejected)
        self.by_column.update(r.reason.split(";")[0].split(": ")[0] for r in rejected)
