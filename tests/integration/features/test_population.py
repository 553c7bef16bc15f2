"""The population is what the online store would serve, customer by customer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from features.definitions import CUSTOMER_V1
from features.online import CustomerRow, ValueState
from features.population import EXPIRED, Population
from features.store import FeatureStore
from moment.errors import InvalidRequest, StepMissing
from moment.home import Home
from tests.integration.features.conftest import Served

MAX_AGE = CUSTOMER_V1.features[0].max_age


def read(population: Population, size: int = 1000, where: str = "") -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        spans = population.spans(connection, size)
        return [row for span in spans for row in population.read(connection, span, where).to_pylist()]


def as_served(population: Population, row: dict[str, Any]) -> CustomerRow:
    values = {name: tuple(v) if isinstance(v := row[name], list) else v for name in CUSTOMER_V1.names}
    states = {
        name: ValueState.EXPIRED if row.get(EXPIRED + name) else ValueState.MISSING
        for name, value in values.items()
        if value is None
    }
    times = {view.name: view.as_of for view in population.views if row[f"{view.name}_as_of"] is not None}
    return CustomerRow(row["customer_id"], True, values, states, times)


@pytest.mark.parametrize("after", [timedelta(0), MAX_AGE, MAX_AGE + timedelta(seconds=1)])
def test_every_customer_is_as_the_online_store_serves_it(served: Served, after: timedelta) -> None:
    at = served.times[-1] + after
    population = served.store.population(at)
    rows = read(population)
    assert len(rows) == 300
    online = served.store.online([row["customer_id"] for row in rows], at)
    assert [as_served(population, row) for row in rows] == online
    types = [(type(row[n]), type(one.values[n])) for row, one in zip(rows, online, strict=True) for n in row
             if n in CUSTOMER_V1.names and not isinstance(row[n], list)]  # fmt: skip
    assert all(mine is theirs for mine, theirs in types)


def test_spans_hold_everybody_once_in_order(served: Served) -> None:
    population = served.store.population(served.now)
    with duckdb.connect() as connection:
        (whole,) = population.spans(connection, 1000)
        spans = population.spans(connection, 7)
    assert whole.customers == sum(span.customers for span in spans) == 300
    assert {span.customers for span in spans[:-1]} == {7}
    names = [row["customer_id"] for row in read(population, 7)]
    assert names == sorted(set(names))
    assert read(population, 7) == read(population, 1000)


def test_a_predicate_sees_what_is_served_not_what_is_stored(served: Served) -> None:
    fresh, expired = (served.store.population(served.times[-1] + age) for age in (MAX_AGE, 2 * MAX_AGE))
    some = read(fresh, where="baskets_365d > 50")
    assert 0 < len(some) < 300
    assert [row for row in read(fresh) if row["baskets_365d"] > 50] == some
    assert read(expired, where="baskets_365d > 50") == []


def test_a_view_that_does_not_know_a_customer_leaves_nulls(served: Served, tmp_path: Path) -> None:
    population = served.store.population(served.now)
    view = population.views[-1]
    fewer = tmp_path / "fewer.parquet"
    duckdb.sql(f"COPY (FROM '{view.file}' ORDER BY customer_id LIMIT 10) TO '{fewer}' (FORMAT parquet)")
    cut = replace(population, views=(*population.views[:-1], replace(view, file=fewer)))
    rows = read(cut)
    assert len(rows) == 300
    assert [row[f"{view.name}_as_of"] is None for row in rows] == [False] * 10 + [True] * 290
    names = [spec.name for spec in CUSTOMER_V1 if spec.view == view.name]
    assert all(row[name] is None for row in rows[10:] for name in names)


def test_what_is_not_there_or_not_yet_known_is_refused(served: Served, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"later than .*; take a later time, or load earlier ones"):
        served.store.population(served.times[-1] - timedelta(seconds=1))
    home = Home(tmp_path, tmp_path / "mlruns")
    home.feast.symlink_to(served.home.feast)
    with pytest.raises(StepMissing, match="is gone; run `moment features materialize` first"):
        FeatureStore(home).population(served.now)
