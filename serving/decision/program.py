"""Rules made ready to run: every distinct atom of a catalogue is evaluated once per request.

A program is a list of steps over numbered cells. Leaves are cells filled from the request; each step computes
one more cell from earlier ones. Steps cannot fail and have no effects, so nothing is skipped and nothing is
ordered by luck. Truth is three-valued: True, False, and None for unknown.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moment.errors import InvariantViolation
from serving.decision.columns import ColumnType
from serving.decision.expression import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Case,
    ColumnRef,
    Comparison,
    ComparisonOperator,
    Expression,
    Function,
    IsNull,
    Like,
    Literal,
    Negation,
    Not,
    OneOf,
    Or,
    ToFloat,
    children,
)
from serving.decision.functions import meaning
from serving.decision.values import Scalar

Cells = list[Scalar]
Step = Callable[[Cells], Scalar]

_EXACT = {ColumnType.FLOAT: float, ColumnType.STRING: str, ColumnType.BOOL: bool}
"""Types whose every value will do as it is; of int, not every one."""

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

_COMPARE: Mapping[ComparisonOperator, Callable[[Any, Any], bool]] = {
    ComparisonOperator.EQUAL: operator.eq,
    ComparisonOperator.NOT_EQUAL: operator.ne,
    ComparisonOperator.LESS: operator.lt,
    ComparisonOperator.LESS_OR_EQUAL: operator.le,
    ComparisonOperator.GREATER: operator.gt,
    ComparisonOperator.GREATER_OR_EQUAL: operator.ge,
}


@dataclass(frozen=True, slots=True)
class Program:
    """Many expressions as one run over shared cells.

    Parameters
    ----------
    blank
        The first cells: constants in place, the rest None.
    leaves
        Per column: its cell among those, name and type, and the class of which every value will do as it is.
    steps
        What computes the other cells one after another: every input comes first.
    roots
        The cell of each expression given to ``of``, in that order; equal ones share one.
    """

    blank: tuple[Scalar, ...]
    leaves: tuple[tuple[int, str, ColumnType, type | None], ...]
    steps: tuple[Step, ...]
    roots: tuple[int, ...]

    @classmethod
    def of(cls, expressions: Iterable[Expression]) -> Program:
        """Compile expressions, sharing every equal part."""
        given = tuple(expressions)
        nodes = dict.fromkeys(node for expression in given for node in _parts(expression))
        first = [node for node in nodes if isinstance(node, Literal | ColumnRef)]
        others = [node for node in nodes if not isinstance(node, Literal | ColumnRef)]
        cell = {node: number for number, node in enumerate((*first, *others))}
        return cls(
            blank=tuple(node.value if isinstance(node, Literal) else None for node in first),
            leaves=tuple(
                (cell[node], node.name, node.type, _EXACT.get(node.type))
                for node in first
                if isinstance(node, ColumnRef)
            ),
            steps=tuple(step_of(node, tuple(cell[child] for child in children(node))) for node in others),
            roots=tuple(cell[expression] for expression in given),
        )

    def run(self, row: Mapping[str, Scalar]) -> list[Scalar]:
        """Return the value of each expression for one row; a column that is absent or NaN is NULL.

        Raises
        ------
        InvariantViolation
            A value is not of its column's declared type.
        """
        cells = list(self.blank)
        for cell, name, kind, exact in self.leaves:
            value = row.get(name)
            if type(value) is exact and value == value:  # noqa: PLR0124  # most are so: without a call
                cells[cell] = value
            elif value is not None:
                cells[cell] = as_type(value, kind, name)
        add = cells.append
        for step in self.steps:
            add(step(cells))
        return [cells[root] for root in self.roots]


def _parts(node: Expression) -> Iterator[Expression]:
    """Yield a node's parts, however deep, and itself; each after its own parts."""
    for child in children(node):
        yield from _parts(child)
    yield node


def as_type(value: Scalar, kind: ColumnType, name: str) -> Scalar:
    """Return a value as its column's type has it; NaN is None, a whole float will do for int64.

    Raises
    ------
    InvariantViolation
        The value is of another type. The message names the column, never the value.
    """
    if value is None or value != value:  # noqa: PLR0124  # NaN alone differs from itself
        return None
    if type(value) is _EXACT.get(kind):
        return value
    typed = conform(value, kind)
    if typed is None:
        raise InvariantViolation(f"column `{name}` holds a {type(value).__name__}, but it is declared {kind}")
    return typed


def conform(value: Scalar, kind: ColumnType) -> Scalar:
    """Return a value as one of the type, or None when it is not one."""
    if kind is ColumnType.INT and type(value) is int:
        return value if _INT64_MIN <= value <= _INT64_MAX else None
    match kind, value:
        case (ColumnType.BOOL, bool()) | (ColumnType.STRING, str()):
            return value
        case ((ColumnType.INT | ColumnType.FLOAT), int() | float()) if not isinstance(value, bool):
            return float(value) if kind is ColumnType.FLOAT else _whole(value)
        case _:
            return None


def _whole(value: float) -> int | None:
    if not _INT64_MIN <= value <= _INT64_MAX:
        return None
    return whole if (whole := int(value)) == value else None


def step_of(node: Expression, inputs: tuple[int, ...]) -> Step:
    """Return what computes a node from the cells of its children, given in their order."""
    match node:
        case Comparison():
            return _comparison(node, *inputs)
        case And() | Or():
            return _all_of(inputs) if isinstance(node, And) else _any_of(inputs)
        case Arithmetic():
            return _arithmetic(node, *inputs)
        case Case(conditions):
            return _case(inputs[: len(conditions)], inputs[len(conditions) : -1], inputs[-1])
        case Call():
            return _call(node, inputs)
        case _:
            return _unary(node, inputs[0])


def _comparison(node: Comparison, left: int, right: int) -> Step:
    compare = _COMPARE[node.operator]
    if isinstance(node.right, Literal) and node.right.value is not None:
        constant = node.right.value

        def against_constant(cells: Cells) -> Scalar:
            value = cells[left]
            return None if value is None else compare(value, constant)

        return against_constant

    def between_cells(cells: Cells) -> Scalar:
        first, second = cells[left], cells[right]
        return None if first is None or second is None else compare(first, second)

    return between_cells


def _all_of(inputs: tuple[int, ...]) -> Step:
    """Return AND: one False decides, then one unknown."""
    if len(inputs) == 2:
        left, right = inputs

        def both(cells: Cells) -> Scalar:
            first, second = cells[left], cells[right]
            if first is False or second is False:
                return False
            return None if first is None or second is None else True

        return both

    def all_of(cells: Cells) -> Scalar:
        truth: bool | None = True
        for cell in inputs:
            value = cells[cell]
            if value is False:
                return False
            if value is None:
                truth = None
        return truth

    return all_of


def _any_of(inputs: tuple[int, ...]) -> Step:
    """Return OR, the mirror image of AND: one True decides, then one unknown."""
    if len(inputs) == 2:
        left, right = inputs

        def either(cells: Cells) -> Scalar:
            first, second = cells[left], cells[right]
            if first is True or second is True:
                return True
            return None if first is None or second is None else False

        return either

    def any_of(cells: Cells) -> Scalar:
        truth: bool | None = False
        for cell in inputs:
            value = cells[cell]
            if value is True:
                return True
            if value is None:
                truth = None
        return truth

    return any_of


def _case(conditions: tuple[int, ...], results: tuple[int, ...], otherwise: int) -> Step:
    branches = tuple(zip(conditions, results, strict=True))

    def case(cells: Cells) -> Scalar:
        for condition, result in branches:
            if cells[condition] is True:
                return cells[result]
        return cells[otherwise]

    return case


def _call(node: Call, inputs: tuple[int, ...]) -> Step:
    match node.function:
        case Function.COALESCE:
            return lambda cells: next((cells[cell] for cell in inputs if cells[cell] is not None), None)
        case Function.GREATEST:
            return _extreme(inputs, operator.gt)
        case Function.LEAST:
            return _extreme(inputs, operator.lt)
    of_values, kind = meaning(node.function, node.count), node.type
    if len(inputs) == 2:
        left, right = inputs

        def of_two(cells: Cells) -> Scalar:
            first, second = cells[left], cells[right]
            return None if first is None or second is None else of_values(first, second)

        return of_two
    (cell,) = inputs

    def of_one(cells: Cells) -> Scalar:
        value = cells[cell]
        return None if value is None else _settled(of_values(value), kind)

    return of_one


def _extreme(inputs: tuple[int, ...], beats: Callable[[Any, Any], bool]) -> Step:
    def extreme(cells: Cells) -> Scalar:
        best: Scalar = None
        for cell in inputs:
            value = cells[cell]
            if value is not None and (best is None or beats(value, best)):
                best = value
        return best

    return extreme


def _unary(node: Expression, cell: int) -> Step:
    match node:
        case Not():
            return lambda cells: None if cells[cell] is None else not cells[cell]
        case IsNull():
            return lambda cells: cells[cell] is None
        case OneOf(options=options):
            return lambda cells: None if cells[cell] is None else cells[cell] in options
        case Like(pattern=pattern):
            matches = _like_pattern(pattern).fullmatch
            return lambda cells: None if cells[cell] is None else matches(str(cells[cell])) is not None
        case ToFloat():
            return lambda cells: None if (value := cells[cell]) is None else float(value)
        case Negation(type=kind):
            return lambda cells: None if (value := cells[cell]) is None else _settled(-_number(value), kind)
    raise InvariantViolation(f"no meaning for {type(node).__name__}")


def _arithmetic(node: Arithmetic, left: int, right: int) -> Step:
    combine = _COMBINE[node.operator]
    kind = node.type

    def arithmetic(cells: Cells) -> Scalar:
        first, second = cells[left], cells[right]
        if first is None or second is None:
            return None
        return _settled(combine(_number(first), _number(second)), kind)

    return arithmetic


def _settled(value: Scalar, kind: ColumnType) -> Scalar:
    """Return a result as DuckDB would keep it: NaN and what leaves 64 bits are NULL."""
    if value is None or value != value:  # noqa: PLR0124
        return None
    if kind is ColumnType.INT and not _INT64_MIN <= _number(value) <= _INT64_MAX:
        return None
    return value


def _number(value: Scalar) -> float:
    return value  # type: ignore[return-value]  # the parser lets only numbers through


def _divide(first: float, second: float) -> float | None:
    if second:
        return first / second
    return None if not first else math.copysign(math.inf, first) * math.copysign(1.0, second)


def _integer_divide(first: float, second: float) -> float | None:
    if not second:
        return None
    quotient = abs(first) // abs(second)
    return quotient if (first < 0) is (second < 0) else -quotient


def _remainder(first: float, second: float) -> float | None:
    if not second or math.isinf(first):
        return None
    if isinstance(first, int) and isinstance(second, int):
        if first == _INT64_MIN and second == -1:
            return None  # DuckDB divides first, and that leaves 64 bits
        return int(math.copysign(1, first)) * (abs(first) % abs(second))
    return math.fmod(first, second)


_COMBINE: Mapping[ArithmeticOperator, Callable[[float, float], float | None]] = {
    ArithmeticOperator.ADD: operator.add,
    ArithmeticOperator.SUBTRACT: operator.sub,
    ArithmeticOperator.MULTIPLY: operator.mul,
    ArithmeticOperator.DIVIDE: _divide,
    ArithmeticOperator.INTEGER_DIVIDE: _integer_divide,
    ArithmeticOperator.REMAINDER: _remainder,
}


def _like_pattern(pattern: str) -> re.Pattern[str]:
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(sign) or re.escape(sign) for sign in pattern), re.DOTALL)
