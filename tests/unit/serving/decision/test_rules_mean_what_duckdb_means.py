"""DuckDB is the oracle: a rule's closure, its own SQL and the analyst's text agree on every row."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.decision.columns import ColumnType
from serving.decision.expression import IsNull
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
    max_examples=150,
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


def by_closure(text: str, table: Sequence[dict[str, Scalar]]) -> tuple[list[Scalar], str]:
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
        ("whole % other_whole = 0", {"whole": -(2**63), "other_whole": -1}, None),
        ("ABS(whole) > 0", {"whole": -(2**63)}, None),
        ("ROUND(real) = 3", {"real": 2.5}, True),
        ("ROUND(real) = -3", {"real": -2.5}, True),
        ("ROUND(real) = 0", {"real": 0.49999999999999994}, True),
        ("ROUND(real, 2) = 2.68", {"real": 2.675}, True),
        ("1 / CEIL(real) < 0", {"real": -0.5}, True),
        ("1 / GREATEST(real, other_real) < 0", {"real": -0.0, "other_real": 0.0}, True),
        ("GREATEST(real, other_real) = 1", {"real": float("nan"), "other_real": 1.0}, True),
        ("SQRT(real) IS NULL", {"real": -1.0}, True),
        ("CASE WHEN flag THEN TRUE ELSE whole > 1 END", {"whole": 2}, True),
        ("CASE whole WHEN 1 THEN FALSE ELSE TRUE END", {}, True),
        ("NULLIF(whole, 0.0) IS NULL", {"whole": 0}, True),
        ("UPPER(word) = 'STRAẞE'", {"word": "straße"}, True),
        ("LOWER(word) = 'ὀδυσσεύσ'", {"word": "ὈΔΥΣΣΕΎΣ"}, True),
        ("LENGTH(word) = 2", {"word": "e\u0301"}, True),
        ("LEFT(word, 1) = 'e'", {"word": "e\u0301"}, True),
        ("TRIM(word) = 'a'", {"word": "\u3000a "}, True),
        ("TRIM(word) = 'a'", {"word": "\ta"}, False),
        ("STARTS_WITH(word, '') AND CONTAINS(word, '') AND ENDS_WITH(word, '')", {"word": ""}, True),
    ],
)
def test_known_corners(
    database: duckdb.DuckDBPyConnection, text: str, row: dict[str, Scalar], expected: bool | None
) -> None:
    table = [dict.fromkeys(COLUMNS) | row]
    truth, sql = by_closure(text, table)
    assert truth == [expected]
    assert by_duckdb(database, sql, table) == [expected]


@pytest.mark.parametrize(
    ("text", "size", "last"),
    [
        ("LOWER(word)", 200, sys.maxunicode),
        ("UPPER(word)", 200, sys.maxunicode),
        ("LENGTH(word)", 200, sys.maxunicode),
        ("RIGHT(word, 150)", 200, sys.maxunicode),
        ("TRIM(word)", 1, 0xFFFF),
    ],
)
def test_every_code_point_means_the_same(
    database: duckdb.DuckDBPyConnection, text: str, size: int, last: int
) -> None:
    signs = [chr(code) for code in range(1, last + 1) if not 0xD800 <= code <= 0xDFFF]
    parts = ["".join(signs[start : start + size]) for start in range(0, len(signs), size)]
    words = pa.table({"word": [f"{part}a{part}" for part in parts]})
    expression = parse_rule(f"{text} IS NULL", COLUMNS).expression
    assert isinstance(expression, IsNull)
    program = Program.of([expression.operand])
    database.register("words", words)

    answer = database.execute(f"SELECT {to_sql(expression.operand)} FROM words").fetchall()

    made = [program.run({"word": f"{part}a{part}"})[0] for part in parts]
    assert [part for part, ours, (theirs,) in zip(parts, made, answer, strict=True) if ours != theirs] == []
