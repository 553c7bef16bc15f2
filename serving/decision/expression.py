"""The checked form of a rule: a small typed tree, from which closures and SQL for batches are made.

Meaning is DuckDB's, with three settlements that make it total:

- NaN is NULL, wherever it comes from.
- Numbers written with a point or an exponent are DOUBLE, as feature values are; a whole number met by a
  DOUBLE becomes one. (DuckDB's own literals are exact decimals.)
- What DuckDB refuses a whole query for is NULL: whole-number arithmetic that leaves 64 bits, the root of a
  negative number.

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


@dataclass(frozen=True, slots=True)
class Case:
    """The result of the first condition that is true, else ``otherwise``; all of one type.

    ``CASE x WHEN ...`` is this with ``x = ...`` for conditions, ``NULLIF(a, b)`` with ``a = b`` and NULL.
    """

    conditions: tuple[Expression, ...]
    results: tuple[Expression, ...]
    otherwise: Expression

    @property
    def type(self) -> ColumnType:
        """That of every result."""
        return self.otherwise.type


class Function(StrEnum):
    """The functions there are, by the name that is written; their meanings are in ``functions``."""

    ABS = "ABS"
    CEIL = "CEIL"
    COALESCE = "COALESCE"
    CONTAINS = "CONTAINS"
    ENDS_WITH = "ENDS_WITH"
    FLOOR = "FLOOR"
    GREATEST = "GREATEST"
    LEAST = "LEAST"
    LEFT = "LEFT"
    LENGTH = "LENGTH"
    LOWER = "LOWER"
    RIGHT = "RIGHT"
    ROUND = "ROUND"
    SQRT = "SQRT"
    STARTS_WITH = "STARTS_WITH"
    TRIM = "TRIM"
    UPPER = "UPPER"


@dataclass(frozen=True, slots=True)
class Call:
    """A function of values; ``count`` is the constant of ROUND (digits), LEFT and RIGHT (characters)."""

    function: Function
    operands: tuple[Expression, ...]
    type: ColumnType
    count: int = 0


Expression = (
    Literal
    | ColumnRef
    | ToFloat
    | Arithmetic
    | Negation
    | Case
    | Call
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
        case And(operands) | Or(operands) | Call(operands=operands):
            return operands
        case Case(conditions, results, otherwise):
            return (*conditions, *results, otherwise)
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right):
            return (left, right)
        case _:
            return (node.operand,)


def column_refs(node: Expression) -> frozenset[ColumnRef]:
    """Return the columns the tree reads."""
    if isinstance(node, ColumnRef):
        return frozenset((node,))
    return frozenset().union(*map(column_refs, children(node)))


def columns_of(node: Expression) -> tuple[str, ...]:
    """Return the names of the columns the tree reads, sorted."""
    return tuple(sorted({column.name for column in column_refs(node)}))


def replace_columns(node: Expression, replacement: Callable[[ColumnRef], Expression]) -> Expression:
    """Return the tree with every column put through ``replacement``."""
    if isinstance(node, ColumnRef):
        return replacement(node)
    return with_children(node, tuple(replace_columns(child, replacement) for child in children(node)))


def with_children(node: Expression, new: tuple[Expression, ...]) -> Expression:
    """Return the node over other nodes, given in the order of ``children``."""
    match node:
        case Literal() | ColumnRef():
            return node
        case And() | Or() | Call():
            return replace(node, operands=new)
        case Case(conditions):
            count = len(conditions)
            return Case(new[:count], new[count:-1], new[-1])
        case Arithmetic() | Comparison():
            return replace(node, left=new[0], right=new[1])
        case _:
            return replace(node, operand=new[0])


def as_float(node: Expression) -> Expression:
    """Return a number as a DOUBLE."""
    if node.type is ColumnType.FLOAT:
        return node
    if isinstance(node, Literal):
        return Literal(None if node.value is None else float(node.value), ColumnType.FLOAT)
    return ToFloat(node)
