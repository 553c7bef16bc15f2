"""Casting raw rows to a table's contract, in DuckDB, forgiving nothing.

A value that cannot become the column's type is a fault of its row, never a silent null; a column whose whole
type cannot fit is a fault of its file. What is missing in the source's own way, an
empty text or NaN, is null.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import pyarrow as pa

from features.sources import Declaration
from features.sources.known_at import KnownAfter, KnownAtIngest, KnownFromColumn
from features.table_contract import KNOWN_AT, Column, ColumnType, TableContract
from moment.errors import Fault

if TYPE_CHECKING:
    from datetime import datetime

FAULTS = "__faults"
"""Column of the cast rows that lists their faults, one per line; empty for a good row."""

_EXPECTED = {
    ColumnType.STRING: "a text",
    ColumnType.FLOAT64: "a finite number",
    ColumnType.INT64: "a whole number",
    ColumnType.BOOL: "true or false",
    ColumnType.DATE: "a date",
    ColumnType.TIMESTAMP: "an instant between 1900 and 2200",
}


def column_faults(
    table: TableContract, declaration: Declaration, place: str, schema: pa.Schema
) -> list[Fault]:
    """Return what is wrong with a file's columns: missing, misspelt, or of a type that cannot fit.

    Parameters
    ----------
    table
        The contract.
    declaration
        What the source says of the table: only ``known_at`` by column needs that column.
    place
        The file, for the messages.
    schema
        The file's columns as they are.
    """
    by_column = isinstance(declaration.known_at, KnownFromColumn)
    required = [*table.required, *([KNOWN_AT] if by_column else [])]
    unknown = [name for name in schema.names if name not in table.names]
    faults = []
    for name in table.names:
        if name in schema.names:
            wrong = _type_fault(table.column(name), schema.field(name).type)
            faults += [Fault(place, f"column {name} {wrong}")] if wrong else []
            continue
        alike = difflib.get_close_matches(name, unknown, n=1, cutoff=0.8)
        if name in required or alike:
            way_out = f"rename {alike[0]} to {name}" if alike else _add(name, table, declaration)
            faults.append(Fault(place, f"column {name} of {table.name} is missing; {way_out}"))
    return faults


def _add(name: str, table: TableContract, declaration: Declaration) -> str:
    if name != KNOWN_AT:
        return f"add it ({table.column(name).meaning})"
    time = table.time or "joined_at"
    return f'add it, or write known_at = "{time} + 1 day" under {declaration.settings}'


def _type_fault(column: Column, found: pa.DataType) -> str | None:
    found = found.value_type if pa.types.is_dictionary(found) else found
    if pa.types.is_null(found):
        return None
    text = pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    whole = pa.types.is_integer(found)
    number = whole or pa.types.is_floating(found) or pa.types.is_decimal(found)
    calendar = pa.types.is_timestamp(found) or pa.types.is_date(found)
    fits = {
        ColumnType.STRING: text or whole,
        ColumnType.FLOAT64: text or number,
        ColumnType.INT64: text or number,
        ColumnType.BOOL: text or whole or pa.types.is_boolean(found),
        ColumnType.DATE: text or calendar,
        ColumnType.TIMESTAMP: text or calendar,
    }[column.dtype]
    if fits:
        return None
    if column.dtype is ColumnType.STRING and number:
        return f"holds {found}; write it as text, so that 12 does not become 12.0"
    return f"holds {found}, which cannot become {_EXPECTED[column.dtype]}; write it as {column.dtype}"


def cast_query(
    table: TableContract, declaration: Declaration, schema: pa.Schema, relation: str, now: datetime
) -> str:
    """Return the SQL that casts the raw rows in ``relation`` to the contract's columns plus ``__faults``.

    The order of the rows is kept. ``known_at`` follows the declared rule.
    """
    casts = {c.name: _cast(c, schema) for c in table.columns if c.name != KNOWN_AT}
    faults = [
        _fault(c, casts[c.name], schema) for c in table.columns if c.name in schema.names and c.name in casts
    ]
    known_at = _known_at(declaration, table, schema, casts, now)
    if isinstance(declaration.known_at, KnownFromColumn):
        faults.append(_fault(table.column(KNOWN_AT), known_at, schema))
    casts[KNOWN_AT] = known_at
    columns = ",\n    ".join(f'{casts[name]} AS "{name}"' for name in table.names)
    return f"SELECT\n    {columns},\n    concat_ws(chr(10), {', '.join(faults)}) AS {FAULTS}\nFROM {relation}"


def _known_at(
    declaration: Declaration, table: TableContract, schema: pa.Schema, casts: dict[str, str], now: datetime
) -> str:
    match declaration.known_at:
        case KnownFromColumn():
            return _cast(table.column(KNOWN_AT), schema)
        case KnownAfter(lag, column):
            return f"{casts[column]} + INTERVAL {int(lag.total_seconds())} SECONDS"
        case KnownAtIngest():
            return f"TIMESTAMP '{now:%Y-%m-%d %H:%M:%S.%f}'"


def _cast(column: Column, schema: pa.Schema) -> str:
    if column.name not in schema.names:
        return f"NULL::{column.dtype.duckdb}"
    raw = f'"{column.name}"'
    match column.dtype:
        case ColumnType.STRING:
            return f"CASE WHEN trim({raw}::VARCHAR) <> '' THEN {raw}::VARCHAR END"
        case ColumnType.FLOAT64:
            value = f"TRY_CAST({raw} AS DOUBLE)"
            return f"CASE WHEN isfinite({value}) THEN {value} END"
        case ColumnType.INT64:
            # DuckDB would round 2.5 to a whole number
            value = f"TRY_CAST({raw} AS DOUBLE)"
            return f"CASE WHEN {value} = floor({value}) THEN TRY_CAST({raw} AS BIGINT) END"
        case ColumnType.TIMESTAMP:
            value = _instant(raw, schema.field(column.name).type)
            return f"CASE WHEN year({value}) BETWEEN 1900 AND 2199 THEN {value} END"
        case ColumnType.BOOL | ColumnType.DATE:
            return f"TRY_CAST({raw} AS {column.dtype.duckdb})"


def _instant(raw: str, found: pa.DataType) -> str:
    # A text may carry an offset; without one it is UTC, as the session is
    if pa.types.is_date(found) or (pa.types.is_timestamp(found) and found.tz is None):
        return f"TRY_CAST({raw} AS TIMESTAMP)"
    return f"TRY_CAST(TRY_CAST({raw} AS TIMESTAMPTZ) AS TIMESTAMP)"


def _fault(column: Column, cast: str, schema: pa.Schema) -> str:
    raw = f'"{column.name}"'
    given = f"trim({raw}::VARCHAR) <> ''"
    if pa.types.is_floating(schema.field(column.name).type):
        given = f"NOT isnan({raw})"
    says = f"""'{column.name}: "' || left({raw}::VARCHAR, 60) || '" is not {_EXPECTED[column.dtype]}'"""
    return f"CASE WHEN {given} AND ({cast}) IS NULL THEN {says} END"
