from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import lake
from features.casting import column_faults
from features.quarantine import check_batch
from features.sources import Batch, Declaration
from features.sources.known_at import KnownAfter, KnownFromColumn
from features.tables import CUSTOMERS, PRESENTATIONS, TRANSACTIONS
from moment.home import Home

NOW = datetime(2020, 1, 1)  # noqa: DTZ001 - inside ingest instants are UTC without zone
NIGHTLY = Declaration(KnownAfter(timedelta(days=1)), "file")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = tmp_path_factory.mktemp("engine")
    with lake.engine(Home(path, path)) as connection:
        yield connection


numbers = st.one_of(
    st.none(),
    st.floats(width=32).map(str),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["", " ", "nine", "1,5", "1e400", "-0", "NaN", "0x10", "1_000", "'", '"', "\\", "\n", "é"]
    ),
)
instants = st.one_of(
    st.none(),
    st.datetimes(datetime(1850, 1, 1), datetime(2250, 1, 1)).map(lambda at: at.isoformat()),  # noqa: DTZ001
    st.datetimes(datetime(1950, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC)).map(str),  # noqa: DTZ001
    st.sampled_from(
        ["", "2017-02-30", "yesterday", "2017-01-01T25:00", "infinity", "2017-06-01 12:00:00+05:30"]
    ),
)
keys = st.one_of(st.none(), st.text(max_size=5).filter(lambda text: "\x00" not in text))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(keys, keys, instants, numbers, numbers), max_size=20))
def test_every_row_is_good_or_rejected_once_and_good_values_are_those_written(
    engine: duckdb.DuckDBPyConnection,
    rows: list[tuple[str | None, str | None, str | None, str | None, str | None]],
) -> None:
    names = ["transaction_id", "customer_id", "occurred_at", "amount", "quantity"]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    data = pa.table(
        {name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)}
    )
    checked = check_batch(
        Batch("file", np.arange(1, len(rows) + 1), data), TRANSACTIONS, NIGHTLY, engine, NOW
    )
    rejected = [row.row for row in checked.rejected]
    assert sorted([*checked.rows.tolist(), *rejected]) == list(range(1, len(rows) + 1))
    assert all(row.reason for row in checked.rejected)
    assert checked.good.schema.equals(TRANSACTIONS.arrow_schema())
    for number, good in zip(checked.rows, checked.good.to_pylist(), strict=True):
        transaction, customer, occurred_at, amount, quantity = rows[number - 1]
        assert (good["transaction_id"], good["customer_id"]) == (transaction, customer)
        assert occurred_at is not None
        written = datetime.fromisoformat(occurred_at)
        at = written.astimezone(UTC).replace(tzinfo=None) if written.tzinfo else written
        assert (good["occurred_at"], good["known_at"]) == (at, at + timedelta(days=1))
        assert amount is not None
        assert good["amount"] == pytest.approx(float(amount.strip()))
        missing = quantity is None or not quantity.strip() or math.isnan(float(quantity))
        assert good["quantity"] is None if missing else good["quantity"] >= 0


def check(
    engine: duckdb.DuckDBPyConnection, **columns: list[object]
) -> tuple[list[dict[str, object]], list[str]]:
    base: dict[str, list[object]] = {
        "presentation_id": ["p"],
        "customer_id": ["c"],
        "action_id": ["a"],
        "channel": ["web"],
        "occurred_at": ["2017-01-01"],
        "exposure": ["observed"],
    }
    data = pa.table(base | columns)
    declared = Declaration(KnownAfter(timedelta()), "file")
    checked = check_batch(Batch("file", np.array([1]), data), PRESENTATIONS, declared, engine, NOW)
    return checked.good.to_pylist(), [row.reason for row in checked.rejected]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("exposure", "guessed", 'exposure: "guessed" is none of observed, imputed'),
        ("action_probability", 1.5, 'action_probability: "1.5" is above 1'),
        ("action_probability", float("inf"), 'action_probability: "inf" is not a finite number'),
        ("offers_together", 2.5, 'offers_together: "2.5" is not a whole number'),
        ("offers_together", "0", 'offers_together: "0" is below 1'),
        ("window_ends_at", "2016-12-31", "window_ends_at lies before occurred_at"),
        ("action_id", " ", "action_id: is missing"),
    ],
)
def test_each_rule_gives_its_reason(
    engine: duckdb.DuckDBPyConnection, column: str, value: object, reason: str
) -> None:
    good, reasons = check(engine, **{column: [value]})
    assert (good, reasons) == ([], [reason])


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("offers_together", 16.0, 16),
        ("offers_together", "16", 16),
        ("action_probability", "0.25", 0.25),
        ("action_probability", "", None),
        ("campaign_id", 7, "7"),
        ("window_ends_at", "2017-01-01", datetime(2017, 1, 1)),  # noqa: DTZ001
    ],
)
def test_values_that_fit_are_cast(
    engine: duckdb.DuckDBPyConnection, column: str, value: object, expected: object
) -> None:
    good, reasons = check(engine, **{column: [value]})
    assert reasons == []
    assert good[0][column] == expected


def test_a_column_of_a_type_that_cannot_fit_is_a_fault_of_the_file() -> None:
    schema = pa.schema(
        [
            ("transaction_id", pa.float64()),
            ("customer_id", pa.int64()),
            ("occurred_at", pa.int64()),
            ("amount", pa.bool_()),
        ]
    )
    assert [str(fault) for fault in column_faults(TRANSACTIONS, NIGHTLY, "shop.parquet", schema)] == [
        "shop.parquet: column transaction_id holds double; write it as text, so that 12 does not become 12.0",
        (
            "shop.parquet: column occurred_at holds int64, which cannot become an instant between 1900 and "
            "2200; write it as timestamp"
        ),
        "shop.parquet: column amount holds bool, which cannot become a finite number; write it as float64",
    ]


def test_known_at_by_column_needs_the_column() -> None:
    declared = Declaration(KnownFromColumn(), "file", settings="[tables.customers] in source.toml")
    schema = pa.schema([("customer_id", pa.string()), ("party_type", pa.string())])
    (fault,) = column_faults(CUSTOMERS, declared, "file", schema)
    assert fault.message == (
        'column known_at of customers is missing; add it, or write known_at = "joined_at + 1 day" under '
        "[tables.customers] in source.toml"
    )


def test_a_nearly_right_optional_column_is_a_fault_and_a_strange_one_is_not() -> None:
    names = ["transaction_id", "customer_id", "occurred_at", "amount", "catgeory", "weather"]
    schema = pa.schema([(name, pa.string()) for name in names])
    assert [fault.message for fault in column_faults(TRANSACTIONS, NIGHTLY, "file", schema)] == [
        "column category of transactions is missing; rename catgeory to category"
    ]


def test_thousands_of_bad_rows_are_each_named(engine: duckdb.DuckDBPyConnection) -> None:
    count = 100_000
    data = engine.execute(
        f"""
        SELECT range AS transaction_id, range % 1000 AS customer_id,
            CASE WHEN range % 50 = 0 THEN 'never' ELSE '2017-01-01' END AS occurred_at,
            CASE WHEN range % 40 = 0 THEN -1 ELSE 1 END AS quantity, 2.5 AS amount
        FROM range({count})
        """
    ).to_arrow_table()
    checked = check_batch(Batch("file", np.arange(count), data), TRANSACTIONS, NIGHTLY, engine, NOW)
    # 2,000 and 2,500 bad rows, of which every 200th is both
    assert checked.good.num_rows == count - 4_000
    assert len(checked.rejected) == 4_000
