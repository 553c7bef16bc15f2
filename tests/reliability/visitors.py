"""Many processes that want to offer one customer something; run as a module by the test beside it.

Each says ``ready`` and its process id, waits for the file ``go``, then tries: look back, check the limit,
reserve with the record, sometimes report the presentation. What was acknowledged is a line in its own file.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.vault import Vault
from serving.decision.actions import Action
from serving.decision.contact import Limit, Per
from serving.decision.contact_check import ContactCheck
from serving.decision.contact_plan import ContactPlan, make_contact_plan
from serving.decision.values import ActionId, Contact, History
from serving.ports import Entry, Reservation, StaleHistory
from serving.records import DecisionRecord, Mode

CUSTOMER = "anna"
VAULT = Vault(bytes(32))
LIMIT = Limit("three-a-week", 3, timedelta(days=7), per=Per.ALL)
ACTION = Action(ActionId("loan"), "Loan", "growth", "loans", 1.0, timedelta(days=30), {}, (), ())


class Task(msgspec.Struct, frozen=True):
    """What visitors do: their offers live `lifetime` seconds, and `shown` is the share they report.

    The first `doomed` of them go on until they are killed.
    """

    folder: str
    record: DecisionRecord
    visitors: int
    attempts: int
    lifetime: float
    shown: float
    doomed: int = 0


def plan() -> ContactPlan:
    """Return the one limit over the one action."""
    return make_contact_plan((ACTION,), (LIMIT,), (), frozenset(), "UTC")


def may_offer(prepared: ContactPlan, history: History, now: datetime) -> bool:
    """Whether the limit leaves room for one more."""
    check = ContactCheck(prepared, history, channel="web", now=now, zone=ZoneInfo("UTC"))
    return not check.verdicts().reason[0]


def attempt(task: Task, visitor: str, numbers: Iterable[int]) -> Iterator[str]:
    """Try once for each number; yield what was acknowledged."""
    path = Path(task.folder) / "moment.db"
    records = SqliteRecords(path, VAULT)
    ledger = SqliteContacts(path, records.writer, VAULT)
    prepared, chance = plan(), random.Random(visitor)  # noqa: S311
    for number in numbers:
        now = datetime.now(UTC)
        standing = ledger.read(CUSTOMER, mode=Mode.LIVE, now=now, back=prepared.lookback(now))
        if not may_offer(prepared, standing.history, now):
            continue
        name = f"{visitor}-{number}"
        ends = now + timedelta(seconds=task.lifetime)
        contact = Contact(name, ACTION.action_id, ACTION.group, ACTION.issue, "web", now, ends)
        taken = Reservation(CUSTOMER, Mode.LIVE, standing.version, (contact,))
        entry = Entry(msgspec.structs.replace(task.record, decision_id=name, request_id=name), b"body")
        try:
            records.append(entry, taken).result(60)
        except StaleHistory:
            continue
        yield f"reserved {name}"
        if chance.random() < task.shown:
            time.sleep(chance.random() * min(task.lifetime, 0.1) * 1.5)  # now and then too late
            shown_at = datetime.now(UTC)
            verdict = ledger.present(name, occurred_at=shown_at, reported_at=shown_at)
            yield f"{verdict} {name}"
    ledger.close()
    records.close()


def visit(task: Task, place: int) -> None:
    """Be one visitor."""
    visitor = f"visitor{place}"
    numbers = itertools.count() if place < task.doomed else range(task.attempts)
    with (Path(task.folder) / f"{visitor}.out").open("w", buffering=1) as said:
        said.write(f"ready {os.getpid()}\n")
        while not (Path(task.folder) / "go").exists():
            time.sleep(0.002)
        for line in attempt(task, visitor, numbers):
            said.write(line + "\n")
        said.write("done\n")


def main() -> None:
    """Read the task from the first argument and be that many visitors.

    They are forked off before anything is opened, so that what they need is imported once.
    """
    task = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Task)
    for number in range(task.visitors):
        if os.fork() == 0:
            visit(task, number)
            return
    for _ in range(task.visitors):
        os.wait()


if __name__ == "__main__":
    main()
