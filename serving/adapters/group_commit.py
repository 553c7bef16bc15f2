"""One thread that writes to the operational database, for all that a process has to write.

Whatever waits for it goes into one transaction, so that many writes share one flush to the disk and none is
acknowledged before it. Each has a savepoint of its own: one that cannot be done does not spoil its group.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, TypeVar

from moment.errors import DependencyError, MomentError
from serving.adapters.database import connect

_LARGEST_GROUP = 256

T = TypeVar("T")


class _Job(Generic[T]):
    """Something to write, and who waits for it."""

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self.future: Future[T] = Future()
        self._work = work
        self._outcome: Callable[[], None] = lambda: None

    def run(self, connection: sqlite3.Connection) -> None:
        """Do it within the group's transaction, wholly or not at all."""
        connection.execute("SAVEPOINT job")
        try:
            result = self._work(connection)
        except Exception as error:
            if not connection.in_transaction:  # the database itself gave up: with it, the group
                raise
            connection.execute("ROLLBACK TO job")
            refusal = _refusal(error)
            self._outcome = lambda: self.future.set_exception(refusal)
        else:
            self._outcome = lambda: self.future.set_result(result)
        connection.execute("RELEASE job")

    def settle(self) -> None:
        """Tell who waits, now that the group is on the disk."""
        self._outcome()

    def refuse(self, error: Exception) -> None:
        """Tell who waits that the whole group failed."""
        self.future.set_exception(_refusal(error))


class GroupCommit:
    """The writing thread of the database at `path`, whose schema is up to date."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._watch: Callable[[int], None] = lambda _: None
        self._waiting: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="group-commit", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Hand work to the writer; the future is done when it is on the disk, or was refused."""
        job = _Job(work)
        self._waiting.put(job)
        return job.future

    def watched_by(self, watch: Callable[[int], None]) -> None:
        """Tell `watch` from now on how many writes wait, before and after each group."""
        self._watch = watch

    def close(self) -> None:
        """Write what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def _write(self) -> None:
        connection: sqlite3.Connection | None = None
        while (group := self._next_group()) is not None:
            self._watch(len(group) + self._waiting.qsize())
            try:
                connection = connection or connect(self._path)
                connection.execute("BEGIN IMMEDIATE")
                for job in group:
                    job.run(connection)
                connection.execute("COMMIT")
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must be told
                if connection is not None and connection.in_transaction:
                    connection.execute("ROLLBACK")
                for job in group:
                    job.refuse(error)
            else:
                for job in group:
                    job.settle()
            self._watch(self._waiting.qsize())
        if connection is not None:
            connection.close()

    def _next_group(self) -> list[_Job[Any]] | None:
        """Wait for a job and take those behind it along; None when the writer is closed."""
        first = self._waiting.get()
        if first is None:
            return None
        group = [first]
        while len(group) < _LARGEST_GROUP:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._waiting.put(None)
                break
            group.append(following)
        # From here on a caller who gives up can no longer cancel; one who has given up is not written
        return [job for job in group if job.future.set_running_or_notify_cancel()]


def _refusal(error: Exception) -> MomentError:
    if isinstance(error, MomentError):
        return error
    refusal = DependencyError(f"it could not be recorded ({error}); ask again later")
    refusal.__cause__ = error
    return refusal
