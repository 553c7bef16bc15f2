"""A table's contract as a pandera schema, each check named by the reason given for a rejected row."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pandas as pd
import pandera.pandas as pa

from features.table_contract import KNOWN_AT, Column, TableContract


@lru_cache(maxsize=64)
def pandera_schema(table: TableContract) -> Any:  # noqa: ANN401 - pandera's types are not seen by mypy
    """Return the pandera schema of a canonical table.

    It checks a frame whose columns are backed by Arrow and already have the contract's types (ingest casts
    before it checks). Row rules over two columns are checks of the frame that answer row by row, so that each
    failing row is named. A missing value never fails a rule but the one that there must be a value.

    Parameters
    ----------
    table
        The table's contract.

    Returns
    -------
    pandera.pandas.DataFrameSchema
        Strict in names and order; validate with ``lazy=True`` to hear of every failing row.
    """
    columns = {column.name: _column(column) for column in table.columns}
    return pa.DataFrameSchema(
        columns, checks=_frame_checks(table), name=table.name, strict=True, ordered=True, coerce=False
    )


def _column(column: Column) -> Any:  # noqa: ANN401
    checks = []
    if column.allowed:
        allowed = column.allowed
        checks.append(_check(lambda values: values.isin(allowed), f"is none of {', '.join(allowed)}"))
    if column.minimum is not None:
        low = column.minimum
        checks.append(_check(lambda values: values >= low, f"is below {low:g}"))
    if column.maximum is not None:
        high = column.maximum
        checks.append(_check(lambda values: values <= high, f"is above {high:g}"))
    return pa.Column(
        pd.ArrowDtype(column.dtype.arrow), checks=checks, nullable=column.nullable, description=column.meaning
    )


def _frame_checks(table: TableContract) -> list[Any]:
    pairs = list(table.not_before)
    if table.time:
        pairs.append((KNOWN_AT, table.time))
    checks = [_check(_in_order(late, early), f"{late} lies before {early}") for late, early in pairs]
    if table.one_of:
        columns = list(table.one_of)
        checks.append(
            _check(lambda rows: rows[columns].notna().any(axis=1), f"has no {' or '.join(columns)}")
        )
    return checks


def _in_order(late: str, early: str) -> Callable[[pd.DataFrame], pd.Series]:
    def holds(rows: pd.DataFrame) -> pd.Series:
        return (rows[late] >= rows[early]).fillna(value=True)

    return holds


def _check(holds: Callable[[Any], Any], reason: str) -> Any:  # noqa: ANN401
    return pa.Check(holds, error=reason, ignore_na=True)
