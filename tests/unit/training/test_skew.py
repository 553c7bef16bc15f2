"""What decisions saw against what training has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd

from features.contract import DType, FeatureContract, FeatureSpec, FeatureValue, Purpose
from features.sources.decision_records import DecidedFeatures
from training.skew import compare, questions

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def spec(name: str, dtype: DType) -> FeatureSpec:
    return FeatureSpec(
        name, dtype, "currency", Purpose.PROFILING, "meaning", "owner", "view", timedelta(days=1)
    )


CONTRACT = FeatureContract(
    "v1",
    (
        spec("spend", DType.FLOAT64),
        spec("visits", DType.INT64),
        spec("town", DType.STRING),
        spec("names", DType.STRING_LIST),
    ),
)
OFFLINE = pd.DataFrame(
    {
        "spend": [1.5, 2.0],
        "visits": pd.array([3, None], "Int64"),
        "town": ["Oslo", None],
        "names": [("x", "y"), None],
    }
)


def seen(hidden: frozenset[str] = frozenset(), **values: FeatureValue) -> DecidedFeatures:
    return DecidedFeatures("anna", NOON, values, hidden)


def test_what_is_equal_is_no_skew() -> None:
    found = compare(
        [
            seen(spend=1.5, visits=3, town="Oslo", names=("x", "y")),
            seen(spend=2.0 + 1e-12, visits=None, town=None, names=None),
        ],
        OFFLINE,
        CONTRACT,
    )
    assert (found.rows, found.values, found.differing, found.share) == (2, 8, 0, 0.0)


def test_each_value_that_differs_counts_for_its_feature() -> None:
    found = compare(
        [
            seen(spend=1.5, visits=4, town="Oslo", names=("x",)),
            seen(spend=None, visits=None, town="Bergen", names=None, minutes=3),
        ],
        OFFLINE,
        CONTRACT,
    )
    assert found.differing == 4
    assert found.values == 8
    assert found.by_feature == {"names": 0.5, "spend": 0.5, "town": 0.5, "visits": 0.5}


def test_what_was_masked_or_expired_is_not_compared() -> None:
    found = compare(
        [seen(frozenset({"spend", "names"}), spend=None, visits=3, town="Oslo", names=None)],
        OFFLINE.head(1),
        CONTRACT,
    )
    assert (found.values, found.differing) == (2, 0)


def test_nothing_recorded_is_no_skew() -> None:
    assert compare([], OFFLINE.head(0), CONTRACT).share == 0.0
    assert questions([]).empty
    assert questions([seen()])["at"].tolist() == [pd.Timestamp(NOON)]
