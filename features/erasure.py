"""Taking a customer out of the files: online store, lake, quarantine, snapshots and what models learned from.

Each file of rows is written anew without the customer's, beside the old one, and moved into its place:
whoever reads meanwhile reads the old or the new one whole. Repeating it does nothing, so that one that was
interrupted is simply run again.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import kept_rows, lake
from features.ingest import alone
from features.tables import TABLES
from moment.home import Home

Keep = Callable[[pa.Table], pa.ChunkedArray]
"""From some rows to whether each may stay."""

_ROWS = 150_000
_BUSY_SECONDS = 10.0
_CUSTOMER = "customer_id"


def erase_from_online_store(database: Path, keys: Sequence[bytes]) -> int:
    """Take all that stands under entities' keys out of Feast's SQLite store; return how many rows there were.

    Feast itself cannot: the rows of an entity are found by its serialized key, in every table of the
    store, and overwritten; the write-ahead log, which still has them, is emptied.
    """
    if not database.is_file():
        return 0
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        tables = connection.execute(
            "SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c "
            "WHERE m.type = 'table' AND c.name = 'entity_key'"
        ).fetchall()
        before = connection.total_changes
        with connection:
            for (table,) in tables:
                sql = f'DELETE FROM "{table}" WHERE entity_key = ?'  # noqa: S608
                connection.executemany(sql, [(key,) for key in keys])
        rows = connection.total_changes - before
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return rows


def erase_from_lake(home: Home, customer_id: str) -> int:
    """Take the customer's rows out of every table of every source; return how many there were.

    Outcomes go with the presentations they answer, and what an identity did with the customer's identities.

    Raises
    ------
    SourceError
        A source is being ingested just now.
    """
    return sum(_erase_source(home, record.source, customer_id) for record in lake.records(home))


def _erase_source(home: Home, source: str, customer_id: str) -> int:
    gone: dict[str, pa.Array] = {}
    rows = 0
    with alone(home, source):
        for name in TABLES:
            file = lake.table_file(home, name, source)
            if not file.is_file():
                continue
            if name == "identities":
                found = _select(file, customer_id, ["kind", "value_hash"])
                gone["identity"] = pc.binary_join_element_wise(found["kind"], found["value_hash"], ":")
            if name == "presentations":
                gone["presentation_id"] = _select(file, customer_id, ["presentation_id"])["presentation_id"]
            rows += _rewrite(file, _without(customer_id, gone))
        if rows:
            _note(home, source, rows)
    return rows


def _note(home: Home, source: str, rows: int) -> None:
    """Note in the source's record that rows of its content are missing: the lake is another one now."""
    record = next(one for one in lake.records(home) if one.source == source)
    file = lake.record_file(home, source)
    beside = file.with_suffix(".partial")
    beside.write_text(dataclasses.replace(record, erased=record.erased + rows).dumps())
    beside.replace(file)


def erase_from_snapshots(home: Home, customer_id: str) -> int:
    """Take the customer's features out of every snapshot; return how many rows there were."""
    for interrupted in home.snapshots.glob("*/*.partial"):
        interrupted.unlink(missing_ok=True)
    return sum(_rewrite(file, _without(customer_id, {})) for file in home.snapshots.glob("*/*.parquet"))


def erase_from_quarantine(home: Home, customer_id: str) -> int:
    """Take out the rejected rows that name the customer; return how many there were.

    A row that cannot be read goes too when the id stands anywhere in it.
    """
    word = re.compile(rf"(?<![\w-]){re.escape(customer_id)}(?![\w-])")

    def keep(rows: pa.Table) -> pa.ChunkedArray:
        contents = rows["content"].to_pylist()
        return pa.chunked_array(
            [pa.array([not _names(one, customer_id, word) for one in contents], pa.bool_())]
        )

    rows = 0
    for file in home.quarantine.glob("*/*.parquet"):
        # One ingest may take the folder away meanwhile: then what it held is gone as well
        with suppress(FileNotFoundError):
            rows += _rewrite(file, keep)
    return rows


def erase_from_training_sets(home: Home, customer_id: str) -> int:
    """Take the customer's rows out of every set of rows a model was trained on; return how many there were.

    A model made of them cannot be made again to the bit from then on, and says why.
    """
    keep = _without(customer_id, {})
    return kept_rows.without(home, lambda file, beside: _rewrite(file, keep, beside, replace=False))


def _names(content: str, customer_id: str, word: re.Pattern[str]) -> bool:
    try:
        row = json.loads(content)
    except ValueError:
        row = None
    if isinstance(row, dict) and row.get(_CUSTOMER) is not None:
        return str(row[_CUSTOMER]) == customer_id
    return word.search(content) is not None


def _select(file: Path, customer_id: str, columns: list[str]) -> pa.Table:
    return pq.read_table(file, columns=columns, filters=[(_CUSTOMER, "=", customer_id)])


def _without(customer_id: str, gone: dict[str, pa.Array]) -> Keep:
    ids = {_CUSTOMER: pa.array([customer_id]), **gone}

    def keep(rows: pa.Table) -> pa.ChunkedArray:
        found = np.zeros(rows.num_rows, dtype=np.bool_)
        for column in ids.keys() & set(rows.column_names):
            among = pc.is_in(rows[column], value_set=ids[column].cast(rows.schema.field(column).type))
            found |= among.to_numpy(zero_copy_only=False).astype(np.bool_)
        return pa.chunked_array([pa.array(~found)])

    return keep


def _rewrite(file: Path, keep: Keep, beside: Path | None = None, *, replace: bool = True) -> int:
    """Write a file anew with the rows that may stay, unless all may; return how many may not."""
    source = pq.ParquetFile(file)
    columns: Collection[str] = {_CUSTOMER, "identity", "presentation_id", "content"} & set(
        source.schema_arrow.names
    )
    if not columns:
        return 0
    rows = sum(
        batch.num_rows - pc.sum(keep(pa.Table.from_batches([batch]))).as_py()
        for batch in source.iter_batches(_ROWS, columns=list(columns))
        if batch.num_rows
    )
    if not rows:
        return 0
    beside = beside or file.with_suffix(".erasing")
    with pq.ParquetWriter(beside, source.schema_arrow, compression="zstd") as writer:
        for batch in source.iter_batches(_ROWS):
            table = pa.Table.from_batches([batch])
            writer.write_table(table.filter(keep(table)))
    if replace:
        beside.replace(file)
    return int(rows)
