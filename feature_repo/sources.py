"""Where features come from: the snapshots, one folder of parquet files per view."""

from __future__ import annotations

from feast import FileSource, PushSource
from feast.data_format import ParquetFormat

from features.definition import View
from features.realtime_features import VIEW
from moment.home import Home


def snapshot_source(view: View, home: Home) -> FileSource:
    """Return the source of a view's snapshots, by absolute path."""
    return FileSource(
        name=f"{view.name}_snapshots",
        path=str(home.snapshots / view.name / "*.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="served_at",
        description=f"Snapshots: {view.meaning}",
        owner=view.owner,
    )


def realtime_source(home: Home) -> PushSource:
    """Return where real-time states come from: they are pushed, and no file holds their history.

    Feast asks for a batch source beside a pushed one; nothing is ever there, because the journal of events
    is the history, and `features.realtime_history` replays it.
    """
    never = FileSource(
        name=f"{VIEW}_never",
        path=str(home.snapshots / VIEW / "*.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
    )
    return PushSource(name=f"{VIEW}_states", batch_source=never, description="Real-time states, as folded")
