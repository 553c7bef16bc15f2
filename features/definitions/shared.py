"""Expressions that several themes use: windows, counts, sums and ratios over a grain's rows."""

from __future__ import annotations

from functools import reduce

import ibis

from features.definition import KEYS, Table, Value

WINDOWS = (7, 30, 90, 365)
"""Days looked back."""

YEAR = 365
"""The window of everything that describes a habit."""


def within(rows: Table, days: int, *, since: int = 0) -> Value:
    """Return whether a row's age in days lies in ``[since, days)``."""
    return (rows["age"] >= since) & (rows["age"] < days)


def number(rows: Table, days: int, *, since: int = 0) -> Value:
    """Count rows aged ``[since, days)`` days."""
    return rows.count(where=within(rows, days, since=since))


def total(rows: Table, column: str, days: int, *, since: int = 0) -> Value:
    """Sum a column over rows aged ``[since, days)`` days; 0 where there is none."""
    return rows[column].sum(where=within(rows, days, since=since)).fill_null(0)


def ratio(part: Value, whole: Value) -> Value:
    """Return ``part / whole``; null where ``whole`` is 0 or null."""
    return part / whole.nullif(0)


def listed(rows: Table, key: str, column: str) -> Value:
    """Return one column of all rows as a list, ordered by ``key``, which is unique among them.

    Lists of the same rows are aligned. They share one aggregate, of whole rows: collecting and sorting each
    column apart costs several times the memory.
    """
    values = {name: rows[name] for name in rows.columns if name not in (*KEYS, key)}
    whole = ibis.struct({key: rows[key], **values})
    return whole.collect().sort().map(lambda row: row[column])


def most_frequent(counts: dict[str, Value]) -> Value:
    """Return the name with the greatest count, the first of equals; null where all are 0."""
    best = reduce(ibis.greatest, counts.values())
    branches = [(count == best, name) for name, count in counts.items()]
    return ibis.cases((best == 0, ibis.null("string")), *branches, else_=ibis.null("string"))
