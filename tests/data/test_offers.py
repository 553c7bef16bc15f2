"""The facts of the coupon offers, and that the shipped catalogue still agrees with them."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from features.sources.complete_journey import CompleteJourney
from features.sources.complete_journey.offers import Offer, offers, write_csv
from serving.catalogue import load

GROCERIES = Path(__file__).parents[2] / "serving" / "catalogue" / "examples" / "groceries.yaml"


@pytest.fixture(scope="module")
def facts() -> tuple[Offer, ...]:
    return offers(CompleteJourney.installed())


def test_there_is_one_offer_per_action(facts: tuple[Offer, ...], journey: duckdb.DuckDBPyConnection) -> None:
    groups = dict(journey.execute("SELECT DISTINCT action_id, action_group FROM presentations").fetchall())
    assert {offer.action_id: offer.department for offer in facts} == groups
    assert [offer.action_id for offer in facts] == sorted(groups)


def test_an_offer_agrees_with_the_lake(facts: tuple[Offer, ...], journey: duckdb.DuckDBPyConnection) -> None:
    known = "category = ? AND known_at < TIMESTAMP '2017-09-01 04:00'"
    for offer in facts[::40]:
        found: list[Any] = journey.execute(
            f"""
            SELECT count(DISTINCT product_id),
                round(median(amount / quantity) FILTER (amount * quantity > 0), 2),
                round(count(DISTINCT customer_id) / 2469, 3)
            FROM transactions WHERE {known}
            """,
            [offer.category],
        ).fetchall()
        assert found == [(offer.products, offer.typical_price, offer.penetration)]


def test_every_offer_has_a_price_and_a_value(facts: tuple[Offer, ...]) -> None:
    assert all(offer.typical_price and offer.value and 0 < offer.penetration <= 1 for offer in facts)
    assert all(offer.value is not None and 0.5 < offer.value < 50 for offer in facts)


def test_what_happens_later_changes_nothing(facts: tuple[Offer, ...]) -> None:
    earlier = offers(CompleteJourney.installed(), before=date(2017, 3, 1))
    bought = {offer.action_id: offer.products for offer in earlier}
    assert all(bought[offer.action_id] <= offer.products for offer in facts)
    assert sum(bought.values()) < sum(offer.products for offer in facts)


def test_the_facts_print_as_csv(facts: tuple[Offer, ...]) -> None:
    out = io.StringIO()
    write_csv(facts, out)
    header, first, *rest = out.getvalue().splitlines()
    assert header == "action_id,category,department,products,typical_price,penetration,value"
    assert first.startswith("coupon-adult-incontinence,ADULT INCONTINENCE,DRUG GM,")
    assert len(rest) == 157


def test_the_groceries_catalogue_holds_every_offer_with_its_facts(facts: tuple[Offer, ...]) -> None:
    actions = {str(action.action_id): action for action in load(GROCERIES).actions}
    assert sorted(actions) == [offer.action_id for offer in facts]
    for offer in facts:
        action = actions[offer.action_id]
        assert (action.group, action.attributes["department"]) == (offer.department, offer.department)
        assert action.value == offer.value
        for name in ("category", "products", "typical_price", "penetration"):
            assert action.attributes[name] == getattr(offer, name), f"{offer.action_id}: {name}"
