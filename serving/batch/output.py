"""The files of a batch: written beside, in order, and moved into place when all is there."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

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
        self._part = path.with_name(path.name + ".part")
        self._rejected_part = self.rejected_path.with_name(self.rejected_path.name + ".part")
        self._rejects: TextIO | None = None
        self._writer: Any = None

    @property
    def rejected_path(self) -> Path:
        """Where customers who could not be decided for are listed, with the reason."""
        return self._path.with_name(self._path.name + ".rejected.csv")

    def __enter__(self) -> Self:
        self._writer = _csv_writer(self._part, self._schema) if self._is_csv else self._parquet_writer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        if self._rejects is not None:
            self._rejects.close()
        if kind is not None:
            self._part.unlink(missing_ok=True)
            self._rejected_part.unlink(missing_ok=True)
            return
        # The list of those left out comes first: no offers without it
        if self._rejects is None:
            self.rejected_path.unlink(missing_ok=True)
        else:
            self._rejected_part.replace(self.rejected_path)
        self._part.replace(self._path)

    def write(self, table: pa.Table, rejected: Sequence[tuple[str, str]]) -> None:
        """Add the rows of some customers, and those who could not be decided for."""
        if rejected:
            if self._rejects is None:
                self._rejects = self._rejected_part.open("w", encoding="utf-8", newline="")
                csv.writer(self._rejects).writerow(("customer_id", "reason"))
            csv.writer(self._rejects).writerows(rejected)
        self._writer.write_table(_as_text(table) if self._is_csv else table)

    @property
    def _is_csv(self) -> bool:
        return self._path.suffix == ".csv"

    def _parquet_writer(self) -> Any:  # noqa: ANN401 - pyarrow has no types
        import pyarrow.parquet as pq

        return pq.ParquetWriter(self._part, self._schema, compression="zstd")


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
