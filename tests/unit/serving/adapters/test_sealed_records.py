"""What of a decision is at rest, who can read it, and what is left of a customer who was erased."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from moment.errors import DependencyError
from serving.adapters.database import connect, migrate, overwrite
from serving.adapters.record_marks import marked
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_erasures import SqliteErasures
from serving.adapters.sqlite_journal import SqliteJournal, Wanted
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.vault import Vault
from serving.decision.contact_plan import Lookback
from serving.decision.values import ActionId, Contact, FeatureState, PastOutcome
from serving.ports import Entry, Past, Place, Reservation, StaleHistory, Verdict
from serving.records import (
    DecisionRecord,
    Mode,
    Personal,
    RecordedContact,
    RecordedOutcome,
    dump,
)
from tests.service.kit import NOW
from tests.unit.serving.adapters.test_stores import a_record

CANARY = "canary-7f3c"
"""What no byte at rest may show."""

DIGEST = hashlib.sha256(CANARY.encode()).digest()
DAY = timedelta(days=1)
VAULT = Vault(b"k" * 32)


def personal(customer: str | None) -> Personal:
    """Return a personal part that says the canary wherever it can be said."""
    contact = RecordedContact(CANARY, CANARY, CANARY, CANARY, CANARY, NOW, NOW, None, False, False, CANARY)
    return Personal(
        customer_id=customer,
        context={CANARY: CANARY},
        features={CANARY: CANARY, "names": (CANARY,)},
        states={CANARY: FeatureState.MASKED},
        event_times={CANARY: NOW},
        content=[{CANARY: CANARY}],
        contacts=(contact,),
        outcomes=(RecordedOutcome(CANARY, CANARY, CANARY, CANARY, CANARY, NOW),),
        unit=CANARY,
        timezone=CANARY,
        language=CANARY,
    )


def record(number: int = 1, customer: str | None = CANARY, **changes: object) -> DecisionRecord:
    made = a_record()
    fields = {"decision_id": f"d{number}", "personal": personal(customer), **changes}
    return msgspec.structs.replace(made, **fields)


@dataclass
class Stores:
    """The stores on one database, and what lies in its files."""

    path: Path
    records: SqliteRecords
    ledger: SqliteContacts
    vault: Vault = VAULT

    @classmethod
    def open(cls, path: Path, vault: Vault = VAULT) -> Stores:
        records = SqliteRecords(path, vault)
        return cls(path, records, SqliteContacts(path, records.writer, vault), vault)

    def close(self) -> None:
        self.ledger.close()
        self.records.close()

    def keep(self, kept: DecisionRecord, *, offer: str | None = None, version: int = 0) -> DecisionRecord:
        """Append a record, with a contact of that id if one is named, and return what stands."""
        reservation = None
        if offer is not None:
            contact = Contact(offer, ActionId("tea"), "g", "i", "web", NOW, NOW + DAY, timezone="Europe/Oslo")
            customer = kept.personal.customer_id if kept.personal else None
            reservation = Reservation(customer, kept.mode, version, (contact,))
        return self.records.append(Entry(kept, DIGEST), reservation).result(5).record

    def report(self, offer: str) -> Verdict:
        return self.ledger.present(offer, occurred_at=NOW, reported_at=NOW)

    def outcome(self, offer: str, outcome_id: str = "o") -> Verdict:
        return self.ledger.record_outcome(
            offer, "rejected", outcome_id=outcome_id, occurred_at=NOW, reported_at=NOW
        )

    def erase(self, customer: str = CANARY) -> None:
        erasures = SqliteErasures(self.path, self.records.writer, self.vault)
        erasures.begin(customer, NOW)
        erasures.close()

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql, values).fetchall()

    def at_rest(self) -> bytes:
        """Return every byte of the database and of its log."""
        names = (self.path, *(self.path.with_name(self.path.name + end) for end in ("-wal", "-shm")))
        return b"".join(name.read_bytes() for name in names if name.exists())


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    migrate(tmp_path / "moment.db")
    opened = Stores.open(tmp_path / "moment.db")
    yield opened
    opened.close()


class TestAtRest:
    """Nothing personal stands in clear."""

    def test_no_byte_at_rest_shows_what_is_personal(self, stores: Stores) -> None:
        written = record(1, request_id=CANARY)
        stores.keep(written, offer="d1.1")
        stores.keep(record(2, customer=None), offer="d2.1")
        stores.report("d1.1")
        stores.outcome("d1.1", outcome_id=CANARY)
        stores.ledger.link(CANARY, f"{CANARY}-cookie")
        assert stores.at_rest().count(b"coupon-tea") >= 2  # what is open is found
        for hidden in (CANARY.encode(), DIGEST, DIGEST.hex().encode()):
            assert hidden not in stores.at_rest()
        assert stores.records.find("d1") == written
        assert stores.records.find_request("key_1", CANARY) == Entry(written, DIGEST)
        overwrite(stores.path)
        assert CANARY.encode() not in stores.at_rest()

    def test_the_open_part_names_nobody_and_repeats_nobodys_words(self) -> None:
        opened = msgspec.msgpack.decode(dump(record(request_id=CANARY)).open)
        assert CANARY not in str(opened)
        assert opened["personal"] is None
        assert opened["request_id"] is None
        # Whoever adds a field to the record decides here whether it is about a person
        assert set(opened) <= {
            "format", "decision_id", "mode", "key_id", "channel", "request_id", "received_at", "decided_at",
            "asked", "include", "profile", "segment", "attempt", "seed", "exploration", "placements",
            "joint_probability", "funnel", "considered", "scored", "used", "versions", "experiments",
            "control", "force", "held_out", "degraded", "latency_ms", "personal", "approvals", "stops",
        }  # fmt: skip

    def test_without_the_secret_nothing_is_found_or_read(self, stores: Stores) -> None:
        stores.keep(record(1, request_id="r"))
        other = Stores.open(stores.path, Vault(b"x" * 32))
        assert other.records.history(CANARY, Past(Mode.TEST, 10)) == ()
        assert other.records.find_request("key_1", "r") is None
        with pytest.raises(DependencyError, match="record d1 is damaged"):
            other.records.find("d1")
        other.close()

    def test_a_record_moved_to_another_row_is_not_read_as_that_ones(self, stores: Stores) -> None:
        stores.keep(record(1))
        stores.keep(record(2))
        with closing(connect(stores.path)) as connection:
            connection.execute(
                "UPDATE decisions SET personal = (SELECT personal FROM decisions WHERE decision_id = 'd1') "
                "WHERE decision_id = 'd2'"
            )
        with pytest.raises(DependencyError, match="d2 cannot be opened"):
            stores.records.find("d2")

    def test_nobody_known_is_sealed_by_the_day_it_was_received(self, stores: Stores) -> None:
        for number, received in enumerate((NOW, NOW, NOW + DAY)):
            stores.keep(record(number, customer=None, received_at=received, decided_at=NOW - 900 * DAY))
        keys = stores.rows("SELECT customer_ref FROM customer_keys ORDER BY 1")
        assert keys == [("anon:2026-05-01",), ("anon:2026-05-02",)]
        assert stores.records.find("d2") == record(
            2, customer=None, received_at=NOW + DAY, decided_at=NOW - 900 * DAY
        )

    def test_what_is_deleted_is_overwritten(self, stores: Stores) -> None:
        connection = connect(stores.path)
        assert connection.execute("PRAGMA secure_delete").fetchone() == (1,)
        connection.close()


UNMARKED = "UPDATE decisions SET record = substr(record, 34)"
"""Takes the marks off: 34 = a byte that says there is one, 32 bytes of it, and the next."""


class TestWhatStandsInClear:
    """It is read as it was written, with what was sealed beside it, or not at all."""

    def change(self, stores: Stores, sql: str, *values: object) -> None:
        with closing(connect(stores.path)) as connection:
            connection.execute(sql, values)

    def of_before(self, stores: Stores, kept: DecisionRecord) -> None:
        """Store a record as format 5 did: no mark, and sealed for its id alone."""
        stores.keep(kept)
        stored = dump(kept)
        old = msgspec.msgpack.decode(stored.open) | {"format": 5}
        assert stored.personal is not None
        part = bytes([32]) + DIGEST + stored.personal
        with closing(connect(stores.path)) as connection:
            ref = VAULT.ref(CANARY)
            sealed = VAULT.seal(connection, ref, part, about=kept.decision_id)
            sql = "UPDATE decisions SET record = ?, personal = ? WHERE decision_id = ?"
            connection.execute(sql, (msgspec.msgpack.encode(old), sealed, kept.decision_id))

    def damaged(self, stores: Stores, decision_id: str = "d1") -> None:
        journal = SqliteJournal(stores.path, VAULT)
        with closing(journal):
            asks: tuple[Callable[[], object], ...] = (
                lambda: stores.records.find(decision_id),
                lambda: stores.records.history(CANARY, Past(Mode.TEST, 9)),
                lambda: journal.newest(Wanted(), 9),
            )
            for ask in asks:
                with pytest.raises(DependencyError, match=f"{decision_id} (is damaged|cannot be)") as told:
                    ask()
                assert "\n" not in str(told.value)

    @pytest.mark.parametrize("kept", ["sealed", "pruned", "erased"])
    def test_the_open_part_of_another_is_not_read_as_this_ones(self, stores: Stores, kept: str) -> None:
        stores.keep(record(1))
        stores.keep(record(2))
        if kept == "pruned":
            self.change(stores, "UPDATE decisions SET personal = NULL, request_ref = NULL")
        elif kept == "erased":
            stores.erase()
        assert (stores.records.find("d2") or record(0)).decision_id == "d2", "neither looks forged"
        self.change(
            stores,
            "UPDATE decisions SET record = (SELECT record FROM decisions WHERE decision_id = 'd1') "
            "WHERE decision_id = 'd2'",
        )
        with pytest.raises(DependencyError, match=r"record d2 is damaged: .* restore a backup"):
            stores.records.find("d2")

    def test_not_one_changed_bit_is_read_over(self, stores: Stores) -> None:
        stores.keep(record(1))
        ((stored,),) = stores.rows("SELECT record FROM decisions")
        assert isinstance(stored, bytes)
        for place in (*range(40), *range(40, len(stored), len(stored) // 60)):
            changed = bytearray(stored)
            changed[place] ^= 1 << place % 8
            self.change(stores, "UPDATE decisions SET record = ?", bytes(changed))
            with pytest.raises(DependencyError, match="d1"):
                stores.records.find("d1")
        self.damaged(stores)

    @pytest.mark.parametrize("content", ["text", b"", b"\x01", None, 7])
    def test_what_is_no_record_at_all_is_told_in_a_line(self, stores: Stores, content: object) -> None:
        stores.keep(record(1))
        with closing(connect(stores.path)) as connection:
            if content is None:
                connection.execute("UPDATE decisions SET personal = 'text'")
            else:
                connection.execute("UPDATE decisions SET record = ?", (content,))
        with pytest.raises(DependencyError, match=r"(record|sealed for) d1 (is damaged|cannot be opened)"):
            stores.records.find("d1")

    def test_a_mark_that_was_taken_off_is_missed(self, stores: Stores) -> None:
        stores.keep(record(1))
        self.change(stores, UNMARKED)
        self.damaged(stores)
        stores.erase()
        with pytest.raises(DependencyError, match="record d1 is damaged"):
            stores.records.find("d1")

    def test_nor_is_it_an_older_record_when_it_says_so(self, stores: Stores) -> None:
        stores.keep(record(1))
        old = msgspec.msgpack.decode(dump(record(1)).open) | {"format": 5}
        self.change(stores, "UPDATE decisions SET record = ?", msgspec.msgpack.encode(old))
        with pytest.raises(DependencyError, match="sealed for d1 cannot be opened"):
            stores.records.find("d1")

    def test_what_was_sealed_is_not_read_with_other_words(self, stores: Stores) -> None:
        """Both of this very decision, and both vouched for: once it was recorded otherwise."""
        stores.keep(record(1))
        other, _ = marked(VAULT, "d1", dump(record(1, degraded=("contacts",))).open)
        self.change(stores, "UPDATE decisions SET record = ?", other)
        with pytest.raises(DependencyError, match="sealed for d1 cannot be opened"):
            stores.records.find("d1")

    def test_records_from_before_are_read_as_before(self, stores: Stores) -> None:
        self.of_before(stores, record(1, request_id="r"))
        assert stores.records.find("d1") == record(1, request_id="r", format=5)
        stores.erase()
        found = stores.records.find("d1")
        assert found is not None
        assert (found.format, found.personal) == (5, None)
        content = msgspec.msgpack.decode(dump(record(2)).open) | {"format": 5}
        for wrong in (msgspec.msgpack.encode(content), b"\x81\xa1a", b"\xc1", b"{]"):
            self.change(stores, "UPDATE decisions SET record = ?", wrong)
            with pytest.raises(DependencyError, match="record d1 is damaged"):
                stores.records.find("d1")


class TestRequests:
    """Idempotency, by a hidden request id."""

    def test_a_request_id_is_one_of_its_key_whatever_its_letters(self, stores: Stores) -> None:
        first = stores.keep(record(1, request_id="b", key_id="a"))
        other = stores.keep(record(2, request_id="a", key_id="b"))
        joined = stores.keep(record(3, request_id="ab", key_id=""))
        assert [one.decision_id for one in (first, other, joined)] == ["d1", "d2", "d3"]
        assert stores.keep(record(4, request_id="b", key_id="a")) == first

    def test_many_are_found_at_once(self, stores: Stores) -> None:
        for number in range(5):
            stores.keep(record(number, request_id=f"r{number}"))
        wanted = [f"r{number}" for number in (1, 3, 9)]
        found = stores.records.find_requests("key_1", wanted)
        assert {name: one.decision_id for name, one in found.items()} == {"r1": "d1", "r3": "d3"}
        assert stores.records.find_requests("key_2", wanted) == {}
        assert stores.records.find_requests("key_1", []) == {}


class TestHistory:
    """A customer's records by time, channel and action."""

    @pytest.fixture
    def written(self, stores: Stores) -> Stores:
        for number in range(6):
            stores.keep(
                record(
                    number,
                    decided_at=NOW + (number // 2) * DAY,
                    channel="web" if number % 2 else "app",
                    placements=() if number == 4 else a_record().placements,
                )
            )
        stores.keep(record(6, customer="ben"))
        stores.keep(record(7, mode=Mode.LIVE))
        return stores

    def test_it_is_filtered_and_newest_first(self, written: Stores) -> None:
        def found(**changes: object) -> str:
            wanted = replace(Past(Mode.TEST, 10), **changes)  # type: ignore[arg-type]
            return " ".join(one.decision_id for one in written.records.history(CANARY, wanted))

        assert found() == "d5 d4 d3 d2 d1 d0"
        assert found(limit=2) == "d5 d4"
        assert found(channel="app") == "d4 d2 d0"
        assert found(action="coupon-ham") == "d5 d3 d2 d1 d0"
        assert found(action="coupon") == ""
        assert found(since=NOW + DAY, until=NOW + 2 * DAY) == "d3 d2"
        assert found(before=Place(NOW + DAY, "d3")) == "d2 d1 d0"
        assert found(mode=Mode.LIVE) == "d7"

    def test_pages_have_each_record_once_while_more_come(self, written: Stores) -> None:
        names: list[str] = []
        place = None
        for number in range(10, 20):
            page = written.records.history(CANARY, Past(Mode.TEST, 2, before=place))
            if not page:
                break
            names += [one.decision_id for one in page]
            place = Place(page[-1].decided_at, page[-1].decision_id)
            written.keep(record(number, decided_at=NOW + 5 * DAY))
        assert names == ["d5", "d4", "d3", "d2", "d1", "d0"]

    def test_it_is_found_by_an_index_in_order(self, written: Stores) -> None:
        sql = (
            "EXPLAIN QUERY PLAN SELECT record FROM decisions WHERE customer_ref = ? AND mode = ? "
            "AND decided_at >= ? AND (decided_at, decision_id) < (?, ?) "
            "ORDER BY decided_at DESC, decision_id DESC LIMIT 2"
        )
        plan = " ".join(str(row[3]) for row in written.rows(sql, "a", "test", 0, 9, "d"))
        assert "USING INDEX decisions_of_customer" in plan
        assert "TEMP B-TREE" not in plan


class TestErasing:
    """What is left when a customer is erased."""

    def test_records_stay_and_say_nothing_of_the_customer(self, stores: Stores) -> None:
        for number in (1, 2):
            stores.keep(record(number, request_id=f"r{number}"))
        stores.keep(record(3, customer="ben"))
        stores.erase()
        left = stores.records.find("d1")
        assert left == record(1, personal=None, request_id=None)
        assert stores.records.history(CANARY, Past(Mode.TEST, 10)) == ()
        assert stores.records.find_request("key_1", "r1") is None
        assert stores.records.find("d3") == record(3, customer="ben")
        refs = stores.rows("SELECT DISTINCT customer_ref FROM decisions WHERE personal IS NULL")
        assert refs == [(None,)]

    def test_no_table_holds_their_reference_but_what_says_they_were_erased(self, stores: Stores) -> None:
        stores.keep(record(1, request_id="r"), offer="d1.1")
        stores.outcome("d1.1")
        stores.ledger.link(CANARY, "cookie")
        ref = VAULT.ref(CANARY)
        (row,) = stores.rows("SELECT wrapped_key FROM customer_keys WHERE customer_ref = ?", ref)
        wrapped = row[0]
        assert isinstance(wrapped, bytes)
        assert wrapped in stores.at_rest()
        stores.erase()
        found = {
            table
            for (table,) in stores.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
            for row in stores.rows(f"SELECT * FROM {table}")
            if ref in row
        }
        assert found == {"customer_keys", "tombstones"}
        assert overwrite(stores.path)
        assert wrapped not in stores.at_rest()

    def test_overwriting_says_when_a_reader_keeps_the_log(self, stores: Stores) -> None:
        stores.keep(record(1))
        with closing(sqlite3.connect(stores.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM decisions").fetchone()
            stores.keep(record(2))
            stores.erase()
            assert not overwrite(stores.path, seconds=0)
            reader.execute("COMMIT")
        assert overwrite(stores.path)

    def test_a_late_report_still_counts_for_nobody(self, stores: Stores) -> None:
        stores.keep(record(1), offer="d1.1")
        stores.erase()
        assert stores.report("d1.1") is Verdict.RECORDED
        assert stores.outcome("d1.1") is Verdict.RECORDED
        assert stores.rows("SELECT customer_ref, timezone, presented_at IS NULL FROM contacts") == [
            (None, None, 0)
        ]
        standing = stores.ledger.read(
            CANARY, mode=Mode.TEST, now=NOW, back=Lookback(NOW - DAY, NOW - DAY, NOW.date())
        )
        assert (standing.history.contacts, standing.history.outcomes, standing.version) == ((), (), 0)

    def test_a_decision_under_way_is_made_again(self, stores: Stores) -> None:
        stores.keep(record(1), offer="d1.1")
        stores.erase()
        with pytest.raises(StaleHistory, match="erased"):
            stores.keep(record(2), offer="d2.1", version=1)
        assert stores.records.find("d2") is None

    def test_who_comes_back_is_decided_for_and_nothing_personal_is_kept(self, stores: Stores) -> None:
        other = Stores.open(stores.path)  # a worker that has used the key before
        other.keep(record(1))
        stores.erase()
        given = record(2, request_id="r")
        assert other.keep(given, offer="d2.1") == given
        assert other.records.find("d2") == record(2, personal=None, request_id=None)
        assert other.records.history(CANARY, Past(Mode.TEST, 10)) == ()
        assert other.records.find_request("key_1", "r") is None
        assert other.rows("SELECT customer_ref FROM contacts") == [(None,)]
        assert other.rows("SELECT COUNT(*) FROM contact_versions") == [(0,)]
        other.close()

    def test_a_copy_made_before_is_read_by_nobody_once_the_key_is_gone(self, stores: Stores) -> None:
        stores.keep(record(1))
        (sealed,) = stores.rows("SELECT personal FROM decisions WHERE decision_id = 'd1'")
        stores.erase()
        with closing(connect(stores.path)) as connection:
            text = sealed[0]
            assert isinstance(text, bytes)
            assert Vault(b"k" * 32).open_sealed(connection, VAULT.ref(CANARY), text, about="d1") is None


def test_past_outcomes_hide_whose_they_are_but_are_read_back(stores: Stores) -> None:
    stores.keep(record(1), offer="d1.1")
    assert stores.outcome("d1.1", CANARY) is Verdict.RECORDED
    assert stores.outcome("d1.1", CANARY) is Verdict.DUPLICATE
    back = Lookback(NOW - DAY, NOW - DAY, NOW.date())
    standing = stores.ledger.read(CANARY, mode=Mode.TEST, now=NOW, back=back)
    assert standing.history.outcomes == (PastOutcome("rejected", ActionId("tea"), "g", "i", "web", NOW),)
