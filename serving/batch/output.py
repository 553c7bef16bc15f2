"""The files of a batch: written beside, in order, and moved into place when all is there."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from moment.private import replacing

if TYPE_CHECKING:
    import pyarrow as pa


class Output:
    """A file of offers, and beside it the customers who could not be decided for.

    Used as a context manager: the files are there when the block ends well; an earlier file of the name stays
    when it does not.

    Parameters
    ----------
    path
        Where the offers go, ``.parquet`` or ``.csv``.
    schema
        Their columns.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._parts = ExitStack()
        self._rejects: TextIO | None = None
        self._writer: Any = None

    @property
    def rejected_path(self) -> Path:
        """Where customers who could not be decided for are listed, with the reason."""
        return self._path.with_name(self._path.name + ".rejected.csv")

    def __enter__(self) -> Self:
        opened = _csv_writer if self._is_csv else _parquet_writer
        with ExitStack() as parts:
            self._writer = opened(parts.enter_context(replacing(self._path)), self._schema)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._writer.close()
            if self._rejects is not None:
                self._rejects.close()
            elif kind is None:
                self.rejected_path.unlink(missing_ok=True)
        except BaseException as failed:
            self._parts.__exit__(type(failed), failed, failed.__traceback__)
            raise
        # What was begun last comes first, the list of those left out: no offers without it
        self._parts.__exit__(kind, error, trace)

    def write(self, table: pa.Table, rejected: Sequence[tuple[str, str]]) -> None:
        """Add the rows of some customers, and those who could not be decided for."""
        if rejected:
            if self._rejects is None:
                part = self._parts.enter_context(replacing(self.rejected_path))
                self._rejects = part.open("w", encoding="utf-8", newline="")
                csv.writer(self._rejects).writerow(("customer_id", "reason"))
            csv.writer(self._rejects).writerows(rejected)
        self._writer.write_table(_as_text(table) if self._is_csv else table)

    @property
    def _is_csv(self) -> bool:
        return self._path.suffix == ".csv"


def _parquet_writer(path: Path, schema: pa.Schema) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow.parquet as pq

    return pq.ParquetWriter(path, schema, compression="zstd")


def _csv_writer(path: Path, schema: pa.Schema) -> Any:  # noqa: ANN401
    import pyarrow.csv as pc

    return pc.CSVWriter(path, _as_text(schema.empty_table()).schema)


def _as_text(table: pa.Table) -> pa.Table:
    """Return the table with instants in ISO 8601."""
    import pyarrow as pa
    import pyarrow.compute as pc

    place = table.schema.get_field_index("expires_at")
    stamps = pc.strftime(pc.cast(table["expires_at"], pa.timestamp("s"), safe=False), "%Y-%m-%dT%H:%M:%SZ")
    return table.set_column(place, "expires_at", stamps)
