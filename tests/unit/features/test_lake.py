from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from features import lake
from features.tables import TABLES
from tests.unit.features.shop import Shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop.under(tmp_path_factory.mktemp("lake"))
    shop.ingest()
    return shop


def test_every_table_is_a_view_with_the_contracts_columns(shop: Shop) -> None:
    for table in TABLES.values():
        described = shop.rows(f"DESCRIBE {table.name}")
        assert {name: kind for name, kind, *_ in described} == table.duckdb_columns()


def test_a_table_nobody_provides_is_empty(shop: Shop) -> None:
    assert shop.rows("SELECT count(*) FROM holdings") == [(0,)]


def test_the_session_is_in_utc_and_bounded(shop: Shop) -> None:
    with lake.connect(shop.home, memory_limit="200MB", threads=1) as connection:
        found = connection.execute(
            "SELECT current_setting('TimeZone'), current_setting('memory_limit'), current_setting('threads')"
        ).fetchall()
        cursor = connection.cursor().execute("SELECT current_setting('TimeZone')").fetchall()
    assert found == [("UTC", "190.7 MiB", 1)]
    assert cursor == [("UTC",)]


def test_ibis_sees_the_views(shop: Shop) -> None:
    transactions = lake.ibis_backend(shop.home).table("transactions")
    assert tuple(transactions.columns) == TABLES["transactions"].names
    assert transactions.occurred_at.min().execute() == datetime(2017, 1, 1, 10)  # noqa: DTZ001


def test_the_record_tells_what_was_ingested(shop: Shop) -> None:
    (record,) = lake.records(shop.home)
    assert lake.SourceRecord.loads(record.dumps()) == record
    assert record.tables["transactions"] == lake.TableRecord(3, 0, None, "occurred_at + 1 day")
    assert lake.snapshot_tables(shop.home) == {"customers"}


def test_a_quote_in_a_path_is_only_a_quote(tmp_path: Path) -> None:
    path = tmp_path / "it's here"
    path.mkdir()
    shop = Shop.under(path)
    shop.ingest()
    assert shop.rows("SELECT count(*) FROM customers") == [(3,)]
