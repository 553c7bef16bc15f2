"""Columns of values with NULL, one value an action: what array programs compute with.

Each type has the form in which its operations are fewest:

- float64: an array; NaN is NULL.
- bool: an array of int8: 1 true, 0 unknown, -1 false. AND is the minimum, OR the maximum, NOT the negative.
- int64: values and where they are NULL (``Whole``).
- string: numbers of words (``Words``): what is done to a text is done once a word, not once an action.

A single value is a vector of no dimension; it stretches to any length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from serving.decision.columns import ColumnType
from serving.decision.values import Scalar

Floats = NDArray[np.float64]
Truths = NDArray[np.int8]
Bools = NDArray[np.bool_]

TRUTH: Mapping[Scalar, int] = {True: 1, None: 0, False: -1}
"""How int8 tells truth."""


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """Whole numbers.

    Attributes
    ----------
    values
        int64; anything where NULL.
    null
        Where NULL, or None when nowhere.
    """

    values: NDArray[np.int64]
    null: Bools | None


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Texts.

    Attributes
    ----------
    codes
        Number of each text's word.
    words
        Each word once; None, the NULL, among them where needed.
    number
        Of each word.
    """

    codes: NDArray[np.intp]
    words: tuple[Scalar, ...]
    number: Mapping[Scalar, int]


Vector = Floats | Truths | Whole | Words


def vector(values: Sequence[Scalar], kind: ColumnType) -> Vector:
    """Return values of one type as a vector; None is NULL."""
    match kind:
        case ColumnType.FLOAT:
            return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        case ColumnType.BOOL:
            return np.array([TRUTH[value] for value in values], dtype=np.int8)
        case ColumnType.INT:
            null = np.array([value is None for value in values], dtype=np.bool_)
            whole = np.array([0 if value is None else value for value in values], dtype=np.int64)
            return Whole(whole, null if null.any() else None)
        case ColumnType.STRING:
            number = {word: position for position, word in enumerate(dict.fromkeys(values))}
            return Words(np.array([number[value] for value in values], dtype=np.intp), tuple(number), number)


def single(value: Scalar, kind: ColumnType) -> Vector:
    """Return one value as a vector of no dimension."""
    return SINGLE[kind](value)


def _single_float(value: Scalar) -> Vector:
    return cast("Floats", _NAN if value is None else np.float64(value))


def _single_truth(value: Scalar) -> Vector:
    return cast("Truths", _TRUTHS[value])


def _single_whole(value: Scalar) -> Vector:
    values = cast("NDArray[np.int64]", np.int64(value or 0))
    return Whole(values, cast("Bools", np.True_) if value is None else None)


def _single_word(value: Scalar) -> Vector:
    return Words(cast("NDArray[np.intp]", np.intp(0)), (value,), {value: 0})


# numpy's scalars do what arrays of no dimension do, and are made faster
_NAN = np.float64(np.nan)
_TRUTHS = {value: np.int8(told) for value, told in TRUTH.items()}
SINGLE: Mapping[ColumnType, Callable[[Scalar], Vector]] = {
    ColumnType.FLOAT: _single_float,
    ColumnType.BOOL: _single_truth,
    ColumnType.INT: _single_whole,
    ColumnType.STRING: _single_word,
}
"""What makes a vector of no dimension, by type."""


def is_null(of: Vector) -> Bools:
    """Return where a vector is NULL."""
    match of:
        case Whole(values, null):
            return np.zeros(values.shape, dtype=np.bool_) if null is None else null
        case Words(codes, _, number):
            null_code = number.get(None, -1)
            return np.equal(codes, null_code)
        case _ if of.dtype == np.int8:
            return np.equal(of, 0)
        case _:
            return np.isnan(of)


def taken(of: Vector, positions: NDArray[np.intp]) -> Vector:
    """Return the values at the positions."""
    match of:
        case Whole(values, null):
            return Whole(values[positions], None if null is None else null[positions])
        case Words(codes, words, number):
            return Words(codes[positions], words, number)
        case _:
            return of[positions]


def stretched(of: Vector, count: int) -> Vector:
    """Return a vector of so many values; one of no dimension is repeated."""
    match of:
        case Whole(values):
            return of if values.ndim else Whole(np.full(count, values), np.full(count, is_null(of)))
        case Words(codes, words, number):
            return of if codes.ndim else Words(np.full(count, codes), words, number)
        case _:
            return of if of.ndim else np.full(count, of)


def where(condition: Bools, first: Vector, second: Vector) -> Vector:
    """Return the first where the condition holds, else the second; both of one type."""
    match first, second:
        case Whole(), Whole():
            null = None
            if first.null is not None or second.null is not None:
                null = np.where(condition, is_null(first), is_null(second))
            return Whole(np.where(condition, first.values, second.values), null)
        case Words(), Words():
            number = dict(first.number)
            moved = np.array([number.setdefault(word, len(number)) for word in second.words], dtype=np.intp)
            return Words(np.where(condition, first.codes, moved[second.codes]), tuple(number), number)
        case _:
            return np.where(condition, first, second)  # type: ignore[arg-type]  # two arrays of one type


def truth(holds: Bools, null: Bools | None) -> Truths:
    """Return true where it holds, false where not, unknown where NULL."""
    told: Truths = (holds.astype(np.int8) << 1) - 1
    return told if null is None else np.multiply(told, np.logical_not(null), dtype=np.int8)


def either(first: Bools | None, second: Bools | None) -> Bools | None:
    """Return where one of two is NULL."""
    if first is None or second is None:
        return second if first is None else first
    return first | second


def by_word(
    function: Callable[[list[Scalar]], Scalar], operands: Sequence[Words], kind: ColumnType
) -> Vector:
    """Return a function of texts, which takes None for NULL, as a vector of another or the same type.

    It is called once a word where one operand alone has several, else once a row.
    """
    if not any(operand.codes.ndim for operand in operands):
        return single(function([operand.words[int(operand.codes)] for operand in operands]), kind)
    long = [position for position, operand in enumerate(operands) if operand.codes.ndim]
    if len(long) == 1:
        (place,) = long
        values = [None if operand.codes.ndim else operand.words[int(operand.codes)] for operand in operands]
        made = [function([*values[:place], word, *values[place + 1 :]]) for word in operands[place].words]
        return taken(vector(made, kind), operands[place].codes)
    codes = np.broadcast_arrays(*(operand.codes for operand in operands))
    rows = zip(*(each.tolist() for each in codes), strict=True)
    tables = [operand.words for operand in operands]
    return vector(
        [function([table[code] for table, code in zip(tables, row, strict=True)]) for row in rows], kind
    )
