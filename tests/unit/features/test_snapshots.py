"""Snapshots: the times they are of, their files, and that they are made once and safely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import lake, snapshots
from features.definitions import BUILT_IN
from features.snapshots import SERVING_LAG, newest_served, plan, snapshot_file, snapshot_times
from features.tables import TABLES
from moment.errors import InvalidRequest, StepMissing
from moment.home import Home
from tests.unit.features.shop import Shop
from tests.unit.features.tiny_lake import day

INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
VIEWS = BUILT_IN[:1]


@given(INSTANTS, st.timedeltas(timedelta(0), timedelta(days=400)), st.integers(1, 400))
def test_times_lie_on_a_fixed_grid_and_end_after_the_last_fact(
    first: datetime, span: timedelta, hours: int
) -> None:
    last, every = first + span, timedelta(hours=hours)
    times = plan(first, last, every)
    assert times == tuple(sorted(set(times)))
    assert last <= times[-1] < last + timedelta(hours=1)
    assert all(first < time for time in times[:-1])
    assert all((time - snapshots.EPOCH) % every == timedelta(0) for time in times[:-1])
    assert all(later - earlier == every for earlier, later in pairwise(times[:-1]))


def test_weekly_times_are_mondays_then_the_last_hour() -> None:
    assert plan(day(1), day(15.01)) == (day(7), day(14), day(15) + timedelta(hours=1))


def test_a_span_shorter_than_an_hour_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="shorter than an hour"):
        plan(day(0), day(1), timedelta(minutes=5))


def test_newest_served_waits_for_the_serving_lag() -> None:
    times = (day(0), day(7))
    assert newest_served(times, day(7) + SERVING_LAG) == day(7)
    assert newest_served(times, day(7) + SERVING_LAG - timedelta(seconds=1)) == day(0)
    assert newest_served(times, day(0)) is None


def test_without_a_lake_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StepMissing, match="moment ingest complete-journey"):
        snapshots.build(Home(tmp_path, tmp_path), VIEWS)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop.under(tmp_path)
    shop.ingest()
    return shop


def stamps(home: Home) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in home.snapshots.rglob("*") if file.is_file()}


def test_a_snapshot_holds_every_customer_and_says_when_it_is_of(shop: Shop) -> None:
    report = snapshots.build(shop.home, VIEWS, every=timedelta(days=1))
    assert report.built == len(report.times) == len(snapshot_times(shop.home, "spending"))
    at = report.times[-1]
    rows = pq.read_table(snapshot_file(shop.home, "spending", at))
    assert rows["customer_id"].to_pylist() == ["1", "2", "3"]
    assert set(rows["event_timestamp"].to_pylist()) == {at}
    assert set(rows["served_at"].to_pylist()) == {at + SERVING_LAG}
    assert set(rows["spending_as_of"].to_pylist()) == {int(at.timestamp())}
    names = [feature.name for feature in VIEWS[0].features]
    assert rows.column_names == ["customer_id", "event_timestamp", "served_at", *names, "spending_as_of"]
    assert rows["baskets_365d"].to_pylist() == [2, 1, 0]


def test_a_second_build_reuses_everything(shop: Shop) -> None:
    first = snapshots.build(shop.home, VIEWS, every=timedelta(days=1))
    before = stamps(shop.home)
    second = snapshots.build(shop.home, VIEWS, every=timedelta(days=1))
    assert (second.built, second.reused, second.removed) == (0, first.built, 0)
    assert stamps(shop.home) == before


def test_an_interrupted_build_goes_on_where_it_stopped(shop: Shop) -> None:
    report = snapshots.build(shop.home, VIEWS, every=timedelta(days=1))
    lost, torn, kept = (snapshot_file(shop.home, "spending", at) for at in report.times[:3])
    lost.unlink()
    torn.write_bytes(torn.read_bytes()[:100])
    torn.with_suffix(".partial").write_bytes(b"half a file")
    before = stamps(shop.home)[kept]
    again = snapshots.build(shop.home, VIEWS, every=timedelta(days=1))
    assert (again.built, again.removed) == (2, 2)
    assert stamps(shop.home)[kept] == before
    assert not list(shop.home.snapshots.rglob("*.partial"))
    assert pq.read_table(torn).num_rows > 0


def test_new_data_replaces_what_was_built_from_the_old(shop: Shop) -> None:
    first = snapshots.build(shop.home, VIEWS, every=timedelta(days=1))
    shop.write("transactions.csv", TRANSACTIONS_OF_ONE_MORE)
    shop.ingest()
    second = snapshots.build(shop.home, VIEWS, every=timedelta(days=1))
    assert second.removed == first.built
    assert second.reused == 0
    rows = pq.read_table(snapshot_file(shop.home, "spending", second.times[-1]))
    assert rows["baskets_365d"].to_pylist() == [2, 1, 1]


def test_since_and_until_bound_the_times(shop: Shop) -> None:
    whole = snapshots.plan_for(shop.home, every=timedelta(days=1))
    some = snapshots.plan_for(shop.home, since=whole[1], until=whole[-2], every=timedelta(days=1))
    assert some == whole[1:-1]


def test_every_table_of_facts_is_looked_at_for_the_span(shop: Shop) -> None:
    connection = lake.connect(shop.home)
    spans = [
        connection.execute(f'SELECT max(known_at) FROM "{table.name}"').fetchone()[0]
        for table in TABLES.values()
        if table.time is not None
    ]
    connection.close()
    last = max(span for span in spans if span is not None).replace(tzinfo=UTC)
    assert snapshots.plan_for(shop.home)[-1] >= last


TRANSACTIONS_OF_ONE_MORE = """transaction_id,customer_id,occurred_at,amount,currency,quantity,on_display
a,1,2017-01-01 10:00:00,2.50,EUR,1,true
b,1,2017-01-02T10:00:00Z,3,EUR,2,false
c,2,2017-01-03 10:00:00+01:00,4.25,EUR,,
d,3,2017-01-03 11:00:00,4.25,EUR,,
"""
