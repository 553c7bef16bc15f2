"""What is packed is what Feast's own rows hold, and where nothing is packed those are read."""

from __future__ import annotations

import math
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from feast import Field
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import DoubleList, StringList, Value
from feast.types import Array, Bool, Float64, Int64, String
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.packed import PACKED, PackedView
from feature_repo.stores import EntityKeys
from features.contract import FeatureValue
from features.definitions import BUILT_IN
from features.store import FeatureStore, _configuration
from moment.home import Home
from tests.integration.features.conftest import Served

FIELDS = {
    "flag": (Bool, "bool_val"),
    "number": (Int64, "int64_val"),
    "share": (Float64, "double_val"),
    "word": (String, "string_val"),
    "words": (Array(String), "string_list_val"),
    "shares": (Array(Float64), "double_list_val"),
}
HOME = Home(Path("home"), Path("mlruns"))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))

messages = st.dictionaries(
    st.sampled_from(list(FIELDS)),
    st.one_of(
        st.just(Value()),
        st.booleans().map(lambda one: Value(bool_val=one)),
        st.integers(-(2**63), 2**63 - 1).map(lambda one: Value(int64_val=one)),
        st.floats().map(lambda one: Value(double_val=one)),
        TEXT.map(lambda one: Value(string_val=one)),
        st.lists(TEXT).map(lambda one: Value(string_list_val=StringList(val=one))),
        st.lists(st.floats()).map(lambda one: Value(double_list_val=DoubleList(val=one))),
    ),
)


def view_of(*names: str) -> SimpleNamespace:
    """Return what of Feast's view tells its features."""
    return SimpleNamespace(features=[Field(name=name, dtype=FIELDS[name][0]) for name in names])


VIEW = PackedView(view_of(*FIELDS))


def one_by_one(row: dict[str, Value]) -> dict[str, FeatureValue]:
    """Return the values as Feast's messages tell them, each by itself."""
    values: dict[str, FeatureValue] = dict.fromkeys(FIELDS)
    for name, (_, field) in FIELDS.items():
        if name in row and row[name].WhichOneof("val") == field:
            told = getattr(row[name], field)
            values[name] = tuple(told.val) if "list" in field else told
            if isinstance(told, float) and math.isnan(told):
                values[name] = None
    return values


@given(messages)
def test_what_is_packed_is_what_each_message_holds(row: dict[str, Value]) -> None:
    # Compared as text: a NaN within a list stays one, and 1 is not True
    whole = {name: row.get(name, Value()) for name in FIELDS}
    packed = VIEW.unpack(VIEW.pack(whole).SerializeToString())
    assert VIEW.plain(row).keys() == FIELDS.keys()
    assert repr(packed) == repr(tuple(VIEW.plain(row).values())) == repr(tuple(one_by_one(row).values()))


def test_a_part_of_a_row_is_not_packed() -> None:
    assert VIEW.pack({"flag": Value(bool_val=True)}) == Value()
    assert VIEW.unpack(Value().SerializeToString()) is None


@pytest.mark.parametrize("names", [("word", "flag"), ("flag", "word", "share"), ("words", "word")])
def test_what_was_packed_of_other_features_is_not_unpacked(names: tuple[str, ...]) -> None:
    row = {"flag": Value(bool_val=True), "word": Value(string_val="tea")}
    packed = PackedView(view_of("flag", "word")).pack(row).SerializeToString()
    assert PackedView(view_of(*names)).unpack(packed) is None
    assert PackedView(view_of("flag", "word")).unpack(packed) == (True, "tea")


@given(TEXT)
def test_keys_are_those_feast_makes(entity: str) -> None:
    config = _configuration(HOME)
    feasts = EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=entity)])
    assert EntityKeys(config, "customer_id")(entity) == serialize_entity_key(feasts, 3)
    assert config.entity_key_serialization_version == 3


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM {table} WHERE feature_name = ?",
        "UPDATE {table} SET value = x'' WHERE feature_name = ?",
    ],
)
def test_where_nothing_is_packed_feasts_rows_are_read(served: Served, tmp_path: Path, change: str) -> None:
    shutil.copytree(served.home.feast, tmp_path / "feast")
    snapshots = served.home.snapshots / "spending" / "*.parquet"
    some = duckdb.sql(f"SELECT DISTINCT customer_id FROM '{snapshots}' LIMIT 40").fetchnumpy()["customer_id"]
    customers = [*some.tolist(), "nobody"]
    with closing(sqlite3.connect(tmp_path / "feast" / "online.db")) as connection, connection:
        for view in BUILT_IN:
            changed = connection.execute(change.format(table=f"moment_{view.name}"), (PACKED,)).rowcount
            assert changed > 0
    store = FeatureStore(Home(tmp_path, tmp_path / "mlruns"))
    for at in (served.now, served.now + timedelta(days=30)):
        assert store.online(customers, at) == served.store.online(customers, at)
