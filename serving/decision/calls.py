"""From SQL to checked nodes, the part for CASE and functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlglot import ErrorLevel, exp

from serving.decision.columns import ColumnType
from serving.decision.expression import Call, Case, Expression, Function, Literal, as_float
from serving.decision.functions import MOST_DIGITS, USAGE

WORDS = {
    ColumnType.BOOL: "true or false",
    ColumnType.INT: "a whole number",
    ColumnType.FLOAT: "a number",
    ColumnType.STRING: "text",
}
"""Types, as faults name them."""

_SHOWN = 60
_BOTH = frozenset({"this", "expression"})
_MANY = frozenset({"this", "expressions"})
_ONE = frozenset({"this"})

FUNCTIONS: Mapping[type[exp.Expr], tuple[Function, frozenset[str]]] = {
    exp.Abs: (Function.ABS, _ONE),
    exp.Ceil: (Function.CEIL, _ONE),
    exp.Coalesce: (Function.COALESCE, _MANY),
    exp.Contains: (Function.CONTAINS, _BOTH),
    exp.EndsWith: (Function.ENDS_WITH, _BOTH),
    exp.Floor: (Function.FLOOR, _ONE),
    # in DuckDB's dialect NULLs are always left out, which sqlglot notes down
    exp.Greatest: (Function.GREATEST, _MANY | {"ignore_nulls"}),
    exp.Least: (Function.LEAST, _MANY | {"ignore_nulls"}),
    exp.Left: (Function.LEFT, _BOTH),
    exp.Length: (Function.LENGTH, _ONE),
    exp.Lower: (Function.LOWER, _ONE),
    exp.Right: (Function.RIGHT, _BOTH),
    exp.Round: (Function.ROUND, frozenset({"this", "decimals"})),
    exp.Sqrt: (Function.SQRT, _ONE),
    exp.StartsWith: (Function.STARTS_WITH, _BOTH),
    exp.Trim: (Function.TRIM, _ONE),
    exp.Upper: (Function.UPPER, _ONE),
}
"""sqlglot's nodes that are let through, with the arguments they may carry."""

FUNCTION_NAMES = tuple(sorted((*(str(function) for function in Function), "NULLIF")))


class Reader(Protocol):
    """Reads the nodes under a call."""

    def value(self, node: exp.Expr, wanted: ColumnType | None = None) -> Expression | None:
        """Return a value of any type, or note why there is none."""
        ...

    def predicate(self, node: exp.Expr) -> Expression | None:
        """Return what makes a truth value."""
        ...

    def number(self, node: exp.Expr) -> Expression | None:
        """Return what makes a number."""
        ...

    def equal(self, left: exp.Expr, right: exp.Expr) -> tuple[Expression, Expression] | None:
        """Return ``left = right`` and ``left`` itself."""
        ...

    def is_undeclared(self, node: exp.Expr) -> bool:
        """Whether it is a bare name of no known type."""
        ...

    def fault(self, message: str) -> Expression | None:
        """Note what is wrong; there is no expression then."""
        ...


def read_call(node: exp.Expr, reader: Reader, wanted: ColumnType | None) -> Expression | None:
    """Return a function of checked values; ``wanted`` is the type undeclared columns take."""
    function, arguments = FUNCTIONS[type(node)]
    if {key for key, value in node.args.items() if value} - arguments:
        return reader.fault(f"{function} is written {USAGE[function]} here")
    match function:
        case Function.COALESCE | Function.GREATEST | Function.LEAST:
            return _of_alike(function, node, reader, wanted)
        case Function.ABS | Function.ROUND | Function.FLOOR | Function.CEIL | Function.SQRT:
            return _of_number(function, node, reader)
        case _:
            return _of_text(function, node, reader)


def read_case(node: exp.Case, reader: Reader, wanted: ColumnType | None) -> Expression | None:
    """Return CASE, searched or simple."""
    subject = node.this
    if {key for key, value in node.args.items() if value} - {"this", "ifs", "default"}:
        return reader.fault(f"`{shown(node)}`: CASE is written CASE WHEN ... THEN ... ELSE ... END here")
    conditions = [
        _equality(reader, subject, branch.this) if subject is not None else reader.predicate(branch.this)
        for branch in node.args["ifs"]
    ]
    otherwise = node.args.get("default") or exp.Null()
    results = _alike([*(branch.args["true"] for branch in node.args["ifs"]), otherwise], node, reader, wanted)
    known = tuple(condition for condition in conditions if condition is not None)
    if results is None or len(known) < len(conditions):
        return None
    return Case(known, results[:-1], results[-1])


def read_nullif(node: exp.Expr, reader: Reader) -> Expression | None:
    """Return NULLIF as the CASE it is."""
    pair = reader.equal(node.this, node.expression)
    if pair is None:
        return None
    equal, value = pair
    return Case((equal,), (Literal(None, value.type),), value)


def shown(node: exp.Expr) -> str:
    """Return the SQL of a node, for a fault."""
    text = node.sql(dialect="duckdb", comments=False, unsupported_level=ErrorLevel.IGNORE)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _equality(reader: Reader, subject: exp.Expr, option: exp.Expr) -> Expression | None:
    pair = reader.equal(subject, option)
    return None if pair is None else pair[0]


def _of_alike(
    function: Function, node: exp.Expr, reader: Reader, wanted: ColumnType | None
) -> Expression | None:
    written = [node.this, *node.expressions]
    if any(isinstance(one, exp.Null) for one in written):
        return reader.fault(f"`{shown(node)}`: {function} passes over NULL; leave it out")
    operands = _alike(written, node, reader, wanted)
    if operands is None:
        return None
    kind = operands[0].type
    if kind is ColumnType.BOOL and function is not Function.COALESCE:
        return reader.fault(f"`{shown(node)}`: true and false have no order; use AND or OR")
    return Call(function, operands, kind) if len(operands) > 1 else operands[0]


def _alike(
    written: Sequence[exp.Expr], node: exp.Expr, reader: Reader, wanted: ColumnType | None
) -> tuple[Expression, ...] | None:
    """Return values of one type; whole numbers are widened where one is a DOUBLE, NULL takes their type."""
    read = [
        None if isinstance(one, exp.Null) or reader.is_undeclared(one) else reader.value(one, wanted)
        for one in written
    ]
    types = {one.type for one in read if one is not None}
    if types == {ColumnType.INT, ColumnType.FLOAT}:
        types = {ColumnType.FLOAT}
    if len(types) > 1:
        told = " and ".join(sorted(WORDS[kind] for kind in types))
        reader.fault(f"`{shown(node)}` makes {told}; its results must be of one type")
        return None
    kind = next(iter(types), wanted)
    made: list[Expression] = []
    for one, value in zip(written, read, strict=True):
        if isinstance(one, exp.Null):
            found: Expression | None = Literal(None, kind) if kind else None
        else:
            found = reader.value(one, kind) if reader.is_undeclared(one) else value
        if found is not None:
            made.append(as_float(found) if kind is ColumnType.FLOAT and found.type.is_number else found)
    if len(made) < len(written):
        if kind is None and all(isinstance(one, exp.Null) for one in written):
            reader.fault(f"`{shown(node)}` is always NULL; give it a result")
        return None
    return tuple(made)


def _of_number(function: Function, node: exp.Expr, reader: Reader) -> Expression | None:
    operand = reader.number(node.this)
    digits = node.args.get("decimals")
    count = 0 if digits is None else _count(digits, MOST_DIGITS)
    if count is None:
        return reader.fault(f"`{shown(node)}`: the digits of ROUND are a constant from 0 to {MOST_DIGITS}")
    if operand is None:
        return None
    if function is Function.ABS or (function is Function.ROUND and operand.type is ColumnType.FLOAT):
        return Call(function, (operand,), operand.type, count)
    if function is Function.ROUND:
        return operand  # a whole number is round
    return Call(function, (as_float(operand),), ColumnType.FLOAT)


def _of_text(function: Function, node: exp.Expr, reader: Reader) -> Expression | None:
    counts = function in (Function.LEFT, Function.RIGHT)
    count = _count(node.expression, 2**31 - 1) if counts else 0
    if count is None:
        return reader.fault(f"`{shown(node)}`: {function} takes a constant number of characters")
    written = [node.this] if counts or node.expression is None else [node.this, node.expression]
    operands = tuple(one for one in (_text(one, function, reader) for one in written) if one is not None)
    if len(operands) < len(written):
        return None
    kinds: Mapping[Function, ColumnType] = {
        Function.LENGTH: ColumnType.INT,
        Function.CONTAINS: ColumnType.BOOL,
        Function.STARTS_WITH: ColumnType.BOOL,
        Function.ENDS_WITH: ColumnType.BOOL,
    }
    return Call(function, operands, kinds.get(function, ColumnType.STRING), count)


def _text(node: exp.Expr, function: Function, reader: Reader) -> Expression | None:
    found = reader.value(node, ColumnType.STRING)
    if found is not None and found.type is not ColumnType.STRING:
        return reader.fault(f"`{shown(node)}` is {WORDS[found.type]}; {function} needs text")
    return found


def _count(node: exp.Expr, most: int) -> int | None:
    text = str(node.this) if isinstance(node, exp.Literal) and not node.is_string else ""
    return int(text) if text.isdigit() and int(text) <= most else None
