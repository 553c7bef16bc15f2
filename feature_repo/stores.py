"""Feast's SQLite online store and file registry, with relative paths taken from Moment's home.

``feature_store.yaml`` can expand an environment variable but not fall back to a default; these can.
"""

from __future__ import annotations

from pathlib import Path

from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.infra.registry.file import FileRegistryStore
from feast.repo_config import RegistryConfig, RepoConfig
from pydantic import StrictStr

from moment.home import Home


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
    """Feast's SQLite online store in Moment's home."""

    @staticmethod
    def _get_db_path(config: RepoConfig) -> str:
        path = in_home(config.online_store.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)
