"""Which comparisons made a rule false or unknown: the observed value beside the threshold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from serving.decision.attributes import ACTION_PREFIX
from serving.decision.expression import (
    And,
    Comparison,
    ComparisonOperator,
    Expression,
    OneOf,
    Or,
    columns_of,
)
from serving.decision.program import Program
from serving.decision.values import Scalar

_MIRRORED = {
    ComparisonOperator.LESS: ComparisonOperator.GREATER,
    ComparisonOperator.LESS_OR_EQUAL: ComparisonOperator.GREATER_OR_EQUAL,
    ComparisonOperator.GREATER: ComparisonOperator.LESS,
    ComparisonOperator.GREATER_OR_EQUAL: ComparisonOperator.LESS_OR_EQUAL,
}


@dataclass(frozen=True, slots=True)
class FailedComparison:
    """A comparison that is not true: what was observed, and what it would have to be.

    Parameters
    ----------
    columns
        What the observed value is made of.
    observed
        None when it is not known.
    operator
        How the observed value would have to stand to the threshold: ``>=``, ``=``, ``in``, …
    threshold
        A constant, an attribute of the action, or the other side; every option of ``in``, sorted.
    """

    columns: tuple[str, ...]
    observed: Scalar
    operator: str
    threshold: Scalar | tuple[Scalar, ...]


def failed_comparisons(rule: Expression, row: Mapping[str, Scalar]) -> tuple[FailedComparison, ...]:
    """Return the comparisons that made a rule false or unknown, in the order they are written.

    Parameters
    ----------
    rule
        A rule that is not true.
    row
        The value of each column it reads, by name; those of ``action.`` and ``context.`` with their prefix.

    Examples
    --------
    >>> from serving.decision.columns import Column, ColumnType
    >>> from serving.decision.parsing import parse_rule
    >>> number = Column(ColumnType.INT)
    >>> rule = parse_rule("age >= 18 AND balance > 10", {"age": number, "balance": number}).expression
    >>> failed_comparisons(rule, {"age": 30, "balance": 7})
    (FailedComparison(columns=('balance',), observed=7, operator='>', threshold=10),)
    """
    return tuple(_failed(rule, row))


def _failed(node: Expression, row: Mapping[str, Scalar]) -> Iterator[FailedComparison]:
    if _value(node, row) is True:
        return
    match node:
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _failed(operand, row)
        case Comparison(operator, left, right):
            if _is_constant(left) and not _is_constant(right):
                left, right, operator = right, left, _MIRRORED.get(operator, operator)
            yield FailedComparison(columns_of(left), _value(left, row), operator.value, _value(right, row))
        case OneOf(operand, options):
            options_in_order = tuple(sorted(options, key=str))
            yield FailedComparison(columns_of(operand), _value(operand, row), "in", options_in_order)
        case _:
            pass


def _value(node: Expression, row: Mapping[str, Scalar]) -> Scalar:
    return Program.of([node]).run(row)[0]


def _is_constant(node: Expression) -> bool:
    """Whether an expression is the same for every customer: constants and the action's own values."""
    return all(name.startswith(ACTION_PREFIX) for name in columns_of(node))
