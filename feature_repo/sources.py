"""Where features come from: the snapshots, one folder of parquet files per view."""

from __future__ import annotations

from feast import FileSource
from feast.data_format import ParquetFormat

from features.definition import View
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
