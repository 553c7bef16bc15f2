"""A key that comes twice: the first row stays, the others go to quarantine.

Keys are compared exactly and over the whole table, by DuckDB on the staged file, so memory stays bounded
however many rows there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.quarantine import Quarantine, Rejected, as_json
from features.table_contract import TableContract

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

    Origins = Sequence[tuple[str, NDArray[np.int64]]]


def drop_duplicates(
    path: Path,
    table: TableContract,
    key: Sequence[str],
    *,
    origins: Origins,
    quarantine: Quarantine,
    engine: duckdb.DuckDBPyConnection,
) -> int:
    """Move every row whose key an earlier row has from a staged file to quarantine.

    Parameters
    ----------
    path
        The staged parquet file; rewritten when there are such rows.
    table, key
        Its contract, and the columns that together name a row.
    origins
        For each staged run of rows in order: the file they came from and their row numbers there.
    quarantine
        Where the duplicates go.
    engine
        A DuckDB to compare with.

    Returns
    -------
    int
        How many rows were moved.
    """
    columns = ", ".join(f'"{name}"' for name in key)
    staged = f"read_parquet('{str(path).replace(chr(39), chr(39) * 2)}', file_row_number = true)"
    rows, keys = engine.execute(
        f"SELECT (SELECT count(*) FROM {staged}), "  # noqa: S608
        f"(SELECT count(*) FROM (SELECT DISTINCT {columns} FROM {staged}))"
    ).fetchall()[0]
    if rows == keys:
        return 0
    numbers = engine.execute(
        f"SELECT file_row_number FROM {staged} "  # noqa: S608
        f"QUALIFY row_number() OVER (PARTITION BY {columns} ORDER BY file_row_number) > 1 ORDER BY 1"
    ).fetchnumpy()["file_row_number"]
    reason = f"{', '.join(key)}: an earlier row has the same"
    for rejected in _rewrite_without(path, table, np.asarray(numbers), _Origin(origins), reason):
        quarantine.add(rejected)
    return len(numbers)


class _Origin:
    """Tells of a staged row which file and row it was."""

    def __init__(self, origins: Origins) -> None:
        self._places = [place for place, _ in origins]
        self._ends = np.cumsum([len(rows) for _, rows in origins])
        self._rows = np.concatenate([rows for _, rows in origins])

    def __call__(self, number: int) -> tuple[str, int]:
        return self._places[int(np.searchsorted(self._ends, number, side="right"))], int(self._rows[number])


def _rewrite_without(
    path: Path,
    table: TableContract,
    numbers: NDArray[np.int64],
    origin: _Origin,
    reason: str,
) -> Iterator[tuple[Rejected, ...]]:
    partial, first = path.with_suffix(".unique"), 0
    schema = table.arrow_schema()
    with pq.ParquetFile(path) as staged, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for batch in staged.iter_batches(batch_size=150_000):
            bad = numbers[(numbers >= first) & (numbers < first + batch.num_rows)]
            contents = batch.take(pa.array(bad - first)).to_pylist()
            yield tuple(
                Rejected(*origin(int(number)), reason, as_json(_given(content)))
                for number, content in zip(bad, contents, strict=True)
            )
            keep = np.setdiff1d(np.arange(batch.num_rows), bad - first)
            writer.write_batch(batch.take(pa.array(keep)))
            first += batch.num_rows
    partial.replace(path)


def _given(content: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in content.items() if value is not None}
