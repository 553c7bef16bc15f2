"""What every store of keys promises, asked of each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from moment.errors import DependencyError
from serving.adapters.database import connect, migrate
from serving.adapters.memory import MemoryKeys
from serving.adapters.sqlite_keys import SqliteKeys
from serving.ports import ApiKey, Bounds, FoundKey, Keys, Role, Scope, Secret
from serving.records import Mode
from tests.service.kit import NOW

KEY = ApiKey("key_1", "shop", Mode.LIVE, frozenset({Scope.DECIDE, Scope.READ_SCORES}), "web", NOW)
LATER = NOW + timedelta(hours=1)
GRACE = LATER + timedelta(hours=24)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "moment.db"
    migrate(path)
    return path


@pytest.fixture(params=["memory", "sqlite"])
def keys(request: pytest.FixtureRequest, database: Path) -> Iterator[Keys]:
    if request.param == "memory":
        yield MemoryKeys()
        return
    store = SqliteKeys(database)
    yield store
    store.close()


def test_a_key_is_found_by_its_digest_alone(keys: Keys) -> None:
    keys.add(KEY, b"digest")
    assert keys.find(b"digest") == FoundKey(KEY, Secret(NOW))
    assert keys.find(b"other") is None
    assert keys.find(b"") is None


def test_keys_are_listed_oldest_first(keys: Keys) -> None:
    older = replace(KEY, key_id="key_0", created_at=NOW - timedelta(days=1), channel=None)
    keys.add(KEY, b"1")
    keys.add(older, b"2")
    assert keys.all() == (older, KEY)


def test_everything_of_a_key_is_kept(keys: Keys) -> None:
    whole = replace(
        KEY,
        expires_at=LATER,
        bounds=Bounds(per_second=2.5, burst=9, customers_per_hour=50),
        person="Ada Byron",
        role=Role.SUPPORT,
    )
    keys.add(whole, b"digest")
    found = keys.find(b"digest")
    assert found is not None
    assert found.key == whole
    assert keys.all() == (whole,)


def test_revoking_twice_keeps_the_first_time(keys: Keys) -> None:
    keys.add(KEY, b"digest")
    revoked = replace(KEY, revoked_at=NOW)
    assert keys.revoke("key_1", NOW) == revoked
    assert keys.revoke("key_1", LATER) == revoked
    found = keys.find(b"digest")
    assert found is not None
    assert found.key == revoked
    assert not found.opens(NOW)
    assert keys.revoke("key_2", NOW) is None


def test_a_rotated_key_has_both_secrets_until_the_earlier_ends(keys: Keys) -> None:
    keys.add(KEY, b"old")
    assert keys.rotate("key_1", b"new", at=LATER, until=GRACE) == KEY
    assert keys.secrets("key_1") == (Secret(NOW, GRACE), Secret(LATER))
    old, new = keys.find(b"old"), keys.find(b"new")
    assert old is not None
    assert new is not None
    assert old.key == new.key == KEY
    last = GRACE - timedelta(microseconds=1)
    assert (old.opens(last), old.opens(GRACE), new.opens(GRACE)) == (True, False, True)


def test_rotating_again_lets_no_secret_live_longer(keys: Keys) -> None:
    keys.add(KEY, b"1")
    keys.rotate("key_1", b"2", at=LATER, until=GRACE)
    keys.rotate("key_1", b"3", at=GRACE, until=GRACE + timedelta(hours=5))
    assert [secret.expires_at for secret in keys.secrets("key_1")] == [
        GRACE,
        GRACE + timedelta(hours=5),
        None,
    ]


def test_neither_a_revoked_key_nor_one_that_is_not_there_is_rotated(keys: Keys) -> None:
    keys.add(KEY, b"old")
    keys.revoke("key_1", NOW)
    assert keys.rotate("key_1", b"new", at=LATER, until=GRACE) is None
    assert keys.rotate("key_2", b"new", at=LATER, until=GRACE) is None
    assert keys.find(b"new") is None


def test_a_revoked_key_opens_nothing_with_any_secret(keys: Keys) -> None:
    keys.add(KEY, b"old")
    keys.rotate("key_1", b"new", at=LATER, until=GRACE)
    keys.revoke("key_1", LATER)
    found = [keys.find(b"old"), keys.find(b"new")]
    assert [one is not None and one.opens(LATER) for one in found] == [False, False]


def test_the_day_a_secret_was_used_is_kept(keys: Keys) -> None:
    keys.add(KEY, b"digest")
    keys.used(b"digest", date(2026, 5, 1))
    keys.used(b"digest", date(2026, 5, 2))
    assert keys.secrets("key_1") == (Secret(NOW, None, date(2026, 5, 2)),)


def test_the_day_is_not_waited_for_and_is_written_when_it_can_be(database: Path) -> None:
    store = SqliteKeys(database)
    store.add(KEY, b"digest")
    with closing(connect(database)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.used(b"digest", date(2026, 5, 1))
        assert store.secrets("key_1")[0].last_used_on is None
        other.execute("ROLLBACK")
    store.used(b"digest", date(2026, 5, 1))
    assert store.secrets("key_1")[0].last_used_on == date(2026, 5, 1)
    store.close()


def test_a_key_that_is_there_already_leaves_nothing_behind(database: Path) -> None:
    store = SqliteKeys(database)
    store.add(KEY, b"1")
    with pytest.raises(DependencyError, match="store of keys"):
        store.add(KEY, b"2")
    assert store.find(b"2") is None
    store.add(replace(KEY, key_id="key_2"), b"2")
    store.close()


def test_neither_secrets_nor_their_tables_are_anywhere_else(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(api_keys)")}
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert not any("secret" in name for name in columns)
    assert "api_keys_0006" not in tables
