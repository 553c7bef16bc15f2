"""The packaged catalogue: sound against the shipped features, and its rules visibly at work."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import serving.catalogue
from features.definitions import CUSTOMER_V1
from serving.catalogue import load
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.decide import decide
from serving.decision.decision import Decision, Scores
from serving.decision.reasons import Reason
from serving.decision.shortlist import Shortlist
from serving.decision.values import (
    Customer,
    CustomerId,
    History,
    PlacementRequest,
    ProfileKind,
    Request,
    Scalar,
)

FILE = Path(serving.catalogue.__file__).parent / "examples" / "groceries.yaml"
TUESDAY_NOON = datetime(2018, 1, 2, 18, tzinfo=UTC)
REGULAR: dict[str, Scalar] = {
    "days_since_purchase": 3,
    "baskets_90d": 12,
    "baskets_365d": 60,
    "tenure_days": 360,
    "drug_gm_share_365d": 0.1,
    "cosmetics_share_365d": 0.0,
    "category_breadth_365d": 60,
    "basket_lines_mean_365d": 8.0,
    "household_described": True,
    "household_size": "2",
    "kids": "0",
}


@pytest.fixture(scope="module")
def groceries() -> Catalogue:
    return load(
        FILE,
        {spec.name: Column(ColumnType(spec.dtype.value), spec.categories) for spec in CUSTOMER_V1.scalars},
    )


def flat(shortlist: Shortlist) -> Scores:
    level = np.full(len(shortlist.contenders), 0.01)
    return Scores(level, level)


def decided(
    groceries: Catalogue,
    features: dict[str, Scalar] | None,
    *,
    at: datetime = TUESDAY_NOON,
    channel: str = "web",
    context: dict[str, Scalar] | None = None,
    placement: str = "home",
) -> Decision:
    customer = (
        Customer(None, ProfileKind.NONE)
        if features is None
        else Customer(CustomerId("1"), ProfileKind.KNOWN, features)
    )
    request = Request(channel, (PlacementRequest(placement, 2),), context or {})
    return decide(request, groceries, customer, History(), at, flat, np.random.default_rng(1))


def left(decision: Decision) -> set[str]:
    beyond = (Reason.OUTRANKED, Reason.ACTION_TAKEN, Reason.GROUP_TAKEN, Reason.SHOWN)
    return {one.candidate.action.action_id for one in decision.considered if one.reason in beyond}


def test_it_offers_every_coupon_category_on_both_channels(groceries: Catalogue) -> None:
    assert len(groceries.actions) == 158
    assert len({action.attributes["category"] for action in groceries.actions}) == 158
    assert all(action.group == action.attributes["department"] for action in groceries.actions)
    assert all({one.channel for one in action.treatments} == {"web", "app"} for action in groceries.actions)


def test_every_action_says_who_may_have_it(groceries: Catalogue) -> None:
    assert all(any(use.tier.value == "eligible" for use in action.rules) for action in groceries.actions)
    assert all(place.fallback is not None for place in groceries.placements)


def test_a_regular_customer_has_a_choice_and_a_stranger_a_small_one(groceries: Catalogue) -> None:
    regular, stranger = left(decided(groceries, REGULAR)), left(decided(groceries, None))

    assert len(regular) > 120
    assert 10 < len(stranger) < 40
    assert stranger < regular


@pytest.mark.parametrize(
    ("action", "without", "with_it"),
    [
        ("coupon-prepared-food", {"at": datetime(2018, 1, 3, 3, tzinfo=UTC)}, {}),
        (
            "coupon-frozen-pizza",
            {"context": {"fulfilment": "delivery"}},
            {"context": {"fulfilment": "store"}},
        ),
        ("coupon-suntan", {}, {"at": datetime(2018, 6, 2, 18, tzinfo=UTC)}),
        ("coupon-cold-and-flu", {"at": datetime(2018, 6, 2, 18, tzinfo=UTC)}, {}),
        ("coupon-family-planning", {"channel": "app"}, {"channel": "app", "placement": "wallet"}),
        ("coupon-party-trays", {}, {"at": datetime(2018, 1, 4, 18, tzinfo=UTC)}),
    ],
)
def test_contexts_change_the_answer(
    groceries: Catalogue, action: str, without: dict[str, object], with_it: dict[str, object]
) -> None:
    assert action not in left(decided(groceries, REGULAR, **without))  # type: ignore[arg-type]
    assert action in left(decided(groceries, REGULAR, **with_it))  # type: ignore[arg-type]


def test_baby_coupons_are_not_for_those_known_to_have_no_children(groceries: Catalogue) -> None:
    assert "coupon-diapers-disposables" not in left(decided(groceries, REGULAR))
    assert "coupon-diapers-disposables" in left(decided(groceries, REGULAR | {"kids": "2"}))
    unknown = REGULAR | {"kids": None, "household_described": False}
    assert "coupon-diapers-disposables" in left(decided(groceries, unknown))
