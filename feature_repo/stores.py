"""Feast's SQLite online store and file registry, with relative paths taken from Moment's home.

``feature_store.yaml`` can expand an environment variable but not fall back to a default; these can.
"""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig, _table_id
from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RegistryConfig, RepoConfig
from pydantic import StrictStr

from feature_repo.packed import PACKED, PackedView, Row
from feature_repo.views import PUSHED
from moment.home import Home

_BUSY_SECONDS = 10.0


def in_home(path: str) -> Path:
    """Return an absolute path as it is and a relative one in Feast's folder of the home."""
    return Home.find().feast / path


class HomeRegistryStore(FileRegistryStore):
    """Feast's file registry in Moment's home."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        located = registry_config.model_copy(update={"path": str(in_home(registry_config.path))})
        super().__init__(located, repo_path)

    def _write_registry(self, registry_proto: object) -> None:
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        super()._write_registry(registry_proto)


class HomeSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """Configuration of `HomeSqliteOnlineStore`: Feast's own, under this class's name."""

    type: StrictStr = "feature_repo.stores.HomeSqliteOnlineStore"


class HomeSqliteOnlineStore(SqliteOnlineStore):
    """Feast's SQLite online store in Moment's home.

    It never lets an older push replace a newer one, keeps what is materialized packed as well, and reads all
    views of a customer at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._of_thread = threading.local()

    @staticmethod
    def _get_db_path(config: RepoConfig) -> str:
        path = in_home(config.online_store.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def view_reader(self, config: RepoConfig, views: Sequence[Any], join_key: str) -> ViewReader:
        """Return who reads some views by the key of their entity."""
        return ViewReader(self, config, views, join_key)

    def feature_reader(self, config: RepoConfig, view: Any, feature: str, join_key: str) -> FeatureReader:  # noqa: ANN401
        """Return who reads one feature of a view by the key of its entity."""
        return FeatureReader(self, config, view, feature, join_key)

    def reader(self, config: RepoConfig) -> sqlite3.Connection:
        """Return this thread's own connection for reading: threads need not take turns."""
        connection: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._get_db_path(config), timeout=_BUSY_SECONDS)
            self._of_thread.connection = connection
        return connection

    def online_write_batch(
        self,
        config: RepoConfig,
        table: Any,  # noqa: ANN401 - any of Feast's kinds of view
        data: list[Any],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows, packed too; of a pushed view only those that are newer than what is there.

        Several processes push the same row, and the last to write need not be the last to have read.
        """
        if PUSHED not in table.tags:
            pack = PackedView(table).pack
            whole = [(key, {**values, PACKED: pack(values)}, *times) for key, values, *times in data]
            super().online_write_batch(config, table, whole, progress)
            return
        connection: sqlite3.Connection = self._get_conn(config)
        # Others may neither write between the look and the writing, which commits
        connection.execute("BEGIN IMMEDIATE")
        try:
            there = self.online_read(config, table, [row[0] for row in data])
            newer = [row for row, (time, _) in zip(data, there, strict=True) if _is_newer(row[2], time)]
            super().online_write_batch(config, table, newer, progress)
        except BaseException:
            connection.rollback()
            raise


def _is_newer(pushed: datetime, there: datetime | None) -> bool:
    return there is None or pushed.astimezone(UTC) > there


class ViewReader:
    """Reads all that stands under a key in some views; prepared once, for every key.

    Feast's own ``online_read`` asks view by view and row by row. What is packed comes by one question for
    all views; Feast's rows are read where nothing is, in a store that was written by an earlier Moment.
    """

    def __init__(
        self, store: HomeSqliteOnlineStore, config: RepoConfig, views: Sequence[Any], join_key: str
    ) -> None:
        self._store = store
        self._config = config
        self._key = EntityKeys(config, join_key)
        self._views = tuple(map(PackedView, views))
        tables = [_table(config, view) for view in views]
        packed = (f"({_FEATURE.format(table)})" for table in tables)
        self._packed = f"SELECT {', '.join(packed)}"
        self._loose = tuple(map(_FEATURES.format, tables))

    @property
    def names(self) -> list[tuple[str, ...]]:
        """The features of each view, in the order of their values in a row."""
        return [view.names for view in self._views]

    def read(self, entity: str) -> list[Row | None]:
        """Return the row of each view; None where it has none."""
        key, connection = self._key(entity), self._store.reader(self._config)
        found = connection.execute(self._packed, (key, PACKED)).fetchone()
        return [
            (None if value is None else view.unpack(value)) or _rows(connection, view, loose, key)
            for view, value, loose in zip(self._views, found, self._loose, strict=True)
        ]


class FeatureReader:
    """Reads one feature of a view; prepared once, for every key."""

    def __init__(
        self,
        store: HomeSqliteOnlineStore,
        config: RepoConfig,
        view: Any,  # noqa: ANN401 - any of Feast's kinds of view
        feature: str,
        join_key: str,
    ) -> None:
        self._store = store
        self._config = config
        self._feature = feature
        self._key = EntityKeys(config, join_key)
        self._question = _FEATURE.format(_table(config, view))

    def read(self, entity: str) -> Value | None:
        """Return Feast's message of the feature; None where there is none."""
        connection = self._store.reader(self._config)
        row = connection.execute(self._question, (self._key(entity), self._feature)).fetchone()
        return None if row is None else Value.FromString(row[0])


class EntityKeys:
    """Feast's serialized keys of one entity; what is the same in all is made once."""

    def __init__(self, config: RepoConfig, join_key: str) -> None:
        key = EntityKey(join_keys=[join_key], entity_values=[Value(string_val="")])
        empty: bytes = serialize_entity_key(key, config.entity_key_serialization_version)
        self._same = empty[: -_LENGTH.size]

    def __call__(self, entity: str) -> bytes:
        """Return the key as Feast serializes it: what is the same, the length, and the name itself."""
        content = entity.encode()
        return self._same + _LENGTH.pack(len(content)) + content


_LENGTH = struct.Struct("<I")
_FEATURE = 'SELECT value FROM "{}" WHERE entity_key = ?1 AND feature_name = ?2'
_FEATURES = 'SELECT feature_name, value FROM "{}" WHERE entity_key = ?1'


def _table(config: RepoConfig, view: Any) -> str:  # noqa: ANN401 - any of Feast's kinds of view
    name: str = _table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
    return name


def _rows(connection: sqlite3.Connection, view: PackedView, question: str, key: bytes) -> Row | None:
    """Return what Feast's own rows hold of a view."""
    found = connection.execute(question, (key,)).fetchall()
    messages = {name: Value.FromString(value) for name, value in found}
    return tuple(view.plain(messages).values()) if messages else None
