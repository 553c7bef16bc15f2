"""A small but real service to break: the REST app on SQLite, with its features and scores in memory.

Run as a module it serves: ``python -m tests.reliability.faults FOLDER DESCRIPTOR WORKERS`` has workers take
connections from a listening socket it is handed, and starts another for each that dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import uvicorn
from litestar.types import Receive, Scope, Send

from moment.home import Home
from serving.adapters.database import migrate
from serving.adapters.identifiers import time_ordered_id
from serving.adapters.memory import MemoryFeatures, TableScorer
from serving.adapters.sqlite_consents import SqliteConsents
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_events import SqliteEvents, StateKey
from serving.adapters.sqlite_keys import SqliteKeys
from serving.adapters.sqlite_outcomes import SqliteOutcomes
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.vault import Vault
from serving.api.app import build
from serving.api.overload import Entrance
from serving.decision.actions import Candidate
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.decision import Scores
from serving.decision.values import Purpose, Scalar
from serving.leaving import SUPERVISOR_PIPE, on_terminate
from serving.ports import CustomerFacts, Told
from serving.ports import Scope as KeyScope
from serving.records import Mode
from serving.settings import Settings
from serving.slow_clients import wait_at_most
from serving.use_cases.access import Access
from serving.use_cases.breakers import Breakers
from serving.use_cases.decide import ALONE, HANDS, RECORDING, RECORDS
from serving.use_cases.desk import Desk
from serving.use_cases.events import TakeEvents
from serving.use_cases.hands import Hands
from serving.use_cases.keys import create_key
from serving.use_cases.outcomes import TakeOutcomes
from serving.use_cases.tracking import LABEL, Tracking
from serving.use_cases.version_set import Live, LiveState
from tests.service.kit import CONTRACT, CUSTOMERS, Shop

T = TypeVar("T")

TWICE_A_WEEK = "\ncontact_policies:\n  twice: {limit: 2, window: 7d, per: all}\n"
"""A limit over everything marketing has to offer."""

RECALL = """
  service:
    mandatory: legal_obligation
    purposes: []
    treatments:
      web: {channel: web, placements: [home], content: {title: "{{ action.label }}"}}
    groups:
      safety:
        actions:
          recall: {label: Recall}
"""
FULL = os.environ.get("MOMENT_RELIABILITY") == "full"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Fault:
    """How a call goes wrong: it waits, then fails or hangs until it is mended. Nothing is wrong at first."""

    seconds: float = 0.0
    error: Exception | None = None
    mended: threading.Event | None = None

    def __call__(self, call: Callable[[], T]) -> T:
        if self.seconds:
            threading.Event().wait(self.seconds)
        if self.mended is not None:
            self.mended.wait(60)
        if self.error is not None:
            raise self.error
        return call()


@dataclass
class Faulty:
    """Any port with a fault before each of its calls."""

    port: object
    fault: Fault = field(default_factory=Fault)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        found = getattr(self.port, name)
        return (
            (lambda *args, **named: self.fault(lambda: found(*args, **named))) if callable(found) else found
        )


@dataclass(frozen=True, slots=True)
class GarbageScorer:
    """A model that answers with what is no probability, or not as many as were asked for."""

    scores: tuple[float, ...]
    version: str = "table"

    def score(
        self,
        customer: CustomerFacts,  # noqa: ARG002
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],  # noqa: ARG002
        slots: int,  # noqa: ARG002
    ) -> Scores:
        """Answer garbage."""
        found = np.array(self.scores or [0.5] * (len(contenders) + 1))
        found = np.resize(found, len(contenders)) if self.scores else found
        return Scores(raw=found, propensity=found)


class SmallService:
    """The office of a small service on the database of a home. Ports may be replaced by faulty ones."""

    def __init__(self, home: Home, *, seconds: float | None = 0.1, more: str = "", **ports: object) -> None:
        migrate(home.database)
        self.vault = Vault.open(home)
        self.store = SqliteKeys(home.database)
        self.records = SqliteRecords(home.database, self.vault)
        writer = self.records.writer
        self.ledger = SqliteContacts(home.database, writer, self.vault)
        self.consents = SqliteConsents(home.database, writer, self.vault)
        self.outcomes = SqliteOutcomes(home.database, writer, self.vault)
        shop, tracking = Shop(more=more), Tracking(self.vault.derived_key(LABEL))
        self.life, self.signer = shop.life, shop.signer
        models = {name: ports.pop(name) for name in ("scorer", "segmenter") if name in ports}
        standard: dict[str, object] = {
            "ledger": self.ledger,
            "records": self.records,
            "consents": self.consents,
        }
        self.decide = replace(
            shop.decide,
            live=LiveState(Live(replace(shop.live.now.champion, **cast("dict[str, Any]", models)))),
            clock=utc_now,
            ids=time_ordered_id,
            tracking=tracking,
            realtime=None,
            seconds=seconds,
            breakers=Breakers(of={RECORDS: RECORDING}),
            hands=Hands(HANDS, alone=ALONE),
            **cast("dict[str, Any]", standard | ports),
        )
        self._desk = replace(
            shop.desk(),
            decide=self.decide,
            take_events=TakeEvents(SqliteEvents(writer, self.vault, _seen), utc_now),
            take_outcomes=TakeOutcomes(self.outcomes, tracking, utc_now, shop.live.kinds),
        )

    @property
    def access(self) -> Access:
        """The door."""
        return Access(self.store, utc_now)

    def desk(self) -> Desk:
        """Return the open desk."""
        return self._desk

    def close(self) -> None:
        """Write what waits, and close."""
        self.decide.hands.close()
        self._desk.aside.close()
        self.records.close()
        self.ledger.close()
        self.consents.close()
        self.outcomes.close()
        self.store.close()

    def key(self, mode: Mode = Mode.LIVE) -> str:
        """Make a key and return its secret."""
        made = create_key(
            self.store, mode=mode, scopes=frozenset(KeyScope), channel=None, label="", now=utc_now()
        )
        return made.secret

    def agree(self, *customer_ids: str, status: ConsentStatus = ConsentStatus.GRANTED) -> None:
        """Let customers agree to profiling, or no longer."""
        now = utc_now()
        entry = ConsentEntry(Purpose.PROFILING, None, status, now, None, now)
        self.consents.append([Told(one, entry) for one in customer_ids], mode=Mode.LIVE)


def _seen(_: frozenset[StateKey]) -> Future[bool]:
    """Say that states are online: here nobody reads them."""
    seen: Future[bool] = Future()
    seen.set_result(True)
    return seen


def small_home(folder: Path) -> Home:
    folder.mkdir(parents=True, exist_ok=True)
    return Home(root=folder / "home", mlruns=folder / "mlruns")


def everybody(count: int) -> MemoryFeatures:
    """So many customers like Anna, beside Anna herself."""
    return MemoryFeatures(CONTRACT, {**CUSTOMERS, **{f"c{n}": CUSTOMERS["anna"] for n in range(count)}})


def serve(home: Home, descriptor: int) -> None:
    """Serve until SIGTERM."""
    office = SmallService(
        home, seconds=5.0, more=TWICE_A_WEEK, features=everybody(1000), scorer=TableScorer()
    )
    entrance = Entrance(build(office, Settings()), 256)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if str(scope["type"]) == "lifespan":
            on_terminate(lambda: setattr(entrance, "leaving", True), 0.2)
        await entrance(scope, receive, send)

    wait_at_most(1.0)
    # As BentoML starts it, with all its protocols
    config = uvicorn.Config(cast("Any", app), log_level="warning", loop="uvloop")
    listening = socket.socket(fileno=descriptor)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        office.close()


def supervise(home: Home, descriptor: int, workers: int, pids: Path) -> None:
    """Keep so many workers up until SIGTERM; each line of ``pids`` is one that was started."""
    build(cast("Any", None), Settings())  # imports what Litestar imports when it makes an app
    children: set[int] = set()
    stopping = False
    reading, writing = os.pipe()
    os.environ[SUPERVISOR_PIPE] = str(reading)

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        os.close(writing)
        for child in children:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    with pids.open("a", buffering=1) as said:
        while not stopping or children:
            while not stopping and len(children) < workers:
                child = os.fork()
                if child == 0:
                    os.close(writing)
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                    serve(home, descriptor)
                    os._exit(0)
                children.add(child)
                said.write(f"{child}\n")
            with contextlib.suppress(InterruptedError):
                children.discard(os.wait()[0])


class Service:
    """Several workers on one address in processes of their own, forked from one that has imported all."""

    def __init__(self, folder: Path, *, workers: int = 2, listening: socket.socket | None = None) -> None:
        self.folder = folder
        self.home = small_home(folder)
        self.listening = listening or socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = f"127.0.0.1:{self.listening.getsockname()[1]}"
        descriptor = self.listening.fileno()
        command = [sys.executable, "-W", "error", "-m", "tests.reliability.faults"]
        self.process = subprocess.Popen(
            [*command, folder, str(descriptor), str(workers)],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # who forks has one thread
            pass_fds=[descriptor],
            start_new_session=True,
        )

    def pids(self) -> list[int]:
        """Return the workers started so far, oldest first."""
        path = self.folder / "pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def stop(self) -> int:
        """Tell it to stop, wait, and return how it ended."""
        self.listening.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """Leave nothing of it behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


if __name__ == "__main__":
    supervise(small_home(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[1]) / "pids")
