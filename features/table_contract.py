"""What a canonical table is: columns declared once, from which every other form is derived.

The pandera schema that ingest checks, the DuckDB and Arrow types of the lake's files and empty views, and the
tables of ``docs/data.md`` all come from these values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

KNOWN_AT = "known_at"


class ColumnType(StrEnum):
    """Type of a column. ``TIMESTAMP`` is an instant in UTC, to the microsecond, without zone in the files."""

    STRING = "string"
    FLOAT64 = "float64"
    INT64 = "int64"
    BOOL = "bool"
    DATE = "date"
    TIMESTAMP = "timestamp"

    @property
    def duckdb(self) -> str:
        """Name of the type in DuckDB."""
        return _DUCKDB[self]

    @property
    def arrow(self) -> pa.DataType:
        """The type in Arrow and parquet."""
        import pyarrow as pa

        return {
            ColumnType.STRING: pa.string(),
            ColumnType.FLOAT64: pa.float64(),
            ColumnType.INT64: pa.int64(),
            ColumnType.BOOL: pa.bool_(),
            ColumnType.DATE: pa.date32(),
            ColumnType.TIMESTAMP: pa.timestamp("us"),
        }[self]


_DUCKDB = {
    ColumnType.STRING: "VARCHAR",
    ColumnType.FLOAT64: "DOUBLE",
    ColumnType.INT64: "BIGINT",
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.DATE: "DATE",
    ColumnType.TIMESTAMP: "TIMESTAMP",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a canonical table.

    Parameters
    ----------
    name
        Snake case, unique in its table.
    dtype
        Type of its values.
    meaning
        One line for people, with the unit.
    nullable
        Whether a value may be missing. A source may leave a nullable column out; one that is not nullable
        must be there.
    allowed
        The only values it may take. Empty: any.
    minimum, maximum
        Inclusive bounds of a number.
    references
        The canonical table whose key it names, or None. Documented, not enforced.
    """

    name: str
    dtype: ColumnType
    meaning: str
    nullable: bool = True
    allowed: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    references: str | None = None


@dataclass(frozen=True, slots=True)
class TableContract:
    """One canonical table.

    Parameters
    ----------
    name
        Name of the table, and of its folder in the lake.
    meaning
        One line for people.
    columns
        The columns in order, the last being ``known_at``.
    key
        Names of the columns that together name a row; a second row with the same key is rejected. Where the
        source keeps versions of a row, ``known_at`` belongs to the key as well.
    time
        The column that says when the fact happened, or None for facts without a time.
    keeps_history
        Whether a source must declare ``history: versions | snapshot`` for it.
    not_before
        Pairs (later, earlier) of timestamp columns; the later may not lie before the earlier.
    one_of
        Columns of which at least one must have a value.
    reject_limit
        Share of rows that may be rejected before the whole table is refused.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str | None = None
    keeps_history: bool = False
    not_before: tuple[tuple[str, str], ...] = ()
    one_of: tuple[str, ...] = ()
    reject_limit: float = 0.01

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns a source must provide; ``known_at`` comes from the source's rule."""
        return tuple(c.name for c in self.columns if not c.nullable and c.name != KNOWN_AT)

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises
        ------
        KeyError
            There is none.
        """
        return next((c for c in self.columns if c.name == name), None) or _no_column(self.name, name)

    def duckdb_columns(self) -> dict[str, str]:
        """Return the DuckDB type of each column, in order."""
        return {column.name: column.dtype.duckdb for column in self.columns}

    def arrow_schema(self) -> pa.Schema:
        """Return the schema of the lake's files."""
        import pyarrow as pa

        return pa.schema([pa.field(c.name, c.dtype.arrow, nullable=c.nullable) for c in self.columns])

    def pandera_schema(self) -> Any:  # noqa: ANN401 - pandera's types are not seen by mypy
        """Return the contract as a ``pandera.DataFrameSchema`` for a frame with these columns."""
        from features.table_schema import pandera_schema

        return pandera_schema(self)


def _no_column(table: str, name: str) -> Column:
    raise KeyError(f"{table} has no column {name}")
