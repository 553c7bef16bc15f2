"""Many rules as one run: atoms are shared, values are held to their types."""

from __future__ import annotations

import pytest

from moment.errors import InvariantViolation
from serving.decision.columns import Column, ColumnType
from serving.decision.expression import Expression
from serving.decision.parsing import parse_rule
from serving.decision.program import Program

COLUMNS = {
    "kids": Column(ColumnType.INT),
    "spend": Column(ColumnType.FLOAT),
    "vegan": Column(ColumnType.BOOL),
    "city": Column(ColumnType.STRING),
}


def expression(text: str) -> Expression:
    parsed = parse_rule(text, COLUMNS)
    assert parsed.expression is not None, parsed.faults
    return parsed.expression


def test_an_atom_many_rules_share_is_one_step() -> None:
    shared = ["kids > 1 AND spend > 5", "kids > 1 OR vegan", "NOT kids > 1", "kids > 1"]
    program = Program.of(expression(text) for text in shared)

    # kids > 1, spend > 5, AND, OR, NOT
    assert len(program.steps) == 5
    assert program.run({"kids": 2, "spend": 1.0, "vegan": None}) == [False, True, False, True]


@pytest.mark.parametrize(
    ("text", "value", "truth"),
    [
        ("kids = 2", 2.0, True),
        ("kids = 2", float("nan"), None),
        ("spend = 2", 2, True),
        ("spend >= 0", float("inf"), True),
        ("vegan", True, True),
    ],
)
def test_values_are_read_as_their_column_has_them(text: str, value: float, truth: bool | None) -> None:
    name = expression(text)
    program = Program.of([name])

    assert program.run(dict.fromkeys(COLUMNS) | {program.leaves[0][1]: value}) == [truth]


@pytest.mark.parametrize(
    ("text", "value"),
    [("kids = 2", 2.5), ("kids = 2", "2"), ("vegan", 1), ("kids = 1", True), ("city = 'x'", 3)],
)
def test_a_value_of_another_type_is_a_broken_contract(text: str, value: bool | float | str) -> None:
    program = Program.of([expression(text)])

    with pytest.raises(InvariantViolation, match="declared"):
        program.run({program.leaves[0][1]: value})
