"""Taking a customer out of the files: online store, lake, quarantine, snapshots and what models learned from.

Of each kind of file `held_in_…` counts what there is of a customer, and `erase_from_…` takes it out. A file
that holds rows of the customer is written anew without them, beside the old one, and moved into its place:
whoever reads meanwhile reads the old or the new one whole. Repeating it does nothing, so that one that was
interrupted is simply run again. Whoever erases has the turn at the home's files alone (`alone_with_files`),
so that two never write one file, and nobody writes again what was read before.
"""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import kept_rows, lake
from features.tables import TABLES
from moment.home import Home
from moment.turns import PATIENCE, turn

Keep = Callable[[pa.Table], pa.ChunkedArray]
"""From some rows to whether each may stay."""

Held = dict[str, int]
"""By file, as its store calls it: how many rows of somebody it holds."""

Theirs = Callable[[str, str], bool]
"""From the kind of an identity and the SHA-256 of its value to whether it was told to be the customer's."""

_ROWS = 150_000
_BUSY_SECONDS = 10.0
_CUSTOMER = "customer_id"
_IDENTITIES = "identities"
_PARENTS = ("presentations", _IDENTITIES)
"""Tables whose rows say which rows of others are the customer's; an identity's presentations among them."""


def nobodys(kind: str, value_hash: str) -> bool:  # noqa: ARG001 - as `Theirs` is asked
    """Say of every identity that nobody has told whose it is."""
    return False


def alone_with_files(home: Home, patience: float = PATIENCE) -> AbstractContextManager[None]:
    """Wait until nobody else writes the home's files; DependencyError says who has all the time."""
    return turn(home, "an erasure", patience=patience)


def held_in_online_store(database: Path, keys: Sequence[bytes]) -> Held:
    """Return how many rows of entities each table of Feast's SQLite store has."""
    if not database.is_file():
        return {}
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
        found: Held = {}
        for table in _entity_tables(connection):
            sql = f'SELECT count(*) FROM "{table}" WHERE entity_key = ?'  # noqa: S608
            found[table] = sum(connection.execute(sql, (key,)).fetchone()[0] for key in keys)
    return _some(found)


def erase_from_online_store(database: Path, keys: Sequence[bytes]) -> int:
    """Take all that stands under entities' keys out of Feast's SQLite store; return how many rows there were.

    Feast itself cannot: the rows of an entity are found by its serialized key, in every table of the
    store, and overwritten; the write-ahead log, which still has them, is emptied.
    """
    if not database.is_file():
        return 0
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        before = connection.total_changes
        with connection:
            for table in _entity_tables(connection):
                sql = f'DELETE FROM "{table}" WHERE entity_key = ?'  # noqa: S608
                connection.executemany(sql, [(key,) for key in keys])
        rows = connection.total_changes - before
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return rows


def _entity_tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute(
        "SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND c.name = 'entity_key'"
    )
    return [name for (name,) in found.fetchall()]


def held_in_lake(home: Home, customer_id: str, theirs: Theirs = nobodys) -> Held:
    """Return how many rows of the customer there are in every table of every source."""
    found: Held = {}
    for source in _sources(home):
        keep = _without(customer_id, _gone(home, source, customer_id, theirs))
        found |= {f"{name}/{source}": _count(file, keep) for name, file in _lake_files(home, source)}
    return _some(found)


def erase_from_lake(home: Home, customer_id: str, theirs: Theirs = nobodys) -> int:
    """Take the customer's rows out of every table of every source; return how many there were.

    Outcomes go with the presentations they answer, and what an identity did with the customer's identities:
    those any source names, and `theirs`.

    Raises
    ------
    DependencyError
        Others write the files of the home all the time.
    """
    with alone_with_files(home):
        _clear(home.lake.glob("*/.*.erasing"))
        # Only an ingest that was killed has left any, and it holds whoever was in the source
        shutil.rmtree(home.lake / "_staging", ignore_errors=True)
        sources = _sources(home)
        keeps = {one: _without(customer_id, _gone(home, one, customer_id, theirs)) for one in sources}
        rows = sum(_erase_source(home, one, keep, identities=False) for one, keep in keeps.items())
        # A source's identities say whose rows of others are: all of them go after all of those
        return rows + sum(_erase_source(home, one, keep, identities=True) for one, keep in keeps.items())


def _erase_source(home: Home, source: str, keep: Keep, *, identities: bool) -> int:
    """Take rows out of a source's identities, or of all its other tables; return how many."""
    tables = [file for name, file in _lake_files(home, source) if (name == _IDENTITIES) is identities]
    files = [(file, _count(file, keep)) for file in tables]
    rows = sum(count for _, count in files)
    record = next((one for one in lake.records(home) if one.source == source), None)
    if rows and record is not None:
        _note(home, record, rows)
    for file, count in files:
        if count:
            _rewrite(file, keep)
    return rows


def _sources(home: Home) -> list[str]:
    """Return every source with files, also one whose ingest was killed before it left its record."""
    return sorted({file.stem for name in TABLES for file in (home.lake / name).glob("*.parquet")})


def _lake_files(home: Home, source: str) -> Iterator[tuple[str, Path]]:
    """Yield a source's tables, those that say what is whose last: one that is interrupted finds it again."""
    for name in sorted(TABLES, key=lambda name: _PARENTS.index(name) if name in _PARENTS else -1):
        file = lake.table_file(home, name, source)
        if file.is_file():
            yield name, file


def _gone(home: Home, source: str, customer_id: str, theirs: Theirs) -> dict[str, pa.Array]:
    """Return the customer's identities and presentations, by the column in which others name them."""
    identities = _identities(home, customer_id)
    for _, file in _lake_files(home, source):
        if "identity" in pq.read_schema(file).names:
            named = pc.unique(pq.read_table(file, columns=["identity"])["identity"].drop_null()).to_pylist()
            identities |= {one for one in named if theirs(*_parted(one))}
    gone: dict[str, pa.Array] = {"identity": pa.array(sorted(identities), pa.string())}
    presentations = lake.table_file(home, "presentations", source)
    if presentations.is_file():
        found = _select(presentations, customer_id, ["presentation_id"])
        gone["presentation_id"] = found["presentation_id"]
    return gone


def _identities(home: Home, customer_id: str) -> set[str]:
    """Return the customer's identities as any source names them, each as ``kind:hash``."""
    found: set[str] = set()
    for file in (home.lake / _IDENTITIES).glob("*.parquet"):
        rows = _select(file, customer_id, ["kind", "value_hash"])
        found |= set(pc.binary_join_element_wise(rows["kind"], rows["value_hash"], ":").to_pylist())
    return found


def _parted(identity: str) -> tuple[str, str]:
    kind, _, value_hash = identity.partition(":")
    return kind, value_hash


def _note(home: Home, record: lake.SourceRecord, rows: int) -> None:
    """Note in a source's record that rows of its content will be missing: the lake is another one from now.

    What is missing is counted anew each time: one that was interrupted does not count it twice.
    """
    missing = sum(
        table.rows - pq.read_metadata(lake.table_file(home, name, record.source)).num_rows
        for name, table in record.tables.items()
        if lake.table_file(home, name, record.source).is_file()
    )
    left_out = max(0, record.erased - missing) if record.left_out is None else record.left_out
    erased = left_out + missing + rows
    file = lake.record_file(home, record.source)
    beside = file.with_suffix(".partial")
    beside.write_text(dataclasses.replace(record, erased=erased, left_out=left_out).dumps())
    beside.replace(file)


def held_in_snapshots(home: Home, customer_id: str) -> Held:
    """Return how many rows of the customer there are in every snapshot."""
    keep = _without(customer_id, {})
    files = sorted(home.snapshots.glob("*/*.parquet"))
    return _some({f"{file.parent.name}/{file.stem}": _count(file, keep) for file in files})


def erase_from_snapshots(home: Home, customer_id: str) -> int:
    """Take the customer's features out of every snapshot; return how many rows there were."""
    with alone_with_files(home):
        _clear((*home.snapshots.glob("*/*.partial"), *home.snapshots.glob("*/.*.erasing")))
        keep = _without(customer_id, {})
        return sum(_rewrite(file, keep) for file in sorted(home.snapshots.glob("*/*.parquet")))


def held_in_quarantine(home: Home, customer_id: str, theirs: Theirs = nobodys) -> Held:
    """Return how many rejected rows name the customer or an identity of theirs, by file."""
    keep = _unnamed(customer_id, theirs)
    files = sorted(home.quarantine.glob("*/*.parquet"))
    return _some({f"{file.parent.name}/{file.stem}": _count(file, keep) for file in files})


def erase_from_quarantine(home: Home, customer_id: str, theirs: Theirs = nobodys) -> int:
    """Take out the rejected rows that name the customer or an identity of theirs; return how many there were.

    A row that cannot be read goes too when the id stands anywhere in it.
    """
    with alone_with_files(home):
        _clear(home.quarantine.glob("*/.*.erasing"))
        keep = _unnamed(customer_id, theirs)
        return sum(_rewrite(file, keep) for file in sorted(home.quarantine.glob("*/*.parquet")))


def held_in_training_sets(home: Home, customer_id: str) -> Held:
    """Return how many rows of the customer there are in every set of rows a model was trained on."""
    keep = _without(customer_id, {})
    return _some(kept_rows.counted(home, lambda file: _count(file, keep)))


def erase_from_training_sets(home: Home, customer_id: str) -> int:
    """Take the customer's rows out of every set of rows a model was trained on; return how many there were.

    A model made of them cannot be made again to the bit from then on, and says why.
    """
    with alone_with_files(home):
        keep = _without(customer_id, {})
        return kept_rows.without(home, lambda file, beside: _write_beside(file, keep, beside))


def _clear(interrupted: Collection[Path] | Iterator[Path]) -> None:
    """Take away what one that was killed has left: nobody writes it any more."""
    for file in interrupted:
        file.unlink(missing_ok=True)


def _some(found: Held) -> Held:
    return {name: rows for name, rows in found.items() if rows}


def _unnamed(customer_id: str, theirs: Theirs) -> Keep:
    word = re.compile(rf"(?<![\w-]){re.escape(customer_id)}(?![\w-])")

    def keep(rows: pa.Table) -> pa.ChunkedArray:
        contents = rows["content"].to_pylist()
        return pa.chunked_array(
            [pa.array([not _names(one, customer_id, word, theirs) for one in contents], pa.bool_())]
        )

    return keep


def _names(content: str, customer_id: str, word: re.Pattern[str], theirs: Theirs) -> bool:
    try:
        row = json.loads(content)
    except ValueError:
        row = None
    if isinstance(row, dict) and row.get(_CUSTOMER) is not None:
        return str(row[_CUSTOMER]) == customer_id
    if isinstance(row, dict) and isinstance(row.get("identity"), str) and theirs(*_parted(row["identity"])):
        return True
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


def _count(file: Path, keep: Keep) -> int:
    """Return how many rows of a file may not stay."""
    source = pq.ParquetFile(file)
    columns: Collection[str] = {_CUSTOMER, "identity", "presentation_id", "content"} & set(
        source.schema_arrow.names
    )
    if not columns:
        return 0
    return int(
        sum(
            batch.num_rows - pc.sum(keep(pa.Table.from_batches([batch]))).as_py()
            for batch in source.iter_batches(_ROWS, columns=list(columns))
            if batch.num_rows
        )
    )


def _rewrite(file: Path, keep: Keep) -> int:
    """Write a file anew with the rows that may stay, unless all may; return how many may not."""
    beside = file.with_name(f".{file.stem}.{secrets.token_hex(8)}.erasing")
    try:
        rows = _write_beside(file, keep, beside)
        if rows:
            beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    return rows


def _write_beside(file: Path, keep: Keep, beside: Path) -> int:
    """Write the rows that may stay to another file, unless all may; return how many may not."""
    rows = _count(file, keep)
    if rows:
        source = pq.ParquetFile(file)
        with pq.ParquetWriter(beside, source.schema_arrow, compression="zstd") as writer:
            for batch in source.iter_batches(_ROWS):
                table = pa.Table.from_batches([batch])
                writer.write_table(table.filter(keep(table)))
    return rows
