"""What is forgotten, when, and what is not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from alembic import command
from click.testing import CliRunner

from moment.home import Home
from serving.adapters import sqlite_retention
from serving.adapters.database import connect, migrate, overwrite
from serving.adapters.instants import to_microseconds
from serving.adapters.memory import FixedClock
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.sqlite_retention import SqliteRetention
from serving.adapters.vault import Vault
from serving.commands.records import records as records_command
from serving.decision.actions import Allowance
from serving.decision.budgets import Charge
from serving.decision.values import ActionId, Contact
from serving.ports import Entry, Pruned, Reservation
from serving.records import Mode
from serving.use_cases import retention as use_case
from serving.use_cases.retention import PruneRecords, Retention
from tests.service.kit import NOW
from tests.unit.serving.adapters.test_life_schema import move
from tests.unit.serving.adapters.test_stores import a_record

DAY = timedelta(days=1)
TEA = ActionId("coupon-tea")
NONE = Allowance()


@dataclass
class House:
    """A home's stores, and what prunes them."""

    home: Home
    vault: Vault
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    days: Retention = field(default_factory=lambda: Retention(personal=10, records=100, test=5))

    def __post_init__(self) -> None:
        self.records = SqliteRecords(self.home.database, self.vault)
        self.ledger = SqliteContacts(self.home.database, self.records.writer, self.vault)
        self.kept = SqliteRetention(self.home.database)

    @property
    def prune(self) -> PruneRecords:
        return PruneRecords(self.kept, self.days, self.clock)

    def close(self) -> None:
        self.kept.close()
        self.ledger.close()
        self.records.close()

    def record(self, name: str, age: float, mode: Mode = Mode.LIVE, **changes: object) -> None:
        """Keep a record of that many days ago, with one contact that takes 1 of a budget."""
        received = NOW - age * DAY
        fields = {"decision_id": name, "mode": mode, "received_at": received, "request_id": f"request {name}"}
        made = msgspec.structs.replace(a_record(), **(fields | changes))
        contact = Contact(f"{name}.1", TEA, "grocery", "sales", "web", received, received + DAY / 2)
        charge = Charge(f"{name}.1", TEA, date(2026, 4, 1), 1.0, NONE, NONE)
        known = None if made.personal is None else made.personal.customer_id
        taken = Reservation(known, mode, None, (contact,), (charge,))
        self.records.append(Entry(made, b"body"), taken).result(5)

    def found(self, name: str) -> str:
        """Return what is left of a record."""
        record = self.records.find(name)
        if record is None:
            return "gone"
        return "whole" if record.personal is not None else "open part"

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.home.database)) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    house = House(home, Vault.open(home, {}))
    yield house
    house.close()


def test_each_class_is_forgotten_in_its_time(house: House) -> None:
    ages = {"new": 9.9, "old": 10.1, "older": 99.9, "oldest": 100.1}
    for name, age in ages.items():
        house.record(name, age)
    house.record("tried", 4.9, Mode.TEST)
    house.record("tested", 5.1, Mode.TEST)
    assert house.prune.due().pruned == Pruned(personal=2, records=2)
    done = house.prune()
    assert done.pruned == Pruned(personal=2, records=2, contacts=2)
    assert done.overwritten
    assert {name: house.found(name) for name in (*ages, "tried", "tested")} == {
        "new": "whole",
        "old": "open part",
        "older": "open part",
        "oldest": "gone",
        "tried": "whole",
        "tested": "gone",
    }
    assert house.prune().pruned == Pruned()


def test_age_is_counted_from_when_it_was_received_not_decided_for(house: House) -> None:
    house.record("past", 1, Mode.TEST, decided_at=NOW - 3000 * DAY)
    house.record("future", 6, Mode.TEST, decided_at=NOW + 3000 * DAY)
    house.prune()
    assert [house.found(name) for name in ("past", "future")] == ["whole", "gone"]


def test_an_answer_that_is_no_longer_kept_whole_answers_no_repeated_request(house: House) -> None:
    house.record("old", 10.1)
    assert house.records.find_request("key_1", "request old") is not None
    house.prune()
    assert house.records.find_request("key_1", "request old") is None


def test_a_whole_record_takes_its_contacts_outcomes_and_nobody_elses(house: House) -> None:
    for name in ("d1", "d10", "d1-x"):
        house.record(name, 4 if name != "d1" else 6, Mode.TEST)
        house.ledger.record_outcome(f"{name}.1", "rejected", outcome_id="o", occurred_at=NOW, reported_at=NOW)
    done = house.prune()
    assert done.pruned == Pruned(records=1, contacts=1, outcomes=1)
    for table in ("contacts", "outcomes"):
        left = house.rows(f"SELECT tracking_id FROM {table} ORDER BY 1")
        assert left == [("d1-x.1",), ("d10.1",)]


def test_what_is_held_is_given_back_and_what_was_used_stays_so(house: House) -> None:
    house.record("held", 6, Mode.TEST)
    house.record("shown", 6.1, Mode.TEST)
    at = NOW - 6.1 * DAY
    house.ledger.present("shown.1", occurred_at=at, reported_at=at)
    used = "SELECT volume, budget FROM used_amounts WHERE day = 0"
    assert house.rows(used) == [(2, 2_000_000)]
    house.prune()
    assert house.rows(used) == [(1, 1_000_000)]
    assert house.rows("SELECT COUNT(*) FROM contacts") == [(0,)]


def test_days_of_nobody_known_go_with_the_last_of_what_they_seal(house: House) -> None:
    known = a_record().personal
    assert known is not None
    nobody = msgspec.structs.replace(known, customer_id=None)
    for name, age in {"new": 9, "old": 11}.items():
        house.record(name, age, personal=nobody)
    house.record("tried", 11, Mode.TEST, personal=nobody)
    house.days = Retention(personal=10, records=100, test=20)
    keys = "SELECT customer_ref FROM customer_keys ORDER BY 1"
    house.prune()
    assert [house.found(name) for name in ("new", "old", "tried")] == ["whole", "open part", "whole"]
    assert house.rows(keys) == [("anon:2026-04-20",), ("anon:2026-04-22",)]
    house.days = Retention(personal=10, records=100, test=10)
    assert house.prune().pruned == Pruned(records=1, contacts=1, keys=1)
    assert house.rows(keys) == [("anon:2026-04-22",)]
    assert house.found("new") == "whole"


def test_many_are_forgotten_some_at_a_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_case, "AT_ONCE", 4)
    for number in range(10):
        house.record(f"old{number}", 11)
        house.record(f"test{number}", 6, Mode.TEST)
    told: list[int] = []
    done = house.prune(told.append)
    assert done.pruned == Pruned(personal=10, records=10, contacts=10)
    assert (sum(told), max(told)) == (20, 4)


def test_what_was_removed_lies_nowhere(house: House) -> None:
    house.record("d1", 11)
    ((sealed,),) = house.rows("SELECT personal FROM decisions")
    assert isinstance(sealed, bytes)
    part = sealed[100:132]
    database = house.home.database
    files = [database, database.with_name("moment.db-wal")]
    assert part in b"".join(path.read_bytes() for path in files)
    assert house.prune().overwritten
    assert part not in b"".join(path.read_bytes() for path in files)


def test_a_reader_who_stays_is_told_of(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.adapters.sqlite_retention.overwrite", _overwrite)
    house.record("d1", 11)
    with closing(connect(house.home.database)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM decisions").fetchone()
        assert not house.prune().overwritten
        reader.execute("COMMIT")
    assert house.prune().overwritten


def _overwrite(path: Path) -> bool:
    return overwrite(path, seconds=0)


def test_versions_that_records_cite_are_counted(house: House) -> None:
    versions = a_record().versions
    newer = msgspec.structs.replace(versions, catalogue="c" * 64)
    for number in range(3):
        house.record(f"d{number}", 11)
    house.record("n", 1, versions=newer)
    house.record("t", 6, Mode.TEST, versions=msgspec.structs.replace(versions, catalogue="t" * 64))
    kept = house.prune().kept
    assert kept.cited == {versions: 3, newer: 1}
    assert kept.counts("catalogue") == {versions.catalogue: 3, "c" * 64: 1}
    assert kept.counts("propensity") == {versions.propensity: 4}


@pytest.fixture
def run(house: House, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("MOMENT_HOME", str(house.home.root))
    for name, days in {"PERSONAL": 10, "RECORDS": 100, "TEST": 5}.items():
        monkeypatch.setenv(f"MOMENT_RETENTION_DAYS_{name}", str(days))
    return CliRunner()


def test_the_command_says_what_is_due_and_removes_it(house: House, run: CliRunner) -> None:
    age = (datetime.now(NOW.tzinfo) - NOW) / DAY
    house.record("personal", 11 - age)
    house.record("whole", 101 - age)
    house.record("kept", 9 - age)
    house.record("test", 6 - age, Mode.TEST)
    archived = house.home.root / "catalogues"
    archived.mkdir()
    for digest in (a_record().versions.catalogue, "f" * 64):
        (archived / f"{digest}.yaml").write_text("")
    told = run.invoke(records_command, ["prune", "--dry-run"]).stdout
    assert (
        "Due: 1 personal parts (after 10 days), 2 whole records (live after 100 days, test after 5)" in told
    )
    assert "`moment records prune` removes what is due" in told
    assert house.found("whole") == "whole"
    done = run.invoke(records_command, ["prune", "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    gone = {"personal": 1, "records": 2, "contacts": 2}
    assert answer["removed"] == gone | {"outcomes": 0, "keys": 0, "events": 0, "reports": 0}
    assert answer["retention_days"] == {"personal": 10, "records": 100, "test": 5}
    assert answer["cited"]["catalogue"] == {a_record().versions.catalogue: 2}
    assert answer["not_cited"]["catalogue"] == ["f" * 64]
    assert (archived / f"{'f' * 64}.yaml").exists()
    told = run.invoke(records_command, ["prune"]).stdout
    assert "Removed: 0 personal parts" in told
    assert f"catalogue: cited {a_record().versions.catalogue[:12]} by 2 records; 1 other(s) by none" in told
    assert [house.found(name) for name in ("personal", "kept")] == ["open part", "whole"]


def test_a_home_without_a_database_has_nothing_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOMENT_HOME", str(tmp_path / "home"))
    migrate(tmp_path / "home" / "moment.db")
    told = CliRunner().invoke(records_command, ["prune"])
    assert told.exit_code == 0
    assert "Removed: 0 personal parts (after 365 days), 0 whole records (live after 1095 days" in told.stdout


def test_events_and_reports_nobody_waits_for_are_forgotten_in_their_time(house: House) -> None:
    told = {"new": ("live", 9.9), "old": ("live", 10.1), "tried": ("test", 4.9), "tested": ("test", 5.1)}
    with closing(sqlite3.connect(house.home.database)) as connection, connection:
        for name, (mode, age) in told.items():
            received = to_microseconds(NOW - age * DAY)
            connection.execute(
                "INSERT INTO events "
                "(mode, event_ref, customer_ref, key_id, kind, occurred_at, received_at, body) "
                "VALUES (?, ?, 'anna', 'key', 'page_view', 0, ?, x'00')",
                (mode, name, received),
            )
        for state, age in (("waiting", 9.9), ("waiting", 10.1), ("counted", 10.1)):
            connection.execute(
                "INSERT INTO outcome_reports "
                "(decision_id, tracking_id, event_ref, kind, occurred_at, reported_at, received_at, late, "
                "state) VALUES ('lost', 'lost.1', ?, 'clicked', 0, 0, ?, 0, ?)",
                (f"{state} {age}", to_microseconds(NOW - age * DAY), state),
            )
    assert house.prune.due().pruned == Pruned(events=2, reports=1)
    assert house.prune().pruned == Pruned(events=2, reports=1)
    assert house.rows("SELECT event_ref FROM events ORDER BY position") == [("new",), ("tried",)]
    assert house.rows("SELECT event_ref FROM outcome_reports ORDER BY 1") == [
        ("counted 10.1",),
        ("waiting 9.9",),
    ]
    assert house.prune().pruned == Pruned()


def test_each_version_is_searched_for_what_is_due_some_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_case, "AT_ONCE", 2)
    versions = a_record().versions
    for number in range(3):
        cited = msgspec.structs.replace(versions, catalogue=f"{number}" * 64)
        house.record(f"old{number}", 11 + number, versions=cited)
        house.record(f"new{number}", 9 - number, versions=cited)
        house.record(f"tested{number}", 6, Mode.TEST, versions=cited)
    house.record("bare", 101, personal=None)
    assert house.prune.due().pruned == Pruned(personal=3, records=4)
    assert house.prune().pruned == Pruned(personal=3, records=4, contacts=4)
    left = {"old": "open part", "new": "whole", "tested": "gone"}
    names = {f"{name}{number}": kept for number in range(3) for name, kept in left.items()}
    assert {name: house.found(name) for name in (*names, "bare")} == names | {"bare": "gone"}


def test_a_database_of_before_forgets_as_one_of_now(house: House) -> None:
    ages = {"new": 9, "old": 11, "oldest": 101}
    for name, age in ages.items():
        house.record(name, age)
    house.record("tested", 6, Mode.TEST)
    house.close()
    move(house.home.database, command.downgrade, "0009")
    migrate(house.home.database)
    house.__post_init__()
    assert house.prune().pruned == Pruned(personal=1, records=2, contacts=2)
    assert [house.found(name) for name in ages] == ["whole", "open part", "gone"]


@pytest.mark.parametrize("name", ["_COUNT_PERSONAL", "_FORGET_PERSONAL", "_COUNT_RECORDS", "_FIND_RECORDS"])
def test_what_is_due_is_found_by_its_age(house: House, name: str) -> None:
    sql = getattr(sqlite_retention, name)
    with closing(connect(house.home.database)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?")).fetchall()
    steps = [step for *_, step in plan]
    assert any("decisions_by_age" in step and "received_at<?" in step for step in steps), steps
    assert not any(step.startswith("SCAN made") for step in steps), steps
