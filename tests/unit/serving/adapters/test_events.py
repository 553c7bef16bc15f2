"""The journal of events: each once, folded once, brought online whatever fails on the way."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.realtime import EMPTY, Attribute, Event, EventKind
from features.realtime_features import values
from features.store import PushedState
from moment.errors import DependencyError
from moment.home import Home
from serving.adapters.database import connect
from serving.adapters.group_commit import GroupCommit
from serving.adapters.memory_events import MemoryEvents
from serving.adapters.realtime_push import RealtimePusher
from serving.adapters.realtime_reader import RealtimeReader, facts_of
from serving.adapters.sqlite_events import KeptStates, SqliteEvents
from serving.adapters.sqlite_reserving import set_link
from serving.adapters.vault import Vault
from serving.ports import EventJournal, JournalEntry, RealtimeFeatures, Verdict
from serving.records import Mode
from tests.service.kit import NOW

SOON = 20
"""Seconds within which what happens in another thread must have happened."""


@dataclass
class Shelf:
    """The online store as a dictionary; as in Feast's, an older state replaces no newer one."""

    rows: dict[str, PushedState] = field(default_factory=dict)
    pushes: int = 0
    broken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def push(self, states: Sequence[PushedState]) -> None:
        if self.broken:
            raise ConnectionError
        with self.lock:
            self.pushes += len(states)
            for one in states:
                there = self.rows.get(one.profile_ref)
                if there is None or there.as_of < one.as_of:
                    self.rows[one.profile_ref] = one

    def states(self, refs: Sequence[str]) -> list[bytes | None]:
        if self.broken:
            raise ConnectionError
        return [None if ref not in self.rows else self.rows[ref].state for ref in refs]


class Stores:
    """Journal, pusher and reader of one process, on a home and a shelf that others may share."""

    def __init__(self, home: Home, shelf: Shelf) -> None:
        self.home = home
        self.shelf = shelf
        self.vault = Vault.open(home)
        self.writer = GroupCommit(home.database)
        self.pusher = RealtimePusher(KeptStates(home.database, self.writer), shelf.push)
        self.journal = SqliteEvents(self.writer, self.vault, self.pusher.announce)
        self.reader = RealtimeReader(shelf, home.database, self.vault)  # type: ignore[arg-type]

    def close(self) -> None:
        self.pusher.close()
        self.reader.close()
        self.writer.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path / "mlruns")


@pytest.fixture
def stores(home: Home) -> Iterator[Stores]:
    opened = Stores(home, Shelf())
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "sqlite"])
def both(request: pytest.FixtureRequest, stores: Stores) -> tuple[EventJournal, RealtimeFeatures]:
    if request.param == "memory":
        memory = MemoryEvents()
        return memory, memory
    return stores.journal, stores.reader


def view(name: str = "e1", profile: str = "anna", **told: Attribute) -> JournalEntry:
    event = Event(name, EventKind.PAGE_VIEW, NOW - timedelta(minutes=1), told)
    return JournalEntry(profile, event, f"{name} {profile} {told}".encode())


def append(journal: EventJournal, *entries: JournalEntry, mode: Mode = Mode.LIVE) -> tuple[Verdict, ...]:
    done = journal.append(entries, mode=mode, key_id="key_1", received_at=NOW).result(SOON)
    assert done.visible.result(SOON)
    return done.verdicts


def views(reader: RealtimeFeatures, profile: str = "anna", mode: Mode = Mode.LIVE) -> object:
    return reader.read(profile, mode=mode, now=NOW).values["views_30m"]


def eventually(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_event_counts_once(both: tuple[EventJournal, RealtimeFeatures]) -> None:
    journal, reader = both
    recorded, duplicate, conflict = Verdict.RECORDED, Verdict.DUPLICATE, Verdict.CONFLICT
    assert append(journal, view("e1"), view("e2"), view("e1")) == (recorded, recorded, duplicate)
    assert append(journal, view("e2"), view("e1", topic="tea"), view("e3")) == (duplicate, conflict, recorded)
    assert append(journal, view("e1", profile="ben")) == (conflict,)
    assert append(journal) == ()
    assert (views(reader), views(reader, "ben"), views(reader, "cleo")) == (3, 0, 0)


def test_test_and_live_events_never_meet(both: tuple[EventJournal, RealtimeFeatures]) -> None:
    journal, reader = both
    assert append(journal, view(), mode=Mode.TEST) == (Verdict.RECORDED,)
    assert append(journal, view(), view("e2"), mode=Mode.LIVE) == (Verdict.RECORDED, Verdict.RECORDED)
    assert (views(reader), views(reader, mode=Mode.TEST)) == (2, 1)


def test_facts_tell_states_and_the_time(both: tuple[EventJournal, RealtimeFeatures]) -> None:
    journal, reader = both
    nobody = reader.read("anna", mode=Mode.LIVE, now=NOW)
    assert not nobody.found
    assert nobody.event_times == {}
    append(journal, view())
    facts = reader.read("anna", mode=Mode.LIVE, now=NOW)
    assert facts.found
    assert facts.event_times == {"realtime": NOW - timedelta(minutes=1)}
    assert "views_30m" not in facts.states
    assert facts.states["last_search_topic"] == "missing"
    assert tuple(facts.values) == reader.contract.names


@given(st.timedeltas(timedelta(days=-9000), timedelta(days=9000)).map(lambda ago: NOW - ago))
def test_without_any_event_the_facts_are_those_of_the_empty_state_whatever_the_time(now: datetime) -> None:
    facts = facts_of(EMPTY, now)
    assert facts.values == values(EMPTY, now)
    assert facts.states == {name: "missing" for name, value in facts.values.items() if value is None}
    assert not facts.found
    assert facts.event_times == {}


def test_two_processes_and_many_threads_count_each_event_once(home: Home) -> None:
    shelf = Shelf()
    workers = [Stores(home, shelf), Stores(home, shelf)]
    entries = [view(f"e{number}", profile=f"c{number % 3}") for number in range(60)]

    def report(number: int) -> tuple[Verdict, ...]:
        return append(workers[number % 2].journal, entries[number // 2], entries[(number * 7) % 60])

    with ThreadPoolExecutor(8) as pool:
        verdicts = [verdict for done in pool.map(report, range(120)) for verdict in done]
    assert verdicts.count(Verdict.RECORDED) == 60
    assert verdicts.count(Verdict.DUPLICATE) == 180
    for worker in workers:
        assert [views(worker.reader, f"c{number}") for number in range(3)] == [20, 20, 20]
        worker.close()


def test_what_could_not_be_brought_online_is_brought_later(stores: Stores) -> None:
    stores.shelf.broken = True
    done = stores.journal.append([view()], mode=Mode.LIVE, key_id="key_1", received_at=NOW).result(SOON)
    assert done.verdicts == (Verdict.RECORDED,)
    assert done.visible.result(SOON) is False
    with pytest.raises(DependencyError, match="real-time features cannot be read"):
        views(stores.reader)
    stores.shelf.broken = False
    eventually(lambda: views(stores.reader) == 1)


def test_a_restart_goes_on_from_what_is_on_the_disk(home: Home) -> None:
    shelf = Shelf(broken=True)
    before = Stores(home, shelf)
    before.journal.append([view("e1")], mode=Mode.LIVE, key_id="k", received_at=NOW).result(SOON)
    before.close()
    shelf.broken = False
    after = Stores(home, shelf)
    eventually(lambda: views(after.reader) == 1)
    assert append(after.journal, view("e1"), view("e2")) == (Verdict.DUPLICATE, Verdict.RECORDED)
    assert views(after.reader) == 2
    after.close()
    pushed = shelf.pushes
    # What is noted to be online is not pushed once more
    last = Stores(home, shelf)
    last.close()
    assert shelf.pushes == pushed


def test_a_state_pushed_late_does_not_replace_a_newer_one(stores: Stores) -> None:
    """As of rises with every change, though both were received at one time, or by a clock behind."""
    append(stores.journal, view("e1"))
    (first,) = stores.shelf.rows.values()
    stores.journal.append(
        [view("e2")], mode=Mode.LIVE, key_id="k", received_at=NOW - timedelta(minutes=3)
    ).result(SOON).visible.result(SOON)
    stores.shelf.push([first])
    assert views(stores.reader) == 2


def test_linked_profiles_are_read_as_one_and_parted_again(stores: Stores) -> None:
    append(stores.journal, view("e1"), view("e2", profile="identity:cookie:9b74"))
    ours, theirs = stores.vault.ref("anna"), stores.vault.ref("identity:cookie:9b74")
    assert views(stores.reader) == 1
    stores.writer.submit(lambda db: set_link(db, ours, theirs, linked=True)).result(SOON)
    assert (views(stores.reader), views(stores.reader, "identity:cookie:9b74")) == (2, 2)
    stores.writer.submit(lambda db: set_link(db, ours, theirs, linked=False)).result(SOON)
    assert (views(stores.reader), views(stores.reader, "identity:cookie:9b74")) == (1, 1)


def test_of_somebody_erased_nothing_is_read_and_nothing_more_is_kept(stores: Stores) -> None:
    append(stores.journal, view("e1"), view("e2", profile="ben"))
    ref = stores.vault.ref("anna")
    stores.writer.submit(lambda db: stores.vault.destroy(db, ref, NOW)).result(SOON)
    assert not stores.reader.read("anna", mode=Mode.LIVE, now=NOW).found
    assert append(stores.journal, view("e3")) == (Verdict.RECORDED,)
    assert not stores.reader.read("anna", mode=Mode.LIVE, now=NOW).found
    assert views(stores.reader, "ben") == 1


def test_nothing_personal_stands_in_clear(stores: Stores) -> None:
    canary = "canary-7f3c"
    append(
        stores.journal, view(f"{canary}-event", profile=canary, topic=f"{canary}-topic", location_id=canary)
    )
    assert stores.reader.read(canary, mode=Mode.LIVE, now=NOW).values["last_location_id"] == canary
    for file in stores.home.root.rglob("*"):
        assert not file.is_file() or canary.encode() not in file.read_bytes(), file.name
    assert all(canary.encode() not in one.state for one in stores.shelf.rows.values())
    assert canary not in "".join(stores.shelf.rows)


def test_a_full_disk_refuses_and_leaves_nothing_half_done(stores: Stores) -> None:
    """No state without its event, no event without its state."""
    append(stores.journal, view("e1"))

    def break_states(db: sqlite3.Connection) -> None:
        db.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON realtime_states WHEN new.position <> old.position "
            "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )

    stores.writer.submit(break_states).result(SOON)
    refused = stores.journal.append([view("e2")], mode=Mode.LIVE, key_id="k", received_at=NOW)
    with pytest.raises(DependencyError, match="disk is full"):
        refused.result(SOON)
    with closing(connect(stores.home.database)) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() == (1,)
    stores.writer.submit(lambda db: db.execute("DROP TRIGGER full")).result(SOON)
    assert append(stores.journal, view("e2")) == (Verdict.RECORDED,)
    assert views(stores.reader) == 2


_VICTIM = """
import sys
from pathlib import Path
from moment.home import Home
from tests.unit.serving.adapters.test_events import Shelf, Stores, view
from serving.records import Mode
from tests.service.kit import NOW

stores = Stores(Home(Path(sys.argv[1]), Path(sys.argv[1])), Shelf())
for number in range(100_000):
    stores.journal.append([view(f"e{number}")], mode=Mode.LIVE, key_id="k", received_at=NOW).result()
    print(number, flush=True)
"""


def test_every_acknowledged_event_survives_a_kill_and_counts_once(home: Home) -> None:
    Vault.open(home)
    command = [sys.executable, "-c", _VICTIM, str(home.root)]
    acknowledged = -1
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        killer = threading.Timer(SOON * 3, victim.kill)
        killer.start()
        assert victim.stdout is not None
        for line in victim.stdout:
            acknowledged = int(line)
            if acknowledged == 25:
                os.kill(victim.pid, signal.SIGKILL)
        killer.cancel()
    assert acknowledged >= 25
    after = Stores(home, Shelf())
    eventually(lambda: views(after.reader) not in (0, None))
    kept = views(after.reader)
    # One more may have been on the disk when the kill came before its acknowledgement
    assert kept in (acknowledged + 1, acknowledged + 2)
    again = [view(f"e{number}") for number in range(acknowledged + 1)]
    assert set(append(after.journal, *again)) == {Verdict.DUPLICATE}
    assert views(after.reader) == kept
    after.close()
