"""Who the household is, as its source last described it.

The only source so far keeps no history of it, so that these features may know what was learned later: they
carry a leak warning into the catalogue and every report.
"""

from __future__ import annotations

from functools import partial

import ibis

from features.contract import DType, Purpose
from features.definition import Feature, Table, Value, View
from features.grains import CUSTOMERS

AGE_BANDS = ("19-24", "25-34", "35-44", "45-54", "55-64", "65+")
INCOME_BANDS = (
    "Under 15K",
    "15-24K",
    "25-34K",
    "35-49K",
    "50-74K",
    "75-99K",
    "100-124K",
    "125-149K",
    "150-174K",
    "175-199K",
    "200-249K",
    "250K+",
)
DESCRIBED_BY = ("age_band", "income_band", "marital_status", "household_size", "kids", "home_ownership")


def _newest(rows: Table, column: str) -> Value:
    return rows[column].last(order_by=rows["known_at"], include_null=True)


def _described(rows: Table) -> Value:
    return ibis.or_(*(_newest(rows, column).notnull() for column in DESCRIBED_BY))


def _word(name: str, meaning: str, categories: tuple[str, ...]) -> Feature:
    return Feature(
        name,
        DType.STRING,
        "category",
        meaning,
        partial(_newest, column=name),
        CUSTOMERS,
        categories=categories,
        from_snapshot=True,
    )


VIEW = View(
    name="household",
    meaning="Who the household is",
    owner="customer-insight",
    purpose=Purpose.PROFILING,
    features=(
        Feature(
            "household_described",
            DType.BOOL,
            "yes or no",
            "Whether anything about the household is known",
            _described,
            CUSTOMERS,
            from_snapshot=True,
        ),
        _word("age_band", "Age in years of the head of the household", AGE_BANDS),
        _word("income_band", "Yearly income in thousands", INCOME_BANDS),
        _word("marital_status", "Marital status", ("Married", "Unmarried")),
        _word("household_size", "People in the household", ("1", "2", "3", "4", "5+")),
        _word("kids", "Children in the household", ("0", "1", "2", "3+")),
        _word(
            "home_ownership",
            "Owner or renter of the home, known or probable",
            ("Homeowner", "Probable Homeowner", "Renter", "Probable Renter"),
        ),
    ),
)
