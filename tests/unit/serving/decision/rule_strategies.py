"""Rules and rows for hypothesis: any predicate the parser lets through, any value a column can hold."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from serving.decision.columns import Column, ColumnType
from serving.decision.values import Scalar

COLUMNS: Mapping[str, Column] = {
    "whole": Column(ColumnType.INT),
    "other_whole": Column(ColumnType.INT),
    "real": Column(ColumnType.FLOAT),
    "other_real": Column(ColumnType.FLOAT),
    "word": Column(ColumnType.STRING),
    "other_word": Column(ColumnType.STRING),
    "flag": Column(ColumnType.BOOL),
    "other_flag": Column(ColumnType.BOOL),
}
_EXTREME = (-(2**63), 2**63 - 1, 2**53 + 1, 0, -1)
_WORDS = ("", "a", "b", "A", "ab", "äöü", "a%b", "a_b", "line\nbreak", "it's", "0", "\\", "𝄞x")

wholes = st.integers(-5, 5) | st.sampled_from(_EXTREME)
reals = st.sampled_from((-1.5, -0.0, 0.0, 0.1, 0.3, 1.0, 2.5, 1e308, -1e308, 5e-324)) | st.floats(-9, 9)
words = st.sampled_from(_WORDS)
_ends = st.sampled_from((float("nan"), float("inf"), float("-inf")))


def rows(*, ends: bool) -> st.SearchStrategy[dict[str, Scalar]]:
    """Return rows; with ``ends``, also NaN and the infinities."""
    real = st.none() | reals | (_ends if ends else st.nothing())
    values: dict[ColumnType, st.SearchStrategy[Scalar]] = {
        ColumnType.INT: st.none() | wholes,
        ColumnType.FLOAT: real,
        ColumnType.STRING: st.none() | words,
        ColumnType.BOOL: st.none() | st.booleans(),
    }
    return st.fixed_dictionaries({name: values[column.type] for name, column in COLUMNS.items()})


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _number_text(value: float) -> str:
    return repr(value) if isinstance(value, int) or value > 0 else f"{value!r}"


_whole_atoms = st.sampled_from(("whole", "other_whole")) | st.integers(-9, 9).map(str)
_real_atoms = st.sampled_from(("real", "other_real")) | st.sampled_from(("0.5", "-1.5", "1e3", "2.0", ".25"))
_word_atoms = st.sampled_from(("word", "other_word")) | words.map(_quoted)
_flag_atoms = st.sampled_from(("flag", "other_flag", "TRUE", "FALSE"))


@st.composite
def _arithmetic(draw: st.DrawFn, inner: st.SearchStrategy[str], operators: tuple[str, ...]) -> str:
    left, right = draw(inner), draw(inner)
    text = f"{left} {draw(st.sampled_from(operators))} {right}"
    return draw(st.sampled_from((f"({text})", f"(-({text}))")))


def _numbers(*, arithmetic: bool) -> st.SearchStrategy[str]:
    if not arithmetic:
        return _whole_atoms | _real_atoms
    whole = st.recursive(
        _whole_atoms, lambda inner: _arithmetic(inner, ("+", "-", "*", "//", "%")), max_leaves=3
    )
    return st.recursive(
        whole | _real_atoms, lambda inner: _arithmetic(inner, ("+", "-", "*", "/", "%")), max_leaves=3
    )


@st.composite
def _comparison(draw: st.DrawFn, sides: st.SearchStrategy[str]) -> str:
    operator = draw(st.sampled_from(("=", "<>", "!=", "<", "<=", ">", ">=")))
    return f"{draw(sides)} {operator} {draw(sides)}"


@st.composite
def _between(draw: st.DrawFn, sides: st.SearchStrategy[str]) -> str:
    word = draw(st.sampled_from(("BETWEEN", "NOT BETWEEN")))
    return f"{draw(sides)} {word} {draw(sides)} AND {draw(sides)}"


@st.composite
def _membership(draw: st.DrawFn) -> str:
    column, constants = draw(
        st.sampled_from(
            (
                ("whole", st.integers(-3, 3).map(str)),
                ("real", st.sampled_from(("0.5", "1", "-1.5", "0", "0.1"))),
                ("word", words.map(_quoted)),
                ("flag", st.sampled_from(("TRUE", "FALSE"))),
            )
        )
    )
    listed = ", ".join(draw(st.lists(constants, min_size=1, max_size=3)))
    return f"{column} {draw(st.sampled_from(('IN', 'NOT IN')))} ({listed})"


@st.composite
def _like(draw: st.DrawFn) -> str:
    pattern = draw(
        st.sampled_from(("%", "a%", "%b", "_", "a_b", "%\n%", "", "%'s", "__", "\\%", "𝄞_", "a.b"))
    )
    return f"word {draw(st.sampled_from(('LIKE', 'NOT LIKE')))} {_quoted(pattern)}"


_null_tests = st.sampled_from(
    ("whole IS NULL", "real IS NOT NULL", "word IS NULL", "flag IS TRUE", "flag IS NOT FALSE", "flag")
)


def rules(*, arithmetic: bool) -> st.SearchStrategy[str]:
    """Return SQL predicates; brackets are left out where precedence must do."""
    numbers = _numbers(arithmetic=arithmetic)
    atoms = (
        _comparison(numbers)
        | _comparison(_word_atoms)
        | _between(numbers)
        | _membership()
        | _like()
        | _null_tests
        | st.tuples(_flag_atoms, st.sampled_from(("=", "<>")), _flag_atoms).map(" ".join)
    )
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from((" AND ", " OR ")), inner).map("".join),
            inner.map(lambda text: f"NOT ({text})"),
            inner.map(lambda text: f"({text})"),
        ),
        max_leaves=6,
    )
