"""What each node means for arrays: the same as ``program`` says for single values, in numpy operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from serving.decision.columns import ColumnType
from serving.decision.expression import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Case,
    Comparison,
    ComparisonOperator,
    Expression,
    Function,
    IsNull,
    Negation,
    Not,
    OneOf,
    Or,
    ToFloat,
    children,
)
from serving.decision.program import step_of
from serving.decision.vectors import (
    Bools,
    Floats,
    Truths,
    Vector,
    Whole,
    Words,
    by_word,
    either,
    is_null,
    truth,
    where,
)

Vectors = Mapping[int, Vector]
ArrayStep = Callable[[Vectors], Vector]

_INT64_MIN = -(2**63)


def step_over_arrays(node: Expression, inputs: tuple[int, ...]) -> ArrayStep:
    """Return what computes a node from the cells of its children, given in their order."""
    if isinstance(node, Case):
        return _case(inputs, len(node.conditions))
    if any(child.type is ColumnType.STRING for child in children(node)):
        return _of_texts(node, inputs)
    if isinstance(node, And | Or):
        return _all_of(inputs) if isinstance(node, And) else _any_of(inputs)
    many = _of_many(node)
    if many is not None:
        return lambda cells: reduce(many, [cells[cell] for cell in inputs])
    function = _function(node)
    if len(inputs) == 1:
        (only,) = inputs
        return lambda cells: function(cells[only])
    left, right = inputs
    return lambda cells: function(cells[left], cells[right])


def _case(inputs: tuple[int, ...], count: int) -> ArrayStep:
    branches = tuple(zip(inputs[:count], inputs[count:-1], strict=True))[::-1]
    otherwise = inputs[-1]

    def case(cells: Vectors) -> Vector:
        made = cells[otherwise]
        for condition, result in branches:  # the last first: an earlier one that is true is put over it
            made = where(cast("Truths", cells[condition]) > 0, cells[result], made)
        return made

    return case


def _all_of(inputs: tuple[int, ...]) -> ArrayStep:
    return partial(_decided, np.minimum, -1, inputs)


def _any_of(inputs: tuple[int, ...]) -> ArrayStep:
    return partial(_decided, np.maximum, 1, inputs)


def _decided(
    fold: Callable[[Any, Any], Truths], decisive: int, inputs: tuple[int, ...], cells: Vectors
) -> Vector:
    """Return the fold of all, or the first alone where it is single and decides."""
    first = cast("Truths", cells[inputs[0]])
    if not first.ndim:
        if first == decisive:
            return first
        if first == -decisive and len(inputs) == 2:
            return cells[inputs[1]]
    return reduce(fold, [cells[cell] for cell in inputs[1:]], first)


def _of_texts(node: Expression, inputs: tuple[int, ...]) -> ArrayStep:
    if isinstance(node, Comparison) and node.operator in _EQUALITY:
        left, right = inputs
        return partial(_equal_texts, left, right, node.operator is ComparisonOperator.NOT_EQUAL)
    of_values = step_of(node, tuple(range(len(inputs))))
    return lambda cells: by_word(of_values, [cast("Words", cells[cell]) for cell in inputs], node.type)


def _equal_texts(left: int, right: int, negated: bool, cells: Vectors) -> Vector:
    first, second = cast("Words", cells[left]), cast("Words", cells[right])
    if first.codes.ndim < second.codes.ndim:
        first, second = second, first
    if second.codes.ndim:  # numbers of the same word in two tables
        common = np.array([first.number.get(word, -1) for word in second.words], dtype=np.intp)
        equal = first.codes == common[second.codes]
    else:
        equal = first.codes == first.number.get(second.words[int(second.codes)], -1)
    return truth(equal ^ negated, either(_null_of(first), _null_of(second)))


def _null_of(words: Words) -> Bools | None:
    return is_null(words) if None in words.number else None


def _of_many(node: Expression) -> Callable[[Any, Any], Vector] | None:
    """Return what folds any number of operands into one, two at a time."""
    match node:
        case Call(function=Function.COALESCE):
            return lambda first, second: where(is_null(first), second, first)
        case Call(function=Function.GREATEST | Function.LEAST):
            beats = np.greater if node.function is Function.GREATEST else np.less
            return partial(_extreme, beats)
        case _:
            return None


def _extreme(beats: Callable[[Any, Any], Bools], first: Vector, second: Vector) -> Vector:
    """Return the second where it beats the first or the first is NULL: of equals, the first stays."""
    if isinstance(first, Whole) and isinstance(second, Whole):
        better = (beats(second.values, first.values) & ~is_null(second)) | is_null(first)
    else:
        better = beats(second, first) | is_null(first)
    return where(better, second, first)


def _function(node: Expression) -> Callable[..., Vector]:
    match node:
        case OneOf(options=options):
            return partial(_one_of, options)
        case Comparison(operator=operator, left=left):
            return _COMPARISONS[left.type](operator)
        case Arithmetic(operator=operator, type=kind):
            return _WHOLE[operator] if kind is ColumnType.INT else _FLOAT[operator]
        case Negation() | Call(function=Function.ABS) if node.type is ColumnType.INT:
            return _whole_negative if isinstance(node, Negation) else _whole_size
        case Call(function=function, count=count):
            return partial(_round, 10.0**count) if function is Function.ROUND else _OF_FLOATS[function]
        case _:
            return _PLAIN[type(node)]


_EQUALITY = (ComparisonOperator.EQUAL, ComparisonOperator.NOT_EQUAL)

_COMPARE: Mapping[ComparisonOperator, Callable[[Any, Any], Bools]] = {
    ComparisonOperator.EQUAL: np.equal,
    ComparisonOperator.NOT_EQUAL: np.not_equal,
    ComparisonOperator.LESS: np.less,
    ComparisonOperator.LESS_OR_EQUAL: np.less_equal,
    ComparisonOperator.GREATER: np.greater,
    ComparisonOperator.GREATER_OR_EQUAL: np.greater_equal,
}
_OPPOSITE: Mapping[ComparisonOperator, ComparisonOperator] = {
    ComparisonOperator.LESS: ComparisonOperator.GREATER_OR_EQUAL,
    ComparisonOperator.LESS_OR_EQUAL: ComparisonOperator.GREATER,
    ComparisonOperator.GREATER: ComparisonOperator.LESS_OR_EQUAL,
    ComparisonOperator.GREATER_OR_EQUAL: ComparisonOperator.LESS,
}


def _float_comparison(operator: ComparisonOperator) -> Callable[[Floats, Floats], Vector]:
    """Return true less false: beside NaN neither a comparison nor its opposite holds."""
    if operator in _EQUALITY:
        return partial(_equal_floats, operator is ComparisonOperator.EQUAL)
    compare, opposite = _COMPARE[operator], _COMPARE[_OPPOSITE[operator]]
    return lambda first, second: _less(compare(first, second), opposite(first, second))


def _equal_floats(wanted: bool, first: Floats, second: Floats) -> Truths:
    equal, apart = np.equal(first, second), np.less(first, second) | np.greater(first, second)
    return _less(equal, apart) if wanted else _less(apart, equal)


def _less(holds: Bools, opposite: Bools) -> Truths:
    return np.subtract(holds.view(np.int8), opposite.view(np.int8))


def _whole_comparison(operator: ComparisonOperator) -> Callable[[Whole, Whole], Vector]:
    compare = _COMPARE[operator]
    return lambda first, second: truth(compare(first.values, second.values), either(first.null, second.null))


def _truth_comparison(operator: ComparisonOperator) -> Callable[[Truths, Truths], Vector]:
    # 1, 0 and -1 multiply as equality does
    if operator is ComparisonOperator.EQUAL:
        return np.multiply
    return lambda first, second: np.multiply(first, -second)


_COMPARISONS: Mapping[ColumnType, Callable[[ComparisonOperator], Callable[..., Vector]]] = {
    ColumnType.FLOAT: _float_comparison,
    ColumnType.INT: _whole_comparison,
    ColumnType.BOOL: _truth_comparison,
}


def _one_of(options: frozenset[Any], operand: Vector) -> Vector:
    if isinstance(operand, Whole):
        return truth(np.isin(operand.values, list(options)), operand.null)
    if cast("NDArray[Any]", operand).dtype == np.int8:
        among = np.where(cast("Truths", operand) > 0, True in options, False in options)
        return truth(among, is_null(operand))
    return truth(np.isin(cast("Floats", operand), list(options)), is_null(operand))


def _to_float(whole: Whole) -> Floats:
    made = whole.values.astype(np.float64)
    return made if whole.null is None else np.where(whole.null, np.nan, made)


def _round(factor: float, value: Floats) -> Floats:
    scaled = value * factor
    size = np.abs(scaled)
    below = np.floor(size)
    rounded = np.copysign(below + (size - below >= 0.5), scaled) / factor
    return np.where(np.isfinite(rounded), rounded, value)


_PLAIN: Mapping[type[Expression], Callable[..., Vector]] = {
    IsNull: lambda operand: truth(is_null(operand), None),
    Negation: np.negative,
    Not: np.negative,
    ToFloat: _to_float,
}
_OF_FLOATS: Mapping[Function, Callable[[Floats], Floats]] = {
    Function.ABS: np.abs,
    Function.CEIL: np.ceil,
    Function.FLOOR: np.floor,
    Function.SQRT: np.sqrt,
}
_FLOAT: Mapping[ArithmeticOperator, Callable[[Floats, Floats], Floats]] = {
    ArithmeticOperator.ADD: np.add,
    ArithmeticOperator.SUBTRACT: np.subtract,
    ArithmeticOperator.MULTIPLY: np.multiply,
    ArithmeticOperator.DIVIDE: np.divide,
    ArithmeticOperator.REMAINDER: np.fmod,
}


def _whole(values: NDArray[np.int64], null: Bools | None, beyond: Bools) -> Whole:
    """Return whole numbers, NULL also where they left 64 bits."""
    return Whole(values, either(null, beyond) if beyond.any() else null)


def _whole_negative(operand: Whole) -> Whole:
    return _whole(-operand.values, operand.null, operand.values == _INT64_MIN)


def _whole_size(operand: Whole) -> Whole:
    return _whole(np.abs(operand.values), operand.null, operand.values == _INT64_MIN)


def _whole_sum(first: Whole, second: Whole) -> Whole:
    made = first.values + second.values
    # beyond 64 bits, and only then, the sign differs from that of both
    beyond = ((first.values ^ made) & (second.values ^ made)) < 0
    return _whole(made, either(first.null, second.null), beyond)


def _whole_difference(first: Whole, second: Whole) -> Whole:
    made = first.values - second.values
    beyond = ((first.values ^ second.values) & (first.values ^ made)) < 0
    return _whole(made, either(first.null, second.null), beyond)


def _whole_product(first: Whole, second: Whole) -> Whole:
    made = first.values * second.values
    divisor = np.where(first.values == 0, 1, first.values)
    # a product that was cut to 64 bits does not divide back, but for this one
    cut = (first.values == -1) & (second.values == _INT64_MIN)
    beyond = ((made // divisor != second.values) & (first.values != 0)) | cut
    return _whole(made, either(first.null, second.null), beyond)


def _whole_quotient(first: Whole, second: Whole) -> Whole:
    divisor, undefined = _divisor(first, second)
    below = first.values // divisor
    # numpy rounds down, SQL towards zero
    made = below + ((below * divisor != first.values) & ((first.values < 0) != (divisor < 0)))
    return _whole(made, either(first.null, second.null), undefined)


def _whole_remainder(first: Whole, second: Whole) -> Whole:
    divisor, undefined = _divisor(first, second)
    return _whole(np.fmod(first.values, divisor), either(first.null, second.null), undefined)


def _divisor(first: Whole, second: Whole) -> tuple[NDArray[np.int64], Bools]:
    """Return divisors, and where none will do: zero, and where the quotient leaves 64 bits."""
    undefined = (second.values == 0) | ((second.values == -1) & (first.values == _INT64_MIN))
    return np.where(undefined, 1, second.values), undefined


_WHOLE: Mapping[ArithmeticOperator, Callable[[Whole, Whole], Whole]] = {
    ArithmeticOperator.ADD: _whole_sum,
    ArithmeticOperator.SUBTRACT: _whole_difference,
    ArithmeticOperator.MULTIPLY: _whole_product,
    ArithmeticOperator.INTEGER_DIVIDE: _whole_quotient,
    ArithmeticOperator.REMAINDER: _whole_remainder,
}
