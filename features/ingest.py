"""Ingest: a source's rows, checked, into the lake.

Rows stream in batches of bounded size through cast and contract into a staging folder; only when every table
is there do the files move into the lake, each by an atomic rename, and the source's record last. So an
ingest that is interrupted leaves the lake as it was or is simply run again, and one whose source, mapping and
contracts have not changed since the last does nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import lake
from features.casting import column_faults
from features.consents import CustomerLedger, Gone, told_consents
from features.declarations import declaration_faults
from features.duplicates import drop_duplicates
from features.quarantine import Checked, Quarantine, check_batch
from features.sources import Batch, Declaration, History, Source, SourceError
from features.sources.known_at import KnownAtIngest
from features.table_contract import KNOWN_AT, TableContract
from features.tables import CONSENTS, TABLES
from moment.errors import ConfigurationError
from moment.home import Home
from moment.private import make_home
from moment.progress import Step, step
from moment.turns import turn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MEMORY = "500MB"
_RECENT = timedelta(days=2)
"""Facts older than this are history: their time of ingest is not when they became known."""


@dataclass(frozen=True, slots=True)
class TableReport:
    """What became of one table: rows in the lake, rows rejected, and where those are, if there are any."""

    table: str
    rows: int
    rejected: int
    quarantine: Path | None


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of one ingest.

    Parameters
    ----------
    source
        Name of the source.
    digest
        Digest of content, mapping and contracts.
    unchanged
        True when the lake already held exactly this and nothing was written.
    tables
        One report per table, in the contracts' order.
    """

    source: str
    digest: str
    unchanged: bool
    tables: tuple[TableReport, ...]


def ingest(
    home: Home, source: Source, *, ledger: CustomerLedger | None = None, now: datetime | None = None
) -> IngestReport:
    """Bring a source into the lake, and its consents into their ledger.

    Parameters
    ----------
    home
        Where the lake and the quarantine are.
    source
        What to bring in.
    ledger
        Takes the consents, and knows who was erased and may not come back. A home with an operational
        database needs one.
    now
        Time of ingest, with a zone; the clock's by default. Only tables known from their ingest need it.

    Returns
    -------
    IngestReport
        What is in the lake and in quarantine afterwards.

    Raises
    ------
    ConfigurationError
        The source cannot be mapped as declared; lists every fault that shows without reading rows. Or the
        home has an operational database and no ledger was given.
    SourceError
        A file cannot be read, a table goes over its reject limit, or history would count as known from now.
    DependencyError
        The files of the home are being written by what cannot go on beside an ingest.
    """
    now = (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
    faults = [*declaration_faults(home, source), *source.faults()]
    if faults:
        raise ConfigurationError(f"the source {source.name} cannot be ingested:", faults=faults)
    if ledger is None and home.database.exists():
        raise ConfigurationError(
            "this home has an operational database, which knows consents and who was erased; ingest with "
            "`moment ingest`, or give `ingest` its ledger (serving.bootstrap.open_customer_ledger)"
        )
    # Sources go beside each other; an erasure or a build of snapshots would read half of what this writes
    with alone(home, source.name), turn(home, f"an ingest of {source.name}", shared=True):
        digest = _digest(source)
        found = _found(home, source.name, digest)
        if found is not None:
            tell_consents(lake.table_file(home, CONSENTS.name, source.name), source, ledger)
            return found
        return _Ingest(home, source, digest, now, ledger).run()


def tell_consents(file: Path, source: Source, ledger: CustomerLedger | None) -> None:
    """Tell the ledger the consents a source has; what it knows already changes nothing."""
    if ledger is None or CONSENTS.name not in source.declarations or not file.is_file():
        return
    assumed = source.declarations[CONSENTS.name].assumed
    named = f"{source.name}: {assumed}" if assumed else source.name
    for consents in told_consents(file, named):
        ledger.tell(consents)


def _digest(source: Source) -> str:
    """Return the SHA-256 over the content, what is declared of it, and the contracts it must keep."""
    parts = [source.digest()]
    for name, declared in sorted(source.declarations.items()):
        # Not where it lies: the same data in another folder is the same data
        said = (str(declared.known_at), declared.history, declared.reject_limit, declared.assumed)
        parts.append(f"{name}{said}{TABLES[name]}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _found(home: Home, source: str, digest: str) -> IngestReport | None:
    record = next((record for record in lake.records(home) if record.source == source), None)
    if record is None or record.digest != digest:
        return None
    if not all(lake.table_file(home, table, source).is_file() for table in record.tables):
        return None
    return _report(home, record, unchanged=True)


def _report(home: Home, record: lake.SourceRecord, *, unchanged: bool) -> IngestReport:
    tables = tuple(
        TableReport(name, table.rows, table.rejected, _quarantine_file(home, record.source, name, table))
        for name, table in ((name, record.tables[name]) for name in TABLES if name in record.tables)
    )
    return IngestReport(record.source, record.digest, unchanged, tables)


def _quarantine_file(home: Home, source: str, name: str, table: lake.TableRecord) -> Path | None:
    return home.quarantine / source / f"{name}.parquet" if table.rejected else None


@contextmanager
def alone(home: Home, source: str) -> Iterator[None]:
    """Hold the source's lock, so that two ingests of it never mix their files; it dies with the process."""
    make_home(home)
    path = lake.record_file(home, source).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SourceError(
                f"{source} is being ingested by another process; wait until it is done"
            ) from None
        yield


class _Ingest:
    """One run: stage every table, then publish them together."""

    def __init__(
        self, home: Home, source: Source, digest: str, now: datetime, ledger: CustomerLedger | None
    ) -> None:
        self._home = home
        self._ledger = ledger
        self._gone = Gone(ledger)
        self._source = source
        self._digest = digest
        self._now = now
        self._staging = home.lake / "_staging" / source.name

    def run(self) -> IngestReport:
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir(parents=True)
        names = [name for name in TABLES if name in self._source.declarations]
        try:
            with (
                step(f"Ingest {self._source.name}", total=len(names)) as progress,
                lake.engine(self._home, memory_limit=_MEMORY) as engine,
            ):
                tables = {name: self._stage(TABLES[name], engine, progress) for name in names}
            gone = self._gone.rows
            record = lake.SourceRecord(self._source.name, self._digest, tables, erased=gone, left_out=gone)
            # First, so that an ingest that ends between the two is not taken for one that told all
            tell_consents(self._staging / f"{CONSENTS.name}.parquet", self._source, self._ledger)
            self._publish(record)
        finally:
            shutil.rmtree(self._staging, ignore_errors=True)
        return _report(self._home, record, unchanged=False)

    def _stage(
        self, table: TableContract, engine: duckdb.DuckDBPyConnection, progress: Step
    ) -> lake.TableRecord:
        declared = self._source.declarations[table.name]
        path = self._staging / f"{table.name}.parquet"
        origins: list[tuple[str, NDArray[np.int64]]] = []
        rows = 0
        with Quarantine(self._rejected(table.name), table.name) as quarantine:
            with pq.ParquetWriter(path, table.arrow_schema(), compression="zstd") as writer:
                for checked, place in self._checked(table, declared, engine):
                    quarantine.add(checked.rejected)
                    writer.write_table(checked.good)
                    origins.append((place, checked.rows))
                    rows += checked.good.num_rows
                    progress.advance(0, note=f"{table.name}: {rows:,} rows")
            rows -= drop_duplicates(
                path, table, _key(table, declared), origins=origins, quarantine=quarantine, engine=engine
            )
        self._refuse_over_limit(table, declared, rows, quarantine)
        progress.advance(1)
        history = declared.history.value if declared.history else None
        return lake.TableRecord(rows, quarantine.count, history, str(declared.known_at))

    def _checked(
        self, table: TableContract, declared: Declaration, engine: duckdb.DuckDBPyConnection
    ) -> Iterator[tuple[Checked, str]]:
        seen: set[str] = set()
        for batch in _readable(self._source.batches(table.name, engine), declared):
            if batch.place not in seen:
                faults = column_faults(table, declared, batch.place, batch.data.schema)
                if faults:
                    raise ConfigurationError(f"{table.name} cannot be ingested:", faults=faults)
                seen.add(batch.place)
            checked = check_batch(batch, table, declared, engine, self._now)
            checked = self._gone.left(table.name, checked)
            _refuse_history(table, declared, checked.good, batch.place, self._now)
            yield checked, batch.place

    def _refuse_over_limit(
        self, table: TableContract, declared: Declaration, rows: int, quarantine: Quarantine
    ) -> None:
        limit = table.reject_limit if declared.reject_limit is None else declared.reject_limit
        total = rows + quarantine.count
        if quarantine.count <= limit * total:
            return
        folder = self._publish_quarantine(f"{self._source.name}.refused")
        file, column = quarantine.by_file.most_common(1)[0][0], quarantine.by_column.most_common(1)[0][0]
        raise SourceError(
            f"{file}: {quarantine.count:,} of {total:,} rows of {table.name} were rejected, over the limit "
            f"of {limit:.1%}, most often for {column}; see {folder / table.name}.parquet, then mend "
            f"the rows or raise reject_limit under {declared.settings}"
        )

    def _rejected(self, table: str) -> Path:
        return self._staging / f"{table}.rejected.parquet"

    def _publish(self, record: lake.SourceRecord) -> None:
        final = lake.record_file(self._home, self._source.name)
        # Without a record nobody takes a half-replaced lake for a whole one
        final.unlink(missing_ok=True)
        for name in TABLES:
            target = lake.table_file(self._home, name, self._source.name)
            if name in record.tables:
                target.parent.mkdir(parents=True, exist_ok=True)
                (self._staging / f"{name}.parquet").replace(target)
            else:
                target.unlink(missing_ok=True)
        self._publish_quarantine(self._source.name)
        shutil.rmtree(self._home.quarantine / f"{self._source.name}.refused", ignore_errors=True)
        staged = self._staging / "record.json"
        staged.write_text(record.dumps())
        staged.replace(final)

    def _publish_quarantine(self, name: str) -> Path:
        folder = self._home.quarantine / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for staged in self._staging.glob("*.rejected.parquet"):
            staged.replace(folder / staged.name.replace(".rejected", ""))
        return folder


def _key(table: TableContract, declared: Declaration) -> tuple[str, ...]:
    return (*table.key, KNOWN_AT) if declared.history is History.VERSIONS else table.key


def _readable(batches: Iterator[Batch], declared: Declaration) -> Iterator[Batch]:
    try:
        yield from batches
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(f"{declared.place} cannot be read: {reason}; mend or replace the file") from error


def _refuse_history(
    table: TableContract, declared: Declaration, good: pa.Table, place: str, now: datetime
) -> None:
    if not isinstance(declared.known_at, KnownAtIngest) or table.time is None or good.num_rows == 0:
        return
    oldest = pc.min(good.column(table.time)).as_py()
    if oldest < now - _RECENT:
        raise SourceError(
            f"{place}: {table.name} goes back to {oldest:%Y-%m-%d} but would count as known only from now, "
            f'so nothing could be learnt from it; add known_at = "{table.time} + 1 day" '
            f"under {declared.settings}"
        )
