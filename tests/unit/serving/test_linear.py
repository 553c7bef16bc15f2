"""A linear model adds a customer's columns up once for all of their rows, and nobody can tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.bundles import LinearColumn, LinearModel

SEEDS = st.integers(0, 2**32 - 1)


def drawn(rng: np.random.Generator, columns: int, customer_columns: int) -> LinearModel:
    return LinearModel(
        float(rng.normal()), tuple(column(rng, place) for place in range(columns)), customer_columns
    )


def column(rng: np.random.Generator, place: int, *, words: float = 0.3) -> LinearColumn:
    """Draw a column; `words` is the chance that it is of words."""
    missing = float(rng.normal())
    if rng.random() < words:
        weights = tuple(rng.normal(size=int(rng.integers(1, 6))).tolist())
        return LinearColumn(f"c{place}", missing_weight=missing, category_weights=weights)
    return LinearColumn(
        f"c{place}",
        weight=float(rng.normal()),
        center=float(rng.normal()),
        scale=float(rng.uniform(0.1, 5)),
        limit=float(rng.uniform(0.5, 10)),
        log=bool(rng.random() < 0.5),
        missing_weight=missing,
    )


def rows_of(rng: np.random.Generator, model: LinearModel, counts: list[int]) -> NDArray[np.float32]:
    """Draw the rows of some customers, alike within each in the customers' columns."""

    def block(columns: tuple[LinearColumn, ...], number: int) -> NDArray[np.float32]:
        block = np.empty((number, len(columns)), dtype=np.float32)
        for place, one in enumerate(columns):
            codes = len(one.category_weights)
            block[:, place] = rng.integers(codes, size=number) if codes else rng.normal(scale=9, size=number)
        block[rng.random(block.shape) < 0.2] = np.nan
        return block

    first = model.customer_columns
    shared = np.repeat(block(model.columns[:first], len(counts)), counts, axis=0)
    return np.concatenate((shared, block(model.columns[first:], sum(counts))), axis=1)


def plainly(model: LinearModel, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the margins in the order they were always summed in: numbers first, then word after word."""
    parts = [(one, one.margins(matrix[:, place])) for place, one in enumerate(model.columns)]
    numbers = [part for one, part in parts if not one.category_weights]
    side_by_side = np.array(numbers).T.copy(order="C") if numbers else np.empty((len(matrix), 0))
    total: NDArray[np.float64] = model.intercept + side_by_side.sum(axis=1)
    for one, part in parts:
        if one.category_weights:
            total += part
    return total


@given(SEEDS, st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 40), st.data())
def test_margins_are_the_sum_of_the_columns_bit_for_bit(
    seed: int, counts: list[int], columns: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    model = drawn(rng, columns, data.draw(st.integers(0, columns)))
    matrix = rows_of(rng, model, counts)
    expected = plainly(model, matrix)
    assert np.array_equal(model.margins(matrix), expected)
    assert np.array_equal(model.margins(matrix, counts), expected)
    ends = np.cumsum(counts)
    alone = [
        model.margins(rows, [len(rows)]) for rows in np.split(matrix, ends[:-1]) for rows in (rows, rows[:1])
    ]
    assert np.array_equal(np.concatenate(alone[::2]), expected)
    assert np.array_equal(np.concatenate(alone[1::2]), expected[ends - counts])


@pytest.mark.parametrize("most", [1, 7, 9000])
def test_many_customers_are_the_same_rows(most: int) -> None:
    rng = np.random.default_rng(4)
    model = drawn(rng, 30, 21)
    counts = rng.integers(1, most + 1, 5 if most > 1000 else 9000 // most).tolist()
    matrix = rows_of(rng, model, counts)
    assert len(matrix) > 4000
    assert np.array_equal(model.margins(matrix, counts), model.margins(matrix))


def test_a_code_no_category_has_is_never_a_weight() -> None:
    two, one = LinearColumn("a", category_weights=(1.0, 2.0)), LinearColumn("b", category_weights=(3.0,))
    model = LinearModel(0.0, (two, one))
    assert model.margins(np.array([[1, 0]], dtype=np.float32)).tolist() == [5.0]
    assert np.isnan(model.margins(np.array([[2, 0]], dtype=np.float32))).all()
    assert np.isnan(model.margins(np.array([[0, 1]], dtype=np.float32))).all()
    with pytest.raises(IndexError):
        model.margins(np.array([[9, 0]], dtype=np.float32))


def test_no_rows_have_no_margins() -> None:
    model = drawn(np.random.default_rng(1), 5, 3)
    assert model.margins(np.empty((0, 5), dtype=np.float32)).shape == (0,)
