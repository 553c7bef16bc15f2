"""Eight processes, one customer, a limit of three a week: for real, on one database.

Short here; ``MOMENT_RELIABILITY=full`` makes it 10,000 attempts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from serving.adapters.database import migrate
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_records import SqliteRecords
from serving.decision.values import Contact
from serving.records import Mode
from tests.reliability.visitors import ACTION, CUSTOMER, LIMIT, VAULT, Task, may_offer, plan
from tests.unit.serving.adapters.test_stores import a_record

PROJECT = Path(__file__).parents[2]
PROCESSES = 8
ATTEMPTS = 10_000 if os.environ.get("MOMENT_RELIABILITY") == "full" else 1_600


class Crowd:
    """Eight visitors on one database, and an observer who looks all the time."""

    def __init__(self, folder: Path, *, lifetime: float, shown: float, doomed: int) -> None:
        self.folder = folder
        migrate(folder / "moment.db")
        self.records = SqliteRecords(folder / "moment.db", VAULT)
        self.ledger = SqliteContacts(folder / "moment.db", self.records.writer, VAULT)
        self.looks = 0
        record = msgspec.structs.replace(a_record(), mode=Mode.LIVE)
        task = Task(str(folder), record, PROCESSES, ATTEMPTS // PROCESSES, lifetime, shown, doomed)
        self.doomed = doomed
        (folder / "task.json").write_bytes(msgspec.json.encode(task))
        self.visitors = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.reliability.visitors", folder / "task.json"],
            cwd=PROJECT,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # who forks has one thread
            start_new_session=True,
        )

    def lines(self) -> list[list[str]]:
        """Return what the visitors have said so far, word by word; a line that was cut off is left out."""
        texts = [path.read_text() for path in sorted(self.folder.glob("visitor*.out"))]
        return [line.split() for text in texts for line in text.split("\n")[:-1]]

    def run(self) -> None:
        """Let them go, and look until all are done; kill the doomed while they are at it."""
        while sum(words[0] == "ready" for words in self.lines()) < PROCESSES:
            assert self.visitors.poll() is None
            time.sleep(0.02)
        # The files are read in the order of their visitors, and the first of these do not end by themselves
        doomed = [int(words[1]) for words in self.lines()][: self.doomed]
        (self.folder / "go").touch()
        while self.visitors.poll() is None:
            self.look()
            time.sleep(0.005)
            if doomed and sum(words[0] == "reserved" for words in self.lines()) > LIMIT.most:
                os.kill(doomed.pop(), signal.SIGKILL)
        assert self.visitors.returncode == 0
        done = sum(words == ["done"] for words in self.lines())
        assert done == PROCESSES - self.doomed

    def look(self) -> None:
        """See that the limit holds at this moment."""
        contacts = self.contacts()
        now = datetime.now(UTC)
        held = [one for one in contacts if one.is_live(now) or counts(one)]
        assert len(held) <= LIMIT.most, held
        self.looks += 1

    def contacts(self) -> tuple[Contact, ...]:
        """Return everything the customer was ever given."""
        now = datetime.now(UTC)
        return self.ledger.read(CUSTOMER, mode=Mode.LIVE, now=now, back=plan().lookback(now)).history.contacts

    def close(self) -> None:
        if self.visitors.poll() is None:
            os.killpg(self.visitors.pid, signal.SIGKILL)
            self.visitors.wait()
        self.ledger.close()
        self.records.close()


@contextmanager
def crowd(folder: Path, *, lifetime: float, shown: float, doomed: int = 0) -> Iterator[Crowd]:
    made = Crowd(folder, lifetime=lifetime, shown=shown, doomed=doomed)
    try:
        yield made
    finally:
        made.close()


def counts(contact: Contact) -> bool:
    """Whether it was presented in time."""
    return contact.presented_at is not None and not contact.recorded_late


def most_at_once(contacts: Sequence[Contact]) -> int:
    """Return the most that ever were live or presented in time together; all lies within one week."""
    return max(
        sum(
            other.decided_at <= one.decided_at and (counts(other) or one.decided_at < other.reserved_until)
            for other in contacts
        )
        for one in contacts
    )


def test_of_all_attempts_exactly_three_succeed(tmp_path: Path) -> None:
    with crowd(tmp_path, lifetime=3600, shown=1) as all_of_them:
        all_of_them.run()
        said = Counter(words[0] for words in all_of_them.lines())
        assert said == {"ready": PROCESSES, "done": PROCESSES, "reserved": 3, "recorded": 3}
        assert len(all_of_them.contacts()) == 3
        assert all_of_them.looks > 10


def test_the_limit_holds_while_reservations_expire_and_processes_are_killed(tmp_path: Path) -> None:
    with crowd(tmp_path, lifetime=0.05, shown=0.02, doomed=3) as all_of_them:
        all_of_them.run()
        acknowledged = all_of_them.lines()
        kept = {one.tracking_id: one for one in all_of_them.contacts()}
        # Expired reservations made room again and again, and never for too many
        assert len(kept) > LIMIT.most
        assert most_at_once(tuple(kept.values())) <= LIMIT.most
        assert sum(counts(one) for one in kept.values()) <= LIMIT.most
        for verdict, name in (words for words in acknowledged if words[0] not in {"ready", "done"}):
            assert name in kept
            assert all_of_them.records.find(name) is not None
            if verdict != "reserved":
                assert (verdict == "recorded") == counts(kept[name])
        # and none is held back for ever by a process that is gone
        time.sleep(0.06)
        presented = sum(one.presented_at is not None for one in all_of_them.contacts())
        now = datetime.now(UTC)
        standing = all_of_them.ledger.read(CUSTOMER, mode=Mode.LIVE, now=now, back=plan().lookback(now))
        assert may_offer(plan(), standing.history, now) == (presented < LIMIT.most)


@pytest.mark.parametrize("held", [2, 4])
def test_the_observer_would_see_one_too_many(held: int) -> None:
    now = datetime.now(UTC)
    contacts = [
        Contact(f"t{n}", ACTION.action_id, "loans", "growth", "web", now, now.replace(year=9999))
        for n in range(held)
    ]
    assert most_at_once(contacts) == held
