"""Batch features as they were: one parquet file per view and time, the offline source of Feast.

A file holds ``customer_id``, ``event_timestamp`` (the time its features are as of), ``served_at``, the
features, and ``<view>_as_of`` (that time again in epoch seconds, so that it can be read back with the
features). It carries the digest of the lake and the definition it was made from, and is reused as long as
both are the same. Files are written beside and moved into place, so that an interrupted build goes on where
it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyarrow import ArrowException

from features import lake
from features.computation import Computation, definition_digest
from features.definition import Table, Tables, View
from features.snapshot_files import SERVING_LAG, as_of_column, newest_served, snapshot_file, snapshot_times
from features.tables import CONSENTS, TABLES
from moment.errors import DependencyError, InvalidRequest
from moment.home import Home
from moment.progress import SILENT, Step
from moment.turns import turn

__all__ = [
    "SERVING_LAG",
    "BuildReport",
    "build",
    "newest_served",
    "plan",
    "plan_asked",
    "plan_for",
    "snapshot_file",
    "snapshot_times",
]

EVERY = timedelta(days=7)
EPOCH = datetime(1970, 1, 5, tzinfo=UTC)
"""A Monday: snapshots of a week fall on Mondays, whenever they are built."""

WRITERS = 2
"""Snapshots computed at the same time."""

DIGEST = "moment_digest"
FORMAT = "1"
"""Raised when the files' form changes, so that old ones are made anew."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    Parameters
    ----------
    times
        The times asked for, oldest first.
    built, reused, removed
        Files made, files found as they should be, and files of another lake or definition taken away.
    """

    times: tuple[datetime, ...]
    built: int
    reused: int
    removed: int


def plan(first: datetime, last: datetime, every: timedelta = EVERY) -> tuple[datetime, ...]:
    """Return the times to take snapshots at: multiples of ``every`` after ``first``, then ``last`` itself.

    Parameters
    ----------
    first, last
        When the first and the last fact became known. ``last`` is rounded up to the hour.
    every
        At least an hour. Weeks start on Monday, days at midnight, UTC.

    Raises
    ------
    InvalidRequest
        ``every`` is too short.
    """
    if every < timedelta(hours=1):
        raise InvalidRequest("--every is shorter than an hour; give e.g. 1d or 7d", code="every-too-short")
    hour = timedelta(hours=1)
    end = EPOCH + -((EPOCH - last) // hour) * hour
    start = EPOCH + ((first - EPOCH) // every + 1) * every
    steps = range(max(0, -((start - end) // every)))
    return (*(start + step * every for step in steps if start + step * every < end), end)


def build(
    home: Home,
    views: Sequence[View],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    every: timedelta = EVERY,
    times: Sequence[datetime] | None = None,
    step: Step = SILENT,
) -> BuildReport:
    """Make the snapshots that are missing.

    Parameters
    ----------
    home
        Where the lake is and the snapshots go.
    views
        The views to build.
    since, until
        Only times in [since, until]; ``until`` itself is one. Default: all the lake's facts.
    every
        Time between snapshots.
    times
        These times and no others, whatever else is given.
    step
        Told of each time done; `plan_for` says how many there are.

    Raises
    ------
    StepMissing
        Nothing has been ingested.
    DependencyError
        The files of the home are being written by somebody else all the time.
    """
    # What the lake held when this began is written when it ends: no erasure may come in between
    with turn(home, "a build of feature snapshots"):
        if times is None:
            times = plan_for(home, since=since, until=until, every=every)
        backend = lake.ibis_backend(home)
        try:
            return _build(home, backend, views, times, step)
        finally:
            backend.disconnect()


def plan_for(
    home: Home, *, since: datetime | None = None, until: datetime | None = None, every: timedelta = EVERY
) -> tuple[datetime, ...]:
    """Return the times a build would take snapshots at.

    Raises
    ------
    StepMissing
        Nothing has been ingested.
    DependencyError
        The lake has no fact that happened at a time.
    """
    connection = lake.connect(home)
    try:
        spans = [
            f'SELECT min(known_at), max(known_at) FROM "{table.name}"'  # noqa: S608 - our own names
            for table in TABLES.values()
            # A consent tells what may be seen, not what happened: no feature is made of it
            if table.time is not None and table is not CONSENTS
        ]
        query = f"SELECT min(#1), max(#2) FROM ({' UNION ALL '.join(spans)})"  # noqa: S608
        first, last = connection.execute(query).fetchone()
    finally:
        connection.close()
    if first is None:
        raise DependencyError(f"no table in {home.lake} has a row that happened at a time; ingest a source")
    times = plan(first.replace(tzinfo=UTC), until or last.replace(tzinfo=UTC), every)
    return tuple(time for time in times if since is None or time >= since)


def plan_asked(home: Home, *, back: timedelta = timedelta()) -> tuple[datetime, ...]:
    """Return the times of the plan that training asks for: the newest before each presentation, and the last.

    A year of history and a decision ten years later then cost two years of snapshots, not ten.

    Parameters
    ----------
    home
        Where the lake is.
    back
        The last one so long before the end is among them, too.

    Raises
    ------
    StepMissing, DependencyError
        As `plan_for` does.
    """
    planned = plan_for(home)
    with lake.connect(home) as connection:
        found = connection.execute("SELECT DISTINCT date_trunc('minute', occurred_at) FROM presentations")
        asked = [row[0].replace(tzinfo=UTC) for row in found.fetchall()]
    end = planned[-1] + SERVING_LAG
    minute = timedelta(minutes=1)
    served = {newest_served(planned, at) for one in asked for at in (one, one + minute)}
    served |= {newest_served(planned, end), newest_served(planned, end - back)}
    return tuple(sorted(at for at in served if at is not None))


def _build(
    home: Home, backend: Table, views: Sequence[View], times: Sequence[datetime], step: Step
) -> BuildReport:
    tables = {name: backend.table(name) for name in TABLES}
    digests = {view.name: _digest(home, tables, view) for view in views}
    removed = sum(_remove_others(home, view, digests[view.name]) for view in views)
    missing = {
        at: [view for view in views if not snapshot_file(home, view.name, at).exists()] for at in times
    }
    built = sum(map(len, missing.values()))
    if built:
        needed = tuple(dict.fromkeys(view for unbuilt in missing.values() for view in unbuilt))
        computation = Computation(backend, tables, needed)
        writers = {view: _Writer(home, view, computation.sql(view), digests[view.name]) for view in needed}

        def write(at: datetime) -> datetime:
            with computation.at(at) as cursor:
                for view in missing[at]:
                    writers[view].write(cursor, at)
            return at

        # One time's rows are too few to share between threads; two times at once keep two busy
        backend.con.execute("SET threads = 1")
        with ThreadPoolExecutor(WRITERS) as pool:
            for at in pool.map(write, times):
                step.advance(1, note=f"{at:%Y-%m-%d}")
    return BuildReport(tuple(times), built, len(times) * len(views) - built, removed)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the snapshots of one view."""

    home: Home
    view: View
    query: str
    digest: str

    def write(self, cursor: Any, at: datetime) -> None:  # noqa: ANN401 - untyped DuckDB
        """Write what the query now gives as the snapshot at a time."""
        file = snapshot_file(self.home, self.view.name, at)
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".partial")
        columns = ", ".join(f'"{feature.name}"' for feature in self.view.features)
        path = str(beside).replace("'", "''")
        cursor.execute(
            f"""
            COPY (
                SELECT customer_id, timezone('UTC', "at") AS event_timestamp,
                    TIMESTAMPTZ '{at + SERVING_LAG:%Y-%m-%d %H:%M:%S}+00' AS served_at, {columns},
                    {int(at.timestamp())}::BIGINT AS "{as_of_column(self.view.name)}"
                FROM ({self.query}) ORDER BY customer_id
            ) TO '{path}' (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{DIGEST}: '{self.digest}'}})
            """  # noqa: S608 - our own names and numbers
        )
        beside.replace(file)


def _digest(home: Home, tables: Tables, view: View) -> str:
    parts = (FORMAT, lake.digest(home), definition_digest(tables, view))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _remove_others(home: Home, view: View, digest: str) -> int:
    """Take away what another lake or definition left: it is wrong now, and its columns may differ."""
    others = [file for file in _files(home, view.name) if _digest_of(file) != digest]
    for file in others:
        file.unlink()
    return len(others)


def _files(home: Home, view: str) -> Iterator[Path]:
    folder = home.snapshots / view
    yield from sorted((*folder.glob("*.parquet"), *folder.glob("*.partial")))


def _digest_of(file: Path) -> str | None:
    try:
        content = pq.read_metadata(file).metadata or {}
    except (ArrowException, OSError):
        return None
    digest: bytes | None = content.get(DIGEST.encode())
    return digest.decode() if digest else None
