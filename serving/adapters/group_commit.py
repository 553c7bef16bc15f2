"""What a process has to write to the operational database, in groups.

Whatever waits goes into one transaction, so that many writes share one flush to the disk and none is
acknowledged before it. Each has a savepoint of its own: one that cannot be done does not spoil its group.

There is one pen. Who has something to write and finds it free writes there and then, with whatever waits;
what comes meanwhile, or while another process writes, is left to a thread of its own. So one writer alone
need not wait for another thread to wake up, and many share their flushes. Who is about to write more may let
a few gather first.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, TypeVar

from moment.errors import DependencyError, MomentError
from serving.adapters.database import SameFiles, connect

_LARGEST_GROUP = 256

_BUSY_SECONDS, _PAUSE_SECONDS = 5.0, 0.0002
"""How long another process may write, and when to look again: SQLite itself would sleep for milliseconds."""

_FEW, _SOON_SECONDS = 4, 0.005
"""So many writes gather while somebody is about to write more, and for so long at most."""

_LOG_PAGES = 4000
"""How long SQLite's log grows before whoever commits writes it back: what many writes changed goes back once,
and so seldom that the slowest of a hundred decisions has not waited for it."""

T = TypeVar("T")


class _Job(Generic[T]):
    """Something to write, and who waits for it."""

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self.future: Future[T] = Future()
        self._work = work
        self._outcome: Callable[[], None] = lambda: None

    def run(self, connection: sqlite3.Connection) -> None:
        """Do it within the transaction, which is its own: what fails, fails with all of that."""
        result = self._work(connection)
        self._outcome = lambda: self.future.set_result(result)

    def run_among(self, connection: sqlite3.Connection) -> None:
        """Do it within its group's transaction, wholly or not at all."""
        connection.execute("SAVEPOINT job")
        try:
            self.run(connection)
        except Exception as error:
            if not connection.in_transaction:  # the database itself gave up: with it, the group
                raise
            connection.execute("ROLLBACK TO job")
            refusal = _refusal(error)
            self._outcome = lambda: self.future.set_exception(refusal)
        connection.execute("RELEASE job")

    def settle(self) -> None:
        """Tell who waits, now that the group is on the disk."""
        self._outcome()

    def refuse(self, error: Exception) -> None:
        """Tell who waits that the whole group failed."""
        self.future.set_exception(_refusal(error))


class GroupCommit:
    """What writes to the database at `path`, whose schema is up to date."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._watch: Callable[[int], None] = lambda _: None
        self._waiting: deque[_Job[Any]] = deque()
        self._pen = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._files: SameFiles | None = None
        self._called, self._at_once = threading.Event(), threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._write_when_called, name="group-commit", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Leave work to the writing thread; the future is done when it is on the disk, or was refused."""
        job = _Job(work)
        self._waiting.append(job)
        self._call()
        return job.future

    def write(self, work: Callable[[sqlite3.Connection], T], *, more: bool = False) -> Future[T]:
        """Write now, and return a future that is done; where somebody else writes, it is as `submit`.

        With `more` the caller is about to write again, and this may go along with that.
        """
        job = _Job(work)
        self._waiting.append(job)
        if more and len(self._waiting) < _FEW:
            self._called.set()  # should the caller not come back soon
            return job.future
        if self._pen.acquire(blocking=False):
            try:
                self._write_group(patience=0.0)
            finally:
                self._pen.release()
        # Another process writes, or whoever had the pen took the last group a moment too early
        if self._waiting:
            self._call()
        return job.future

    def watched_by(self, watch: Callable[[int], None]) -> None:
        """Tell `watch` from now on how many writes wait, before and after each group."""
        self._watch = watch

    def check(self) -> None:
        """Raise DependencyError when the files that were opened are no longer the database."""
        if self._files is not None:
            self._files.check()

    def close(self) -> None:
        """Write what waits, then stop."""
        self._closing = True
        self._call()
        self._thread.join()

    def _call(self) -> None:
        self._at_once.set()
        self._called.set()

    def _write_when_called(self) -> None:
        while self._waiting or not self._closing:
            self._called.wait()
            self._at_once.wait(_SOON_SECONDS)
            self._called.clear()
            self._at_once.clear()
            while self._waiting:
                with self._pen:
                    self._write_group(_BUSY_SECONDS)
        with self._pen:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _write_group(self, patience: float) -> None:
        """Write what waits as one group, unless another process writes for so long; with the pen."""
        if not self._waiting:
            return
        self._watch(len(self._waiting))
        group: list[_Job[Any]] = []
        try:
            connection = self._opened()
            self.check()
            if not _begun(connection, patience):
                return
            group = self._next_group()
            for job in group:
                job.run(connection) if len(group) == 1 else job.run_among(connection)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must be told
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for job in group or self._next_group():
                job.refuse(error)
        else:
            for job in group:
                job.settle()
        self._watch(len(self._waiting))

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _open(self._path)
            self._files = SameFiles(self._path)
        return self._connection

    def _next_group(self) -> list[_Job[Any]]:
        """Take what waits. From here on a caller who gives up can no longer cancel it."""
        count = min(len(self._waiting), _LARGEST_GROUP)
        taken = [self._waiting.popleft() for _ in range(count)]
        return [job for job in taken if job.future.set_running_or_notify_cancel()]


def _open(path: Path) -> sqlite3.Connection:
    connection = connect(path, new=False)
    connection.execute("PRAGMA busy_timeout=0")  # `_begun` waits itself
    connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
    connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # opens the log, too
    return connection


def _begun(connection: sqlite3.Connection, patience: float) -> bool:
    """Begin a transaction that writes; False where another process writes, and there is no patience.

    Raises
    ------
    sqlite3.OperationalError
        The database cannot be written to, or somebody has written for longer than there was patience.
    """
    end = time.monotonic() + patience
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or (patience and time.monotonic() > end):
                raise
        else:
            return True
        if not patience:
            return False
        time.sleep(_PAUSE_SECONDS)


def _refusal(error: Exception) -> MomentError:
    if isinstance(error, MomentError):
        return error
    refusal = DependencyError(f"it could not be recorded ({error}); ask again later")
    refusal.__cause__ = error
    return refusal
