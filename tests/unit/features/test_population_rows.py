"""A model row of one among many is the row of one alone, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.contract import DType, FeatureContract
from features.definitions import CUSTOMER_V1
from features.layout import ActionFacts, ColumnSource, RowLayout, propensity_layout
from features.population_rows import PopulationEncoder
from features.rows import ContextValue, RowEncoder
from moment.errors import InvariantViolation

CATEGORIES = ("TEA", "JAM", "HAM")
ACTIONS = tuple(
    ActionFacts(f"a{n}", f"g{n % 2}", CATEGORIES[n % 3] if n else None, "DELI", float(n), None, n + 0.5, 3.0)
    for n in range(6)
)
CONTEXT: dict[str, ContextValue] = {"window_days": 14.0, "offers_together": 3, "exposure": "observed"}
LAYOUT = propensity_layout(CUSTOMER_V1, ACTIONS)
KEYS = {"category": CATEGORIES, "department": ("DELI",), "action": ("a1", "a2"), "group": ("g0",)}


def customers(number: int) -> list[dict[str, Any]]:
    """Return simulated customers, a fifth of whose features are missing."""
    rng = np.random.default_rng(5)

    def value(name: str, dtype: DType, categories: tuple[str, ...]) -> Any:  # noqa: ANN401
        names = KEYS.get(name.partition("_")[0], ())
        drawn: dict[DType, object] = {
            DType.BOOL: bool(rng.random() < 0.5),
            DType.INT64: int(rng.integers(-(2**60), 2**60)),
            DType.FLOAT64: float(rng.lognormal(sigma=3)),
            DType.STRING: str(rng.choice([*categories, "a word nobody declared"])),
            DType.STRING_LIST: names,
            DType.FLOAT_LIST: tuple(rng.uniform(0, 9, len(names)).tolist()),
        }
        return None if rng.random() < 0.2 else drawn[dtype]

    return [{s.name: value(s.name, s.dtype, s.categories) for s in CUSTOMER_V1} for _ in range(number)]


def table(rows: list[dict[str, Any]]) -> pa.Table:
    types = {
        DType.BOOL: pa.bool_(),
        DType.INT64: pa.int64(),
        DType.FLOAT64: pa.float64(),
        DType.STRING: pa.string(),
        DType.STRING_LIST: pa.list_(pa.string()),
        DType.FLOAT_LIST: pa.list_(pa.float64()),
    }
    return pa.table({s.name: pa.array([row[s.name] for row in rows], types[s.dtype]) for s in CUSTOMER_V1})


@pytest.mark.parametrize("crossed", [True, False])
def test_rows_of_many_are_rows_of_each(crossed: bool) -> None:
    layout = LAYOUT if crossed else uncrossed(LAYOUT)
    rows = customers(60)
    rng = np.random.default_rng(2)
    chosen = np.sort(rng.choice(60, 40, replace=False))
    actions = [np.flatnonzero(rng.random(len(ACTIONS)) < 0.5) for _ in chosen]
    encoder = PopulationEncoder(layout, CUSTOMER_V1, ACTIONS)
    found = encoder.matrix(encoder.customers(table(rows)), chosen, actions, CONTEXT)
    alone = RowEncoder(layout, ACTIONS)
    expected = np.concatenate(
        [alone.matrix(rows[row], own, CONTEXT) for row, own in zip(chosen.tolist(), actions, strict=True)]
    )
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected, strict=True)
    assert np.isnan(found).any()


def uncrossed(layout: RowLayout) -> RowLayout:
    return RowLayout(tuple(column for column in layout.columns if column.source is not ColumnSource.CROSS))


def test_nobody_makes_no_rows() -> None:
    encoder = PopulationEncoder(LAYOUT, CUSTOMER_V1, ACTIONS)
    none = encoder.matrix(encoder.customers(table([])), np.empty(0, dtype=np.intp), [], CONTEXT)
    assert none.shape == (0, len(LAYOUT.columns))


def test_a_feature_the_layout_names_must_be_there() -> None:
    fewer = FeatureContract("customer_v1", CUSTOMER_V1.features[1:])
    with pytest.raises(InvariantViolation, match=f"no '{CUSTOMER_V1.features[0].name}'"):
        PopulationEncoder(LAYOUT, fewer, ACTIONS)
    renamed = replace(LAYOUT.columns[-1], name="weather")
    encoder = PopulationEncoder(RowLayout((*LAYOUT.columns[:-1], renamed)), CUSTOMER_V1, ACTIONS)
    with pytest.raises(InvariantViolation, match="weather"):
        encoder.matrix(encoder.customers(table([])), np.empty(0, dtype=np.intp), [], CONTEXT)
