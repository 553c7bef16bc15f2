"""DuckDB is the oracle: a rule's closure, its own SQL and the analyst's text agree on every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.decision.columns import ColumnType
from serving.decision.parsing import parse_rule
from serving.decision.program import Program
from serving.decision.to_sql import to_sql
from serving.decision.values import Scalar
from tests.unit.serving.decision.rule_strategies import COLUMNS, rows, rules

_TYPES = {
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.INT: "BIGINT",
    ColumnType.FLOAT: "DOUBLE",
    ColumnType.STRING: "VARCHAR",
}
_FAST = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(config={"threads": 1})
    columns = ", ".join(f"{name} {_TYPES[column.type]}" for name, column in COLUMNS.items())
    connection.execute(f"CREATE TABLE people (position INTEGER, {columns})")
    yield connection
    connection.close()


def by_duckdb(
    database: duckdb.DuckDBPyConnection, predicate: str, table: Sequence[dict[str, Scalar]]
) -> list[bool | None]:
    database.execute("DELETE FROM people")
    marks = ", ".join("?" * (len(COLUMNS) + 1))
    database.executemany(
        f"INSERT INTO people VALUES ({marks})",  # our own names
        [[position, *(row[name] for name in COLUMNS)] for position, row in enumerate(table)],
    )
    answer = database.execute(f"SELECT {predicate} FROM people ORDER BY position").fetchall()
    return [truth for (truth,) in answer]


def by_closure(text: str, table: Sequence[dict[str, Scalar]]) -> tuple[list[bool | None], str]:
    parsed = parse_rule(text, COLUMNS)
    assert parsed.expression is not None, (text, parsed.faults)
    program = Program.of([parsed.expression])
    return [program.run(row)[0] for row in table], to_sql(parsed.expression)


@_FAST
@given(rules(arithmetic=True), st.lists(rows(ends=True), min_size=1, max_size=5))
def test_closure_and_sql_agree(
    database: duckdb.DuckDBPyConnection, text: str, table: list[dict[str, Scalar]]
) -> None:
    truth, sql = by_closure(text, table)
    assert truth == by_duckdb(database, sql, table), (text, sql)


@_FAST
@given(rules(arithmetic=False), st.lists(rows(ends=False), min_size=1, max_size=5))
def test_the_analysts_text_means_the_same_to_duckdb(
    database: duckdb.DuckDBPyConnection, text: str, table: list[dict[str, Scalar]]
) -> None:
    truth, _ = by_closure(text, table)
    assert truth == by_duckdb(database, text, table), text


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("whole + other_whole > 0", {"whole": 2**63 - 1, "other_whole": 1}, None),
        ("whole / 0 > 0", {"whole": 1}, True),
        ("whole / 0 > 0", {"whole": 0}, None),
        ("whole // other_whole = -3", {"whole": -7, "other_whole": 2}, True),
        ("whole % 3 = -1", {"whole": -7}, True),
        ("real = real", {"real": float("nan")}, None),
        ("whole > 1 AND real > 1", {"whole": 0}, False),
        ("whole > 1 OR real > 1", {"whole": 5}, True),
        ("word LIKE 'line%break'", {"word": "line\nbreak"}, True),
        ("word LIKE 'a.b'", {"word": "axb"}, False),
        ("word LIKE '_x'", {"word": "𝄞x"}, True),
        ("whole = 9007199254740992.0", {"whole": 2**53 + 1}, True),
    ],
)
def test_known_corners(
    database: duckdb.DuckDBPyConnection, text: str, row: dict[str, Scalar], expected: bool | None
) -> None:
    table = [dict.fromkeys(COLUMNS) | row]
    truth, sql = by_closure(text, table)
    assert truth == [expected]
    assert by_duckdb(database, sql, table) == [expected]
