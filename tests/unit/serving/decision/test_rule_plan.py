"""Every action's rules at once: asked for one customer, settled for a table by DuckDB, or one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.decision.actions import Action, Weighting
from serving.decision.columns import Column, ColumnType
from serving.decision.parsing import parse_rule
from serving.decision.program import Program
from serving.decision.reasons import Reason
from serving.decision.rule_plan import RulePlan, Verdicts, make_rule_plan
from serving.decision.rules import Level, Rule, RuleUse, Tier
from serving.decision.to_sql import to_sql
from serving.decision.values import Scalar
from tests.unit.serving.decision.rule_strategies import COLUMNS, rows, rules
from tests.unit.serving.decision.small import action

_SQL_TYPES = {
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.INT: "BIGINT",
    ColumnType.FLOAT: "DOUBLE",
    ColumnType.STRING: "VARCHAR",
}
_OF_ACTION = {name: f"action.{name}" for name in COLUMNS if name.startswith("other_")}
_FAILURE = {
    Tier.ELIGIBLE: (Reason.NOT_ELIGIBLE, Reason.ELIGIBILITY_UNKNOWN),
    Tier.APPLICABLE: (Reason.NOT_APPLICABLE, Reason.APPLICABILITY_UNKNOWN),
    Tier.SUITABLE: (Reason.NOT_SUITABLE, Reason.SUITABILITY_UNKNOWN),
}

Row = Mapping[str, Scalar]


def compiled(texts: Sequence[str], columns: Mapping[str, Column]) -> tuple[Rule, ...]:
    made = []
    for number, text in enumerate(texts):
        parsed = parse_rule(text, columns)
        assert parsed.expression is not None, (text, parsed.faults)
        made.append(Rule(number, text, parsed.expression))
    return tuple(made)


def one_by_one(one: Action, made: Sequence[Rule], row: Row) -> tuple[int, int, float]:
    """Return reason, rule and weight of an action by running its rules in order."""
    own = {**row, **{f"action.{name}": value for name, value in one.attributes.items()}}
    own["action.value"] = one.value
    weight = math.prod(
        each.weight
        for each in one.weightings
        if Program.of([made[each.rule_id].expression]).run(own) == [True]
    )
    for use in one.rules:
        (truth,) = Program.of([made[use.rule_id].expression]).run(own)
        if truth is not True:
            return _FAILURE[use.tier][truth is None], use.rule_id, weight
    return 0, -1, weight


def by_table(
    database: duckdb.DuckDBPyConnection, plan: RulePlan, columns: Mapping[str, Column], table: Sequence[Row]
) -> Verdicts:
    """Return what the plan makes of DuckDB's answers to its predicates."""
    named = ", ".join(f'"{name}" {_SQL_TYPES[column.type]}' for name, column in columns.items())
    database.execute(f"CREATE OR REPLACE TABLE customers (position INTEGER, {named})")
    marks = ", ".join("?" * (len(columns) + 1))
    in_order = [[position, *(row[name] for name in columns)] for position, row in enumerate(table)]
    database.executemany(f"INSERT INTO customers VALUES ({marks})", in_order)
    codes = ", ".join(
        f"CASE {to_sql(one)} WHEN TRUE THEN 0 WHEN FALSE THEN 1 ELSE 2 END AS c{number}"
        for number, one in enumerate(plan.predicates)
    )
    answer = database.execute(f"SELECT {codes} FROM customers ORDER BY position").fetchnumpy()
    truth: NDArray[np.int8] = np.stack([answer[f"c{n}"] for n in range(len(plan.predicates))], axis=-1)
    return plan.settle(truth.astype(np.int8))


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(config={"threads": 1})
    yield connection
    connection.close()


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[tuple[Action, ...], tuple[Rule, ...]]:
    texts = draw(st.lists(rules(arithmetic=True), min_size=1, max_size=4))
    columns = {_OF_ACTION.get(name, name): column for name, column in COLUMNS.items()}
    made = compiled([text.replace("other_", "action.other_") for text in texts], columns)
    numbers = st.integers(0, len(made) - 1)
    actions = []
    for position, row in enumerate(draw(st.lists(rows(ends=False), min_size=1, max_size=4))):
        tiers = sorted(draw(st.lists(st.sampled_from(list(Tier)), max_size=4)), key=list(Tier).index)
        actions.append(
            replace(
                action(f"a{position}"),
                attributes={name: row[name] for name in _OF_ACTION},
                rules=tuple(RuleUse(tier, Level.ACTION, draw(numbers)) for tier in tiers),
                weightings=tuple(Weighting(draw(numbers), 1.5) for _ in range(draw(st.integers(0, 2)))),
            )
        )
    return tuple(actions), made


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(catalogues(), st.lists(rows(ends=True), min_size=1, max_size=4))
def test_all_at_once_by_table_and_one_by_one_agree(
    database: duckdb.DuckDBPyConnection,
    catalogue: tuple[tuple[Action, ...], tuple[Rule, ...]],
    customers: list[dict[str, Scalar]],
) -> None:
    actions, made = catalogue
    plan = make_rule_plan(actions, made)
    own = {name: column for name, column in COLUMNS.items() if name not in _OF_ACTION}

    table = by_table(database, plan, own, customers)

    for position, customer in enumerate(customers):
        verdicts = plan.ask({name: customer[name] for name in own})
        expected = [one_by_one(one, made, customer) for one in actions]
        assert list(zip(*(each.tolist() for each in verdicts), strict=True)) == expected
        assert list(zip(*(each[position].tolist() for each in table), strict=True)) == expected


BANK = {
    "age": Column(ColumnType.INT),
    "balance": Column(ColumnType.FLOAT),
    "region": Column(ColumnType.STRING),
    "vulnerable": Column(ColumnType.BOOL),
    "context.hour": Column(ColumnType.INT),
}
BANK_RULES = (
    "age >= action.youngest",
    "balance > action.price * 2 OR region = 'north'",
    "NOT vulnerable",
    "context.hour BETWEEN 8 AND 20",
    "UPPER(LEFT(region, 1)) IN ('N', 'Ö')",
    "region = action.region",
    "CASE WHEN age < 30 THEN balance ELSE balance / 2 END > action.price",
    "COALESCE(balance, 0) >= LEAST(action.price, 100)",
    "action.price > 50",
    "age * action.youngest > 2000",
    "action.region IS NULL OR STARTS_WITH(action.region, region)",
)
COUNT = 2000


def simulated_customers(seed: int) -> list[dict[str, Scalar]]:
    rng = np.random.default_rng(seed)
    regions = (None, "north", "south", "Öland", "österreich", "")
    return [
        {
            "age": None if rng.random() < 0.1 else int(rng.integers(18, 90)),
            "balance": (None, math.nan, math.inf)[rng.integers(3)]
            if rng.random() < 0.1
            else float(rng.normal(100, 80)),
            "region": regions[rng.integers(len(regions))],
            "vulnerable": (None, True, False)[rng.integers(3)],
            "context.hour": int(rng.integers(24)),
        }
        for _ in range(COUNT)
    ]


def simulated_actions(seed: int) -> tuple[Action, ...]:
    rng = np.random.default_rng(seed)
    tiers = (Tier.ELIGIBLE, Tier.ELIGIBLE, Tier.APPLICABLE, Tier.SUITABLE)
    return tuple(
        replace(
            action(f"a{number}"),
            attributes={
                "youngest": (None, 18, 25, 65)[rng.integers(4)],
                "price": (None, 10.0, 60.0, 120.0)[rng.integers(4)],
                "region": (None, "north", "south", "Öland")[rng.integers(4)],
            },
            rules=tuple(
                RuleUse(tier, Level.ACTION, int(rng.integers(len(BANK_RULES))))
                for tier in tiers[: rng.integers(5)]
            ),
            weightings=tuple(
                Weighting(int(rng.integers(len(BANK_RULES))), float(rng.choice([0.5, 1.2, 2.0])))
                for _ in range(rng.integers(3))
            ),
        )
        for number in range(30)
    )


def test_thousands_of_customers_settle_by_table_as_they_are_asked_one_by_one(
    database: duckdb.DuckDBPyConnection,
) -> None:
    attributes = {
        "action.youngest": Column(ColumnType.INT),
        "action.price": Column(ColumnType.FLOAT),
        "action.region": Column(ColumnType.STRING),
    }
    plan = make_rule_plan(simulated_actions(7), compiled(BANK_RULES, {**BANK, **attributes}))
    customers = simulated_customers(11)

    table = by_table(database, plan, BANK, customers)

    asked = [plan.ask(customer) for customer in customers]
    assert table.reason.shape == (COUNT, 30)
    np.testing.assert_array_equal(table.reason, [each.reason for each in asked])
    np.testing.assert_array_equal(table.rule, [each.rule for each in asked])
    np.testing.assert_array_equal(table.weight, [each.weight for each in asked])
    assert set(np.unique(table.reason)) == {0, *(reason for pair in _FAILURE.values() for reason in pair)}
    assert len(np.unique(table.weight)) > 5


@pytest.mark.parametrize("steps", [1, 2, 62, 63, 64, 65, 130])
@pytest.mark.parametrize("other", ["NOT vulnerable", "action.price > age"])
def test_the_first_step_that_does_not_hold_counts_however_many_there_are(steps: int, other: str) -> None:
    """What fails and what is unknown at each step, before steps that hold, fail and are unknown."""
    columns = {**BANK, "action.price": Column(ColumnType.FLOAT)}
    made = compiled(["age > 1", "age < 1", "balance > 1", other], columns)
    holds, fails, unknown = 0, 1, 2
    asked = [
        [holds] * place + [first] + [after] * (steps - place - 1)
        for place in {0, steps // 2, steps - 1}
        for first in (fails, unknown)
        for after in (holds, fails, unknown)
    ]
    actions = tuple(
        replace(
            action(f"a{number:02}"),
            attributes={"price": 99.0},
            rules=tuple(RuleUse(Tier.SUITABLE, Level.ACTION, rule) for rule in rules),
            weightings=(Weighting(3, 1.5), Weighting(0, 0.1), Weighting(3, 0.7)),
        )
        for number, rules in enumerate([*asked, [holds] * steps, []])
    )
    row: Row = {"age": 30, "balance": None, "region": "north", "vulnerable": False, "context.hour": 3}

    plan = make_rule_plan(actions, made)

    expected = [one_by_one(one, made, row) for one in actions]
    assert list(zip(*(each.tolist() for each in plan.ask(row)), strict=True)) == expected
    truth = [Program.of([one]).run(row)[0] for one in plan.predicates]
    settled = plan.settle(np.array([2 if one is None else int(not one) for one in truth], dtype=np.int8))
    assert list(zip(*(each.tolist() for each in settled), strict=True)) == expected


def test_what_only_an_action_says_is_a_constant_to_the_table() -> None:
    made = compiled(["action.price > 50", "age > 1"], {**BANK, "action.price": Column(ColumnType.FLOAT)})
    dear, cheap = (
        replace(action(name, rules=(0, 1)), attributes={"price": price})
        for name, price in (("a", 60.0), ("b", 5.0))
    )

    plan = make_rule_plan((dear, cheap), made)

    assert [to_sql(one) for one in plan.predicates] == [
        "CAST('True' AS BOOLEAN)",
        "(\"age\" > CAST('1' AS BIGINT))",
        "CAST('False' AS BOOLEAN)",
    ]
    assert plan.program.steps == {}
    assert plan.ask({"age": 2}).reason.tolist() == [0, Reason.NOT_ELIGIBLE]


def test_actions_without_rules_hold_and_weigh_one() -> None:
    verdicts = make_rule_plan((action("a"), action("b")), ()).ask({})

    assert verdicts.reason.tolist() == [0, 0]
    assert verdicts.rule.tolist() == [-1, -1]
    assert verdicts.weight.tolist() == [1.0, 1.0]


def test_a_catalogue_may_have_no_actions() -> None:
    assert make_rule_plan((), ()).ask({}).reason.shape == (0,)


def test_many_tiers_of_rules_are_asked_in_order() -> None:
    deep = action("a", rules=tuple(range(40)))
    made = compiled([f"age > {number}" for number in range(40)], BANK)

    plan = make_rule_plan((deep, action("b")), made)

    assert plan.ask({"age": 38}).rule.tolist() == [38, -1]
    assert plan.ask({"age": 0}).rule.tolist() == [0, -1]
    assert plan.ask({"age": 40}).reason.tolist() == [0, 0]
    assert plan.ask({}).reason.tolist() == [Reason.ELIGIBILITY_UNKNOWN, 0]
