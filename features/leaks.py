"""The leak check: a feature at a time must not change when everything learned later is taken away.

Any definition can be put to it. It computes the features twice, from all facts and from those with
``known_at`` no later than the time, and compares. A feature that reads the future, or that ignores when a
fact became known, gives another value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import ibis
import numpy as np
import pyarrow as pa

from features.computation import Computation
from features.definition import Table, Tables, View
from moment.errors import InvariantViolation

RELATIVE_TOLERANCE = 1e-9
"""Sums of floats depend on the order of their terms, and that on what else is in the table."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A feature that knew at a time what was learned later.

    Parameters
    ----------
    view, feature
        The feature. ``feature`` is ``customer_id`` where the customers themselves differ.
    at
        The time.
    customers
        How many customers' values differ.
    example
        One of them.
    """

    view: str
    feature: str
    at: datetime
    customers: int
    example: str

    def __str__(self) -> str:
        return (
            f"{self.view}.{self.feature} at {self.at:%Y-%m-%d} differs for {self.customers} customers "
            f"(one is {self.example}) once facts known later are taken away"
        )


def find_leaks(
    backend: Table, tables: Tables, views: Sequence[View], times: Sequence[datetime]
) -> tuple[Leak, ...]:
    """Return every leak of some views at some times; none is what you want.

    Parameters
    ----------
    backend
        An Ibis DuckDB backend, e.g. ``features.lake.ibis_backend(home)``.
    tables
        Canonical tables by name. Fewer customers make it faster.
    views
        The definitions to check.
    times
        Choose times with facts after them, and facts that occurred before but were known after.
    """
    everything = Computation(backend, tables, views, prefix="all_")
    found: list[Leak] = []
    for at in times:
        then = Computation(backend, _known_by(tables, at), views, prefix="then_")
        for view in views:
            found += _compare(view, at, everything.rows(view, at), then.rows(view, at))
    return tuple(found)


def refuse_leaks(leaks: Sequence[Leak]) -> None:
    """Raise for the first leak, if any.

    Raises
    ------
    InvariantViolation
        There is a leak; the message names the feature and what to do.
    """
    if leaks:
        raise InvariantViolation(f"{leaks[0]}; build its facts from rows known at their known_at only")


def _known_by(tables: Tables, at: datetime) -> Tables:
    moment = ibis.literal(at.astimezone(UTC).replace(tzinfo=None))
    return {name: table.filter(table["known_at"] <= moment) for name, table in tables.items()}


def _compare(view: View, at: datetime, everything: pa.Table, then: pa.Table) -> list[Leak]:
    customers = everything["customer_id"].to_pylist()
    others = then["customer_id"].to_pylist()
    if customers != others:
        differing = sorted(set(customers) ^ set(others))
        return [Leak(view.name, "customer_id", at, len(differing), differing[0])]
    leaks = []
    for feature in view.features:
        different = _differ(everything[feature.name], then[feature.name])
        if different.any():
            example = customers[int(np.argmax(different))]
            leaks.append(Leak(view.name, feature.name, at, int(different.sum()), example))
    return leaks


def _differ(left: pa.ChunkedArray, right: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
    return np.array([not _same(one, other) for one, other in pairs], dtype=bool)


def _same(one: object, other: object) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=RELATIVE_TOLERANCE, atol=RELATIVE_TOLERANCE))
    return one == other
