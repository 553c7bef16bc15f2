"""Feast's SQLite online store and file registry, with relative paths taken from Moment's home.

``feature_store.yaml`` can expand an environment variable but not fall back to a default; these can.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig, _table_id
from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RegistryConfig, RepoConfig
from pydantic import StrictStr

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

    It never lets an older push replace a newer one, and reads all views of a customer at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._of_thread = threading.local()

    @staticmethod
    def _get_db_path(config: RepoConfig) -> str:
        path = in_home(config.online_store.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def read_views(self, config: RepoConfig, views: Sequence[Any], key: EntityKey) -> list[dict[str, Value]]:
        """Return what stands under a key in each view, by feature; of a view without any, nothing.

        Feast's own ``online_read`` asks view by view, and makes a time of every value's time. One question
        for all is a fifth of the work, and threads need not take turns: each has a connection of its own.
        """
        names = tuple(
            _table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
            for view in views
        )
        serialized = serialize_entity_key(key, config.entity_key_serialization_version)
        found: list[dict[str, Value]] = [{} for _ in views]
        parse = Value.FromString
        for place, feature, value in self._reader(config).execute(_read_all(names), (serialized,)):
            found[place][feature] = parse(value)
        return found

    def _reader(self, config: RepoConfig) -> sqlite3.Connection:
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
        """Write rows; of a pushed view only those that are newer than what is there.

        Several processes push the same row, and the last to write need not be the last to have read.
        """
        if PUSHED not in table.tags:
            super().online_write_batch(config, table, data, progress)
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


@lru_cache
def _read_all(tables: tuple[str, ...]) -> str:
    """Return one question for what stands under a key in several tables, each row with its table's place."""
    asked = (
        f'SELECT {place}, feature_name, value FROM "{table}" WHERE entity_key = ?1'  # noqa: S608 - Feast's names
        for place, table in enumerate(tables)
    )
    return " UNION ALL ".join(asked)
