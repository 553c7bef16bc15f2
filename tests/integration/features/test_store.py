"""The feature store: online equals offline, rows in equal rows out, and nothing old is served."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from features.contract import DType, FeatureContract, FeatureValue
from features.definitions import CUSTOMER_V1
from features.online import CustomerRow, ValueState
from features.snapshots import SERVING_LAG, snapshot_file
from features.store import FeatureStore
from moment.errors import InvariantViolation, StepMissing
from moment.home import Home
from tests.integration.features.conftest import Served

SOON = timedelta(seconds=1)


@pytest.fixture(scope="module")
def customers(served: Served) -> list[str]:
    """200 customers drawn with a fixed seed, and one nobody knows."""
    file = snapshot_file(served.home, "spending", served.times[-1])
    known = duckdb.sql(f"SELECT customer_id FROM '{file}' ORDER BY 1").fetchnumpy()["customer_id"]
    return [*np.random.default_rng(3).choice(known, 200, replace=False).tolist(), "nobody"]


def offline(store: FeatureStore, customers: list[str], at: datetime) -> list[dict[str, FeatureValue]]:
    """Return the historical rows as plain values, None for missing."""
    frame = store.historical(pd.DataFrame({"customer_id": customers, "at": at}))
    columns = {name: [plain(value) for value in frame[name]] for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def plain(value: Any) -> FeatureValue:  # noqa: ANN401 - what pandas holds
    return value if isinstance(value, (str, tuple)) or not pd.isna(value) else None


def online(store: FeatureStore, customers: list[str], at: datetime) -> list[dict[str, FeatureValue]]:
    return [dict(row.values) for row in store.online(customers, at)]


def test_online_equals_offline_for_200_customers(served: Served, customers: list[str]) -> None:
    now_online = online(served.store, customers, served.now)
    assert now_online == offline(served.store, customers, served.now)
    filled = {name for row in now_online for name, value in row.items() if value is not None}
    assert filled == set(CUSTOMER_V1.names)
    types = {DType.BOOL: bool, DType.INT64: int, DType.FLOAT64: float, DType.STRING: str}
    for spec in CUSTOMER_V1:
        kinds = {type(row[spec.name]) for row in now_online if row[spec.name] is not None}
        assert kinds == {types.get(spec.dtype, tuple)}, spec.name


def test_online_equals_offline_up_to_expiry_and_after(served: Served, customers: list[str]) -> None:
    last = served.times[-1] + CUSTOMER_V1.features[0].max_age
    still = online(served.store, customers, last)
    assert still == offline(served.store, customers, last)
    assert still[0]["baskets_365d"] is not None
    gone = online(served.store, customers, last + SOON)
    assert gone == offline(served.store, customers, last + SOON)
    assert all(value is None for row in gone for value in row.values())


def test_states_say_why_a_value_is_as_it_is(served: Served, customers: list[str]) -> None:
    fresh = served.store.online(customers, served.now)
    expired = served.store.online(customers, served.now + timedelta(days=30))
    for row, later in zip(fresh[:-1], expired[:-1], strict=True):
        assert row.found
        assert later.found
        assert set(row.event_times.values()) == {served.times[-1]}
        for name, value in row.values.items():
            assert row.states.get(name) is (ValueState.MISSING if value is None else None)
            assert later.states[name] is (ValueState.MISSING if value is None else ValueState.EXPIRED)
    assert set(ValueState) == {
        state for rows in (fresh, expired) for row in rows for state in row.states.values()
    }


def test_an_unknown_customer_is_not_found(served: Served) -> None:
    (row,) = served.store.online(["nobody"], served.now)
    missing = dict.fromkeys(CUSTOMER_V1.names)
    states = dict.fromkeys(CUSTOMER_V1.names, ValueState.MISSING)
    assert row == CustomerRow("nobody", found=False, values=missing, states=states, event_times={})
    assert served.store.online([], served.now) == []


def test_offline_is_the_newest_snapshot_served_by_then(served: Served, customers: list[str]) -> None:
    newest, before = served.times[-1], served.times[-2]
    for at, expected in ((newest + SERVING_LAG, newest), (newest + SERVING_LAG - SOON, before)):
        found = offline(served.store, customers[:50], at)
        for view in ("spending", "categories"):
            for customer, row in zip(customers, found, strict=False):
                assert {name: row[name] for name in columns(view)} == stored(served, view, expected, customer)


def columns(view: str) -> list[str]:
    return [spec.name for spec in CUSTOMER_V1 if spec.view == view]


def stored(served: Served, view: str, at: datetime, customer: str) -> dict[str, Any]:
    file = snapshot_file(served.home, view, at)
    named = ", ".join(columns(view))
    row = duckdb.sql(f"SELECT {named} FROM '{file}' WHERE customer_id = '{customer}'").fetchone()
    assert row is not None
    values = (tuple(value) if isinstance(value, list) else value for value in row)
    return dict(zip(columns(view), values, strict=True))


def test_historical_keeps_rows_order_index_and_dtypes(served: Served, customers: list[str]) -> None:
    rng = np.random.default_rng(9)
    rows = pd.DataFrame(
        {
            "customer_id": rng.choice(customers, 3000),
            "at": rng.choice(
                pd.DatetimeIndex([*served.times, served.now, served.now + timedelta(days=40)]), 3000
            ),
            "mine": range(3000),
        },
        index=rng.permutation(3000),
    )
    found = served.store.historical(rows)
    assert found.index.equals(rows.index)
    assert tuple(found.columns) == CUSTOMER_V1.names
    dtypes = {DType.BOOL: "boolean", DType.INT64: "Int64", DType.FLOAT64: "float64"}
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == {
        spec.name: dtypes.get(spec.dtype, "object") for spec in CUSTOMER_V1
    }
    for place in rng.choice(3000, 3, replace=False):
        alone = served.store.historical(rows.iloc[[place]])
        pd.testing.assert_frame_equal(found.iloc[[place]], alone)
    back = served.store.historical(rows.iloc[::-1])
    pd.testing.assert_frame_equal(back.iloc[::-1], found)


def test_historical_of_no_rows_has_the_columns(served: Served, customers: list[str]) -> None:
    some = served.store.historical(pd.DataFrame({"customer_id": customers[:1], "at": served.now}))
    none = served.store.historical(pd.DataFrame({"customer_id": [], "at": []}))
    assert len(none) == 0
    assert none.dtypes.equals(some.dtypes)


def test_a_row_without_a_time_is_refused(served: Served) -> None:
    with pytest.raises(InvariantViolation, match="a row has no time"):
        served.store.historical(pd.DataFrame({"customer_id": ["1"], "at": [pd.NaT]}))


def test_features_defined_anew_need_to_be_applied(served: Served) -> None:
    store = FeatureStore(served.home)
    first, *others = store.contract.features
    renamed = replace(first, meaning="Something else")
    store.contract = FeatureContract(store.contract.name, (renamed, *others))
    with pytest.raises(StepMissing, match="defined anew since Feast was told; run `moment features apply`"):
        store.online(["1"], served.now)


def test_one_customer_and_time_shares_its_lists(served: Served, customers: list[str]) -> None:
    rows = pd.DataFrame({"customer_id": customers[:1] * 2, "at": served.now})
    found = served.store.historical(rows)["category_names"]
    assert found.iloc[0] is found.iloc[1]


def test_materializing_earlier_serves_earlier_features(served: Served, customers: list[str]) -> None:
    earlier = served.times[-1] + SERVING_LAG - SOON
    try:
        assert served.store.materialize(earlier) == served.times[-2]
        assert served.store.newest_event_time() == served.times[-2]
        assert online(served.store, customers, earlier) == offline(served.store, customers, earlier)
    finally:
        assert served.store.materialize(served.now) == served.times[-1]
    assert served.store.newest_event_time() == served.times[-1]


def test_each_step_names_the_one_before_it(served: Served, tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "mlruns")
    store = FeatureStore(home)
    with pytest.raises(StepMissing, match="run `moment features build` first"):
        store.apply()
    with pytest.raises(StepMissing, match="run `moment features build` first"):
        store.materialize(served.now)
    home.snapshots.symlink_to(served.home.snapshots)
    with pytest.raises(StepMissing, match="run `moment features apply` first"):
        store.materialize(served.now)
    with pytest.raises(StepMissing, match="run `moment features apply` first"):
        store.online(["1"], served.now)
    store.apply()
    with pytest.raises(StepMissing, match="run `moment features materialize` first"):
        store.newest_event_time()
    with pytest.raises(StepMissing, match="no snapshot was served by"):
        store.materialize(served.times[0])


def test_applying_again_changes_nothing_that_is_served(served: Served, customers: list[str]) -> None:
    before = online(served.store, customers[:5], served.now)
    served.store.apply()
    assert online(served.store, customers[:5], served.now) == before
    assert served.store.newest_event_time() == served.times[-1]


def test_a_home_that_was_copied_never_reads_the_first_ones_snapshots(served: Served, tmp_path: Path) -> None:
    home = Home(tmp_path / "copy", served.home.mlruns)
    shutil.copytree(served.home.root, home.root)
    store = FeatureStore(home)
    asked = pd.DataFrame({"customer_id": ["nobody"], "at": served.now})
    for read in (lambda: store.materialize(served.now), lambda: store.historical(asked)):
        with pytest.raises(StepMissing) as refused:
            read()
        assert str(refused.value) == (
            "Feast's registry reads the snapshots of another home; run `moment features apply` first"
        )
    assert store.online(["nobody"], served.now)  # what is online lies in the home
    store.apply()
    assert store.materialize(served.now) == served.times[-1]
