"""The arbitration formula over all candidates: what DuckDB makes of it, NaN where it makes no number."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.decision.actions import Candidate
from serving.decision.columns import Column, ColumnType
from serving.decision.formula import FACTORS, Formula, FormulaPlan, parse_formula
from serving.decision.to_sql import to_sql
from serving.decision.values import Scalar
from tests.unit.serving.decision.rule_strategies import COLUMNS, numbers, rows
from tests.unit.serving.decision.small import action

_OURS = {
    "real": "propensity",
    "other_real": "lever",
    "other_whole": "action.rank",
    "other_word": "action.word",
    "other_flag": "action.flag",
}
"""Of what the generated SQL names, what a candidate has; the rest is the customer's."""

COLUMNS_AND_OURS = {_OURS.get(name, name): column for name, column in COLUMNS.items()}
_SQL_TYPES = {
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.INT: "BIGINT",
    ColumnType.FLOAT: "DOUBLE",
    ColumnType.STRING: "VARCHAR",
}


def renamed(text: str) -> str:
    return re.sub(r"'[^']*'|\b[a-z_]+\b", lambda found: _OURS.get(found[0], found[0]), text)


def formula(text: str, columns: dict[str, Column] | None = None) -> Formula:
    parsed = parse_formula(text, COLUMNS_AND_OURS if columns is None else columns)
    assert parsed.formula is not None, (text, parsed.faults)
    return parsed.formula


def candidates(table: list[dict[str, Scalar]]) -> list[Candidate]:
    made = []
    for number, row in enumerate(table):
        attributes = {"rank": row["other_whole"], "word": row["other_word"], "flag": row["other_flag"]}
        one = replace(action(f"a{number}"), attributes=attributes)
        made.append(Candidate(one, one.treatments[0]))
    return made


def factor(values: list[Scalar]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(config={"threads": 1})
    columns = ", ".join(f'"{name}" {_SQL_TYPES[column.type]}' for name, column in COLUMNS_AND_OURS.items())
    connection.execute(f"CREATE TABLE candidates (position INTEGER, {columns})")
    yield connection
    connection.close()


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(numbers().map(renamed), st.lists(rows(ends=True), min_size=1, max_size=5))
def test_a_formula_means_the_same_to_duckdb(
    database: duckdb.DuckDBPyConnection, text: str, table: list[dict[str, Scalar]]
) -> None:
    made = formula(text)
    customer = {name: table[0][name] for name in COLUMNS if name not in _OURS}
    ones = np.ones(len(table))
    propensity, lever = (factor([row[name] for row in table]) for name in ("real", "other_real"))

    priority = FormulaPlan.of(made, candidates(table)).priority(customer, propensity, ones, ones, lever)

    database.execute("DELETE FROM candidates")
    marks = ", ".join("?" * (len(COLUMNS) + 1))
    rows_in_order = [
        [position, *({**row, **customer}[name] for name in COLUMNS)] for position, row in enumerate(table)
    ]
    database.executemany(f"INSERT INTO candidates VALUES ({marks})", rows_in_order)
    answer = database.execute(
        f"SELECT {to_sql(made.expression)} FROM candidates ORDER BY position"
    ).fetchall()
    by_duckdb = [value if value is not None and math.isfinite(value) else math.nan for (value,) in answer]
    assert [repr(value) for value in priority.tolist()] == [repr(value) for value in by_duckdb], text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("propensity * value * context_weight * lever", [0.5 * 10 * 1 * 2, 0.1 * 20 * 3 * 1, math.nan]),
        ("CASE WHEN vip THEN value ELSE propensity END", [10.0, 20.0, 30.0]),
        ("SQRT(value - 10) / (lever - 1)", [0.0, math.nan, math.sqrt(20) / 2]),
        ("COALESCE(propensity, 0.05) * kids", [1.0, 0.2, 0.1]),
        ("kids", [2.0, 2.0, 2.0]),
        ("action.value * 1e308 * 1e308", [math.nan, math.nan, math.nan]),
        ("gone * value", [math.nan, math.nan, math.nan]),
        ("CASE WHEN action.id = 'b' THEN 2 ELSE 1 END", [1.0, 2.0, 1.0]),
        ("LEAST(lever, context_weight, kids)", [1.0, 1.0, 1.0]),
    ],
)
def test_a_formula_runs_over_every_candidate(text: str, expected: list[float]) -> None:
    whole, real = Column(ColumnType.INT), Column(ColumnType.FLOAT)
    columns = {
        "kids": whole,
        "gone": real,
        "vip": Column(ColumnType.BOOL),
        "action.value": real,
        "action.id": Column(ColumnType.STRING),
    }
    actions = [action(name, value=value) for name, value in (("a", 10.0), ("b", 20.0), ("c", 30.0))]
    plan = FormulaPlan.of(formula(text, columns), [Candidate(one, one.treatments[0]) for one in actions])

    priority = plan.priority(
        {"kids": 2, "vip": True},
        propensity=np.array([0.5, 0.1, np.nan]),
        value=np.array([10.0, 20.0, 30.0]),
        context_weight=np.array([1.0, 3.0, 1.0]),
        lever=np.array([2.0, 1.0, 3.0]),
    )

    np.testing.assert_array_equal(priority, expected)


def test_factors_hide_features_of_their_names() -> None:
    parsed = formula("value", {"value": Column(ColumnType.STRING)})
    one = action("a")

    plan = FormulaPlan.of(parsed, [Candidate(one, one.treatments[0])])

    ones = np.ones(1)
    assert plan.priority({"value": "text"}, ones, ones * 7, ones, ones).tolist() == [7.0]
    assert FACTORS == ("propensity", "value", "context_weight", "lever")
