"""The same rule as DuckDB SQL, for tables of millions of customers and actions.

The text is ours, not the analyst's: it carries the settlements of ``serving.decision.expression`` (NaN is
NULL, points mean DOUBLE, overflow is NULL), so a batch and a single decision mean the same by every rule.
"""

from __future__ import annotations

from serving.decision.columns import ColumnType
from serving.decision.expression import (
    And,
    Arithmetic,
    Call,
    Case,
    ColumnRef,
    Comparison,
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
)
from serving.decision.values import Scalar

_TYPES = {
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.INT: "BIGINT",
    ColumnType.FLOAT: "DOUBLE",
    ColumnType.STRING: "VARCHAR",
}


def to_sql(node: Expression) -> str:
    """Return DuckDB SQL for an expression; columns keep their names (``context.hour`` is one quoted name)."""
    match node:
        case Literal(value, kind):
            text = _constant(value, kind)
        case ColumnRef(name, kind):
            text = _without_nan(f'"{name}"', kind)
        case ToFloat(operand):
            text = f"CAST({to_sql(operand)} AS DOUBLE)"
        case Negation(operand, kind):
            text = _arithmetic(f"-{to_sql(operand)}", kind)
        case Arithmetic(operator, left, right, kind):
            text = _arithmetic(f"{to_sql(left)} {operator} {to_sql(right)}", kind)
        case Case(conditions, results, otherwise):
            branches = zip(map(to_sql, conditions), map(to_sql, results), strict=True)
            told = " ".join(f"WHEN {condition} THEN {result}" for condition, result in branches)
            text = f"(CASE {told} ELSE {to_sql(otherwise)} END)"
        case Call():
            text = _call(node)
        case _:
            text = f"({_predicate(node)})"
    return text


def _call(node: Call) -> str:
    values = [to_sql(operand) for operand in node.operands]
    if node.function in (Function.ROUND, Function.LEFT, Function.RIGHT):
        values.append(str(node.count))
    text = f"{node.function}({', '.join(values)})"
    return f"TRY({text})" if node.function in (Function.ABS, Function.SQRT) else text


def _predicate(
    node: Comparison | OneOf | Like | IsNull | Not | And | Or,
) -> str:
    match node:
        case Comparison(operator, left, right):
            text = f"{to_sql(left)} {operator} {to_sql(right)}"
        case OneOf(operand, options):
            listed = ", ".join(sorted(_constant(option, operand.type) for option in options))
            text = f"{to_sql(operand)} IN ({listed})"
        case Like(operand, pattern):
            text = f"{to_sql(operand)} LIKE {_constant(pattern, ColumnType.STRING)}"
        case IsNull(operand):
            text = f"{to_sql(operand)} IS NULL"
        case Not(operand):
            text = f"NOT {to_sql(operand)}"
        case And(operands):
            text = " AND ".join(map(to_sql, operands))
        case Or(operands):
            text = " OR ".join(map(to_sql, operands))
    return text


def _arithmetic(text: str, kind: ColumnType) -> str:
    return f"TRY({text})" if kind is ColumnType.INT else _without_nan(f"({text})", kind)


def _without_nan(text: str, kind: ColumnType) -> str:
    return f"NULLIF({text}, 'nan'::DOUBLE)" if kind is ColumnType.FLOAT else text


def _constant(value: Scalar, kind: ColumnType) -> str:
    quoted = "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
    return quoted if kind is ColumnType.STRING and value is not None else f"CAST({quoted} AS {_TYPES[kind]})"
