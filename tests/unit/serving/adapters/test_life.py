"""What every ledger of models' lives promises, asked of each; what tampering with the file leaves to see."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from moment.errors import DependencyError, InvalidRequest, InvariantViolation
from serving.adapters.database import connect, migrate
from serving.adapters.life_beginning import Beginning
from serving.adapters.life_chain import decoded, encoded
from serving.adapters.memory import MemoryKeys
from serving.adapters.memory_life import MemoryLife
from serving.adapters.personal_signing import MachineSigner, PersonalSigner
from serving.adapters.sqlite_keys import SqliteKeys
from serving.adapters.sqlite_life import SqliteLife
from serving.adapters.vault import Vault
from serving.lifecycle import Actor, Book, Challenged, Judged, Model, Stopped, Submitted, Written
from serving.lifecycle.acts import MACHINE as MACHINE_ACTOR
from serving.lifecycle.acts import AnyAct, StopKind
from serving.ports import Keys, Role
from serving.ports.life import LedgerBroken, LifeLedger, Signer
from tests.unit.serving.life_kit import MACHINE, NOW, PASSED, UNSURE, Clock, personal

DIGEST = "a" * 64
CHANGE = "UPDATE life_entries SET content = {} WHERE seq = 2"
REPLACED = "replace(content, 'a2', 'b2')"
NEWER = "entry 2 of the ledger of models says what this Moment does not know; upgrade Moment if a newer one"
SWAP = ";".join(
    f"UPDATE life_entries SET seq = {to} WHERE seq = {seq}" for seq, to in ((2, 9), (3, 2), (9, 3))
)
ZEROS = "UPDATE life_head SET seq = 0, digest = zeroblob(32)"
CUT = "DELETE FROM life_entries WHERE seq = 4; UPDATE life_head SET seq = 3"
NINTH = "SELECT 9, content, previous, x'01', signature, public_key FROM life_entries WHERE seq = 2"


@dataclass
class Desk:
    """A ledger, and who writes in it."""

    ledger: LifeLedger
    keys: Keys
    clock: Clock
    ada: PersonalSigner

    def write(self, *acts: AnyAct, by: Signer | None = None) -> Book:
        """Append acts without asking the rules."""
        return self.ledger.append(lambda _: acts, by or self.ada)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "moment.db"
    migrate(path)
    return path


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest, database: Path) -> Iterator[Desk]:
    clock = Clock()
    if request.param == "memory":
        keys = MemoryKeys()
        yield Desk(MemoryLife(MACHINE, keys, clock), keys, clock, personal(keys, "Ada", Role.RISK_OFFICER))
        return
    with opened(database) as desk:
        yield desk


class opened:  # noqa: N801 - read as a verb
    """A desk on a database."""

    def __init__(self, path: Path) -> None:
        clock = Clock()
        self.keys = SqliteKeys(path)
        beginning = Beginning(path.with_name("ledger.begun"))
        self.ledger = SqliteLife(path, MACHINE, self.keys, clock, beginning=beginning)
        self.desk = Desk(self.ledger, self.keys, clock, personal(self.keys, "Ada", Role.RISK_OFFICER))

    def __enter__(self) -> Desk:
        return self.desk

    def __exit__(self, *_: object) -> None:
        self.ledger.close()
        self.keys.close()


def submitted(digest: str = DIGEST) -> Submitted:
    return Submitted(model=Model.PROPENSITY, digest=digest)


def stopped(number: int) -> Stopped:
    return Stopped(stop_id=f"stop_{number}", kind=StopKind.ACTION, name=f"a{number}", reason="x")


class TestEveryLedger:
    """Kept alike in memory and in SQLite."""

    def test_an_empty_one_has_an_empty_book(self, desk: Desk) -> None:
        assert (desk.ledger.seq(), desk.ledger.entries(), desk.ledger.verify()) == (0, (), 0)
        assert desk.ledger.book() == Book()

    def test_acts_are_kept_with_who_and_when_in_order(self, desk: Desk) -> None:
        book = desk.write(submitted(), stopped(1))
        desk.clock.forward(hours=1)
        desk.write(Judged(model=Model.PROPENSITY, digest=DIGEST, gates=UNSURE), by=MACHINE)
        written = [one.entry for one in desk.ledger.entries()]
        assert [(one.seq, one.at, one.by) for one in written] == [
            (1, NOW, desk.ada.actor),
            (2, NOW, desk.ada.actor),
            (3, NOW + timedelta(hours=1), MACHINE_ACTOR),
        ]
        assert written[0].act == submitted()
        assert (book.seq, desk.ledger.seq(), desk.ledger.verify()) == (2, 3, 3)
        assert desk.ledger.book() == Book.of(written)
        assert [one.entry.seq for one in desk.ledger.entries(after=2)] == [3]

    def test_each_entry_holds_the_one_before_and_its_own_signature(self, desk: Desk) -> None:
        desk.write(stopped(1), stopped(2))
        first, second = desk.ledger.entries()
        assert (first.previous, second.previous) == (bytes(32), first.digest)
        assert (len(first.signature), first.public_key) == (64, desk.ada.public_key)

    def test_what_decide_refuses_leaves_nothing(self, desk: Desk) -> None:
        def decide(book: Book) -> Sequence[AnyAct]:
            raise InvalidRequest("no", code="not-now")

        with pytest.raises(InvalidRequest):
            desk.ledger.append(decide, desk.ada)
        assert desk.write() == Book(), "nothing to do is nothing done"
        desk.write(stopped(1))
        assert desk.ledger.verify() == 1

    def test_decide_sees_what_was_appended_before(self, desk: Desk) -> None:
        seen: list[int] = []

        def decide(book: Book) -> Sequence[AnyAct]:
            seen.append(book.seq)
            return [stopped(book.seq)]

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: desk.ledger.append(decide, desk.ada), range(12)))
        assert sorted(seen) == list(range(12))
        assert desk.ledger.verify() == 12

    def test_who_is_not_in_the_store_of_keys_signs_nothing(self, desk: Desk) -> None:
        stranger = personal(MemoryKeys(), "Eve", Role.RISK_OFFICER)
        with pytest.raises(DependencyError, match="another key"):
            desk.write(stopped(1), by=stranger)
        other_machine = MachineSigner(Vault(bytes(32)))
        with pytest.raises(DependencyError, match="another key than machine"):
            desk.write(stopped(1), by=other_machine)
        assert desk.ledger.seq() == 0

    def test_a_rotated_key_signs_on_and_what_it_signed_stays(self, desk: Desk) -> None:
        from serving.use_cases.keys import rotate_key

        desk.write(stopped(1))
        new = rotate_key(desk.keys, desk.ada.actor.key_id, NOW, grace=timedelta(0))
        desk.write(stopped(2), by=PersonalSigner(new.secret, desk.keys, lambda: NOW))
        first, second = desk.ledger.entries()
        assert first.public_key != second.public_key
        assert desk.ledger.verify() == 2

    def test_a_revoked_key_leaves_what_it_signed(self, desk: Desk) -> None:
        desk.write(stopped(1))
        desk.keys.revoke(desk.ada.actor.key_id, NOW)
        assert desk.ledger.verify() == 1


def test_another_process_reads_only_what_is_new(database: Path) -> None:
    with opened(database) as here, opened(database) as there:
        here.write(stopped(1))
        assert there.ledger.book().seq == 1
        read: list[str] = []
        ledger = there.ledger
        assert isinstance(ledger, SqliteLife)
        ledger._readers.get().set_trace_callback(read.append)
        assert ledger.book().seq == 1
        assert not any("life_entries" in sql for sql in read)
        here.write(stopped(2))
        assert set(ledger.book().stops) == {"stop_1", "stop_2"}
        assert any("seq > 1" in sql for sql in read)


def test_a_backup_put_in_its_place_is_read_by_who_opens_it_anew(database: Path, tmp_path: Path) -> None:
    with opened(database) as desk:
        desk.write(stopped(1))
        with closing(connect(database)) as live, closing(sqlite3.connect(tmp_path / "backup.db")) as kept:
            live.backup(kept)
            desk.write(stopped(2))
            assert desk.ledger.book().seq == 2
            kept.backup(live)
        for ask in (desk.ledger.book, lambda: desk.write(stopped(3))):
            with pytest.raises(LedgerBroken, match=r"after entry 2, which was read .* then restart"):
                ask()
    with opened(database) as desk:
        assert set(desk.ledger.book().stops) == {"stop_1"}


def test_who_has_read_an_act_reads_nothing_from_a_ledger_without_it(database: Path, tmp_path: Path) -> None:
    """Nor from one that went on otherwise after a backup."""
    with opened(database) as desk:
        desk.write(stopped(1))
        with closing(connect(database)) as live, closing(sqlite3.connect(tmp_path / "backup.db")) as kept:
            live.backup(kept)
            desk.write(stopped(2))
            kept.backup(live)
        for number, said in ((3, "after entry 2, which was read"), (4, "before entry 3")):
            with opened(database) as other:
                other.write(stopped(number), by=MACHINE)
            with pytest.raises(LedgerBroken, match=said):
                desk.ledger.book()


class TestTampering:
    """Whoever changes the file leaves a trace."""

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE life_entries SET content = x'00' WHERE seq = 2",
            "DELETE FROM life_entries",
            "INSERT OR REPLACE INTO life_entries SELECT * FROM life_entries WHERE seq = 2",
            f"INSERT INTO life_entries {NINTH}",
        ],
    )
    def test_the_database_refuses(self, database: Path, sql: str) -> None:
        self.fill(database)
        with (
            closing(connect(database)) as connection,
            pytest.raises(sqlite3.IntegrityError, match="nothing is changed in the ledger"),
        ):
            connection.execute(sql)

    @pytest.mark.parametrize(
        ("sql", "said"),
        [
            (CHANGE.format(f"CAST({REPLACED} AS BLOB)"), "entry 2 .* was changed"),
            (CHANGE.format(REPLACED), "entry 2 .* was changed"),
            ("UPDATE life_entries SET content = x'7b' WHERE seq = 2", "entry 2 .* cannot be read"),
            (CHANGE.format("CAST(replace(content, 'stopped', 'paused') AS BLOB)"), NEWER),
            ("UPDATE life_entries SET digest = randomblob(32) WHERE seq = 2", "entry 2"),
            ("UPDATE life_entries SET previous = randomblob(32) WHERE seq = 2", "before entry 2"),
            ("UPDATE life_entries SET signature = randomblob(64) WHERE seq = 2", "entry 2 .* no signature"),
            ("UPDATE life_entries SET public_key = randomblob(32) WHERE seq = 2", "entry 2 .* no signature"),
            ("UPDATE life_entries SET public_key = x'00' WHERE seq = 2", "entry 2 .* no signature"),
            ("DELETE FROM life_entries WHERE seq = 2", "before entry 3"),
            ("DELETE FROM life_entries WHERE seq = 1", "before entry 2"),
            ("DELETE FROM life_entries WHERE seq = 4", "ends after entry 3, and had 4"),
            ("DELETE FROM life_entries", "ends after entry 0"),
            (f"DELETE FROM life_entries; {ZEROS}", "end of the ledger of models is not signed"),
            (CUT, "end of the ledger"),
            (f"{CUT}, digest = (SELECT digest FROM life_entries WHERE seq = 3)", "end .* not signed"),
            (SWAP, "before entry 3"),
            ("UPDATE key_secrets SET public_key = randomblob(32)", "entry 1 .* another key than key_"),
            ("UPDATE api_keys SET person = 'Eve'", "entry 1 .* another key than key_"),
            ("UPDATE api_keys SET role = 'support'", "entry 1 .* another key than key_"),
            ("DELETE FROM api_keys", "entry 1 .* another key than key_"),
        ],
    )
    def test_a_change_is_found(self, database: Path, sql: str, said: str) -> None:
        self.fill(database)
        tamper(database, lambda connection: connection.executescript(sql))
        with opened(database) as desk:
            for ask in (desk.ledger.verify, desk.ledger.book, lambda: desk.write(stopped(5))):
                with pytest.raises(DependencyError, match=said):
                    ask()

    @pytest.mark.parametrize(
        ("sql", "said"),
        [
            ("DELETE FROM life_head", "the end of the ledger of models is gone"),
            ("DELETE FROM life_head; DELETE FROM life_entries", "nothing is left of it; .*/ledger.begun to"),
        ],
    )
    def test_without_its_end_it_is_not_even_opened(self, database: Path, sql: str, said: str) -> None:
        self.fill(database)
        tamper(database, lambda connection: connection.executescript(sql))
        with pytest.raises(LedgerBroken, match=said):
            opened(database)

    @pytest.mark.parametrize("sql", ["DELETE FROM life_head", ZEROS, "UPDATE life_head SET seq = 9"])
    def test_an_emptied_one_tells_who_follows_it_nothing(self, database: Path, sql: str) -> None:
        self.fill(database)
        with opened(database) as desk:
            assert len(desk.ledger.book().stops) == 4
            tamper(database, lambda connection: connection.executescript(f"DELETE FROM life_entries; {sql}"))
            for ask in (desk.ledger.verify, desk.ledger.book, lambda: desk.write(stopped(5))):
                with pytest.raises(LedgerBroken):
                    ask()

    def test_one_that_was_never_written_to_is_signed_at_its_first_opening(self, database: Path) -> None:
        """As an older Moment left it: no head, no note."""
        with opened(database) as desk:
            assert (desk.ledger.verify(), desk.ledger.book()) == (0, Book())
        tamper(database, lambda connection: connection.executescript("DELETE FROM life_head"))
        note = database.with_name("ledger.begun")
        note.unlink()
        with opened(database) as desk:
            desk.write(stopped(1))
        assert note.exists()
        note.unlink()
        with opened(database) as desk:
            assert desk.ledger.verify() == 1
        assert note.exists(), "noted of an older Moment's ledger, too"

    def test_a_folder_that_cannot_be_written_to_is_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "keys").write_text("a file")
        Beginning(tmp_path / "keys" / "ledger.begun").note()
        assert "keys/ledger.begun cannot be written" in caplog.text

    def test_an_entry_signed_anew_by_another_is_found(self, database: Path) -> None:
        self.fill(database)
        eve = personal(MemoryKeys(), "Eve", Role.RISK_OFFICER)

        def sign_anew(connection: sqlite3.Connection) -> None:
            (digest,) = connection.execute("SELECT digest FROM life_entries WHERE seq = 2").fetchone()
            connection.execute(
                "UPDATE life_entries SET signature = ?, public_key = ? WHERE seq = 2",
                (eve.sign(digest), eve.public_key),
            )

        tamper(database, sign_anew)
        self.found(database, "entry 2 .* another key than key_")

    def test_a_whole_chain_written_anew_is_found(self, database: Path) -> None:
        """Whoever has the database alone can make a chain, and not sign it for others."""
        from serving.adapters.life_chain import Head, link

        eve = personal(MemoryKeys(), "Eve", Role.RISK_OFFICER)
        self.fill(database)

        def write_anew(connection: sqlite3.Connection) -> None:
            (content,) = connection.execute("SELECT content FROM life_entries WHERE seq = 1").fetchone()
            by = decoded(1, content).by

            class Pretender:
                actor, public_key, sign = by, eve.public_key, staticmethod(eve.sign)

            pretender: Signer = Pretender()
            (only,) = link(Head(), [stopped(9)], NOW, pretender)
            connection.execute("DELETE FROM life_entries")
            connection.execute(
                "INSERT INTO life_entries VALUES (1, ?, ?, ?, ?, ?)",
                (only.content, only.previous, only.digest, only.signature, only.public_key),
            )
            head = Head.signed(1, only.digest, MACHINE)
            connection.execute(
                "UPDATE life_head SET seq = 1, digest = ?, signature = ?", (head.digest, head.signature)
            )

        tamper(database, write_anew)
        self.found(database, "entry 1 .* another key than key_")

    def fill(self, database: Path) -> None:
        with opened(database) as desk:
            desk.write(stopped(1), stopped(2))
            desk.write(stopped(3))
            desk.write(stopped(4))
            assert desk.ledger.verify() == 4

    def found(self, database: Path, said: str) -> None:
        with opened(database) as desk, pytest.raises(DependencyError, match=said):
            desk.ledger.verify()


def tamper(database: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    """Change the file as somebody would who knows how: without its triggers."""
    with closing(sqlite3.connect(database)) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'life_entries'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        change(connection)
        connection.commit()


INSTANTS = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis wants it bare
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=5, minutes=30))]),  # noqa: UP017
)
ACTORS = st.builds(
    Actor, st.text(max_size=9), st.none() | st.text(max_size=9), st.none() | st.text(max_size=9)
)


class TestWhatIsSigned:
    """The text of an entry."""

    @settings(max_examples=150, deadline=None)
    @given(act=st.from_type(AnyAct), at=INSTANTS, by=ACTORS, seq=st.integers(1, 2**53))  # type: ignore[arg-type]
    def test_read_and_written_again_it_is_the_same(
        self, act: AnyAct, at: datetime, by: Actor, seq: int
    ) -> None:
        assume(not isinstance(act, Challenged) or math.isfinite(act.shadow + act.routed))
        content = encoded(Written(seq=seq, at=at, by=by, act=act))
        assert encoded(decoded(seq, content)) == content
        assert msgspec.json.encode(msgspec.json.decode(content, type=Written)) == content

    def test_what_could_not_be_read_again_is_not_written(self, desk: Desk) -> None:
        act = Challenged(model=Model.PROPENSITY, digest=DIGEST, routed=float("inf"))
        with pytest.raises(InvariantViolation, match="could not be read again"):
            desk.write(act)
        assert desk.ledger.seq() == 0

    def test_it_stays_what_it_is(self) -> None:
        # A change here would leave every ledger there is unread
        entry = Written(
            seq=1,
            at=NOW,
            by=Actor("key_1", "Ada Byron", "risk_officer"),
            act=Judged(model=Model.PROPENSITY, digest="ab", gates=PASSED),
        )
        assert encoded(entry).decode() == (
            '{"seq":1,"at":"2026-05-04T12:00:00Z","by":{"key_id":"key_1","person":"Ada Byron",'
            '"role":"risk_officer"},"act":{"act":"judged","reason":"","model":"propensity","digest":"ab",'
            '"gates":[{"gate":"auc","title":"AUC, at least 0.7","verdict":"pass","value":0.8,"low":null,'
            '"high":null,"at_least":0.7,"at_most":null,"note":""}]}}'
        )

    def test_an_entry_of_a_later_moment_is_verified_as_it_was_signed(self, database: Path) -> None:
        """A field that only a later version knows is read over, and still part of what was signed."""
        from serving.adapters.life_chain import Head, _digest

        with opened(database) as desk:
            content = encoded(Written(seq=1, at=NOW, by=desk.ada.actor, act=stopped(1)))
            content = content.replace(b'{"seq"', b'{"later":true,"seq"')
            digest = _digest(bytes(32), content)
            head = Head.signed(1, digest, MACHINE)
            with closing(connect(database)) as connection:
                connection.execute(
                    "INSERT INTO life_entries VALUES (1, ?, ?, ?, ?, ?)",
                    (content, bytes(32), digest, desk.ada.sign(digest), desk.ada.public_key),
                )
                connection.execute(
                    "UPDATE life_head SET seq = 1, digest = ?, signature = ?", (head.digest, head.signature)
                )
            assert desk.ledger.verify() == 1
            assert set(desk.ledger.book().stops) == {"stop_1"}
