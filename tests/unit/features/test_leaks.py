"""The leak check passes what Moment ships, on facts known late and bit by bit, and catches planted leaks."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import numpy as np
import pytest

from features.contract import DType, Purpose
from features.definition import Facts, Feature, Grain, Table, Tables, Value, View
from features.definitions import BUILT_IN
from features.grains import BASKETS
from features.leaks import find_leaks, refuse_leaks
from moment.errors import InvariantViolation
from tests.unit.features.tiny_lake import Row, TinyLake, answer, day, line, offer, tiny_lake

TIMES = (day(20), day(45))


@pytest.fixture(scope="module")
def untidy() -> TinyLake:
    """Sixty days of six customers whose lines, offers and answers become known late, each at its own time."""
    rng = np.random.default_rng(7)
    lines: list[Row] = []
    offers: list[Row] = []
    answers: list[Row] = []
    for customer in "abcdef":
        for number in range(25):
            at = float(rng.uniform(0, 60))
            lines += [
                line(
                    customer,
                    at,
                    float(rng.integers(1, 900)) / 100,
                    basket=f"{customer}{number}",
                    product=str(product),
                    known=at + float(rng.exponential(5)),
                    category=str(rng.choice(["BREAD", "MILK", "BEEF"])),
                    department=str(rng.choice(["GROCERY", "MEAT"])),
                    location_id=str(rng.choice(["store-1", "store-2"])),
                    coupon_discount=float(rng.choice([0.0, 0.5])),
                )
                for product in range(int(rng.integers(1, 5)))
            ]
        for number in range(8):
            at = float(rng.uniform(0, 50))
            exposure = str(rng.choice(["observed", "imputed"]))
            made = offer(customer, at, f"action-{number % 3}", campaign=str(number), exposure=exposure)
            made["known_at"] = (day(at) + (day(float(rng.exponential(4))) - day(0))).replace(tzinfo=None)
            offers.append(made)
            for repeat in range(int(rng.integers(0, 3))):
                when = at + float(rng.exponential(6))
                known = when + float(rng.exponential(6))
                answers.append(answer(made, when, known=known, number=repeat))
    customers = [
        {"customer_id": customer, "party_type": "person", "timezone": zone, "kids": kids}
        | {"known_at": day(float(rng.uniform(-5, 50))).replace(tzinfo=None)}
        for customer in "abcdef"
        for zone, kids in (("America/New_York", "0"), ("Asia/Tokyo", "1"))
    ]
    return tiny_lake(customers=customers, transactions=lines, presentations=offers, outcomes=answers)


def test_what_moment_ships_does_not_leak(untidy: TinyLake) -> None:
    assert find_leaks(untidy.backend, untidy.tables, BUILT_IN, TIMES) == ()


def plant(value: Callable[[Table], Value], grain: Grain = BASKETS) -> View:
    planted = Feature("planted", DType.FLOAT64, "days", "Planted", value, grain)
    return View("planted", "Planted", "test", Purpose.SERVICE, (planted,))


def caught(lake: TinyLake, view: View) -> list[str]:
    return [leak.feature for leak in find_leaks(lake.backend, lake.tables, [view], TIMES)]


def test_facts_from_the_future_are_caught(untidy: TinyLake) -> None:
    def all_spend(tables: Tables) -> Table:
        lines = tables["transactions"]
        total = lines.group_by("customer_id").aggregate(all_spend=lines["amount"].sum())
        return lines.inner_join(total, "customer_id")

    grain = Grain("lines", Facts("all_spend_facts", all_spend), lambda facts: facts)
    view = plant(lambda rows: rows["all_spend"].max(), grain)
    assert caught(untidy, view) == ["planted", "planted"]


def test_facts_that_ignore_when_they_were_known_are_caught(untidy: TinyLake) -> None:
    def as_they_happened(tables: Tables) -> Table:
        lines = tables["transactions"]
        return lines.mutate(known_at=lines["occurred_at"])

    grain = Grain("lines", Facts("early_facts", as_they_happened), lambda facts: facts)
    assert "planted" in caught(untidy, plant(lambda rows: rows["amount"].sum(), grain))


def test_an_answer_joined_before_it_was_known_is_caught(untidy: TinyLake) -> None:
    def answered(tables: Tables) -> Table:
        presentations, outcomes = tables["presentations"], tables["outcomes"]
        firsts = outcomes.group_by("presentation_id").aggregate(answer_at=outcomes["occurred_at"].min())
        return presentations.left_join(firsts, "presentation_id").drop("presentation_id_right")

    grain = Grain("offers", Facts("answered_facts", answered), lambda facts: facts)
    assert "planted" in caught(untidy, plant(lambda rows: rows["answer_at"].count(), grain))


def test_a_leak_names_the_feature_and_is_refused(untidy: TinyLake) -> None:
    def long_known(tables: Tables) -> Table:
        lines = tables["transactions"]
        return lines.mutate(known_at=lines["occurred_at"] - ibis.interval(years=5))

    view = plant(
        lambda rows: rows.count(), Grain("lines", Facts("long_known", long_known), lambda facts: facts)
    )
    leaks = find_leaks(untidy.backend, untidy.tables, [view], TIMES[:1])
    with pytest.raises(InvariantViolation, match=r"planted\.planted at 2017-01-22 differs for 6 customers"):
        refuse_leaks(leaks)
    refuse_leaks(())
