"""The functions a rule may call, and what each means for values that are not NULL.

A function is here only if it can be made to agree with DuckDB to the last bit and letter. What each does is
DuckDB's, corner cases included:

- ``ROUND(x, digits)`` rounds halves away from zero; digits are a constant from 0 to 15. ``FLOOR`` and
  ``CEIL`` make a DOUBLE.
- ``GREATEST``, ``LEAST`` leave out NULL, and are NULL when nothing is left.
- Text is compared and counted by code points. ``LOWER`` and ``UPPER`` turn one code point into one, as
  Unicode's simple mappings do: ``UPPER('ß')`` is ``ẞ``, a ligature stays, a final sigma is a sigma.
  ``TRIM`` takes away spaces (Unicode's Zs) at both ends, and nothing else: no tabs, no line breaks.

Left out, because two libraries may differ in the last bit: ``LN``, ``LOG``, ``EXP``, ``POWER`` (SQRT is exact
everywhere by IEEE 754). Because they hang on tables that change with versions: collations, ``ILIKE``, regular
expressions, accents, times and time zones. Because they are random or read a clock: ``RANDOM``, ``NOW``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from serving.decision.expression import Function
from serving.decision.values import Scalar

MOST_DIGITS = 15
"""ROUND to more digits than a DOUBLE holds would say nothing."""

USAGE: Mapping[Function, str] = {
    Function.ABS: "ABS(number)",
    Function.CEIL: "CEIL(number)",
    Function.COALESCE: "COALESCE(value, value, ...)",
    Function.CONTAINS: "CONTAINS(text, part)",
    Function.ENDS_WITH: "ENDS_WITH(text, part)",
    Function.FLOOR: "FLOOR(number)",
    Function.GREATEST: "GREATEST(value, value, ...)",
    Function.LEAST: "LEAST(value, value, ...)",
    Function.LEFT: "LEFT(text, count)",
    Function.LENGTH: "LENGTH(text)",
    Function.LOWER: "LOWER(text)",
    Function.RIGHT: "RIGHT(text, count)",
    Function.ROUND: "ROUND(number) or ROUND(number, digits)",
    Function.SQRT: "SQRT(number)",
    Function.STARTS_WITH: "STARTS_WITH(text, part)",
    Function.TRIM: "TRIM(text)",
    Function.UPPER: "UPPER(text)",
}
"""How each function is written, for faults and documentation."""

_WHOLE_FROM = 2.0**52
"""From here on every DOUBLE is a whole number."""


def meaning(function: Function, count: int) -> Callable[..., Scalar]:
    """Return a function of values that are not NULL; for ABS of a whole number, it may leave 64 bits."""
    match function:
        case Function.ROUND:
            return lambda value: _round(value, count)
        case Function.LEFT:
            return lambda text: text[:count]
        case Function.RIGHT:
            return lambda text: text[len(text) - min(count, len(text)) :]
        case _:
            return _MEANINGS[function]


def _round(value: float, digits: int) -> float:
    factor = 10.0**digits
    rounded = _half_away(value * factor) / factor
    return rounded if math.isfinite(rounded) else value


def _half_away(value: float) -> float:
    size = abs(value)
    if not size < _WHOLE_FROM:
        return value
    below = math.floor(size)
    return math.copysign(below + (size - below >= 0.5), value)


def _floor(value: float) -> float:
    # copysign: DuckDB keeps the sign of zero, which 1 / x tells apart
    return math.copysign(math.floor(value), value) if math.isfinite(value) else value


def _ceil(value: float) -> float:
    return math.copysign(math.ceil(value), value) if math.isfinite(value) else value


def _sqrt(value: float) -> float | None:
    return math.sqrt(value) if value >= 0 else None


class _CodePoints(dict[int, str]):
    """A table for ``str.translate`` that fills itself."""

    def __init__(self, mapped: Callable[[str], str]) -> None:
        self._mapped = mapped

    def __missing__(self, code: int) -> str:
        self[code] = self._mapped(chr(code))
        return self[code]


def _simple_lower(sign: str) -> str:
    lower = sign.lower()
    return lower[0]  # of İ, the only one with a longer one, the first is the simple mapping


def _simple_upper(sign: str) -> str:
    if sign == "ß":
        return "ẞ"
    # where the full mapping is longer, that to title case is often the simple one; if not, there is none
    return next((one for one in (sign.upper(), sign.title()) if len(one) == 1), sign)


_LOWER, _UPPER = _CodePoints(_simple_lower), _CodePoints(_simple_upper)


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_LOWER)


def _upper(text: str) -> str:
    return text.upper() if text.isascii() else text.translate(_UPPER)


_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


_MEANINGS: Mapping[Function, Callable[..., Any]] = {
    Function.ABS: abs,
    Function.CEIL: _ceil,
    Function.CONTAINS: lambda text, part: part in text,
    Function.ENDS_WITH: str.endswith,
    Function.FLOOR: _floor,
    Function.LENGTH: len,
    Function.LOWER: _lower,
    Function.SQRT: _sqrt,
    Function.STARTS_WITH: str.startswith,
    Function.TRIM: lambda text: text.strip(_SPACES),
    Function.UPPER: _upper,
}
