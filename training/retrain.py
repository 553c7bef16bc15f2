"""Retraining as a row of steps with a journal: what is finished is not repeated, and only one runs at a time.

What the steps are is the roof's business (``moment.retrain``); here is how they are run. After each step the
journal ``retraining/<id>.json`` is written anew, at once or not at all. A retraining that was killed, asked
for again, goes on where it was: a step whose inputs are still those it was done for is not repeated.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

import click
import msgspec

from moment import private
from moment.errors import DependencyError, MomentError
from moment.home import Home

Value = str | int | float | bool | None
Outcome = Mapping[str, Value]
Outcomes = Mapping[str, Outcome]
"""What each finished step came to, by its name."""

NOTHING_NEW = "nothing new"
"""In an outcome: there is no need to go on, and why."""


class Reason(StrEnum):
    """Why a model is retrained."""

    SCHEDULE = "schedule"
    DRIFT = "drift"
    HAND = "hand"


class Status(StrEnum):
    """How far a retraining is."""

    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"
    DONE = "done"

    @property
    def goes_on(self) -> bool:
        """Whether asking for it again goes on where it was."""
        return self in (Status.RUNNING, Status.FAILED)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. Asked for again, an unfinished retraining goes on; anything else is another one.

    Parameters
    ----------
    models
        What to train.
    since
        Learn from decisions from then on; None: from all.
    source
        What to ingest beside decisions; empty: nothing.
    split_on
        First day of the test; None: the newest period tests.
    catalogue
        The catalogue of what was presented; empty: the one that comes with Moment.
    anyway
        Train even where there is nothing new to learn from.
    """

    models: tuple[str, ...]
    since: datetime | None = None
    source: str = ""
    split_on: date | None = None
    catalogue: str = ""
    anyway: bool = False


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A finished step: for which inputs, what it came to, when it ended and how long it took."""

    name: str
    inputs: str
    outcome: dict[str, Value]
    finished_at: datetime
    seconds: float


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """One retraining, as far as it is.

    Parameters
    ----------
    retraining_id
        Names it, and its file.
    asked
        What was asked for.
    reason, note
        Why, in one word and in words.
    started_at, process
        When it began, and the process that last worked on it.
    status, message
        How far it is, and what stopped it.
    steps
        Those that are finished, in order.
    """

    retraining_id: str
    asked: Asked
    reason: Reason
    note: str = ""
    started_at: datetime
    process: int
    status: Status = Status.RUNNING
    message: str = ""
    steps: tuple[Done, ...] = ()

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """What each finished step came to, by its name."""
        return {step.name: step.outcome for step in self.steps}

    @property
    def why(self) -> str:
        """Reason and note in one line."""
        return f"{self.reason}: {self.note}" if self.note else self.reason.value

    def find(self, name: str) -> Done | None:
        """Return a finished step."""
        return next((step for step in self.steps if step.name == name), None)

    def after(self, done: Done) -> Journal:
        """Return the journal with a step more; done again, it takes the place of the earlier one."""
        kept = tuple(step for step in self.steps if step.name != done.name)
        return msgspec.structs.replace(self, steps=(*kept, done))


@dataclass(frozen=True, slots=True)
class Stage:
    """One step.

    Parameters
    ----------
    name, title
        In the journal, and for people.
    inputs
        Tells from what was found so far what the step depends on: a digest, or words. Done for these inputs,
        it is not done again.
    work
        Does it. What it returns is kept; with `NOTHING_NEW` in it the retraining ends here.
    stands
        Whether what the step left is still there; by default it is.
    """

    name: str
    title: str
    inputs: Callable[[Outcomes], str]
    work: Callable[[Outcomes], Outcome]
    stands: Callable[[Outcome], bool] = lambda _: True


def retrain(
    home: Home,
    asked: Asked,
    stages: Callable[[Journal], Sequence[Stage]],
    *,
    reason: Reason,
    note: str = "",
    tell: Callable[[str], None] = lambda line: click.echo(line, err=True),
) -> Journal:
    """Run the steps that are not finished yet, and return the journal.

    Parameters
    ----------
    home
        Where journals and the lock are.
    asked
        What is asked for; an unfinished retraining that was asked for the same goes on.
    stages
        Makes the steps of a retraining; it has its reason.
    reason, note
        Why, for a new retraining; one that goes on keeps its own.
    tell
        Says in a line what is being done.

    Raises
    ------
    DependencyError
        Another retraining is running: who it is, and since when.
    MomentError
        Whatever a step raises. The journal then says so, and asking again goes on there.
    """
    with _alone(home, reason):
        journal = _unfinished(home, asked)
        if journal is None:
            journal = _begin(asked, reason, note)
        else:
            tell(f"Going on with {journal.retraining_id}, begun {journal.started_at:%Y-%m-%d %H:%M} UTC")
        journal = msgspec.structs.replace(journal, process=os.getpid(), status=Status.RUNNING, message="")
        _write(home, journal)
        return _run(home, journal, stages(journal), tell)


def journals(home: Home) -> tuple[Journal, ...]:
    """Return every retraining, oldest first; a file that cannot be read is none."""
    found = []
    for file in sorted(home.retraining.glob("*.json")):
        try:
            found.append(msgspec.json.decode(file.read_bytes(), type=Journal))
        except msgspec.MsgspecError:
            continue
    return tuple(sorted(found, key=lambda one: one.started_at))


def _run(home: Home, journal: Journal, stages: Sequence[Stage], tell: Callable[[str], None]) -> Journal:
    total = len(stages)
    for number, stage in enumerate(stages, start=1):
        where = f"[{number}/{total}] {stage.title}"
        try:
            inputs = stage.inputs(journal.outcomes)
            done = journal.find(stage.name)
            if done is not None and done.inputs == inputs and stage.stands(done.outcome):
                tell(f"{where}: done before ({done.finished_at:%H:%M} UTC)")
                continue
            tell(where)
            started = time.monotonic()
            outcome = dict(stage.work(journal.outcomes))
        except MomentError as error:
            _write(home, msgspec.structs.replace(journal, status=Status.FAILED, message=str(error)))
            raise
        seconds = round(time.monotonic() - started, 1)
        now = datetime.now(UTC)
        journal = journal.after(
            Done(name=stage.name, inputs=inputs, outcome=outcome, finished_at=now, seconds=seconds)
        )
        why = outcome.get(NOTHING_NEW)
        if why:
            journal = msgspec.structs.replace(journal, status=Status.STOPPED, message=str(why))
            _write(home, journal)
            return journal
        _write(home, journal)
    journal = msgspec.structs.replace(journal, status=Status.DONE)
    _write(home, journal)
    return journal


def _begin(asked: Asked, reason: Reason, note: str) -> Journal:
    now = datetime.now(UTC)
    return Journal(
        retraining_id=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        asked=asked,
        reason=reason,
        note=note,
        started_at=now,
        process=os.getpid(),
    )


def _unfinished(home: Home, asked: Asked) -> Journal | None:
    """Return the newest retraining when it is not finished and was asked for the same."""
    known = journals(home)
    if not known or not known[-1].status.goes_on or known[-1].asked != asked:
        return None
    return known[-1]


def _write(home: Home, journal: Journal) -> None:
    home.retraining.mkdir(parents=True, exist_ok=True)
    file = home.retraining / f"{journal.retraining_id}.json"
    private.write(file, msgspec.json.format(msgspec.json.encode(journal), indent=1) + b"\n")


@contextmanager
def _alone(home: Home, reason: Reason) -> Iterator[None]:
    """Hold the lock of this home's retraining; it ends with the process, however that ends."""
    home.retraining.mkdir(parents=True, exist_ok=True)
    path = home.retraining / "lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DependencyError(
                f"{_holder(path)}; wait until it is done, its journal is in {home.retraining.name}/"
            ) from None
        lock.truncate(0)
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        json.dump({"process": os.getpid(), "since": since, "reason": reason.value}, lock)
        lock.flush()
        yield


def _holder(path: Path) -> str:
    """Say who holds the lock, as far as they have said so."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        who = f"process {held['process']} (reason: {held['reason']}) since {held['since']}"
    except (OSError, ValueError, KeyError):
        who = "another process"
    return f"models are being retrained by {who}"
