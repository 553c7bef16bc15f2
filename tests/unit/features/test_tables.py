from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pytest

from features.data_docs import render
from features.table_contract import KNOWN_AT, ColumnType, TableContract
from features.table_schema import pandera_schema
from features.tables import CUSTOMERS, INTERACTIONS, TABLES, TRANSACTIONS

PAGE = Path(__file__).parents[3] / "docs" / "data.md"

each_table = pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))


def test_the_tables_are_those_of_the_customer_360() -> None:
    assert list(TABLES) == [
        "customers",
        "identities",
        "consents",
        "holdings",
        "transactions",
        "interactions",
        "contacts",
        "social",
        "loyalty",
        "life_events",
        "locations",
        "weather",
        "presentations",
        "outcomes",
    ]


@each_table
def test_a_contract_is_whole(table: TableContract) -> None:
    assert len(set(table.names)) == len(table.names)
    assert table.names[-1] == KNOWN_AT
    assert not table.column(KNOWN_AT).nullable
    assert set(table.key) <= set(table.names)
    assert all(column.meaning for column in table.columns)
    timed = [table.time or KNOWN_AT, *(name for pair in table.not_before for name in pair)]
    assert all(table.column(name).dtype is ColumnType.TIMESTAMP for name in timed)
    assert {column.references for column in table.columns if column.references} <= set(TABLES)


@each_table
def test_all_forms_of_a_contract_have_its_columns(table: TableContract) -> None:
    assert tuple(table.duckdb_columns()) == table.names
    assert tuple(table.arrow_schema().names) == table.names
    schema = pandera_schema(table)
    assert tuple(schema.columns) == table.names
    assert {name: column.nullable for name, column in schema.columns.items()} == {
        column.name: column.nullable for column in table.columns
    }


@each_table
def test_an_empty_frame_of_the_arrow_types_keeps_the_pandera_contract(table: TableContract) -> None:
    frame = table.arrow_schema().empty_table().to_pandas(types_mapper=pd.ArrowDtype)
    assert list(pandera_schema(table).validate(frame, lazy=True).columns) == list(table.names)


@each_table
def test_duckdb_reads_the_arrow_types_as_the_declared_ones(table: TableContract) -> None:
    empty = table.arrow_schema().empty_table()
    with duckdb.connect() as connection:
        connection.register("empty", empty)
        described = connection.execute("DESCRIBE empty").fetchall()
    assert {name: kind for name, kind, *_ in described} == table.duckdb_columns()


def test_a_frame_in_another_order_or_type_is_refused() -> None:
    frame = TRANSACTIONS.arrow_schema().empty_table().to_pandas(types_mapper=pd.ArrowDtype)
    schema = pandera_schema(TRANSACTIONS)
    with pytest.raises(pandera.errors.SchemaErrors):
        schema.validate(frame[frame.columns[::-1]], lazy=True)
    with pytest.raises(pandera.errors.SchemaErrors):
        schema.validate(frame.astype({"amount": pd.ArrowDtype(pa.int64())}), lazy=True)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="customers has no column colour"):
        CUSTOMERS.column("colour")


def test_required_columns_leave_known_at_to_the_rule() -> None:
    assert INTERACTIONS.required == ("event_id", "occurred_at", "channel", "kind")


def test_the_page_of_the_data_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert render(page) == page, "run `python -m features.data_docs docs/data.md`"


def test_the_page_documents_every_column() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for table in TABLES.values():
        section = page.split(f"### {table.name}\n")[1].split("\n### ")[0]
        assert all(f"| `{name}` |" in section for name in table.names)


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="the page needs the lines"):
        render("# The data\n")
