"""The ledger's migration: up from a database with keys, and down again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from serving.adapters import database as schema
from serving.adapters.database import migrate
from serving.adapters.personal_signing import PersonalSigner
from serving.adapters.sqlite_keys import SqliteKeys
from serving.adapters.sqlite_life import SqliteLife
from serving.lifecycle import StopKind, Stopped
from serving.use_cases.keys import digest, public_key_of
from tests.unit.serving.life_kit import MACHINE, NOW

SECRET = "moment_live_old"  # noqa: S105 - of nobody


def move(path: Path, how: Callable[[Config, str], None], to: str) -> None:
    """Move a database's schema to a version."""
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        how(config, to)
    engine.dispose()


def names(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def columns(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute("PRAGMA table_info(key_secrets)")]


def test_a_key_from_before_signs_after(tmp_path: Path) -> None:
    path = tmp_path / "moment.db"
    move(path, command.upgrade, "0007")
    with closing(sqlite3.connect(path)) as old:
        old.execute(
            "INSERT INTO api_keys VALUES ('key_1', '', 'live', '[]', NULL, 1, NULL, NULL, NULL, 'Ada', "
            "'operator')"
        )
        old.execute("INSERT INTO key_secrets VALUES (?, 'key_1', 1, NULL, NULL)", (digest(SECRET),))
        old.commit()
    migrate(path)
    with closing(SqliteKeys(path)) as keys, closing(SqliteLife(path, MACHINE, keys)) as ledger:
        ada = PersonalSigner(SECRET, keys, lambda: NOW + timedelta(days=1))
        stop = Stopped(stop_id="stop_1", kind=StopKind.ACTION, name="tea", reason="x")
        ledger.append(lambda _: [stop], ada)
        assert ledger.verify() == 1
        assert keys.secrets("key_1")[0].public_key == public_key_of(SECRET)


def test_down_it_leaves_nothing_and_up_again_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "moment.db"
    migrate(path)
    whole, secrets = names(path), columns(path)
    assert {"life_entries", "life_head", "life_entries_no_update", "life_entries_no_delete"} <= whole
    move(path, command.downgrade, "0007")
    assert not any("life" in name for name in names(path))
    assert columns(path) == [name for name in secrets if name != "public_key"]
    migrate(path)
    assert (names(path), columns(path)) == (whole, secrets)


def test_the_newest_version_is_the_one_the_code_knows() -> None:
    folder = Path(schema.__file__).parent / "migrations" / "versions"
    newest = max(path.name for path in folder.glob("v*.py"))
    assert newest[1:5] == schema.HEAD
