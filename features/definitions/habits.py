"""When, how regularly and where a customer shops. Days and hours are those where the customer is."""

from __future__ import annotations

from functools import partial

import ibis

from features.contract import DType, Purpose
from features.definition import Feature, Table, Value, View
from features.definitions.shared import YEAR, most_frequent, number, ratio, within
from features.grains import BASKETS, INTERVALS, STORES

INT, FLOAT = DType.INT64, DType.FLOAT64

DAYPARTS = {"night": (0, 6), "morning": (6, 12), "afternoon": (12, 17), "evening": (17, 24)}
"""Hours of the day, the second excluded."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _in_daypart(rows: Table, daypart: str) -> Value:
    first, last = DAYPARTS[daypart]
    return rows.count(where=within(rows, YEAR) & (rows["hour"] >= first) & (rows["hour"] < last))


def _on_weekday(rows: Table, weekday: int) -> Value:
    return rows.count(where=within(rows, YEAR) & (rows["weekday"] == weekday))


def _favourite_daypart(rows: Table) -> Value:
    return most_frequent({daypart: _in_daypart(rows, daypart) for daypart in DAYPARTS})


def _favourite_weekday(rows: Table) -> Value:
    return most_frequent({name: _on_weekday(rows, index) for index, name in enumerate(WEEKDAYS)})


def _daypart_share(rows: Table, daypart: str) -> Value:
    return ratio(_in_daypart(rows, daypart), number(rows, YEAR))


def _weekend_share(rows: Table) -> Value:
    return ratio(rows.count(where=within(rows, YEAR) & (rows["weekday"] >= 5)), number(rows, YEAR))


def _gap_mean(rows: Table) -> Value:
    return rows["gap"].mean()


def _gap_std(rows: Table) -> Value:
    return rows["gap"].std()


def _overdue(rows: Table) -> Value:
    return ratio(rows["age"].min(), ibis.greatest(_gap_mean(rows), 1.0))


def _shopping_days(rows: Table, days: int) -> Value:
    return rows["local_at"].date().nunique(where=within(rows, days))


_basket = partial(Feature, grain=BASKETS)


def _daypart(daypart: str) -> Feature:
    first, last = DAYPARTS[daypart]
    return _basket(
        f"{daypart}_share_365d",
        FLOAT,
        "share",
        f"Share of the last year's baskets between {first}:00 and {last}:00",
        partial(_daypart_share, daypart=daypart),
    )


VIEW = View(
    name="habits",
    meaning="When, how regularly and where a customer shops",
    owner="customer-insight",
    purpose=Purpose.PROFILING,
    features=(
        _basket(
            "tenure_days",
            INT,
            "days",
            "Whole days since the first known basket",
            lambda rows: rows["age"].max().floor(),
        ),
        _basket(
            "shopping_days_90d",
            INT,
            "days",
            "Days of the last 90 with at least one basket",
            partial(_shopping_days, days=90),
            empty=0,
        ),
        Feature(
            "purchase_interval_mean_365d",
            FLOAT,
            "days",
            "Mean days between baskets of the last year",
            grain=INTERVALS,
            value=_gap_mean,
        ),
        Feature(
            "purchase_interval_std_365d",
            FLOAT,
            "days",
            "Standard deviation of the days between baskets of the last year",
            grain=INTERVALS,
            value=_gap_std,
        ),
        Feature(
            "purchase_overdue",
            FLOAT,
            "ratio",
            "Days since the last basket in units of the customer's mean interval, which is at least a day",
            grain=INTERVALS,
            value=_overdue,
        ),
        _basket(
            "weekend_share_365d",
            FLOAT,
            "share",
            "Share of the last year's baskets on Saturday or Sunday",
            _weekend_share,
        ),
        *(_daypart(daypart) for daypart in ("morning", "afternoon", "evening")),
        Feature(
            "favourite_daypart",
            DType.STRING,
            "category",
            "Part of the day with most of the last year's baskets",
            grain=BASKETS,
            value=_favourite_daypart,
            categories=tuple(DAYPARTS),
        ),
        Feature(
            "favourite_weekday",
            DType.STRING,
            "category",
            "Day of the week with most of the last year's baskets",
            grain=BASKETS,
            value=_favourite_weekday,
            categories=WEEKDAYS,
        ),
        Feature(
            "stores_365d",
            INT,
            "stores",
            "Stores visited in the last year",
            grain=STORES,
            value=lambda rows: rows.count(),
            empty=0,
        ),
        Feature(
            "main_store_share_365d",
            FLOAT,
            "share",
            "Share of the last year's baskets bought in the store visited most",
            grain=STORES,
            value=lambda rows: ratio(rows["baskets"].max(), rows["baskets"].sum()),
        ),
    ),
)
