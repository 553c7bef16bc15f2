"""What a customer buys, category by category: aligned lists, sorted by name, of the last year.

A list feature is one aggregate like any other; models meet it as the cross columns of `features.rows`.
"""

from __future__ import annotations

from functools import partial

from features.contract import DType, Purpose
from features.definition import Feature, Table, Value, View
from features.definitions.shared import listed
from features.grains import CATEGORIES, DEPARTMENT_ROWS

INT, FLOAT = DType.INT64, DType.FLOAT64
NAMES, NUMBERS = DType.STRING_LIST, DType.FLOAT_LIST


def _category_list(name: str, dtype: DType, unit: str, meaning: str, *, column: str) -> Feature:
    return Feature(name, dtype, unit, meaning, partial(listed, key="category", column=column), CATEGORIES)


def _department_list(name: str, dtype: DType, unit: str, meaning: str, *, column: str) -> Feature:
    by_name = partial(listed, key="department", column=column)
    return Feature(name, dtype, unit, meaning, by_name, DEPARTMENT_ROWS)


def _concentration(rows: Table) -> Value:
    """Return the Herfindahl index of spend over categories: 1 is everything on one, 1/n evenly on n."""
    spend = rows["spend_365d"]
    return (spend * spend).sum() / (spend.sum() * spend.sum()).nullif(0)


VIEW = View(
    name="categories",
    meaning="What a customer buys, category by category",
    owner="customer-insight",
    purpose=Purpose.PROFILING,
    features=(
        Feature(
            "category_breadth_90d",
            INT,
            "categories",
            "Categories bought in the last 90 days",
            grain=CATEGORIES,
            value=lambda rows: rows.count(where=rows["baskets_90d"] > 0),
            empty=0,
        ),
        Feature(
            "category_breadth_365d",
            INT,
            "categories",
            "Categories bought in the last year",
            grain=CATEGORIES,
            value=lambda rows: rows.count(),
            empty=0,
        ),
        Feature(
            "category_concentration_365d",
            FLOAT,
            "index",
            "Herfindahl index of the last year's spend over categories: 1 is all on one",
            grain=CATEGORIES,
            value=_concentration,
        ),
        _category_list(
            "category_names",
            NAMES,
            "category",
            "Categories bought in the last year, by name",
            column="category",
        ),
        _category_list(
            "category_baskets_90d",
            NUMBERS,
            "baskets",
            "Baskets of the last 90 days with each",
            column="baskets_90d",
        ),
        _category_list(
            "category_baskets_365d",
            NUMBERS,
            "baskets",
            "Baskets of the last year with each",
            column="baskets_365d",
        ),
        _category_list(
            "category_spend_365d", NUMBERS, "currency", "The last year's spend on each", column="spend_365d"
        ),
        _category_list(
            "category_days_since",
            NUMBERS,
            "days",
            "Whole days since the last basket with each",
            column="days_since",
        ),
        _category_list(
            "category_coupon_baskets_365d",
            NUMBERS,
            "baskets",
            "Baskets of the last year in which a coupon was used for each",
            column="coupon_baskets_365d",
        ),
        _department_list(
            "department_names",
            NAMES,
            "department",
            "Departments bought from in the last year, by name",
            column="department",
        ),
        _department_list(
            "department_spend_365d", NUMBERS, "currency", "The last year's spend in each", column="spend_365d"
        ),
    ),
)
