"""What a rule may be, and how a mistake in one is told."""

from __future__ import annotations

import pytest

from serving.decision.columns import Column, ColumnType
from serving.decision.expression import columns_of
from serving.decision.formula import parse_formula
from serving.decision.parsing import parse_rule

COLUMNS = {
    "kids": Column(ColumnType.INT),
    "spend_30d": Column(ColumnType.FLOAT),
    "vegan": Column(ColumnType.BOOL),
    "age_band": Column(ColumnType.STRING, ("19-24", "25-34")),
    "city": Column(ColumnType.STRING),
    "context.hour": Column(ColumnType.INT),
    "action.value": Column(ColumnType.FLOAT),
}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("kids > 1", ("kids",)),
        ("NOT vegan", ("vegan",)),
        ("context.hour BETWEEN 8 AND 20 AND age_band IN ('19-24')", ("age_band", "context.hour")),
        ("action.value * 2 <= spend_30d -- a comment", ("action.value", "spend_30d")),
        ("city LIKE 'B%' OR city IS NULL", ("city",)),
        ("TRUE", ()),
        ("CASE WHEN vegan THEN kids ELSE 0 END > 1", ("kids", "vegan")),
        ("CASE age_band WHEN '19-24' THEN vegan END", ("age_band", "vegan")),
        ("COALESCE(kids, spend_30d, 0) > LENGTH(city)", ("city", "kids", "spend_30d")),
        ("NULLIF(kids, 0) IS NULL OR IFNULL(city, '') = ''", ("city", "kids")),
        ("greatest(kids, action.value) > ceiling(least(1, 2))", ("action.value", "kids")),
        ("starts_with(LOWER(TRIM(city)), 'b')", ("city",)),
    ],
)
def test_a_rule_knows_its_columns(text: str, columns: tuple[str, ...]) -> None:
    parsed = parse_rule(text, COLUMNS)

    assert parsed.faults == ()
    assert parsed.expression is not None
    assert columns_of(parsed.expression) == columns


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kid > 1", "there is no column `kid`; did you mean `kids`?"),
        ("hour > 1", "there is no column `hour`; did you mean `context.hour`?"),
        ("action.values > 1", "there is no column `action.values`; did you mean `action.value`?"),
        ("age_band = '25-43'", "`age_band` is never '25-43'; did you mean `25-34`?"),
        ("age_band IN ('x')", "`age_band` is never 'x'; it is one of '19-24', '25-34'"),
        ("kids > '1'", "`kids > '1'` compares a whole number with text"),
        ("kids", "`kids` is a whole number where a condition is needed; compare it"),
        ("vegan < TRUE", "`vegan < TRUE`: true and false have no order; use = or <>"),
        ("kids = NULL", "NULL equals nothing, not even NULL; use IS NULL or IS NOT NULL"),
        ("kids IN (1, NULL)", "NULL in IN never matches; use IS NULL"),
        ("kids IN (1.5)", "`kids IN (1.5)`: every constant must be a whole number"),
        ("city + 1 > 2", "`city` is text where a number is needed"),
        ("spend_30d // 2 > 1", "`spend_30d // 2`: // takes whole numbers; use /"),
        ("kids LIKE '1%'", "`kids` is a whole number; LIKE needs text"),
        ("city LIKE city", "`city LIKE city`: LIKE takes a text constant"),
        ("kids IS 3", "`kids IS 3`: IS takes NULL, TRUE or FALSE; use ="),
        ("kids > 99999999999999999999", "`99999999999999999999` is not a number that fits into 64 bits"),
        ("ABSS(kids) > 1", "there is no function `ABSS`; did you mean `ABS`?"),
        (
            "IF(vegan, TRUE, FALSE)",
            "`CASE WHEN vegan THEN TRUE ELSE FALSE END`: use CASE WHEN ... THEN ... ELSE ... END",
        ),
        ("LENGTH(kids) > 1", "`kids` is a whole number; LENGTH needs text"),
        ("FLOOR(spend_30d, 2) > 1", "FLOOR is written FLOOR(number) here"),
        ("LEFT(city, kids) = 'a'", "`LEFT(city, kids)`: LEFT takes a constant number of characters"),
        ("ROUND(kids, 16) = 1", "`ROUND(kids, 16)`: the digits of ROUND are a constant from 0 to 15"),
        ("GREATEST(vegan, TRUE)", "`GREATEST(vegan, TRUE)`: true and false have no order; use AND or OR"),
        ("COALESCE(kids, NULL) > 1", "`COALESCE(kids, NULL)`: COALESCE passes over NULL; leave it out"),
        (
            "COALESCE(kids, 'x') > 1",
            "`COALESCE(kids, 'x')` makes a whole number and text; its results must be of one type",
        ),
        ("CASE WHEN kids THEN vegan END", "`kids` is a whole number where a condition is needed; compare it"),
        (
            "CASE WHEN vegan THEN NULL END IS NULL",
            "`CASE WHEN vegan THEN NULL END` is always NULL; give it a result",
        ),
        ("CASE age_band WHEN '25-43' THEN vegan END", "`age_band` is never '25-43'; did you mean `25-34`?"),
        ("NULLIF(kids, 'x') IS NULL", "`kids = 'x'` compares a whole number with text"),
        ("kids > 1; DROP TABLE x", "a rule is exactly one predicate; write one, without `;`"),
        ("", "a rule is exactly one predicate; write one, without `;`"),
        ("kids > 1 AND", "it cannot be read as SQL: something is missing near `AND`"),
        ("city = 'B", "it cannot be read as SQL: is a quote or a bracket left open?"),
    ],
)
def test_a_mistake_is_told_with_the_way_out(text: str, fault: str) -> None:
    parsed = parse_rule(text, COLUMNS)

    assert parsed.expression is None
    assert parsed.faults == (fault,)


@pytest.mark.parametrize(
    "text",
    [
        "kids > (SELECT 1)",
        "kids IN (SELECT 1)",
        "SIN(kids) > 1",
        "LN(kids) > 1",
        "NOW() > 1",
        "SUM(kids) > 1",
        "ABS(kids) OVER () > 1",
        "ABS(DISTINCT kids) > 1",
        "GREATEST(kids, 1) IGNORE NULLS > 1",
        "TRIM(BOTH 'x' FROM city) = 'a'",
        "LTRIM(city) = 'a'",
        "city || 'x' = 'a'",
        "city COLLATE NOCASE = 'a'",
        "COALESCE(kids, (SELECT 1)) > 1",
        "TRY(kids) > 1",
        "x.ABS(kids) > 1",
        "LOWER(city, 2) = 'a'",
        "CAST(kids AS INT) = 1",
        "kids::INT = 1",
        "CASE WHEN vegan THEN (SELECT TRUE) END",
        "IF(vegan, TRUE, FALSE)",
        "kids BETWEEN SYMMETRIC 1 AND 2",
        "kids IS DISTINCT FROM 1",
        "city LIKE 'a' ESCAPE 'x'",
        "city ILIKE 'a'",
        "city ~ 'a'",
        "kids = ?",
        "kids AS x",
        "* = 1",
        "DROP TABLE x",
        "SET x = 1",
        "kids = ANY(1)",
        "date '2026-01-01' > kids",
    ],
)
def test_nothing_else_is_let_through(text: str) -> None:
    parsed = parse_rule(text, COLUMNS)

    assert parsed.expression is None
    assert parsed.faults


def test_every_mistake_of_a_rule_is_told_at_once() -> None:
    assert len(parse_rule("kid > 1 AND hours = 3 OR age_band = '1'", COLUMNS).faults) == 3


@pytest.mark.parametrize("text", ["(" * 5000 + "vegan" + ")" * 5000, "NOT " * 5000 + "vegan"])
def test_depth_is_a_fault_not_a_crash(text: str) -> None:
    assert parse_rule(text, COLUMNS).faults


def test_a_long_flat_rule_is_fine() -> None:
    assert parse_rule(" OR ".join(f"kids = {number}" for number in range(300)), COLUMNS).faults == ()


def test_without_a_contract_a_feature_takes_the_type_its_place_asks_for() -> None:
    parsed = parse_rule("anything = 'x' AND other > 3 AND flag", {}, closed=False)

    assert parsed.faults == ()


def test_without_a_contract_results_take_the_type_of_one_another() -> None:
    text = "CASE WHEN a THEN b ELSE c END AND COALESCE(d, 'x') = e AND COALESCE(f, g)"

    assert parse_rule(text, {}, closed=False).faults == ()


@pytest.mark.parametrize(
    ("text", "columns", "faults"),
    [
        ("propensity * value * lever", ("lever", "propensity", "value"), ()),
        ("kids", ("kids",), ()),
        ("CASE WHEN vegan THEN 2 ELSE 1 END * context_weight", ("context_weight", "vegan"), ()),
        ("propensity * valu", (), ("there is no column `valu`; did you mean `value`?",)),
        ("vegan", (), ("`vegan` is true or false where a number is needed",)),
        ("", (), ("a formula is exactly one expression; write one, without `;`",)),
    ],
)
def test_a_formula_makes_a_number_of_factors_and_columns(
    text: str, columns: tuple[str, ...], faults: tuple[str, ...]
) -> None:
    parsed = parse_formula(text, COLUMNS)

    assert parsed.faults == faults
    if parsed.formula is not None:
        assert parsed.formula.expression.type is ColumnType.FLOAT
        assert columns_of(parsed.formula.expression) == columns
