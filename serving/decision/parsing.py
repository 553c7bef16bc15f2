"""From SQL text to a checked expression: a predicate over declared columns, and nothing else.

sqlglot reads the text; only the nodes named here are let through, each with only the arguments it is known to
carry, so that a construct added to sqlglot tomorrow is refused and not misread.
"""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp

from serving.decision.calls import FUNCTION_NAMES, FUNCTIONS, WORDS, read_call, read_case, read_nullif, shown
from serving.decision.columns import Column, ColumnType
from serving.decision.expression import (
    And,
    Arithmetic,
    ArithmeticOperator,
    ColumnRef,
    Comparison,
    ComparisonOperator,
    Expression,
    IsNull,
    Like,
    Literal,
    Negation,
    Not,
    OneOf,
    Or,
    as_float,
)
from serving.decision.values import Scalar

INT64 = range(-(2**63), 2**63)
_MOST_DIGITS = 1_000

_COMPARISONS: Mapping[type[exp.Expr], ComparisonOperator] = {
    exp.EQ: ComparisonOperator.EQUAL,
    exp.NEQ: ComparisonOperator.NOT_EQUAL,
    exp.LT: ComparisonOperator.LESS,
    exp.LTE: ComparisonOperator.LESS_OR_EQUAL,
    exp.GT: ComparisonOperator.GREATER,
    exp.GTE: ComparisonOperator.GREATER_OR_EQUAL,
}
_ARITHMETIC: Mapping[type[exp.Expr], ArithmeticOperator] = {
    exp.Add: ArithmeticOperator.ADD,
    exp.Sub: ArithmeticOperator.SUBTRACT,
    exp.Mul: ArithmeticOperator.MULTIPLY,
    exp.Div: ArithmeticOperator.DIVIDE,
    exp.IntDiv: ArithmeticOperator.INTEGER_DIVIDE,
    exp.Mod: ArithmeticOperator.REMAINDER,
}
_HARMLESS = frozenset({"this", "expression", "expressions", "low", "high", "typed", "safe", "_type"})
_ALLOWED = (
    "there are columns, constants, = <> < <= > >=, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, + - * / // %, "
    "CASE and functions"
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """An expression, or every reason why there is none."""

    expression: Expression | None
    faults: tuple[str, ...]


def parse_rule(text: str, columns: Mapping[str, Column], *, closed: bool = True) -> Parsed:
    """Return the checked expression of one predicate.

    Parameters
    ----------
    text
        A SQL predicate such as ``days_since_purchase <= 90 AND context.hour BETWEEN 10 AND 20``.
    columns
        What it may name: features bare, the rest with ``context.`` or ``action.``.
    closed
        Whether a bare name that is not among them is a fault. If not, it is taken for a feature of the type
        its place asks for.

    Examples
    --------
    >>> parse_rule("kids > 1", {"kids": Column(ColumnType.INT)}).faults
    ()
    >>> parse_rule("kid > 1", {"kids": Column(ColumnType.INT)}).faults
    ('there is no column `kid`; did you mean `kids`?',)
    """
    return _parsed(text, _Checker(columns, closed), _Checker.predicate, "predicate")


def parse_number(text: str, columns: Mapping[str, Column], *, closed: bool = True) -> Parsed:
    """Return the checked expression of one number, of type float64; parameters as for rules."""
    return _parsed(text, _Checker(columns, closed), _Checker.float_value, "expression")


def _parsed(
    text: str, checker: _Checker, read: Callable[[_Checker, exp.Expr], Expression | None], what: str
) -> Parsed:
    try:
        tree = _read(text)
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        return Parsed(None, (_syntax_fault(error),))
    if len(tree) != 1 or tree[0] is None:
        kind = "rule" if what == "predicate" else "formula"
        return Parsed(None, (f"a {kind} is exactly one {what}; write one, without `;`",))
    try:
        expression = read(checker, tree[0])
    except RecursionError:
        return Parsed(None, ("it is nested too deeply; write it flatter",))
    if checker.faults:
        return Parsed(None, tuple(dict.fromkeys(checker.faults)))
    return Parsed(expression, ())


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``; did you mean `x`?`` for the nearest name, or nothing when none is near."""
    known = list(names)
    prefixed = [other for other in known if other.rpartition(".")[2] == name]
    found = prefixed or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean `{found[0]}`?" if found else ""


def _read(text: str) -> list[exp.Expr | None]:
    # sqlglot logs a warning where it gives up and takes a statement verbatim; we refuse that node anyway
    logger = logging.getLogger("sqlglot")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return list(sqlglot.parse(text, dialect="duckdb"))
    finally:
        logger.setLevel(level)


def _syntax_fault(error: Exception) -> str:
    if isinstance(error, sqlglot.errors.ParseError) and error.errors:
        near = str(error.errors[0].get("highlight") or "").strip()
        what = str(error.errors[0].get("description") or "")
        what = "something is missing" if "<class" in what else what.splitlines()[0].rstrip(".")
        return f"it cannot be read as SQL: {what}{f' near `{near}`' if near else ''}"
    return "it cannot be read as SQL: is a quote or a bracket left open?"


@dataclass(slots=True)
class _Checker:
    columns: Mapping[str, Column]
    closed: bool
    faults: list[str] = field(default_factory=list)

    def predicate(self, node: exp.Expr) -> Expression | None:
        """Return what makes a truth value, or note why it does not."""
        found = self.value(node, wanted=ColumnType.BOOL)
        if found is not None and found.type is not ColumnType.BOOL:
            self.fault(f"`{shown(node)}` is {WORDS[found.type]} where a condition is needed; compare it")
            return None
        return found

    def float_value(self, node: exp.Expr) -> Expression | None:
        """Return what makes a number, as float64."""
        found = self.number(node)
        return None if found is None else as_float(found)

    def value(self, node: exp.Expr, wanted: ColumnType | None = None) -> Expression | None:
        """Return a value of any type; ``wanted`` is the type an undeclared column takes."""
        match node:
            case exp.Column():
                found = self._column(node, wanted)
            case exp.Paren():
                found = self.value(node.this, wanted)
            case exp.Literal() | exp.Boolean():
                found = self._literal(node)
            case exp.Like():
                found = self._like(node)
            case exp.Case():
                found = read_case(node, self, wanted)
            case _ if type(node) in FUNCTIONS:
                found = read_call(node, self, wanted)
            case _:
                found = self._operation(node)
        return found

    def _operation(self, node: exp.Expr) -> Expression | None:
        reader = self._readers().get(type(node))
        if reader is not None and not {key for key, value in node.args.items() if value} - _HARMLESS:
            return reader(node)
        if isinstance(node, exp.Func) and not isinstance(node, exp.Cast | exp.Binary):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
            if isinstance(node, exp.If):
                return self.fault(f"`{shown(node)}`: use CASE WHEN ... THEN ... ELSE ... END")
            known = nearest(name.upper(), FUNCTION_NAMES) or f"; there are {', '.join(FUNCTION_NAMES)}"
            return self.fault(f"there is no function `{name}`{known}")
        return self.fault(f"`{shown(node)}` is not known here; {_ALLOWED}")

    def _readers(self) -> Mapping[type[exp.Expr], Callable[[exp.Expr], Expression | None]]:
        return {
            exp.And: self._all_of,
            exp.Or: self._all_of,
            exp.Not: self._not,
            exp.In: self._one_of,
            exp.Between: self._between,
            exp.Is: self._is,
            exp.Neg: self._negation,
            exp.Nullif: self._nullif,
            **dict.fromkeys(_COMPARISONS, self._comparison),
            **dict.fromkeys(_ARITHMETIC, self._arithmetic),
        }

    def fault(self, message: str) -> Expression | None:
        """Note what is wrong; there is no expression then."""
        self.faults.append(message)
        return None

    def _column(self, node: exp.Column, wanted: ColumnType | None) -> Expression | None:
        name = ".".join(part.name for part in node.parts)
        column = self.columns.get(name)
        if column is not None:
            return ColumnRef(name, column.type)
        if not self.closed and len(node.parts) == 1:
            return ColumnRef(name, wanted or ColumnType.FLOAT)
        return self.fault(f"there is no column `{name}`{nearest(name, self.columns)}")

    def _literal(self, node: exp.Literal | exp.Boolean) -> Expression | None:
        if isinstance(node, exp.Boolean):
            return Literal(bool(node.this), ColumnType.BOOL)
        text = str(node.this)
        if node.is_string:
            return Literal(text, ColumnType.STRING)
        number = _number_of(text)
        if number is None:
            return self.fault(f"`{text}` is not a number that fits into 64 bits")
        return Literal(number, ColumnType.INT if isinstance(number, int) else ColumnType.FLOAT)

    def _all_of(self, node: exp.Expr) -> Expression | None:
        kind = type(node)
        operands = [self.predicate(part) for part in node.flatten()]
        known = tuple(operand for operand in operands if operand is not None)
        if len(known) < len(operands):
            return None
        return And(known) if kind is exp.And else Or(known)

    def _not(self, node: exp.Expr) -> Expression | None:
        operand = self.predicate(node.this)
        return None if operand is None else Not(operand)

    def _is(self, node: exp.Expr) -> Expression | None:
        if isinstance(node.expression, exp.Null):
            operand = self.value(node.this)
            return None if operand is None else IsNull(operand)
        if isinstance(node.expression, exp.Boolean):
            operand = self.predicate(node.this)
            if operand is None:
                return None
            return And((Not(IsNull(operand)), operand if node.expression.this else Not(operand)))
        return self.fault(f"`{shown(node)}`: IS takes NULL, TRUE or FALSE; use =")

    def _comparison(self, node: exp.Expr) -> Expression | None:
        return self._compare(_COMPARISONS[type(node)], node.this, node.expression)

    def _between(self, node: exp.Expr) -> Expression | None:
        low = self._compare(ComparisonOperator.GREATER_OR_EQUAL, node.this, node.args["low"])
        high = self._compare(ComparisonOperator.LESS_OR_EQUAL, node.this, node.args["high"])
        return None if low is None or high is None else And((low, high))

    def _compare(self, operator: ComparisonOperator, left: exp.Expr, right: exp.Expr) -> Expression | None:
        pair = self._pair(left, right)
        if pair is None:
            return None
        written = f"{shown(left)} {operator} {shown(right)}"
        return self._compared(operator, *pair, written)

    def equal(self, left: exp.Expr, right: exp.Expr) -> tuple[Expression, Expression] | None:
        """Return ``left = right`` and ``left`` itself, which is not widened."""
        pair = self._pair(left, right)
        if pair is None:
            return None
        written = f"{shown(left)} = {shown(right)}"
        equal = self._compared(ComparisonOperator.EQUAL, *pair, written)
        return None if equal is None else (equal, pair[0])

    def _compared(
        self, operator: ComparisonOperator, first: Expression, second: Expression, written: str
    ) -> Expression | None:
        if {first.type, second.type} == {ColumnType.INT, ColumnType.FLOAT}:
            first, second = as_float(first), as_float(second)
        if first.type is not second.type:
            return self.fault(f"`{written}` compares {WORDS[first.type]} with {WORDS[second.type]}")
        equality = operator in (ComparisonOperator.EQUAL, ComparisonOperator.NOT_EQUAL)
        if first.type is ColumnType.BOOL and not equality:
            return self.fault(f"`{written}`: true and false have no order; use = or <>")
        if equality:
            self._check_word(first, second)
            self._check_word(second, first)
        return Comparison(operator, first, second)

    def _pair(self, left: exp.Expr, right: exp.Expr) -> tuple[Expression, Expression] | None:
        """Return both sides as they are; an undeclared column takes the type of the other."""
        if any(isinstance(side, exp.Null) for side in (left, right)):
            self.fault("NULL equals nothing, not even NULL; use IS NULL or IS NOT NULL")
            return None
        if self.is_undeclared(left):
            second = self.value(right)
            first = self.value(left, second.type if second else None)
        else:
            first = self.value(left)
            second = self.value(right, first.type if first else None)
        return None if first is None or second is None else (first, second)

    def is_undeclared(self, node: exp.Expr) -> bool:
        """Whether it is a bare name of no known type."""
        return isinstance(node, exp.Column) and len(node.parts) == 1 and node.name not in self.columns

    def _one_of(self, node: exp.Expr) -> Expression | None:
        constants = [self.value(option) for option in node.expressions if not isinstance(option, exp.Null)]
        options = [option for option in constants if option is not None]
        wanted = options[0].type if options else None
        operand = self.value(node.this, wanted)
        if len(constants) < len(node.expressions):
            return self.fault("NULL in IN never matches; use IS NULL")
        if not constants:
            return self.fault(f"`{shown(node)}`: IN takes a list of constants in brackets")
        if operand is None or len(options) < len(constants):
            return None
        values = [_constant_of(option, operand.type) for option in options]
        if any(value is None for value in values):
            return self.fault(f"`{shown(node)}`: every constant must be {WORDS[operand.type]}")
        for option in options:
            self._check_word(operand, option)
        return OneOf(operand, frozenset(values))

    def _like(self, node: exp.Like) -> Expression | None:
        if {key for key, value in node.args.items() if value} - {"this", "expression", "negate"}:
            return self.fault(f"`{shown(node)}` is not known here; {_ALLOWED}")
        operand = self.value(node.this, ColumnType.STRING)
        pattern = node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string):
            return self.fault(f"`{shown(node)}`: LIKE takes a text constant")
        if operand is None:
            return None
        if operand.type is not ColumnType.STRING:
            return self.fault(f"`{shown(node.this)}` is {WORDS[operand.type]}; LIKE needs text")
        like = Like(operand, str(pattern.this))
        return Not(like) if node.args.get("negate") else like

    def _nullif(self, node: exp.Expr) -> Expression | None:
        return read_nullif(node, self)

    def _negation(self, node: exp.Expr) -> Expression | None:
        operand = self.number(node.this)
        if isinstance(operand, Literal) and isinstance(operand.value, int | float):
            return Literal(0 - operand.value, operand.type)
        return None if operand is None else Negation(operand, operand.type)

    def _arithmetic(self, node: exp.Expr) -> Expression | None:
        operator = _ARITHMETIC[type(node)]
        left, right = self.number(node.this), self.number(node.expression)
        if left is None or right is None:
            return None
        both_whole = left.type is right.type is ColumnType.INT
        if operator is ArithmeticOperator.INTEGER_DIVIDE and not both_whole:
            return self.fault(f"`{shown(node)}`: // takes whole numbers; use /")
        if both_whole and operator is not ArithmeticOperator.DIVIDE:
            return Arithmetic(operator, left, right, ColumnType.INT)
        return Arithmetic(operator, as_float(left), as_float(right), ColumnType.FLOAT)

    def number(self, node: exp.Expr) -> Expression | None:
        """Return what makes a number, or note why it does not."""
        found = self.value(node, ColumnType.FLOAT)
        if found is not None and not found.type.is_number:
            return self.fault(f"`{shown(node)}` is {WORDS[found.type]} where a number is needed")
        return found

    def _check_word(self, side: Expression, other: Expression) -> None:
        """Note a constant that the column on the other side can never hold."""
        if not (isinstance(side, ColumnRef) and isinstance(other, Literal)) or side.name not in self.columns:
            return
        words = self.columns[side.name].categories
        if words and other.value not in words:
            near = nearest(str(other.value), words) or f"; it is one of {', '.join(map(repr, words))}"
            self.fault(f"`{side.name}` is never '{other.value}'{near}")


def _number_of(text: str) -> float | None:
    if text.isdigit():
        # Beyond so many digits Python makes no number of them at all
        return int(text) if len(text) <= _MOST_DIGITS and int(text) in INT64 else None
    try:
        number = float(text)
    except ValueError:
        return None
    # + 0.0 makes -0.0 what it equals: equal nodes are one node, so they must mean one thing
    return None if math.isinf(number) else number + 0.0


def _constant_of(node: Expression, wanted: ColumnType) -> Scalar:
    """Return the constant as a value of the wanted type, or None when it is not one."""
    if not isinstance(node, Literal):
        return None
    if wanted is ColumnType.FLOAT and node.type is ColumnType.INT and isinstance(node.value, int):
        return float(node.value)
    return node.value if node.type is wanted else None
