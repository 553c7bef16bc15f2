"""What a feature is: declared once, computed by a pure Ibis expression over facts known at a time.

From canonical tables to a feature there are three steps, each a pure function of Ibis tables:

1. **Facts** bring canonical tables to the grain worth keeping (a basket, an offer), once for all times. Each
   row says when it was ``known_at``.
2. A **grain** takes the facts known at each time of a grid (``known_at <= at``: this module does it, no
   definition can forget it) and returns rows of one customer at one time, with ``age`` in days.
3. A **feature** is one aggregate over those rows.

A view groups features under one name in Feast. Whoever adds features of their own writes a `View` and names
it in the entry point group ``moment.features``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Any

import ibis

from features.contract import DType, FeatureSpec, Purpose

Table = Any
"""An Ibis table expression (Ibis carries no static types)."""

Value = Any
"""An Ibis value expression."""

Tables = Mapping[str, Table]
"""Canonical tables by name."""

KEYS = ("customer_id", "at")
"""What a row of features is about: a customer at a time."""

SECONDS_A_DAY = 86_400

WEEKLY_MAX_AGE = timedelta(days=8)
"""A weekly snapshot, and a day of grace."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Canonical tables brought to a grain, once for all times.

    Parameters
    ----------
    name
        Unique among facts.
    build
        Canonical tables to rows with ``customer_id``, ``occurred_at``, ``known_at`` and what the grain needs.
        A row may be built only from rows known at its ``known_at``; `features.leaks` checks it.
    after
        Other facts it is built from; ``build`` finds them by name among the tables.
    """

    name: str
    build: Callable[[Tables], Table]
    after: tuple[Facts, ...] = ()


@dataclass(frozen=True, slots=True)
class Grain:
    """What a row is that features aggregate: a basket, a store, a category, an offer.

    Parameters
    ----------
    name
        Unique in a view.
    facts
        Where the rows come from.
    rows
        Facts known at ``at``, with ``age`` in days, to the rows features aggregate; keeps `KEYS`.
    """

    name: str
    facts: Facts
    rows: Callable[[Table], Table]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature and how it is computed.

    Parameters
    ----------
    name, dtype, unit, meaning
        As in `features.contract.FeatureSpec`.
    value
        The grain's rows of one customer at one time to an aggregate.
    grain
        What the rows are.
    empty
        The value for a customer without a row, where the lake has any at that time: 0 for a count. Where the
        lake has none at all, the feature is null.
    categories
        For a categorical string: its values in order.
    from_snapshot
        True when its source keeps no history, so that it may leak.
    """

    name: str
    dtype: DType
    unit: str
    meaning: str
    value: Callable[[Table], Value]
    grain: Grain
    empty: float | None = None
    categories: tuple[str, ...] = ()
    from_snapshot: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """Features computed, stored and served together.

    Parameters
    ----------
    name
        Name of the Feast view and of the snapshots' folder.
    meaning
        One line for people.
    owner
        Who answers for it.
    purpose
        The consent its features need.
    features
        The features in order, names unique over all views.
    max_age
        Older than this at reading, a value is expired.
    """

    name: str
    meaning: str
    owner: str
    purpose: Purpose
    features: tuple[Feature, ...]
    max_age: timedelta = field(default=WEEKLY_MAX_AGE)

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The contract's words about each feature, in order."""
        return tuple(
            FeatureSpec(
                name=feature.name,
                dtype=feature.dtype,
                unit=feature.unit,
                purpose=self.purpose,
                meaning=feature.meaning,
                owner=self.owner,
                view=self.name,
                max_age=self.max_age,
                categories=feature.categories,
                from_snapshot=feature.from_snapshot,
            )
            for feature in self.features
        )

    @property
    def facts(self) -> tuple[Facts, ...]:
        """The facts its grains need, each after those it is built from, without repetition."""
        return in_order(feature.grain.facts for feature in self.features)


def in_order(facts: Iterable[Facts]) -> tuple[Facts, ...]:
    """Return facts without repetition, each after those it is built from."""
    ordered: dict[Facts, None] = {}
    for one in facts:
        ordered.update(dict.fromkeys((*in_order(one.after), one)))
    return tuple(ordered)


def known(facts: Table, grid: Table) -> Table:
    """Return the facts known at each time of a grid.

    Parameters
    ----------
    facts
        Rows with ``occurred_at`` and ``known_at``.
    grid
        One column ``at``, timestamps in UTC.

    Returns
    -------
    Table
        The facts once per time at which they were known, with ``at`` and ``age`` (days since they occurred).
    """
    rows = facts.inner_join(grid, facts["known_at"] <= grid["at"])
    seconds = rows["at"].epoch_seconds() - rows["occurred_at"].epoch_seconds()
    return rows.mutate(age=seconds / SECONDS_A_DAY)


def expression(view: View, facts: Tables, spine: Table, grid: Table) -> Table:
    """Return a view's features for every customer and time.

    Parameters
    ----------
    view
        The view.
    facts
        A table per name in ``view.facts``.
    spine
        One row per customer with ``known_at``: from when on there is a row of features.
    grid
        One column ``at``.

    Returns
    -------
    Table
        Columns `KEYS` and the view's features in order; one row per customer known at each time.
    """
    result = spine.inner_join(grid, spine["known_at"] <= grid["at"]).select(*KEYS)
    by_grain = sorted(view.features, key=lambda feature: feature.grain.name)
    for _, group in groupby(by_grain, key=lambda feature: feature.grain.name):
        result = _with_features(result, tuple(group), facts, grid)
    return result.select(*KEYS, *(feature.name for feature in view.features))


def _with_features(result: Table, features: tuple[Feature, ...], facts: Tables, grid: Table) -> Table:
    grain = features[0].grain
    rows = grain.rows(known(facts[grain.facts.name], grid))
    found = f"{grain.name}_found"
    values = {feature.name: feature.value(rows).cast(_IBIS[feature.dtype]) for feature in features}
    aggregated = rows.group_by(*KEYS).aggregate(**{found: rows.count()}, **values)
    joined = result.left_join(aggregated, list(KEYS)).drop("customer_id_right", "at_right")
    provided = joined["at"] >= facts[grain.facts.name]["known_at"].min().as_scalar()
    fills = {
        feature.name: ibis.ifelse(
            joined[found].isnull() & provided, _literal(feature), joined[feature.name]
        ).cast(_IBIS[feature.dtype])
        for feature in features
        if feature.empty is not None
    }
    return joined.mutate(**fills).drop(found)


def _literal(feature: Feature) -> Value:
    return ibis.literal(feature.empty, type=_IBIS[feature.dtype])


_IBIS = {
    DType.BOOL: "boolean",
    DType.INT64: "int64",
    DType.FLOAT64: "float64",
    DType.STRING: "string",
    DType.STRING_LIST: "array<string>",
    DType.FLOAT_LIST: "array<float64>",
}
