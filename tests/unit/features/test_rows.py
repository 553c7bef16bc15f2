"""A model's row is the same in training and in serving."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from features.contract import DType, FeatureValue
from features.crosses import CROSS_INPUTS, ActionCrosses, has_lists
from features.definitions import CUSTOMER_V1
from features.layout import CROSS_COLUMNS
from features.rows import (
    ActionFacts,
    ColumnKind,
    ColumnSource,
    RowEncoder,
    RowLayout,
    customer_frame,
    customer_layout,
    propensity_layout,
    request_matrix,
    training_frame,
)
from moment.errors import InvariantViolation

CATEGORIES = tuple(f"CATEGORY {letter}" for letter in "ABCDEFGHIJ")
ACTIONS = tuple(
    ActionFacts(
        action_id=f"coupon-{place}",
        group=("GROCERY", "MEAT")[place % 2],
        category=category if place else None,
        department=("GROCERY", "MEAT", None)[place % 3],
        typical_price=1.5 * place,
        penetration=None if place == 3 else place / 10,
        value=2.0,
        products=float(place),
    )
    for place, category in enumerate(CATEGORIES)
)
LAYOUT = propensity_layout(CUSTOMER_V1, ACTIONS)
READ = {
    "cross_category_days_since": "category_days_since",
    "cross_category_baskets_90d": "category_baskets_90d",
    "cross_category_baskets_365d": "category_baskets_365d",
    "cross_category_spend_365d": "category_spend_365d",
    "cross_category_coupons_365d": "category_coupon_baskets_365d",
    "cross_action_presented": "action_presented",
    "cross_action_answered": "action_answered",
    "cross_group_presented": "group_presented",
    "cross_group_answered": "group_answered",
}
"""The cross columns that are a list's values as they are."""


def some_customer(rng: np.random.Generator) -> dict[str, FeatureValue]:
    """Draw a value for every feature of the contract, missing ones and unseen categories among them."""
    lists = {
        key: tuple(sorted(rng.choice(pool, size=int(rng.integers(0, len(pool) + 1)), replace=False).tolist()))
        for key, pool in (
            ("category", CATEGORIES),
            ("department", ("GROCERY", "MEAT", "FUEL")),
            ("action", tuple(facts.action_id for facts in ACTIONS)),
            ("group", ("GROCERY", "MEAT", "OTHER")),
        )
    }
    gone = {key for key in lists if rng.random() < 0.1}
    values: dict[str, FeatureValue] = {}
    for spec in CUSTOMER_V1:
        names = lists.get(spec.name.split("_", maxsplit=1)[0], ())
        if not spec.dtype.is_scalar:
            listed = names if spec.dtype is DType.STRING_LIST else tuple(rng.integers(0, 9, len(names)) / 3)
            values[spec.name] = None if spec.name.split("_")[0] in gone else listed
        elif rng.random() < 0.15:
            values[spec.name] = None
        elif spec.dtype is DType.STRING:
            values[spec.name] = str(rng.choice([*spec.categories, "never seen"]))
        elif spec.dtype is DType.BOOL:
            values[spec.name] = bool(rng.random() < 0.5)
        elif spec.dtype is DType.INT64:
            values[spec.name] = int(rng.integers(0, 1000))
        else:
            values[spec.name] = float(rng.normal() * 10.0 ** float(rng.integers(-3, 6)))
    return values


def some_context(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "window_days": float(rng.integers(20, 70)),
        "offers_together": int(rng.integers(1, 17)),
        "exposure": str(rng.choice(["observed", "imputed", "guessed"])),
    }


def as_historical(customers: list[dict[str, FeatureValue]]) -> pd.DataFrame:
    """Return customers as the feature store's historical frame holds them."""
    dtypes = {DType.BOOL: "boolean", DType.INT64: "Int64", DType.FLOAT64: "float64"}
    frame = pd.DataFrame(customers, columns=list(CUSTOMER_V1.names), dtype=object)
    return frame.astype({spec.name: dtypes.get(spec.dtype, "object") for spec in CUSTOMER_V1})


def codes(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return a training frame as the numbers a model sees: categories as codes, missing as NaN."""
    return np.column_stack(
        [
            np.where(column.cat.codes < 0, np.nan, column.cat.codes).astype(np.float32)
            if isinstance(column.dtype, pd.CategoricalDtype)
            else column.to_numpy()
            for _, column in frame.items()
        ]
    )


def test_training_and_request_agree_on_200_random_rows() -> None:
    rng = np.random.default_rng(11)
    customers = [some_customer(rng) for _ in range(50)]
    picked = [customers[int(rng.integers(50))] for _ in range(200)]
    actions = [ACTIONS[int(rng.integers(len(ACTIONS)))] for _ in range(200)]
    contexts = [some_context(rng) for _ in range(200)]
    trained = training_frame(as_historical(picked), actions, pd.DataFrame(contexts), LAYOUT)
    encoder = RowEncoder(LAYOUT, ACTIONS)
    places = [np.array([ACTIONS.index(facts)]) for facts in actions]
    served = np.vstack([encoder.matrix(*row) for row in zip(picked, places, contexts, strict=True)])
    assert tuple(trained.columns) == LAYOUT.names
    assert served.dtype == np.float32
    np.testing.assert_array_equal(codes(trained), served)
    seen = np.isfinite(served).mean(axis=0)
    assert (seen > 0.05).all(), [LAYOUT.names[place] for place in np.flatnonzero(seen <= 0.05)]


def test_many_actions_at_once_are_the_same_rows_as_one_by_one() -> None:
    rng = np.random.default_rng(5)
    customer, context = some_customer(rng), some_context(rng)
    together = request_matrix(customer, ACTIONS, context, LAYOUT)
    apart = [request_matrix(customer, [facts], context, LAYOUT)[0] for facts in ACTIONS]
    assert together.flags.c_contiguous
    np.testing.assert_array_equal(together, np.array(apart))
    assert request_matrix(customer, (), context, LAYOUT).shape == (0, len(LAYOUT.columns))


def test_cross_columns_are_the_customers_own_past_with_the_action() -> None:
    customer: dict[str, FeatureValue] = dict.fromkeys(CUSTOMER_V1.names)
    customer |= {
        "baskets_365d": 10,
        "category_names": ("CATEGORY B", "CATEGORY C"),
        "category_baskets_90d": (1.0, 0.0),
        "category_baskets_365d": (5.0, 1.0),
        "category_spend_365d": (30.0, 10.0),
        "category_days_since": (73.0, 300.0),
        "category_coupon_baskets_365d": (2.0, 0.0),
        "action_names": ("coupon-1",),
        "action_presented": (3.5,),
        "action_answered": (1.0,),
        "group_names": ("MEAT",),
        "group_presented": (8.0,),
        "group_answered": (2.0,),
    }
    row = request_matrix(customer, [ACTIONS[1], ACTIONS[4]], dict.fromkeys(_context()), LAYOUT)
    bought, never = (dict(zip(LAYOUT.names, values, strict=True)) for values in row)
    assert bought["cross_category_days_since"] == 73
    assert bought["cross_category_spend_share"] == 0.75
    assert bought["cross_category_basket_share"] == 0.5
    assert bought["cross_category_overdue"] == 1.0
    assert bought["cross_category_coupons_365d"] == 2
    assert (bought["cross_action_presented"], bought["cross_action_answered"]) == (3.5, 1)
    assert (bought["cross_group_presented"], bought["cross_group_answered"]) == (8, 2)
    assert np.isnan(bought["cross_department_spend_share"])
    assert np.isnan(never["cross_category_days_since"])
    assert never["cross_category_baskets_365d"] == 0
    assert never["cross_action_answered"] == 0
    assert never["cross_group_answered"] == 0


def test_cross_columns_are_read_where_the_actions_names_are_in_the_customers_lists() -> None:
    rng = np.random.default_rng(8)
    crossing, named = ActionCrosses(ACTIONS), {key: key.split("_")[0] for key in CROSS_INPUTS[1:]}
    asked = {"category": "category", "department": "department", "action": "action_id", "group": "group"}
    absent = {"category_days_since": np.nan}
    for _ in range(100):
        customer = some_customer(rng)
        places = rng.integers(len(ACTIONS), size=7)

        def plainly(feature: str, customer: dict[str, Any] = customer, places: Any = places) -> list[float]:  # noqa: ANN401
            names, values = customer[f"{named[feature]}_names"], customer[feature]
            if names is None:
                return [np.nan] * len(places)
            found = dict(zip(names, values, strict=True))
            wanted = [getattr(ACTIONS[place], asked[named[feature]]) for place in places]
            return [found.get(name, absent.get(feature, 0.0)) for name in wanted]

        found = dict(zip(CROSS_COLUMNS, crossing.block(customer, places), strict=True))
        for cross, feature in READ.items():
            np.testing.assert_array_equal(found[cross], np.array(plainly(feature), dtype=np.float32))
        listed = cast("tuple[float, ...] | None", customer["category_spend_365d"])
        spend, whole = plainly("category_spend_365d"), sum(listed or ())
        share = np.array(spend) / whole if whole else np.full(len(spend), np.nan)
        np.testing.assert_array_equal(found["cross_category_spend_share"], share.astype(np.float32))


def test_a_customer_without_lists_is_the_same_row_whether_or_not_they_are_looked_for() -> None:
    customer = some_customer(np.random.default_rng(4)) | dict.fromkeys(CROSS_INPUTS[1:])
    places = np.arange(len(ACTIONS))
    assert not has_lists(customer)
    assert np.isnan(ActionCrosses(ACTIONS).block(customer, places)).all()
    row = RowEncoder(LAYOUT, ACTIONS).matrix(customer, places, some_context(np.random.default_rng(4)))
    crossed = [column.source is ColumnSource.CROSS for column in LAYOUT.columns]
    assert np.isnan(row[:, crossed]).all()


def test_columns_may_lie_in_any_order() -> None:
    rng = np.random.default_rng(9)
    order = rng.permutation(len(LAYOUT.columns))
    mixed = RowLayout(tuple(LAYOUT.columns[place] for place in order))
    customer, context = some_customer(rng), some_context(rng)
    expected = request_matrix(customer, ACTIONS, context, LAYOUT)[:, order]
    np.testing.assert_array_equal(request_matrix(customer, ACTIONS, context, mixed), expected)


def test_a_customer_nobody_knows_is_all_missing() -> None:
    context = some_context(np.random.default_rng(1)) | {"exposure": "observed"}
    row = request_matrix(None, ACTIONS[1:3], context, LAYOUT)
    for place, column in enumerate(LAYOUT.columns):
        missing = column.source in (ColumnSource.CUSTOMER, ColumnSource.CROSS)
        assert np.isnan(row[:, place]).all() == missing, column.name


def test_a_missing_column_is_an_error_that_names_it() -> None:
    customer = some_customer(np.random.default_rng(2))
    context = some_context(np.random.default_rng(2))
    del customer["kids"]
    with pytest.raises(InvariantViolation, match="the customer has no 'kids'"):
        request_matrix(customer, ACTIONS, context, LAYOUT)
    with pytest.raises(InvariantViolation, match="the context has no 'exposure'"):
        request_matrix(None, ACTIONS, {"window_days": 1, "offers_together": 1}, LAYOUT)
    frame = as_historical([some_customer(np.random.default_rng(3))])
    with pytest.raises(InvariantViolation, match="no column kids"):
        training_frame(frame.drop(columns="kids"), ACTIONS[:1], pd.DataFrame([context]), LAYOUT)
    with pytest.raises(InvariantViolation, match="there are 1, 2 and 1 of them"):
        training_frame(frame, ACTIONS[:2], pd.DataFrame([context]), LAYOUT)


def test_a_frame_of_customers_keeps_index_order_and_categories() -> None:
    customers = as_historical([some_customer(np.random.default_rng(seed)) for seed in range(5)])
    customers.index = pd.Index([50, 40, 30, 20, 10])
    layout = customer_layout(CUSTOMER_V1)
    frame = customer_frame(customers, layout)
    assert list(frame.index) == [50, 40, 30, 20, 10]
    assert tuple(frame.columns) == tuple(spec.name for spec in CUSTOMER_V1.scalars)
    assert (
        tuple(frame["age_band"].cat.categories) == layout.columns[layout.names.index("age_band")].categories
    )
    with pytest.raises(InvariantViolation, match="is not the customer's"):
        customer_frame(customers, LAYOUT)


def test_a_layout_survives_its_json_form() -> None:
    read = RowLayout.loads(LAYOUT.dumps())
    assert read == LAYOUT
    assert read.digest() == LAYOUT.digest()
    assert {column.kind for column in read.columns} == set(ColumnKind)
    assert {column.source for column in read.columns} == set(ColumnSource)


def _context() -> tuple[str, ...]:
    return tuple(column.name for column in LAYOUT.columns if column.source is ColumnSource.CONTEXT)


def test_values_are_as_many_as_the_names_they_are_of() -> None:
    customer = some_customer(np.random.default_rng(4)) | {
        "group_names": ("MEAT", "GROCERY"),
        "group_presented": (8.0,),
    }
    with pytest.raises(InvariantViolation, match="group_presented has 1 values for 2 names"):
        ActionCrosses(ACTIONS).block(customer, np.arange(3))
