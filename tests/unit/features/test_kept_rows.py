"""Rows kept for a model: the same again, without whoever was erased, and told apart from damage."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from features import kept_rows
from features.erasure import erase_from_training_sets
from features.ingest import ingest
from features.sources.folder import FolderSource
from moment.errors import DependencyError
from moment.home import Home

ROWS = pa.table({"customer_id": ["a", "b", "a", "c"], "spend": [1.0, 2.0, 3.0, 4.0]})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose lake knows a, b and c."""
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "customers.csv").write_text("customer_id,party_type\na,person\nb,person\nc,person\n")
    (shop / "source.toml").write_text('[tables.customers]\nhistory = "snapshot"\nknown_at = "ingest"\n')
    made = Home(tmp_path / "home", tmp_path / "mlruns")
    ingest(made, FolderSource.open(shop))
    return made


def test_the_same_rows_are_kept_once_and_read_as_they_were(home: Home) -> None:
    name = kept_rows.keep(home, ROWS)
    assert kept_rows.keep(home, ROWS) == name
    rows, kept = kept_rows.read(home, name)
    assert rows.equals(ROWS)
    assert (kept.rows, kept.left, kept.erased) == (4, 4, 0)
    assert sorted(file.suffix for file in home.training_sets.glob("[!.]*")) == [".json", ".parquet"]


def test_rows_that_do_not_say_whose_they_are_are_not_kept(home: Home) -> None:
    with pytest.raises(ValueError, match="column customer_id"):
        kept_rows.keep(home, ROWS.drop_columns(["customer_id"]))


def test_erasing_somebody_reaches_kept_rows_and_says_how_many_are_gone(home: Home) -> None:
    name = kept_rows.keep(home, ROWS)
    other = kept_rows.keep(home, ROWS.filter(pa.array([False, True, False, True])))

    assert erase_from_training_sets(home, "a") == 2
    assert erase_from_training_sets(home, "a") == 0

    rows, kept = kept_rows.read(home, name)
    assert rows["customer_id"].to_pylist() == ["b", "c"]
    assert kept.erased == 2
    assert kept_rows.read(home, other)[1].erased == 0
    assert b"a" not in {value.encode() for value in rows["customer_id"].to_pylist()}
    assert list(home.training_sets.glob(".*.erasing")) == []


def test_whoever_was_erased_from_the_lake_while_a_model_was_trained_is_not_kept(home: Home) -> None:
    from features.erasure import erase_from_lake

    erase_from_lake(home, "b")
    name = kept_rows.keep(home, ROWS)
    rows, kept = kept_rows.read(home, name)
    assert rows["customer_id"].to_pylist() == ["a", "a", "c"]
    assert kept.erased == 1


def test_an_erasure_that_ended_before_the_new_file_was_there_is_no_damage_and_is_done_again(
    home: Home,
) -> None:
    name = kept_rows.keep(home, ROWS)
    file = kept_rows.rows_file(home, name)
    whole = file.read_bytes()
    erase_from_training_sets(home, "a")
    file.write_bytes(whole)  # as if the process had ended right before the new file took its place

    assert kept_rows.read(home, name)[0].num_rows == 4
    assert erase_from_training_sets(home, "a") == 2
    assert kept_rows.read(home, name)[1].erased == 2


@pytest.mark.parametrize("place", [10, -5])
def test_a_damaged_file_is_named(home: Home, place: int) -> None:
    name = kept_rows.keep(home, ROWS)
    file = kept_rows.rows_file(home, name)
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(DependencyError, match=f"the rows {name[:12]} in training-sets/ are damaged"):
        kept_rows.read(home, name)


def test_rows_that_are_gone_are_named(home: Home) -> None:
    name = kept_rows.keep(home, ROWS)
    kept_rows.rows_file(home, name).unlink()
    with pytest.raises(DependencyError, match="are gone"):
        kept_rows.read(home, name)


def test_what_stands_beside_the_rows_names_nobody(home: Home) -> None:
    name = kept_rows.keep(home, ROWS)
    said = json.loads((home.training_sets / f"{name}.json").read_text())
    assert set(said) == {"rows", "sha256", "before", "left"}
