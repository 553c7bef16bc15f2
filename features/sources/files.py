"""Reading a CSV or parquet file in batches of bounded size, each row with its number in the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.sources import BadLine, Batch, SourceError

_ROWS = 100_000
_BYTES = 8 << 20


def read_schema(path: Path) -> pa.Schema:
    """Return a file's columns. Those of a CSV are all text; empty fields are missing values.

    Raises
    ------
    SourceError
        The file cannot be read, or its header is empty or names a column twice.
    """
    try:
        schema = pq.read_schema(path) if path.suffix == ".parquet" else _csv_schema(path)
    except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, error) from error
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice or not any(schema.names):
        reason = f"names column {twice[0]} twice; remove one" if twice else "has no header; add one"
        raise SourceError(f"{path}: {reason}")
    return schema


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[Batch]:
    """Yield a file's rows in batches, only the named columns of those it has.

    Raises
    ------
    SourceError
        The file cannot be read to its end.
    """
    wanted = [name for name in read_schema(path).names if name in columns]
    batches = _parquet_batches(path, wanted) if path.suffix == ".parquet" else _csv_batches(path, wanted)
    try:
        yield from batches
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> SourceError:
    """Return the error that says a file cannot be read, why, and the way out."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    way_out = "save it as UTF-8 CSV with a header" if path.suffix == ".csv" else "write it again"
    return SourceError(f"{path}: cannot be read: {reason}; {way_out}")


def _csv_schema(path: Path) -> pa.Schema:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    return pa.schema([(name, pa.string()) for name in header])


def _parquet_batches(path: Path, columns: list[str]) -> Iterator[Batch]:
    first = 1
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
            rows = np.arange(first, first + batch.num_rows)
            yield Batch(str(path), rows, pa.Table.from_batches([batch]))
            first += batch.num_rows


def _csv_batches(path: Path, columns: list[str]) -> Iterator[Batch]:
    broken: list[BadLine] = []

    def keep(line: pyarrow.csv.InvalidRow) -> str:
        # The reader counts the header as the first row
        reason = f"has {line.actual_columns} fields where the header has {line.expected_columns}"
        broken.append(BadLine(line.number - 1, line.text, reason))
        return "skip"

    names = read_schema(path).names
    reader = pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BYTES),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            include_columns=columns,
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    first, told = 1, 0
    for batch in reader:
        rows = _numbers(first, batch.num_rows, {line.row for line in broken[told:]})
        first = int(rows[-1]) + 1 if len(rows) else first
        # The reader parses ahead: lines that come later belong to a later batch
        passed = [line for line in broken[told:] if line.row < first]
        told += len(passed)
        yield Batch(str(path), rows, pa.Table.from_batches([batch]), tuple(passed))
    if broken[told:]:
        nothing = pa.schema([(name, pa.string()) for name in columns]).empty_table()
        yield Batch(str(path), np.empty(0, dtype=np.int64), nothing, tuple(broken[told:]))


def _numbers(first: int, count: int, broken: set[int]) -> NDArray[np.int64]:
    """Return the numbers of ``count`` rows from ``first`` on, leaving out broken lines."""
    candidates = np.arange(first, first + count + len(broken))
    return candidates[~np.isin(candidates, list(broken))][:count]
