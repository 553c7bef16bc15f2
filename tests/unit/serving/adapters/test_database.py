from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import serving.adapters.migrations
from moment.errors import DependencyError
from serving.adapters.database import HEAD, connect, migrate
from serving.adapters.sqlite_records import SqliteRecords
from tests.service.kit import VAULT
from tests.unit.serving.adapters.test_stores import entry


def test_the_code_knows_the_newest_version() -> None:
    config = Config()
    config.set_main_option("script_location", serving.adapters.migrations.__path__[0])
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_commits_are_durable_and_readers_are_not_blocked(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "moment.db"
    migrate(path)
    connection = connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_migrating_again_and_at_once_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "moment.db"
    threads = [threading.Thread(target=migrate, args=(path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connection = connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
    connection.close()


def test_an_interrupted_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "moment.db"
    connection = connect(path)
    connection.execute("CREATE TABLE decisions (in_the_way TEXT)")
    with pytest.raises(DependencyError, match="cannot be brought up to date"):
        migrate(path)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"decisions"}
    connection.execute("DROP TABLE decisions")
    connection.close()
    migrate(path)


def test_a_database_of_a_newer_moment_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "moment.db"
    migrate(path)
    connection = connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(DependencyError, match="upgrade Moment"):
        migrate(path)


def test_a_file_that_is_no_database_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "moment.db"
    path.write_bytes(b"not a database, but long enough to be looked at as one" * 20)
    with pytest.raises(DependencyError, match="cannot be opened"):
        migrate(path)


def test_a_store_that_cannot_write_refuses_and_goes_on_when_it_can(tmp_path: Path) -> None:
    path = tmp_path / "moment.db"
    migrate(path)
    store = SqliteRecords(path, VAULT)
    blocker = sqlite3.connect(path)
    blocker.executescript("ALTER TABLE decisions RENAME TO away")
    with pytest.raises(DependencyError, match="could not be recorded"):
        store.append(entry(1)).result(5)
    blocker.executescript("ALTER TABLE away RENAME TO decisions")
    blocker.close()
    assert store.append(entry(2)).result(5).record.decision_id == "d2"
    assert store.find("d1") is None
    store.close()
