from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.sources import History, SourceError
from features.sources.folder import FolderSource
from features.sources.known_at import KnownAtIngest, KnownFromColumn
from moment.errors import ConfigurationError
from tests.unit.features.shop import CUSTOMERS, Shop

NO_RULE = "is no rule; write known_at, ingest or occurred_at + 1 day"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.under(tmp_path)


def faults(shop: Shop) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        FolderSource.open(shop.folder)
    return [str(fault).removeprefix(f"{shop.folder}/") for fault in caught.value.faults]


def test_the_name_is_the_folders_or_the_settings(shop: Shop) -> None:
    assert FolderSource.open(shop.folder).name == "shop"
    shop.change("source.toml", "[tables.customers]", 'name = "corner-shop"\n[tables.customers]')
    assert FolderSource.open(shop.folder).name == "corner-shop"


@pytest.mark.parametrize("name", ["Corner Shop", "../shop", "complete-journey", "", "_sources"])
def test_a_name_that_cannot_name_files_is_refused(shop: Shop, name: str) -> None:
    shop.change("source.toml", "[tables.customers]", f'name = "{name}"\n[tables.customers]')
    (fault,) = faults(shop)
    assert fault.endswith('add name = "my-shop" at the top')


def test_declarations_are_read(shop: Shop) -> None:
    declared = FolderSource.open(shop.folder).declarations
    assert declared["customers"].history is History.SNAPSHOT
    assert str(declared["transactions"].known_at) == "occurred_at + 1 day"
    assert declared["transactions"].reject_limit == 0.5


def test_without_a_rule_the_column_known_at_is_used_or_else_the_ingest(shop: Shop) -> None:
    shop.write("source.toml", "")
    declared = FolderSource.open(shop.folder).declarations
    assert isinstance(declared["customers"].known_at, KnownAtIngest)
    shop.write("customers.csv", "customer_id,known_at\n")
    declared = FolderSource.open(shop.folder).declarations
    assert isinstance(declared["customers"].known_at, KnownFromColumn)


def test_every_fault_of_the_settings_is_told_with_the_way_out(shop: Shop) -> None:
    shop.write(
        "source.toml",
        """
        title = "Shop"
        [tables.customers]
        histroy = "snapshot"
        history = "all"
        [tables.transaction]
        [tables.transactions]
        known_at = "tomorrow morning"
        [tables.outcomes]
        """,
    )
    assert faults(shop) == [
        "source.toml: unknown key title; known are name, tables",
        "source.toml, [tables.customers]: unknown key histroy; did you mean history?",
        "source.toml, [tables.transaction]: unknown table transaction; did you mean transactions?",
        f"[tables.customers] in {shop.folder}/source.toml: 'all' is not a valid History",
        f'[tables.transactions] in {shop.folder}/source.toml: known_at "tomorrow morning" {NO_RULE}',
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tables", "is no TOML"),
        ("tables = 3", "tables must be sections"),
        ("[tables.customers]\nreject_limit = 2", "reject_limit 2 is no share"),
        ("[tables.customers]\nreject_limit = true", "reject_limit True is no share"),
    ],
)
def test_wrong_settings_are_refused(shop: Shop, text: str, message: str) -> None:
    shop.write("source.toml", text)
    assert any(message in fault for fault in faults(shop))


def test_a_file_nearly_named_as_a_table_is_refused_and_others_are_left_alone(shop: Shop) -> None:
    shop.write("notes.txt", "buy milk")
    shop.write("suppliers.csv", "supplier\n1\n")
    FolderSource.open(shop.folder)
    shop.write("presentation.csv", "presentation_id\n")
    assert faults(shop) == ["presentation.csv: is no canonical table; rename it to presentations.csv"]


def test_no_folder_and_no_tables_are_refused(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is no folder"):
        FolderSource.open(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"holds no table; add customers\.csv"):
        FolderSource.open(tmp_path / "empty")


def test_the_digest_follows_content_and_not_place(shop: Shop, tmp_path: Path) -> None:
    digest = FolderSource.open(shop.folder).digest()
    moved = Path(shutil.copytree(shop.folder, tmp_path / "moved"))
    assert FolderSource.open(moved).digest() == digest
    shop.change("customers.csv", "h1", "h2")
    assert FolderSource.open(shop.folder).digest() != digest


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("customers.csv", b"", "has no header; add one"),
        (
            "customers.csv",
            b"customer_id,customer_id,party_type\n",
            "names column customer_id twice; remove one",
        ),
        ("customers.csv", b"customer_id,party_type\xff\n", "save it as UTF-8 CSV with a header"),
        ("customers.parquet", b"PAR1 no more", "cannot be read"),
    ],
)
def test_an_unreadable_file_is_one_fault_that_names_it(
    shop: Shop, name: str, content: bytes, message: str
) -> None:
    (shop.folder / "customers.csv").unlink()
    (shop.folder / name).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        shop.ingest()
    (fault,) = caught.value.faults
    assert fault.place == str(shop.folder / name)
    assert message in fault.message


def test_a_file_that_breaks_off_is_named_and_the_lake_stays_empty(shop: Shop) -> None:
    rows = b"1,person,h1,2015-05-01\n" * 20_000 + b"\xff\xfe,person,h1,2015-05-01\n"
    (shop.folder / "customers.csv").write_bytes(CUSTOMERS.splitlines(keepends=True)[0].encode() + rows)
    with pytest.raises(
        SourceError, match=r"customers\.csv: cannot be read: .*; save it as UTF-8 CSV with a header"
    ):
        shop.ingest()
    assert not (shop.home.lake / "customers").exists()


def test_a_parquet_file_damaged_inside_is_named(shop: Shop) -> None:
    (shop.folder / "transactions.csv").unlink()
    path = shop.folder / "transactions.parquet"
    text = [str(number) for number in range(5_000)]
    columns = dict.fromkeys(("transaction_id", "customer_id", "amount"), text)
    pq.write_table(pa.table(columns | {"occurred_at": ["2017-01-01"] * 5_000}), path)
    content = bytearray(path.read_bytes())
    content[20:2_000] = b"\xff" * 1_980
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"transactions\.parquet: cannot be read: .*; write it again"):
        shop.ingest()


def test_quotes_line_ends_and_a_byte_order_mark_are_csv(shop: Shop) -> None:
    text = '\ufeffcustomer_id,party_type,region,joined_at\r\n"1",person,"North,\nEast",2017-01-01\r\n\r\n'
    (shop.folder / "customers.csv").write_bytes(text.encode())
    shop.ingest()
    assert shop.rows("SELECT customer_id, region FROM customers") == [("1", "North,\nEast")]
