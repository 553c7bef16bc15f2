"""Recency, frequency, money, baskets, and what moves a customer: discounts, coupons, display, mailer."""

from __future__ import annotations

from functools import partial

from features.contract import DType, Purpose
from features.definition import Feature, Table, Value, View
from features.definitions.shared import WINDOWS, YEAR, number, ratio, total, within
from features.grains import BASKETS, DEPARTMENTS, slug

INT, FLOAT = DType.INT64, DType.FLOAT64


def _recency(rows: Table) -> Value:
    return rows["age"].min().floor()


def _spend_trend(rows: Table, days: int) -> Value:
    return ratio(total(rows, "amount", days), total(rows, "amount", 2 * days, since=days))


def _basket_trend(rows: Table, days: int) -> Value:
    return ratio(number(rows, days), number(rows, 2 * days, since=days))


def _mean(rows: Table, column: str) -> Value:
    return rows[column].mean(where=within(rows, YEAR))


def _share(rows: Table, part: str, whole: str) -> Value:
    return ratio(total(rows, part, YEAR), total(rows, whole, YEAR))


def _discount_share(rows: Table) -> Value:
    discount = total(rows, "discount", YEAR)
    return ratio(discount, discount + total(rows, "amount", YEAR))


def _line_value(rows: Table) -> Value:
    return ratio(total(rows, "amount", YEAR), total(rows, "lines", YEAR))


def _coupon_baskets(rows: Table, days: int) -> Value:
    return rows.count(where=within(rows, days) & (rows["coupon_discount"] > 0))


def _coupon_recency(rows: Table) -> Value:
    return rows["age"].min(where=rows["coupon_discount"] > 0).floor()


_basket = partial(Feature, grain=BASKETS)


def _windowed() -> tuple[Feature, ...]:
    counts = (
        _basket(
            f"baskets_{days}d",
            INT,
            "baskets",
            f"Baskets in the last {days} days",
            partial(number, days=days),
            empty=0,
        )
        for days in WINDOWS
    )
    sums = (
        _basket(
            f"spend_{days}d",
            FLOAT,
            "currency",
            f"Spend in the last {days} days",
            partial(total, column="amount", days=days),
            empty=0,
        )
        for days in WINDOWS
    )
    return (*counts, *sums)


def _trends() -> tuple[Feature, ...]:
    meaning = "in the last {0} days relative to the {0} days before"
    spend = (
        _basket(
            f"spend_trend_{days}d",
            FLOAT,
            "ratio",
            f"Spend {meaning.format(days)}",
            partial(_spend_trend, days=days),
        )
        for days in (30, 90)
    )
    baskets = (
        _basket(
            f"baskets_trend_{days}d",
            FLOAT,
            "ratio",
            f"Baskets {meaning.format(days)}",
            partial(_basket_trend, days=days),
        )
        for days in (30, 90)
    )
    return (*spend, *baskets)


def _department_share(department: str) -> Feature:
    name = slug(department)
    return _basket(
        f"{name}_share_365d",
        FLOAT,
        "share",
        f"Share of the last year's spend that went to {department.title()}",
        partial(_share, part=f"amount_{name}", whole="amount"),
    )


VIEW = View(
    name="spending",
    meaning="How recently, how often and how much a customer buys, of what, and at what discount",
    owner="customer-insight",
    purpose=Purpose.PROFILING,
    features=(
        _basket("days_since_purchase", INT, "days", "Whole days since the last basket", _recency),
        *_windowed(),
        *_trends(),
        _basket(
            "basket_value_mean_365d",
            FLOAT,
            "currency",
            "Mean value of a basket of the last year",
            partial(_mean, column="amount"),
        ),
        _basket(
            "basket_value_std_365d",
            FLOAT,
            "currency",
            "Standard deviation of the value of the last year's baskets; missing below two baskets",
            lambda rows: rows["amount"].std(where=within(rows, YEAR)),
        ),
        _basket(
            "basket_value_max_365d",
            FLOAT,
            "currency",
            "Value of the largest basket of the last year",
            lambda rows: rows["amount"].max(where=within(rows, YEAR)),
        ),
        _basket(
            "basket_lines_mean_365d",
            FLOAT,
            "lines",
            "Mean number of lines of a basket of the last year",
            partial(_mean, column="lines"),
        ),
        _basket(
            "line_value_mean_365d", FLOAT, "currency", "Mean value of a line of the last year", _line_value
        ),
        _basket(
            "discount_share_365d",
            FLOAT,
            "share",
            "Discounts relative to the undiscounted value of the last year's purchases",
            _discount_share,
        ),
        _basket(
            "coupon_baskets_90d",
            INT,
            "baskets",
            "Baskets of the last 90 days in which a coupon was used",
            partial(_coupon_baskets, days=90),
            empty=0,
        ),
        _basket(
            "coupon_baskets_365d",
            INT,
            "baskets",
            "Baskets of the last year in which a coupon was used",
            partial(_coupon_baskets, days=YEAR),
            empty=0,
        ),
        _basket(
            "coupon_basket_share_365d",
            FLOAT,
            "share",
            "Share of the last year's baskets in which a coupon was used",
            lambda rows: ratio(_coupon_baskets(rows, YEAR), number(rows, YEAR)),
        ),
        _basket(
            "coupon_discount_365d",
            FLOAT,
            "currency",
            "Discounts for coupons in the last year",
            partial(total, column="coupon_discount", days=YEAR),
            empty=0,
        ),
        _basket(
            "days_since_coupon",
            INT,
            "days",
            "Whole days since the last basket with a coupon",
            _coupon_recency,
        ),
        _basket(
            "display_share_365d",
            FLOAT,
            "share",
            "Share of the last year's lines bought while on display in that store",
            partial(_share, part="display_lines", whole="lines"),
        ),
        _basket(
            "mailer_share_365d",
            FLOAT,
            "share",
            "Share of the last year's lines bought while in that store's mailer",
            partial(_share, part="mailer_lines", whole="lines"),
        ),
        _basket(
            "private_label_share_365d",
            FLOAT,
            "share",
            "Share of the last year's spend on private labels",
            partial(_share, part="private_amount", whole="amount"),
        ),
        *(_department_share(department) for department in DEPARTMENTS),
    ),
)
