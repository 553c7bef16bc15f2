from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import lake
from features.ingest import ingest
from features.sources import Batch, Declaration, History, Source, SourceError
from features.sources.folder import FolderSource
from features.sources.known_at import KnownAtIngest
from moment.errors import ConfigurationError, Fault, StepMissing
from moment.home import Home
from tests.unit.features.shop import TRANSACTIONS, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.under(tmp_path)


def test_rows_reach_the_lake_in_canonical_types(shop: Shop) -> None:
    report = shop.ingest()
    assert [(table.table, table.rows, table.rejected) for table in report.tables] == [
        ("customers", 3, 0),
        ("transactions", 3, 0),
    ]
    found = shop.rows(
        "SELECT transaction_id, occurred_at::VARCHAR, amount, quantity, on_display FROM transactions"
    )
    assert found == [
        ("a", "2017-01-01 10:00:00", 2.5, 1.0, True),
        ("b", "2017-01-02 10:00:00", 3.0, 2.0, False),
        ("c", "2017-01-03 09:00:00", 4.25, None, None),
    ]


def test_known_at_is_the_declared_lag_after_the_fact(shop: Shop) -> None:
    shop.ingest()
    assert shop.rows("SELECT DISTINCT (known_at - occurred_at)::VARCHAR FROM transactions") == [("1 day",)]
    assert shop.rows("SELECT bool_and(known_at = joined_at) FROM customers") == [(True,)]


def test_known_at_may_be_a_column(shop: Shop) -> None:
    shop.change("source.toml", 'known_at = "joined_at"', "")
    shop.write("customers.csv", "customer_id,party_type,known_at\n1,person,2017-01-01\n")
    shop.ingest()
    assert shop.rows("SELECT known_at::VARCHAR FROM customers") == [("2017-01-01 00:00:00",)]
    (record,) = lake.records(shop.home)
    assert record.tables["customers"].known_at == "known_at"


def test_columns_left_out_are_null(shop: Shop) -> None:
    shop.ingest()
    assert shop.rows("SELECT count(category), count(discount) FROM transactions") == [(0, 0)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("d,1,2017-01-04,nine,EUR,1,", 'amount: "nine" is not a finite number'),
        ("d,1,2017-01-04,1e999,EUR,1,", 'amount: "1e999" is not a finite number'),
        ("d,1,2017-01-04,,EUR,1,", "amount: is missing"),
        ("d,1,the fourth,9,EUR,1,", 'occurred_at: "the fourth" is not an instant between 1900 and 2200'),
        ("d,1,0217-01-04,9,EUR,1,", 'occurred_at: "0217-01-04" is not an instant between 1900 and 2200'),
        ("d,,2017-01-04,9,EUR,1,", "customer_id: is missing"),
        ("d,1,2017-01-04,9,EUR,-2,", 'quantity: "-2.0" is below 0'),
        ("d,1,2017-01-04,9,EUR,1,maybe", 'on_display: "maybe" is not true or false'),
        ("a,1,2017-01-04,9,EUR,1,", "transaction_id: an earlier row has the same"),
        ("d,1,2017-01-04", "has 3 fields where the header has 7"),
        (
            "d,,2017-01-04,9,EUR,-2,",
            'customer_id: is missing; quantity: "-2.0" is below 0',
        ),
        (
            "d,1,2017,nine,EUR,1,",
            (
                'occurred_at: "2017" is not an instant between 1900 and 2200; '
                'amount: "nine" is not a finite number'
            ),
        ),
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason_and_the_rest_goes_on(
    shop: Shop, line: str, reason: str
) -> None:
    shop.write("transactions.csv", f"{TRANSACTIONS}{line}\ne,3,2017-01-05,1,EUR,1,true\n")
    report = shop.ingest()
    assert shop.rejected("transactions") == [(4, reason)]
    assert [(table.rows, table.rejected) for table in report.tables] == [(3, 0), (4, 1)]
    assert shop.rows("SELECT max(transaction_id) FROM transactions") == [("e",)]


def test_quarantine_names_table_and_file_and_keeps_the_row_as_it_came(shop: Shop) -> None:
    shop.write("transactions.csv", f"{TRANSACTIONS}d,1,2017-01-04,nine,EUR,1,\n")
    report = shop.ingest()
    path = report.tables[1].quarantine
    assert path == shop.home.quarantine / "shop" / "transactions.parquet"
    (row,) = pq.read_table(path).to_pylist()
    assert (row["table"], row["file"]) == ("transactions", str(shop.folder / "transactions.csv"))
    assert json.loads(row["content"])["amount"] == "nine"


def test_rules_over_two_columns_name_the_row(shop: Shop) -> None:
    shop.write(
        "holdings.csv",
        "customer_id,product_id,opened_at,closed_at,known_at\n"
        "1,loan,2017-01-01,2017-02-01,2017-01-02\n"
        "1,card,2017-01-01,2016-12-31,2017-01-02\n"
        "2,card,2017-01-01,,2016-01-02\n",
    )
    shop.change(
        "source.toml",
        "[tables.transactions]",
        '[tables.holdings]\nhistory = "versions"\nreject_limit = 1\n[tables.transactions]',
    )
    shop.ingest()
    assert shop.rejected("holdings") == [
        (2, "closed_at lies before opened_at"),
        (3, "known_at lies before opened_at"),
    ]


def test_versions_of_a_row_differ_by_known_at(shop: Shop) -> None:
    shop.change("source.toml", 'history = "snapshot"\nknown_at = "joined_at"', 'history = "versions"')
    shop.change("source.toml", "[tables.transactions]", "reject_limit = 0.5\n[tables.transactions]")
    shop.write(
        "customers.csv",
        "customer_id,party_type,region,known_at\n1,person,north,2017-01-01\n1,person,south,2017-06-01\n"
        "1,person,east,2017-06-01\n",
    )
    shop.ingest()
    assert shop.rows("SELECT region FROM customers ORDER BY known_at") == [("north",), ("south",)]
    assert shop.rejected("customers") == [(3, "customer_id, known_at: an earlier row has the same")]


def test_row_numbers_hold_over_broken_lines_duplicates_and_several_files(shop: Shop) -> None:
    (shop.folder / "transactions.csv").unlink()
    header, first, *_ = TRANSACTIONS.splitlines()
    good = [f"g{n},1,2017-01-04,9,EUR,1," for n in range(6)]
    shop.write("transactions/1.csv", "\n".join([header, first, "x", *good, "h,1,bad,9,EUR,1,"]) + "\n")
    shop.write(
        "transactions/2.csv", "\n".join([header, "i,1,2017-01-04,9,EUR,1,", "y", good[3], first]) + "\n"
    )
    report = shop.ingest()
    path = report.tables[1].quarantine
    assert path is not None
    found = {
        (Path(row["file"]).name, row["row"], row["reason"].split(":")[0])
        for row in pq.read_table(path).to_pylist()
    }
    assert found == {
        ("1.csv", 2, "has 1 fields where the header has 7"),
        ("1.csv", 9, "occurred_at"),
        ("2.csv", 2, "has 1 fields where the header has 7"),
        ("2.csv", 3, "transaction_id"),
        ("2.csv", 4, "transaction_id"),
    }
    assert report.tables[1].rows == 8


def test_over_the_reject_limit_the_table_is_refused_and_the_lake_stays(shop: Shop) -> None:
    shop.ingest()
    before = shop.files()
    shop.change("source.toml", "reject_limit = 0.5", "reject_limit = 0.3")
    shop.write("transactions.csv", TRANSACTIONS.replace("2.50", "much").replace("4.25", "little"))
    with pytest.raises(SourceError) as caught:
        shop.ingest()
    refused = shop.home.quarantine / "shop.refused" / "transactions.parquet"
    assert str(caught.value) == (
        f"{shop.folder}/transactions.csv: 2 of 3 rows of transactions were rejected, over the limit of "
        f"30.0%, most often for amount; see {refused}, then mend the rows or raise reject_limit under "
        f"[tables.transactions] in {shop.folder}/source.toml"
    )
    assert len(shop.rejected("transactions", source="shop.refused")) == 2
    assert shop.files() == before
    shop.change("source.toml", "reject_limit = 0.3", "reject_limit = 0.7")
    shop.ingest()
    assert not refused.exists()


def test_all_faults_of_all_files_are_told_at_once(shop: Shop) -> None:
    shop.change("transactions.csv", "amount", "amuont")
    shop.change("customers.csv", "party_type", "sort")
    shop.change("source.toml", 'history = "snapshot"', "")
    with pytest.raises(ConfigurationError) as caught:
        shop.ingest()
    header, *told = str(caught.value).replace(f"{shop.folder}/", "").splitlines()
    assert header == "the source shop cannot be ingested:"
    assert [line.strip() for line in told] == [
        (
            'customers.csv: customers must say whether it keeps versions: add history = "snapshot" (only the '
            'newest) or history = "versions" under [tables.customers] in source.toml'
        ),
        "customers.csv: column party_type of customers is missing; add it (What kind of party)",
        "transactions.csv: column amount of transactions is missing; rename amuont to amount",
    ]
    assert not shop.home.lake.exists()


def test_without_customers_there_is_no_ingest(shop: Shop) -> None:
    (shop.folder / "customers.csv").unlink()
    with pytest.raises(
        ConfigurationError, match="there is no table customers, which every other one refers to"
    ):
        shop.ingest()


def test_history_under_ingest_time_stops_with_the_line_to_add(shop: Shop) -> None:
    shop.change("source.toml", 'known_at = "occurred_at + 1 day"', 'known_at = "ingest"')
    with pytest.raises(SourceError) as caught:
        shop.ingest()
    assert str(caught.value) == (
        f"{shop.folder}/transactions.csv: transactions goes back to 2017-01-01 but would count as known "
        'only from now, so nothing could be learnt from it; add known_at = "occurred_at + 1 day" under '
        f"[tables.transactions] in {shop.folder}/source.toml"
    )


def test_todays_facts_may_be_known_from_their_ingest(shop: Shop) -> None:
    shop.change("source.toml", 'known_at = "occurred_at + 1 day"', 'known_at = "ingest"')
    now = datetime(2017, 1, 3, 9, tzinfo=UTC)
    ingest(shop.home, FolderSource.open(shop.folder), now=now)
    assert shop.rows("SELECT DISTINCT known_at::VARCHAR FROM transactions") == [("2017-01-03 09:00:00",)]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("paid_at + 1 day", "known_at names paid_at, not a column of transactions"),
        ("amount + 1 day", "known_at names amount, which is no timestamp"),
    ],
)
def test_a_rule_on_a_wrong_column_is_refused(shop: Shop, rule: str, message: str) -> None:
    shop.change("source.toml", "occurred_at + 1 day", rule)
    with pytest.raises(ConfigurationError, match=message):
        shop.ingest()


def test_versions_need_a_column_that_says_when_each_was_known(shop: Shop) -> None:
    shop.change("source.toml", '"snapshot"', '"versions"')
    with pytest.raises(ConfigurationError, match="versions of customers need to say when each was known"):
        shop.ingest()


def test_ingesting_the_same_again_writes_nothing(shop: Shop) -> None:
    first, before = shop.ingest(), shop.files()
    again = shop.ingest()
    assert (first.unchanged, again.unchanged) == (False, True)
    assert replace(again, unchanged=False) == first
    assert shop.files() == before


def test_a_lost_lake_is_built_again_to_the_same_bytes(shop: Shop) -> None:
    shop.ingest()
    before = {name: content for name, (content, _) in shop.files().items()}
    lake.table_file(shop.home, "transactions", "shop").unlink()
    assert not shop.ingest().unchanged
    assert {name: content for name, (content, _) in shop.files().items()} == before


def test_changed_content_or_declarations_replace_the_tables(shop: Shop) -> None:
    first = shop.ingest()
    shop.change("transactions.csv", "4.25", "5.25")
    second = shop.ingest()
    shop.change("source.toml", "+ 1 day", "+ 2 days")
    third = shop.ingest()
    assert not second.unchanged
    assert not third.unchanged
    assert len({first.digest, second.digest, third.digest}) == 3
    assert shop.rows("SELECT sum(amount), min((known_at - occurred_at)::VARCHAR) FROM transactions") == [
        (10.75, "2 days")
    ]


def test_a_table_the_source_no_longer_has_leaves_the_lake(shop: Shop) -> None:
    shop.ingest()
    (shop.folder / "transactions.csv").unlink()
    shop.ingest()
    assert not lake.table_file(shop.home, "transactions", "shop").exists()
    assert shop.rows("SELECT count(*) FROM transactions") == [(0,)]


@pytest.mark.parametrize("zone", ["America/Chicago", "Asia/Kolkata"])
def test_the_machines_zone_changes_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    shop.ingest()
    before = {name: content for name, (content, _) in shop.files().items()}
    lake.record_file(shop.home, "shop").unlink()
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        shop.ingest()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert {name: content for name, (content, _) in shop.files().items()} == before


def test_two_sources_share_a_table(shop: Shop, tmp_path: Path) -> None:
    shop.ingest()
    before = lake.digest(shop.home)
    other = tmp_path / "other"
    other.mkdir()
    (other / "transactions.csv").write_text(
        "transaction_id,customer_id,occurred_at,amount,known_at\nz,1,2017-02-01,1,2017-02-02\n"
    )
    ingest(shop.home, FolderSource.open(other))
    assert shop.rows("SELECT count(*), sum(amount) FROM transactions") == [(4, 10.75)]
    assert lake.digest(shop.home) != before


@dataclass(frozen=True)
class Interrupted:
    """A shop whose transactions break off after their first batch."""

    shop: FolderSource

    @property
    def name(self) -> str:
        return self.shop.name

    @property
    def declarations(self) -> Mapping[str, Declaration]:
        return self.shop.declarations

    def digest(self) -> str:
        return "another"

    def faults(self) -> list[Fault]:
        return self.shop.faults()

    def batches(self, table: str, engine: duckdb.DuckDBPyConnection) -> Iterator[Batch]:
        yield from self.shop.batches(table, engine)
        if table == "transactions":
            raise KeyboardInterrupt


def test_an_interrupted_ingest_leaves_the_lake_as_it_was_and_can_be_run_again(shop: Shop) -> None:
    shop.ingest()
    before = shop.files()
    source: Source = Interrupted(FolderSource.open(shop.folder))
    with pytest.raises(KeyboardInterrupt):
        ingest(shop.home, source)
    assert shop.files() == before
    shop.change("transactions.csv", "4.25", "5.25")
    shop.ingest()
    assert shop.rows("SELECT sum(amount) FROM transactions") == [(10.75,)]
    assert not any(name.startswith("_staging") for name in shop.files())


def test_two_ingests_of_one_source_at_once_are_refused(shop: Shop) -> None:
    lock = lake.record_file(shop.home, "shop").with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    hold = (
        f"import fcntl, time; lock = open({str(lock)!r}, 'w'); fcntl.flock(lock, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            with pytest.raises(SourceError, match="shop is being ingested by another process"):
                shop.ingest()
        finally:
            holder.send_signal(signal.SIGKILL)
    time.sleep(0.05)
    assert not shop.ingest().unchanged


def test_a_source_of_floats_and_zoned_times_is_cast(shop: Shop) -> None:
    (shop.folder / "transactions.csv").unlink()
    table = pa.table(
        {
            "transaction_id": pa.array([1, 2, 3]),
            "customer_id": pa.array(["1", "2", "3"]).dictionary_encode(),
            "occurred_at": pa.array(
                [datetime(2017, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("ns", "America/New_York")
            ),
            "amount": pa.array([1.5, 2.5, float("nan")]),
            "quantity": pa.array([1.0, float("nan"), 1.0]),
        }
    )
    pq.write_table(table, shop.folder / "transactions.parquet")
    shop.ingest()
    found = shop.rows("SELECT transaction_id, occurred_at::VARCHAR, amount, quantity FROM transactions")
    assert found == [("1", "2017-01-01 00:00:00", 1.5, 1.0), ("2", "2017-01-01 00:00:00", 2.5, None)]
    assert shop.rejected("transactions") == [(3, "amount: is missing")]


def test_a_custom_source_need_not_be_a_folder(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    report = ingest(home, _Visits())
    assert [(table.table, table.rows) for table in report.tables] == [("customers", 2)]


class _Visits:
    """A source that is no folder."""

    name = "visits"

    @property
    def declarations(self) -> Mapping[str, Declaration]:
        return {"customers": Declaration(KnownAtIngest(), "memory", History.SNAPSHOT)}

    def digest(self) -> str:
        return "1"

    def faults(self) -> list[Fault]:
        return []

    def batches(self, table: str, engine: duckdb.DuckDBPyConnection) -> Iterator[Batch]:
        assert table == "customers"
        query = "SELECT range AS customer_id, 'person' AS party_type FROM range(2)"
        yield Batch("memory", np.arange(1, 3), engine.execute(query).to_arrow_table())


def test_a_lake_before_any_ingest_names_the_command(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    for ask in (lake.connect, lake.digest):
        with pytest.raises(StepMissing, match="run `moment ingest complete-journey` first"):
            ask(home)
    assert not home.root.exists()


def test_what_a_killed_ingest_left_is_cleared(shop: Shop) -> None:
    stale = shop.home.lake / "_staging" / "shop" / "transactions.parquet"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half a file")
    shop.ingest()
    assert not stale.exists()
    assert shop.rows("SELECT count(*) FROM transactions") == [(3,)]


def test_a_lake_killed_while_it_was_replaced_is_not_taken_for_whole(shop: Shop) -> None:
    shop.ingest()
    lake.record_file(shop.home, "shop").unlink()
    with pytest.raises(StepMissing):
        lake.digest(shop.home)
    assert not shop.ingest().unchanged
