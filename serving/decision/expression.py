"""The checked form of a rule: a small typed tree, from which closures and SQL for batches are made.

Meaning is DuckDB's, with three settlements that make it total:

- NaN is NULL, wherever it comes from.
- Numbers written with a point or an exponent are DOUBLE, as feature values are; a whole number met by a
  DOUBLE becomes one. (DuckDB's own literals are exact decimals.)
- Whole-number arithmetic that leaves 64 bits is NULL. (DuckDB refuses the query.)

Nodes compare and hash by content, so an atom that many rules share is one node to the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from serving.decision.columns import ColumnType
from serving.decision.values import Scalar


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; None is the NULL of its type."""

    value: Scalar
    type: ColumnType


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column: bare for a customer feature, else with its prefix ``context.`` or ``action.``."""

    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class ToFloat:
    """A whole number as a DOUBLE."""

    operand: Expression

    @property
    def type(self) -> ColumnType:
        """Always float64."""
        return ColumnType.FLOAT


class ArithmeticOperator(StrEnum):
    """Operators on two numbers."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    INTEGER_DIVIDE = "//"
    REMAINDER = "%"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers of one type make a third; ``/`` always makes a DOUBLE."""

    operator: ArithmeticOperator
    left: Expression
    right: Expression
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Negation:
    """Minus a number."""

    operand: Expression
    type: ColumnType


class ComparisonOperator(StrEnum):
    """Operators that make a truth value of two values of one type."""

    EQUAL = "="
    NOT_EQUAL = "<>"
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


@dataclass(frozen=True, slots=True)
class Predicate:
    """What makes a truth value."""

    @property
    def type(self) -> ColumnType:
        """Always bool."""
        return ColumnType.BOOL


@dataclass(frozen=True, slots=True)
class Comparison(Predicate):
    """Unknown when either side is."""

    operator: ComparisonOperator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class OneOf(Predicate):
    """``IN`` over constants of one type, none of them NULL."""

    operand: Expression
    options: frozenset[Scalar]


@dataclass(frozen=True, slots=True)
class Like(Predicate):
    """``LIKE``: ``%`` is any text, ``_`` one character; no escape; case counts."""

    operand: Expression
    pattern: str


@dataclass(frozen=True, slots=True)
class IsNull(Predicate):
    """Never unknown itself."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Not(Predicate):
    """Unknown stays unknown."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class And(Predicate):
    """False when any is false, else unknown when any is unknown."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or(Predicate):
    """True when any is true, else unknown when any is unknown."""

    operands: tuple[Expression, ...]


Expression = (
    Literal
    | ColumnRef
    | ToFloat
    | Arithmetic
    | Negation
    | Comparison
    | OneOf
    | Like
    | IsNull
    | Not
    | And
    | Or
)


def children(node: Expression) -> tuple[Expression, ...]:
    """Return the nodes directly under this one."""
    match node:
        case Literal() | ColumnRef():
            return ()
        case And(operands) | Or(operands):
            return operands
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right):
            return (left, right)
        case _:
            return (node.operand,)


def columns_of(node: Expression) -> tuple[str, ...]:
    """Return the names of the columns the tree reads, sorted."""
    if isinstance(node, ColumnRef):
        return (node.name,)
    return tuple(sorted({name for child in children(node) for name in columns_of(child)}))


def replace_columns(node: Expression, replacement: Callable[[ColumnRef], Expression]) -> Expression:
    """Return the tree with every column put through ``replacement``."""
    match node:
        case Literal():
            return node
        case ColumnRef():
            return replacement(node)
        case And(operands) | Or(operands):
            return replace(node, operands=tuple(replace_columns(child, replacement) for child in operands))
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right):
            return replace(
                node, left=replace_columns(left, replacement), right=replace_columns(right, replacement)
            )
        case _:
            return replace(node, operand=replace_columns(node.operand, replacement))
