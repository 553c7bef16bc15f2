"""What actions add is kept, and the log-odds are those of the whole rows, bit for bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.layout import ColumnKind, ColumnSource, RowColumn, RowLayout
from serving.bundles.action_margins import ActionMargins
from serving.bundles.linear import LinearColumn, LinearModel
from tests.unit.serving.test_linear import column


def drawn(rng: np.random.Generator, place: int) -> tuple[RowColumn, LinearColumn]:
    """Draw a column from anywhere; cross columns are numeric."""
    source = list(ColumnSource)[int(rng.integers(4))]
    told = column(rng, place, words=0.0 if source is ColumnSource.CROSS else 0.4)
    categories = tuple(map(str, told.category_weights or ()))
    kind = ColumnKind.CATEGORICAL if categories else ColumnKind.NUMERIC
    return RowColumn(told.name, kind, source, categories), told


@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.integers(1, 40), st.booleans())
def test_log_odds_are_those_of_the_rows(seed: int, width: int, number: int, crossed: bool) -> None:
    rng = np.random.default_rng(seed)
    columns = [drawn(rng, place) for place in range(width)]
    if rng.random() < 0.5:  # as layouts are made: the customer's columns first
        columns.sort(key=lambda pair: list(ColumnSource).index(pair[0].source))
    layout = RowLayout(tuple(column for column, _ in columns))
    model = LinearModel(
        float(rng.normal()),
        tuple(column for _, column in columns),
        int(rng.integers(layout.customer_columns + 1)),
    )
    matrix = np.empty((number, width), dtype=np.float32)
    for place, (_, told) in enumerate(columns):
        codes = len(told.category_weights)
        matrix[:, place] = rng.integers(codes, size=number) if codes else rng.normal(scale=9, size=number)
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    customer, crosses = layout.places(ColumnSource.CUSTOMER), layout.places(ColumnSource.CROSS)
    nobody = matrix.copy()
    nobody[:, [*customer, *crosses]] = np.nan
    actions = rng.choice(number, int(rng.integers(1, 2 * number + 1)))
    rows = matrix[actions]
    rows[:, customer] = rows[:1, customer]
    if not crossed:
        rows[:, crosses] = np.nan
    found = ActionMargins(model, nobody, layout).of(
        rows[0, customer], rows[:, crosses] if crossed else None, actions
    )
    assert np.array_equal(found, model.margins(rows))
    assert np.array_equal(found, model.margins(rows, [len(rows)]))
