"""Where snapshots are, what times they are of, and from when on they are served. Cheap to import."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from moment.home import Home

SERVING_LAG = timedelta(hours=6)
"""How long after its time a snapshot is served: the nightly build is through and loaded by then."""

STAMP = "%Y%m%dT%H%M%SZ"
"""A snapshot's time as its file's name."""


def as_of_column(view: str) -> str:
    """Return the name of the column with the time a row of a view is as of, in epoch seconds."""
    return f"{view}_as_of"


def snapshot_file(home: Home, view: str, at: datetime) -> Path:
    """Return where the snapshot of a view at a time is."""
    return home.snapshots / view / f"{at.astimezone(UTC):{STAMP}}.parquet"


def snapshot_times(home: Home, view: str) -> tuple[datetime, ...]:
    """Return the times a view has snapshots of, oldest first."""
    files = (home.snapshots / view).glob("*.parquet")
    return tuple(sorted(datetime.strptime(file.stem, STAMP).replace(tzinfo=UTC) for file in files))


def newest_served(times: Iterable[datetime], until: datetime) -> datetime | None:
    """Return the newest time whose snapshot was served by ``until``; None where there is none."""
    return max((time for time in times if time + SERVING_LAG <= until), default=None)
