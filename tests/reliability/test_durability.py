"""Acknowledged is on the disk: flushed before it is said, there after a kill, never said of what is not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from moment.errors import DependencyError
from serving.adapters.database import connect, migrate
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_outcomes import SqliteOutcomes
from serving.adapters.sqlite_records import SqliteRecords
from serving.ports import Entry, Reporter, Verdict
from serving.records import Mode
from tests.reliability.reporters import NOW, TOGETHER, report
from tests.reliability.vfs import FULL, SYNC_FAILED, Disk, shimmed
from tests.service.kit import VAULT
from tests.unit.serving.adapters.test_stores import entry

T = TypeVar("T")

BY = Reporter("key", Mode.LIVE)
KILLS = 2
PROJECT = Path(__file__).parents[2]


@dataclass
class Stores:
    """The real stores of a database, opened through the shim."""

    records: SqliteRecords
    outcomes: SqliteOutcomes
    ledger: SqliteContacts
    disk: Disk

    def decide(self, number: int) -> Future[Entry]:
        return self.records.append(entry(number, decided_at=NOW, mode=Mode.LIVE, request_id=None))

    def report(self, number: int, event_id: str = "e") -> Future[tuple[Verdict, ...]]:
        return self.outcomes.append([report(number, event_id)], by=BY, received_at=NOW)


@contextmanager
def opened(database: Path) -> Iterator[Stores]:
    with shimmed(database.parent) as disk:
        records = SqliteRecords(database, VAULT)
        outcomes = SqliteOutcomes(database, records.writer, VAULT)
        ledger = SqliteContacts(database, records.writer, VAULT)
        try:
            yield Stores(records, outcomes, ledger, disk)
        finally:
            records.close()
            outcomes.close()
            ledger.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "moment.db"
    migrate(path)
    record = entry(decided_at=NOW, mode=Mode.LIVE, request_id=None).record
    (tmp_path / "record.json").write_bytes(msgspec.json.encode(record))
    return path


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(connect(database)) as connection:
        return connection.execute(query).fetchall()


def test_nothing_is_acknowledged_before_it_is_flushed(database: Path) -> None:
    with opened(database) as stores:
        for number in range(20):
            _noted(stores.decide(number), stores.disk)
            _noted(stores.report(number), stores.disk)
        events = stores.disk.events

    assert events.count("said") == 40
    for place in [place for place, event in enumerate(events) if event == "said"]:
        assert events[place - 1] == "sync"
        assert "write" in events[:place]


@pytest.mark.parametrize(("event", "error"), [("write", FULL), ("sync", SYNC_FAILED)])
def test_what_cannot_be_written_or_flushed_is_refused_and_never_found(
    database: Path, event: str, error: int
) -> None:
    with opened(database) as stores:
        stores.decide(1).result(10)
        stores.disk.refuse[event] = error
        reports = [stores.report(1, f"refused-{part}") for part in range(3)]
        for wait in (stores.decide(2).result, *(future.result for future in reports)):
            with pytest.raises(DependencyError, match="ask again later"):
                wait(10)
        assert f"{event} refused" in stores.disk.events
        assert stores.records.find("d2") is None
        assert stores.outcomes.of_decision("d1") == ()

        stores.disk.refuse.clear()

        assert stores.decide(3).result(10).record.decision_id == "d3"
        assert stores.report(1, "refused-0").result(10) == (Verdict.RECORDED,)

    assert rows(database, "SELECT decision_id FROM decisions ORDER BY sequence") == [("d1",), ("d3",)]
    assert rows(database, "SELECT decision_id, kind FROM outcome_reports") == [("d1", "clicked")]
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]


def test_what_was_acknowledged_before_a_kill_is_there_once(database: Path) -> None:
    acknowledged: list[int] = []
    for name in range(1, KILLS + 1):
        acknowledged += _until_killed(database, str(name), after=40 * name)

    counted: dict[str, int] = dict(
        rows(database, "SELECT decision_id, COUNT(*) FROM outcome_reports GROUP BY decision_id")
    )
    assert {counted.get(f"d{number}") for number in acknowledged} == {TOGETHER}
    # A request is all there or not at all, whether or not it was acknowledged
    assert set(counted.values()) == {TOGETHER}
    assert len(counted) <= len(acknowledged) + KILLS
    decided = {row[0] for row in rows(database, "SELECT decision_id FROM decisions")}
    assert {f"d{number}" for number in acknowledged if number % 2} <= decided
    # What waited through the crash counts when its decision comes
    waiting = next(number for number in acknowledged if not number % 2)
    with opened(database) as stores:
        stores.decide(waiting).result(10)
    found = rows(database, f"SELECT state FROM outcome_reports WHERE decision_id = 'd{waiting}'")
    assert found == [("counted",)] * TOGETHER


def _noted(acknowledged: Future[T], disk: Disk) -> None:
    """Note when something is acknowledged: on the writer's own thread, before it writes anything more."""
    noted: Future[None] = Future()

    def note(_: Future[T]) -> None:
        disk.events.append("said")
        noted.set_result(None)

    acknowledged.add_done_callback(note)
    noted.result(10)


def _until_killed(database: Path, name: str, *, after: int) -> list[int]:
    """Let a process report until it has said `after` times that it was acknowledged, then kill it."""
    command = [sys.executable, "-m", "tests.reliability.reporters", str(database), name]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(after)]
        time.sleep(0.01)
        process.kill()
        said += [int(line) for line in process.stdout if line.endswith("\n")]
    return said
