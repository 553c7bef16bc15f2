"""The shipped features: what the contract says of them, and their values on rows worked out by hand."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import pytest

from features.contract import DType, FeatureContract
from features.definitions import (
    BUILT_IN,
    CUSTOMER_V1,
    all_views,
    categories,
    contract_of,
    customer_contract,
    habits,
    household,
    responses,
    spending,
)
from moment.errors import ConfigurationError
from tests.unit.features.tiny_lake import answer, day, line, offer, tiny_lake


def test_the_contract_has_enough_features_each_described() -> None:
    assert len(CUSTOMER_V1.scalars) >= 45
    assert len(set(CUSTOMER_V1.names)) == len(CUSTOMER_V1.names)
    for spec in CUSTOMER_V1:
        assert spec.unit
        assert spec.owner
        assert spec.meaning
        assert not spec.meaning.endswith(".")
        assert "\n" not in spec.meaning
        assert bool(spec.categories) == (spec.dtype is DType.STRING), spec.name


def test_the_contract_survives_its_json_form() -> None:
    read = FeatureContract.loads(CUSTOMER_V1.dumps())
    assert read == CUSTOMER_V1
    assert read.digest() == CUSTOMER_V1.digest()


def test_features_of_a_table_without_history_carry_the_leak_warning() -> None:
    warned = {spec.name for spec in CUSTOMER_V1 if spec.from_snapshot}
    assert warned == {feature.name for feature in household.VIEW.features}


def test_recency_frequency_and_money_look_back_exactly_their_window() -> None:
    lake = tiny_lake(
        transactions=[
            line("ann", 0, 100.0),
            line("ann", 60, 10.0),
            line("ann", 83, 30.0),
            line("ann", 93, 5.0),
            line("ann", 93, 7.0, product="2"),
            line("ann", 99, 1000.0),
        ]
    )
    ann = lake.features(spending.VIEW, day(97.5))["ann"]
    assert ann["days_since_purchase"] == 4
    assert [ann[f"baskets_{days}d"] for days in (7, 30, 90, 365)] == [1, 2, 3, 4]
    assert [ann[f"spend_{days}d"] for days in (7, 30, 90, 365)] == [12.0, 42.0, 52.0, 152.0]
    assert ann["spend_trend_30d"] == pytest.approx(42 / 10)
    assert ann["basket_value_mean_365d"] == pytest.approx(38.0)
    assert ann["basket_value_max_365d"] == 100.0
    assert ann["basket_lines_mean_365d"] == pytest.approx(1.25)


def test_what_moves_a_customer() -> None:
    lake = tiny_lake(
        transactions=[
            line("ann", 0, 6.0, discount=2.0, coupon_discount=1.0, on_display=True),
            line("ann", 1, 2.0, brand="Private", department="MEAT", category="BEEF", in_mailer=True),
        ]
    )
    ann = lake.features(spending.VIEW, day(10))["ann"]
    assert ann["discount_share_365d"] == pytest.approx(0.2)
    assert (ann["coupon_baskets_90d"], ann["coupon_basket_share_365d"]) == (1, 0.5)
    assert ann["days_since_coupon"] == 10
    assert (ann["display_share_365d"], ann["mailer_share_365d"]) == (0.5, 0.5)
    assert ann["private_label_share_365d"] == pytest.approx(0.25)
    assert (ann["grocery_share_365d"], ann["meat_share_365d"]) == (0.75, 0.25)
    assert ann["fuel_share_365d"] == 0.0


def test_habits_of_days_hours_and_stores() -> None:
    lake = tiny_lake(
        transactions=[
            line("ann", 5 + 18 / 24),
            line("ann", 7 + 19 / 24),
            line("ann", 12 + 20 / 24, location_id="store-2"),
            line("ann", 14 + 9 / 24),
        ]
    )
    ann = lake.features(habits.VIEW, day(16))["ann"]
    assert ann["tenure_days"] == 10
    assert ann["weekend_share_365d"] == 0.5
    assert (ann["morning_share_365d"], ann["evening_share_365d"]) == (0.25, 0.75)
    assert ann["favourite_daypart"] == "evening"
    assert ann["favourite_weekday"] == "monday"
    assert ann["purchase_interval_mean_365d"] == pytest.approx((14 + 9 / 24 - 5 - 18 / 24) / 3)
    assert (ann["stores_365d"], ann["main_store_share_365d"]) == (2, 0.75)


def test_days_and_hours_are_those_where_the_customer_is_as_far_as_known_then() -> None:
    sunday_evening = line("ann", 6 + 22 / 24), line("ann", 13 + 22 / 24)
    moved = {"customer_id": "ann", "timezone": "Asia/Tokyo", "known_at": datetime(2017, 1, 10)}  # noqa: DTZ001
    lake = tiny_lake(transactions=sunday_evening, customers=[moved])
    before = lake.features(habits.VIEW, day(7))["ann"]
    assert (before["favourite_weekday"], before["favourite_daypart"]) == ("sunday", "evening")
    after = lake.features(habits.VIEW, day(16))["ann"]
    assert after["weekend_share_365d"] == 0.5
    assert (after["morning_share_365d"], after["evening_share_365d"]) == (0.5, 0.5)


def test_lists_are_aligned_and_sorted_by_name() -> None:
    lake = tiny_lake(
        transactions=[
            line("ann", 0, 3.0, category="MILK", product="2"),
            line("ann", 0, 4.0, category="BREAD"),
            line("ann", 95, 5.0, category="BREAD", coupon_discount=1.0),
            line("ann", 96, 1.0, category=None),
        ]
    )
    ann = lake.features(categories.VIEW, day(100))["ann"]
    assert ann["category_names"] == ["BREAD", "MILK"]
    assert ann["category_baskets_90d"] == [1.0, 0.0]
    assert ann["category_baskets_365d"] == [2.0, 1.0]
    assert ann["category_spend_365d"] == [9.0, 3.0]
    assert ann["category_days_since"] == [5.0, 100.0]
    assert ann["category_coupon_baskets_365d"] == [1.0, 0.0]
    assert ann["department_names"] == ["GROCERY"]
    assert ann["department_spend_365d"] == [13.0]
    assert (ann["category_breadth_90d"], ann["category_breadth_365d"]) == (1, 2)


def test_answers_count_once_per_presentation_and_from_when_they_were_known() -> None:
    bread = offer("ann", 0)
    milk = offer("ann", 0, "milk")
    lake = tiny_lake(
        presentations=[bread, milk, offer("bob", 50, campaign="2")],
        outcomes=[
            answer(bread, 3, known=4),
            answer(bread, 5, number=2),
            answer(milk, 6, known=20),
            answer(milk, 6, kind="rejected", number=2),
        ],
    )
    early = lake.features(responses.VIEW, day(10))
    assert early["ann"]["answered_total"] == 1
    assert early["ann"]["redemptions_365d"] == 2
    assert early["ann"]["days_since_answer"] == 7
    assert early["ann"]["action_names"] == ["bread", "milk"]
    assert early["ann"]["action_answered"] == [1.0, 0.0]
    assert "bob" not in early
    late = lake.features(responses.VIEW, day(100))
    assert late["ann"]["answered_total"] == 2
    assert late["ann"]["answer_rate"] == 1.0
    assert late["ann"]["presented_90d"] == 0.0
    assert late["bob"]["answered_total"] == 0
    assert late["bob"]["campaign_answer_rate"] == 0.0
    assert late["bob"]["days_since_answer"] is None


def test_an_imputed_presentation_counts_as_the_expected_number_shown() -> None:
    pool = [offer("ann", 0, f"action-{i}", exposure="imputed", offers_together=2) for i in range(8)]
    ann = tiny_lake(presentations=pool).features(responses.VIEW, day(1))["ann"]
    assert ann["presented_total"] == pytest.approx(2.0)
    assert ann["action_presented"] == pytest.approx([0.25] * 8)


def test_a_household_is_what_was_last_known_of_it() -> None:
    lake = tiny_lake(
        customers=[
            {
                "customer_id": "ann",
                "party_type": "person",
                "kids": "0",
                "known_at": day(0).replace(tzinfo=None),
            },
            {
                "customer_id": "ann",
                "party_type": "person",
                "kids": "2",
                "known_at": day(9).replace(tzinfo=None),
            },
            {"customer_id": "bob", "party_type": "person", "known_at": day(0).replace(tzinfo=None)},
        ]
    )
    before, after = (lake.features(household.VIEW, day(number)) for number in (8, 9))
    assert (before["ann"]["kids"], after["ann"]["kids"]) == ("0", "2")
    assert before["ann"]["age_band"] is None
    assert (before["ann"]["household_described"], before["bob"]["household_described"]) == (True, False)


def test_counts_are_zero_without_a_row_and_null_without_the_table() -> None:
    customers = [{"customer_id": "bob", "party_type": "person"}]
    without = tiny_lake(customers=customers).features(spending.VIEW, day(5))["bob"]
    assert without["baskets_30d"] is None
    with_others = tiny_lake(customers=customers, transactions=[line("ann", 1)])
    bob = with_others.features(spending.VIEW, day(5))["bob"]
    assert (bob["baskets_30d"], bob["spend_30d"]) == (0, 0.0)
    assert bob["days_since_purchase"] is None
    assert bob["discount_share_365d"] is None


def test_an_installed_package_adds_its_own_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "loyal_features:VIEW", OWN_VIEW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "loyal_features", raising=False)
    assert [view.name for view in all_views()] == [*(view.name for view in BUILT_IN), "loyal"]
    contract = customer_contract()
    assert contract.names[-1] == "loyal_baskets"
    assert contract.names[:-1] == CUSTOMER_V1.names
    lake = tiny_lake(transactions=[line("ann", 1), line("ann", 2)])
    assert lake.features(all_views()[-1], day(5))["ann"]["loyal_baskets"] == 2


def test_an_entry_point_that_names_no_view_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "strange_features:VIEW", "VIEW = 7")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match=r"loyal = strange_features:VIEW: names a int, not a"):
        all_views()


def test_features_cannot_share_a_name() -> None:
    with pytest.raises(ConfigurationError, match="another view has this name"):
        contract_of((spending.VIEW, spending.VIEW))


OWN_VIEW = """
from features.contract import DType, Purpose
from features.definition import Feature, View
from features.grains import BASKETS

VIEW = View(
    name="loyal",
    meaning="Our own",
    owner="us",
    purpose=Purpose.PROFILING,
    features=(
        Feature("loyal_baskets", DType.INT64, "baskets", "All", lambda rows: rows.count(), BASKETS, 0),
    ),
)
"""


def package(folder: Path, value: str, source: str) -> None:
    """Install a package with one entry point in a folder, as pip would leave it."""
    (folder / f"{value.partition(':')[0]}.py").write_text(source)
    info = folder / "loyal_features-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loyal-features\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[moment.features]\nloyal = {value}\n")
