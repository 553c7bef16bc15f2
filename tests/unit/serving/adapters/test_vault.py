"""Sealing, erasing by destroying a key, and what is said when the server's secret is not the right one."""

from __future__ import annotations

import base64
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moment.errors import ConfigurationError, DependencyError
from moment.home import Home
from serving.adapters.database import connect
from serving.adapters.vault import SECRET_FILE, SECRET_VARIABLE, Vault, anonymous_ref
from tests.service.kit import NOW

SECRET = bytes(range(32))
PLAIN = b"anna likes tea"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "mlruns")


@pytest.fixture
def vault(home: Home) -> Vault:
    return Vault.open(home, {})


@pytest.fixture
def database(home: Home, vault: Vault) -> Iterator[sqlite3.Connection]:
    connection = connect(home.database)
    yield connection
    connection.close()


class TestNames:
    """References and blinded identifiers."""

    def test_a_reference_is_the_same_for_ever_and_tells_nothing(self, vault: Vault, home: Home) -> None:
        ref = vault.ref("anna")
        assert Vault.open(home, {}).ref("anna") == ref
        assert len(ref) == 22
        assert "anna" not in ref
        assert vault.ref("ben") != ref
        assert Vault(SECRET).ref("anna") != ref

    def test_references_stay_what_they_are(self) -> None:
        # A change here would part every customer from their history
        assert Vault(SECRET).ref("anna") == "t_Cv6b7agjsZYk5iqylo3g"
        assert Vault(SECRET).blind("request", "key_1", "r") == "AJiddtgB6VFz8wFcDfEYYg"

    def test_what_is_blinded_depends_on_each_part_by_itself(self, vault: Vault) -> None:
        asked = [
            ("request", "ab", "c"),
            ("request", "a", "bc"),
            ("request", "a\0b", "c"),
            ("request", "a", "b\0c"),
            ("request", "abc"),
            ("outcome", "ab", "c"),
        ]
        assert len({vault.blind(*parts) for parts in asked}) == len(asked)

    def test_half_a_character_is_an_identifier_like_any_other(self, vault: Vault) -> None:
        assert vault.ref("\ud800") != vault.ref("\ud801")

    def test_derived_keys_share_nothing(self, vault: Vault) -> None:
        keys = {vault.derived_key(label) for label in ("tracking", "tracking ids", "")}
        assert len(keys) == 3
        assert {len(key) for key in keys} == {32}

    def test_nobody_known_is_sealed_by_day_and_no_customer_has_such_a_reference(self, vault: Vault) -> None:
        assert anonymous_ref(NOW.date()) == "anon:2026-05-01"
        assert ":" not in "".join(vault.ref(str(number)) for number in range(200))


class TestSealing:
    """Sealing and opening."""

    def test_what_was_sealed_opens_for_another_worker(
        self, vault: Vault, home: Home, database: sqlite3.Connection
    ) -> None:
        sealed = vault.seal(database, "a", PLAIN, about="d1")
        assert sealed is not None
        assert PLAIN not in sealed
        assert Vault.open(home, {}).open_sealed(database, "a", sealed, about="d1") == PLAIN

    def test_the_same_text_is_sealed_differently_each_time(
        self, vault: Vault, database: sqlite3.Connection
    ) -> None:
        assert len({vault.seal(database, "a", PLAIN, about="d1") for _ in range(8)}) == 8

    @pytest.mark.parametrize(("ref", "about"), [("b", "d1"), ("a", "d2")])
    def test_it_opens_for_nobody_and_nothing_else(
        self, vault: Vault, database: sqlite3.Connection, ref: str, about: str
    ) -> None:
        sealed = vault.seal(database, "a", PLAIN, about="d1")
        assert sealed is not None
        vault.seal(database, "b", PLAIN, about="d1")
        with pytest.raises(DependencyError, match="cannot be opened"):
            vault.open_sealed(database, ref, sealed, about=about)

    def test_a_changed_byte_is_noticed(self, vault: Vault, database: sqlite3.Connection) -> None:
        sealed = vault.seal(database, "a", PLAIN, about="d1")
        assert sealed is not None
        for place in range(len(sealed)):
            changed = bytes(byte ^ (place == at) for at, byte in enumerate(sealed))
            with pytest.raises(DependencyError, match="restore a backup"):
                vault.open_sealed(database, "a", changed, about="d1")

    def test_somebody_elses_key_does_not_open_in_ones_place(
        self, vault: Vault, home: Home, database: sqlite3.Connection
    ) -> None:
        sealed = vault.seal(database, "a", PLAIN, about="d1")
        vault.seal(database, "b", PLAIN, about="d1")
        assert sealed is not None
        database.execute(
            "UPDATE customer_keys SET wrapped_key = (SELECT wrapped_key FROM customer_keys "
            "WHERE customer_ref = 'b') WHERE customer_ref = 'a'"
        )
        for each in (vault, Vault.open(home, {})):
            with pytest.raises(DependencyError, match="by other means"):
                each.open_sealed(database, "a", sealed, about="d1")

    def test_a_key_rolled_back_is_not_used_again(self, vault: Vault, database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        vault.seal(database, "a", PLAIN, about="d1")
        database.execute("ROLLBACK")
        sealed = vault.seal(database, "a", PLAIN, about="d1")
        assert sealed is not None
        keys = database.execute("SELECT COUNT(*) FROM customer_keys WHERE customer_ref = 'a'").fetchone()
        assert keys == (1,)
        assert vault.open_sealed(database, "a", sealed, about="d1") == PLAIN

    def test_no_key_stands_in_clear(self, vault: Vault, database: sqlite3.Connection) -> None:
        vault.seal(database, "a", PLAIN, about="d1")
        (wrapped,) = database.execute("SELECT wrapped_key FROM customer_keys").fetchone()
        _, key = vault._unwrapped["a"]
        sealed = key.encrypt(bytes(12), PLAIN, None)
        for start in range(len(wrapped) - 31):
            with pytest.raises(InvalidTag):
                AESGCM(wrapped[start : start + 32]).decrypt(bytes(12), sealed, None)

    def test_many_more_customers_than_are_remembered_all_open(
        self, vault: Vault, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("serving.adapters.vault._CACHED_KEYS", 4)
        database.execute("BEGIN IMMEDIATE")
        sealed = {name: vault.seal(database, name, PLAIN, about=name) for name in map(str, range(12))}
        database.execute("COMMIT")
        assert len(vault._unwrapped) == 4
        for name, text in sealed.items():
            assert text is not None
            assert vault.open_sealed(database, name, text, about=name) == PLAIN


class TestDestroying:
    """Erasure."""

    def test_a_destroyed_key_is_gone_for_every_worker_at_once(
        self, vault: Vault, home: Home, database: sqlite3.Connection
    ) -> None:
        other = Vault.open(home, {})
        sealed = vault.seal(database, "a", PLAIN, about="d1")
        assert sealed is not None
        assert other.open_sealed(database, "a", sealed, about="d1") == PLAIN  # and remembers the key
        assert vault.destroy(database, "a", NOW)
        for each in (vault, other, Vault.open(home, {})):
            assert each.open_sealed(database, "a", sealed, about="d1") is None
            assert each.seal(database, "a", PLAIN, about="d2") is None
            assert each.is_erased(database, "a")
            assert "a" not in each._unwrapped
        row = database.execute("SELECT wrapped_key, destroyed_at FROM customer_keys").fetchall()
        assert row == [(None, 1_777_660_200_000_000)]

    def test_whose_key_was_destroyed_is_not_remembered(
        self, vault: Vault, home: Home, database: sqlite3.Connection
    ) -> None:
        other = Vault.open(home, {})
        ref = vault.ref("anna")
        assert other.ref("anna") == ref == other.ref("anna")
        assert vault.destroy(database, ref, NOW)
        assert other.seal(database, ref, PLAIN, about="d1") is None
        for each in (vault, other):
            assert not each._latest.cache_info().currsize
            assert each.ref("anna") == ref

    def test_destroying_again_changes_nothing(self, vault: Vault, database: sqlite3.Connection) -> None:
        assert vault.destroy(database, "a", NOW)
        assert not vault.destroy(database, "a", NOW)

    def test_who_never_had_a_key_gets_none_any_more(self, vault: Vault, database: sqlite3.Connection) -> None:
        assert not vault.is_erased(database, "a")
        vault.destroy(database, "a", NOW)
        assert vault.is_erased(database, "a")
        assert vault.seal(database, "a", PLAIN, about="d1") is None

    def test_others_are_still_read(self, vault: Vault, database: sqlite3.Connection) -> None:
        sealed = vault.seal(database, "b", PLAIN, about="d1")
        vault.destroy(database, "a", NOW)
        assert sealed is not None
        assert vault.open_sealed(database, "b", sealed, about="d1") == PLAIN


class TestSecret:
    """Where the server's secret comes from, and what is said when it is not there."""

    def test_it_is_made_at_the_first_start_for_the_owner_alone(self, vault: Vault, home: Home) -> None:
        path = home.keys / SECRET_FILE
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert [one.name for one in home.keys.iterdir()] == [SECRET_FILE]
        assert Vault.open(home, {}).ref("anna") == vault.ref("anna")

    def test_many_who_start_at_once_agree(self, home: Home) -> None:
        with ThreadPoolExecutor(8) as pool:
            refs = list(pool.map(lambda _: Vault.open(home, {}).ref("anna"), range(8)))
        assert len(set(refs)) == 1

    def test_processes_that_start_at_once_agree(self, home: Home) -> None:
        said = "import sys; from pathlib import Path; from moment.home import Home\n"
        said += "from serving.adapters.vault import Vault\n"
        said += "home = Home(Path(sys.argv[1]), Path('unused')); print(Vault.open(home, {}).ref('anna'))"
        command = [sys.executable, "-c", said, str(home.root)]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        told = {process.communicate(timeout=60)[0] for process in running}
        assert len(told) == 1
        assert len(told.pop().strip()) == 22

    def test_the_environment_goes_before_the_file(self, home: Home) -> None:
        given = base64.b64encode(SECRET).decode()
        vault = Vault.open(home, {SECRET_VARIABLE: given})
        assert vault.ref("anna") == Vault(SECRET).ref("anna")
        assert not home.keys.exists()

    @pytest.mark.parametrize("given", ["short", base64.b64encode(SECRET[:31]).decode(), "ü" * 44, "=" * 44])
    def test_what_is_no_secret_is_said_so_without_repeating_it(self, home: Home, given: str) -> None:
        with pytest.raises(ConfigurationError, match=f"{SECRET_VARIABLE} holds no vault secret") as refused:
            Vault.open(home, {SECRET_VARIABLE: given})
        assert given not in str(refused.value)

    def test_losing_the_file_is_said_and_nothing_is_made_in_its_place(self, vault: Vault, home: Home) -> None:
        path = home.keys / SECRET_FILE
        kept = path.read_text()
        path.unlink()
        with pytest.raises(ConfigurationError, match="put it back from a backup") as refused:
            Vault.open(home, {})
        assert "\n" not in str(refused.value)
        assert not path.exists()
        path.write_text(kept)
        assert Vault.open(home, {}).ref("anna") == vault.ref("anna")

    def test_another_secret_than_the_database_is_sealed_under_is_refused(
        self,
        vault: Vault,
        home: Home,
    ) -> None:
        assert vault.ref("anna") == Vault.open(home, {}).ref("anna")
        other = base64.b64encode(SECRET).decode()
        with pytest.raises(ConfigurationError, match=f"another secret than {SECRET_VARIABLE} holds"):
            Vault.open(home, {SECRET_VARIABLE: other})
        (home.keys / SECRET_FILE).write_text(other)
        with pytest.raises(ConfigurationError, match=r"another secret than keys/vault\.key holds"):
            Vault.open(home, {})

    def test_names_are_the_same_before_there_is_a_database(self, home: Home) -> None:
        named = Vault.for_names(home, {}).ref("anna")
        assert not home.database.exists()
        assert Vault.open(home, {}).ref("anna") == named
        (home.keys / SECRET_FILE).unlink()
        with pytest.raises(ConfigurationError, match="put it back from a backup"):
            Vault.for_names(home, {})

    def test_a_file_that_is_damaged_is_said_so(self, vault: Vault, home: Home) -> None:  # noqa: ARG002
        (home.keys / SECRET_FILE).write_bytes(b"\xff\xfe")
        with pytest.raises(ConfigurationError, match=r"keys/vault\.key cannot be read"):
            Vault.open(home, {})
