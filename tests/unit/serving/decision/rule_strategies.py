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
_WORDS = (
    *(
        "",
        "a",
        "b",
        "A",
        "ab",
        "äöü",
        "a%b",
        "a_b",
        "line\nbreak",
        "it's",
        "0",
        "\\",
        "𝄞x",
        " a ",
        "\ta\u3000",
    ),
    *("ÄÖÜ", "Straße", "ὈΔΥΣΣΕΎΣ", "İı", "ﬁ", "ǆ", "e\u0301"),
)

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


_whole_columns = st.sampled_from(("whole", "other_whole"))
_whole_atoms = _whole_columns | st.integers(-9, 9).map(str)
_real_columns = st.sampled_from(("real", "other_real"))
_real_atoms = _real_columns | st.sampled_from(("0.5", "-1.5", "1e3", "2.0", ".25"))
_word_atoms = st.sampled_from(("word", "other_word")) | words.map(_quoted)
_flag_atoms = st.sampled_from(("flag", "other_flag", "TRUE", "FALSE"))


@st.composite
def _arithmetic(draw: st.DrawFn, inner: st.SearchStrategy[str], operators: tuple[str, ...]) -> str:
    left, right = draw(inner), draw(inner)
    text = f"{left} {draw(st.sampled_from(operators))} {right}"
    return draw(st.sampled_from((f"({text})", f"(-({text}))")))


def _called(names: tuple[str, ...], *arguments: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    drawn = st.tuples(st.sampled_from(names), *arguments)
    return drawn.map(lambda parts: f"{parts[0]}({', '.join(parts[1:])})")


def _of_any_type(inner: st.SearchStrategy[str]) -> tuple[st.SearchStrategy[str], ...]:
    """Return CASE and COALESCE, which are the same for every type."""
    conditions = _flag_atoms | st.sampled_from(("whole > 0", "real < 1.0", "word IS NULL", "word = 'a'"))
    otherwise = inner.map(lambda text: f"ELSE {text} ") | st.sampled_from(("", "ELSE NULL "))
    searched = st.tuples(conditions, inner, conditions, inner, otherwise)
    simple = st.tuples(st.integers(-3, 3), inner, otherwise)
    return (
        searched.map(lambda parts: "(CASE WHEN {} THEN {} WHEN {} THEN {} {}END)".format(*parts)),
        simple.map(lambda parts: "(CASE whole WHEN {} THEN {} {}END)".format(*parts)),
        _called(("COALESCE",), inner, inner) | _called(("COALESCE",), inner, inner, inner),
    )


def _of_ordered_type(inner: st.SearchStrategy[str]) -> tuple[st.SearchStrategy[str], ...]:
    return (
        *_of_any_type(inner),
        _called(("GREATEST", "LEAST", "NULLIF"), inner, inner),
        _called(("GREATEST", "LEAST"), inner, inner, inner),
    )


def _texts() -> st.SearchStrategy[str]:
    def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            _called(("LOWER", "UPPER", "TRIM"), inner),
            _called(("LEFT", "RIGHT"), inner, st.integers(0, 3).map(str)),
            *_of_ordered_type(inner),
        )

    return st.recursive(_word_atoms, deeper, max_leaves=3)


def _wholes(*, arithmetic: bool) -> st.SearchStrategy[str]:
    """Return whole numbers; without arithmetic, none that may leave 64 bits."""

    def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        exact = (_called(("ROUND",), inner), _called(("LENGTH",), _texts()), *_of_ordered_type(inner))
        if not arithmetic:
            return st.one_of(*exact)
        return st.one_of(_arithmetic(inner, ("+", "-", "*", "//", "%")), _called(("ABS",), inner), *exact)

    return st.recursive(_whole_atoms, deeper, max_leaves=3)


def _reals(*, arithmetic: bool) -> st.SearchStrategy[str]:
    """Return numbers of both types; without arithmetic, no constants that DuckDB takes for decimals."""

    def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        exact = (
            _called(("ABS", "ROUND", "FLOOR", "CEIL"), inner),
            _called(("ROUND",), inner, st.integers(0, 15).map(str)),
            *_of_ordered_type(inner),
        )
        if not arithmetic:
            return st.one_of(*exact)
        return st.one_of(_arithmetic(inner, ("+", "-", "*", "/", "%")), _called(("SQRT",), inner), *exact)

    if not arithmetic:
        return st.recursive(_real_columns, deeper, max_leaves=4) | _real_atoms
    return st.recursive(_wholes(arithmetic=True) | _real_atoms, deeper, max_leaves=4)


@st.composite
def _comparison(draw: st.DrawFn, sides: st.SearchStrategy[str]) -> str:
    operator = draw(st.sampled_from(("=", "<>", "!=", "<", "<=", ">", ">=")))
    return f"{draw(sides)} {operator} {draw(sides)}"


@st.composite
def _between(draw: st.DrawFn, sides: st.SearchStrategy[str]) -> str:
    word = draw(st.sampled_from(("BETWEEN", "NOT BETWEEN")))
    return f"{draw(sides)} {word} {draw(sides)} AND {draw(sides)}"


@st.composite
def _membership(draw: st.DrawFn, numbers: st.SearchStrategy[str]) -> str:
    operand, constants = draw(
        st.sampled_from(
            (
                (numbers, st.integers(-3, 3).map(str)),
                (_real_columns, st.sampled_from(("0.5", "1", "-1.5", "0", "0.1"))),
                (_texts(), words.map(_quoted)),
                (_flag_atoms, st.sampled_from(("TRUE", "FALSE"))),
            )
        )
    )
    listed = ", ".join(draw(st.lists(constants, min_size=1, max_size=3)))
    return f"{draw(operand)} {draw(st.sampled_from(('IN', 'NOT IN')))} ({listed})"


@st.composite
def _like(draw: st.DrawFn) -> str:
    pattern = draw(
        st.sampled_from(("%", "a%", "%b", "_", "a_b", "%\n%", "", "%'s", "__", "\\%", "𝄞_", "a.b"))
    )
    return f"{draw(_texts())} {draw(st.sampled_from(('LIKE', 'NOT LIKE')))} {_quoted(pattern)}"


_null_tests = st.sampled_from(
    ("whole IS NULL", "real IS NOT NULL", "word IS NULL", "flag IS TRUE", "flag IS NOT FALSE", "flag")
)


def numbers() -> st.SearchStrategy[str]:
    """Return SQL that makes a number of either type: what a formula may be."""
    return _reals(arithmetic=True)


def rules(*, arithmetic: bool) -> st.SearchStrategy[str]:
    """Return SQL predicates; brackets are left out where precedence must do.

    Without arithmetic, only such as mean the same to DuckDB as they are written.
    """
    wholes, reals = _wholes(arithmetic=arithmetic), _reals(arithmetic=arithmetic)
    atoms = (
        _comparison(wholes)
        | _comparison(reals)
        | _comparison(_texts())
        | _between(wholes)
        | _between(reals)
        | _membership(wholes)
        | _like()
        | _called(("STARTS_WITH", "ENDS_WITH", "CONTAINS"), _texts(), _texts())
        | _null_tests
        | st.tuples(reals | _texts(), st.sampled_from((" IS NULL", " IS NOT NULL"))).map("".join)
        | st.tuples(_flag_atoms, st.sampled_from(("=", "<>")), _flag_atoms).map(" ".join)
    )
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from((" AND ", " OR ")), inner).map("".join),
            inner.map(lambda text: f"NOT ({text})"),
            inner.map(lambda text: f"({text})"),
            *_of_any_type(inner.map(lambda text: f"({text})")),
        ),
        max_leaves=6,
    )
