"""A few threads that do what blocks, so that whoever asked can wait with a deadline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_IDLE_SECONDS = 30.0
"""A thread that has had nothing to do for so long ends."""

_SMOOTHING = 0.1
"""How much the latest piece of work counts for how long the next will take."""


class _Job(Generic[T]):
    """Something to do, and who waits for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.future: Future[T] = Future()
        self._work = work

    def run(self) -> None:
        """Do it, unless who asked has gone."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, those who wait must be told
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Hands:
    """A few threads. One that hangs is replaced while it does, and never keeps the process from ending.

    Python runs one thread at a time. While nothing keeps them waiting, several that pass each other the turn
    at every question to a store need half as much again as one alone; where a store takes its time they are
    worth it.

    Parameters
    ----------
    size
        How many work at a time, at most.
    name
        What the threads are called.
    alone
        Seconds: one thread is left alone with what is to do while it takes up the next thing within them.
    """

    def __init__(self, size: int, name: str = "deciding", alone: float = 0.0) -> None:
        self._size = size
        self._name = name
        self.alone = alone
        self._taken_at = 0.0
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._stuck = 0
        self._seconds = 0.0

    @property
    def threads(self) -> int:
        """How many threads there are now, those that hang included."""
        return self._threads

    @property
    def behind(self) -> bool:
        """Whether something waits for a thread."""
        return self._jobs.qsize() > 0

    def wait(self) -> float:
        """Return about how many seconds something handed over now would wait for a thread."""
        return self._jobs.qsize() * self._seconds / max(1, self._threads - self._stuck)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have something done; one that is cancelled before it begins is not."""
        job = _Job(work)
        self._jobs.put(job)
        self.hurry()
        return job.future

    def stuck(self) -> None:
        """Note that a thread hangs: another takes its place."""
        with self._lock:
            self._stuck += 1
        self.hurry()

    def unstuck(self) -> None:
        """Note that one hangs no more: a thread too many ends."""
        with self._lock:
            self._stuck -= 1

    def close(self) -> None:
        """Let the threads end when they have nothing to do; nobody waits for them."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def hurry(self) -> None:
        """Let another thread join where what waits is worth one and there may be more."""
        with self._lock:
            at_work, now = self._threads - self._stuck, time.monotonic()
            if self._jobs.qsize() <= self._idle or at_work >= self._size:
                return
            if at_work and now - self._taken_at < self.alone:
                return
            self._threads += 1
            self._idle += 1
            self._taken_at = now
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            started = time.perf_counter()
            job.run()
            taken = time.perf_counter() - started
            self._seconds += _SMOOTHING * (taken - self._seconds)
            with self._lock:
                if self._threads - self._stuck > (1 if taken < self.alone else self._size):
                    self._threads -= 1
                    return
                self._idle += 1

    def _next(self) -> _Job[Any] | None:
        """Wait for something to do; None, and this thread counts no more, when there is nothing for long."""
        job: _Job[Any] | None = None
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_SECONDS)
                ends = job is None
            except queue.Empty:
                ends = True
            with self._lock:
                if not ends or not self._jobs.qsize():
                    self._idle -= 1
                    self._threads -= ends
                    self._taken_at = time.monotonic()
                    return job
