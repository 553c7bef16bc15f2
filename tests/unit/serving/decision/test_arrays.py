"""Rules over all actions at once: the array program agrees with one run of the scalar program per action."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.decision.arrays import ArrayProgram
from serving.decision.columns import ColumnType
from serving.decision.expression import Comparison, Expression, columns_of
from serving.decision.parsing import parse_number, parse_rule
from serving.decision.program import Program
from serving.decision.values import Scalar
from serving.decision.vectors import Vector, Whole, Words, is_null, vector
from tests.unit.serving.decision.rule_strategies import COLUMNS, numbers, rows, rules

_FAST = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def expression(text: str) -> Expression:
    parsed = parse_rule(text, COLUMNS)
    made = parsed.expression or parse_number(text, COLUMNS).expression
    assert made is not None, parsed.faults
    return made


def column(table: list[dict[str, Scalar]], name: str) -> Vector:
    values = [None if row[name] != row[name] else row[name] for row in table]
    return vector(values, COLUMNS[name].type)


def told(made: Vector) -> list[Scalar]:
    match made:
        case Words(codes, words):
            return [words[code] for code in codes.tolist()]
        case Whole(values):
            return [
                None if null else value for value, null in zip(values.tolist(), is_null(made), strict=True)
            ]
        case _ if made.dtype == np.int8:
            return [(None, True, False)[code] for code in made.tolist()]
        case _:
            return [None if np.isnan(value) else value for value in made.tolist()]


def alike(values: list[Scalar]) -> list[str]:
    return [repr(value) for value in values]  # repr tells -0.0 from 0.0, 1 from 1.0 and True


@_FAST
@given(
    rules(arithmetic=True) | numbers(),
    st.lists(rows(ends=True), min_size=1, max_size=6),
    st.sets(st.sampled_from(sorted(COLUMNS)), min_size=3),
)
def test_arrays_mean_what_single_values_mean(
    text: str, actions: list[dict[str, Scalar]], of_actions: set[str]
) -> None:
    node, customer = expression(text), actions[0]
    if not of_actions & set(columns_of(node)):
        return
    known = {name: column(actions, name) for name in of_actions}
    program = Program.of([node])
    one_by_one = [
        program.run({**customer, **{name: action[name] for name in of_actions}})[0] for action in actions
    ]

    _, (at_once,) = ArrayProgram.of([], [node], known, len(actions)).run(customer)

    assert alike(told(at_once)) == alike(one_by_one), text


@_FAST
@given(numbers(), st.lists(rows(ends=True), min_size=1, max_size=6), st.sampled_from(("real", "other_real")))
def test_arrays_given_at_the_run_mean_the_same(
    text: str, actions: list[dict[str, Scalar]], name: str
) -> None:
    node, customer = expression(text), actions[0]
    if name not in columns_of(node):
        return
    given_values = np.array([np.nan if action[name] is None else action[name] for action in actions])
    program = Program.of([node])
    one_by_one = [program.run({**customer, name: action[name]})[0] for action in actions]

    _, (at_once,) = ArrayProgram.of([], [node], {}, len(actions), given=[name]).run(
        customer, {name: given_values}
    )

    assert alike(told(at_once)) == alike(one_by_one), text


KNOWN = {
    "real": vector([1.0, None, 3.0], ColumnType.FLOAT),
    "word": vector(["a", "b", None], ColumnType.STRING),
}


def test_what_depends_on_actions_only_is_computed_at_load() -> None:
    program = ArrayProgram.of([], [expression("real * 2 > 3 AND UPPER(word) = 'A'")], KNOWN, 3)

    assert program.steps == {}
    assert program.without_folded()[0].roots == ()
    assert told(program.run({})[1][0]) == [False, False, None]


def test_what_rules_share_is_one_step() -> None:
    texts = ["real > other_real", "NOT real > other_real", "real > other_real OR flag"]
    program = ArrayProgram.of([], [expression(text) for text in texts], KNOWN, 3)

    # the comparison, NOT, OR
    assert len(program.steps) == 3


def test_what_reads_the_row_only_is_one_value_before_it_meets_an_array() -> None:
    text = "other_real > 1 AND flag AND real > 1 AND whole = 3 AND word = other_word"
    program = ArrayProgram.of([], [expression(text)], KNOWN, 3)

    # word = other_word, and the AND of that, what is known and one value for all of the row
    assert len(program.steps) == 2
    row: dict[str, Scalar] = {"other_real": 2.0, "flag": True, "whole": 3, "other_word": "b"}
    assert told(program.run(row)[1][0]) == [False, None, None]


def test_single_values_and_arrays_come_from_one_run() -> None:
    program = ArrayProgram.of([expression("flag")], [expression("real > other_real")], KNOWN, 3)

    values, (array,) = program.run({"flag": True, "other_real": 2.0})

    assert values == [True]
    assert told(array) == [False, None, True]


_LEAST, _MOST = -(2**63), 2**63 - 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("whole + other_whole", [None, -1, None]),
        ("other_whole - whole", [_MOST - 1, None, None]),
        ("whole * other_whole", [_MOST, None, None]),
        ("whole // other_whole", [0, -1, None]),
        ("whole % other_whole", [1, -1, None]),
        ("whole // (other_whole - other_whole)", [None, None, None]),
        ("whole // (other_whole // -other_whole)", [-1, None, None]),
        ("whole % (other_whole // -other_whole)", [0, None, None]),
        ("-whole", [-1, None, None]),
        ("ABS(whole)", [1, None, None]),
    ],
)
def test_what_leaves_64_bits_is_null(text: str, expected: list[Scalar]) -> None:
    comparison = expression(f"{text} = 0")
    assert isinstance(comparison, Comparison)
    known = {"whole": vector([1, _LEAST, None], ColumnType.INT)}

    _, (made,) = ArrayProgram.of([], [comparison.left], known, 3).run({"other_whole": _MOST})

    assert told(made) == expected
