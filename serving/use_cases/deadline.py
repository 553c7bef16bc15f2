"""Keeping to a deadline with stores that may fail, be slow or hang, though every call to them blocks.

What is asked of one request runs in a thread (`Hands`), which notes what it waits for (`Errand`). Whoever
waits for the thread gives it up when that takes too long, and has the same done again without what it waited
for. A thread given up does nothing more than return one day; breakers bound how many there may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from moment.errors import DependencyError, InvalidRequest, MomentError, Overloaded
from serving.use_cases.breakers import Breaker, Breakers
from serving.use_cases.hands import Hands

T = TypeVar("T")

_log = logging.getLogger("moment.deadline")

_SHORTEST = 0.005
"""Waiting for less is of no use."""

_FAIR_SHARES = 5
"""A dependency that has had this part of a deadline had its chance."""

_MOST_ASIDE = 8
"""Threads aside from decisions; so many only while some hang."""


class GivenUp(DependencyError):
    """Nobody waits any more for what this thread does."""


class Gone(DependencyError):
    """What was asked for is not there now; named by what ``degraded`` calls it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"`{name}` does not answer; ask again as Retry-After says")
        self.name = name


class Deadline:
    """So many seconds from now. Without any it never comes."""

    def __init__(self, seconds: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = None if seconds is None else clock() + seconds
        self.fair = 0.0 if seconds is None else seconds / _FAIR_SHARES
        """What has had less time than this is not to blame."""

    def left(self) -> float | None:
        """Return the seconds left, 0 when it is past."""
        return None if self._end is None else max(0.0, self._end - self._clock())

    def patience(self) -> float | None:
        """Return how long to wait for one thing: half of what is left, so that something can follow."""
        left = self.left()
        return None if left is None else min(left, max(left / 2, _SHORTEST))


class Errand:
    """What is done for one request in one thread: every call to a dependency goes through `ask`.

    Parameters
    ----------
    breakers
        Of the dependencies.
    without
        What has been given up for this request already.
    """

    def __init__(self, breakers: Breakers, without: frozenset[str] = frozenset()) -> None:
        self.degraded: set[str] = set()
        self._breakers = breakers
        self._without = without
        self._lock = threading.Lock()
        self._waits_for: str | None = None
        self._since = 0.0
        self._given_up = False
        self._handed_to: Breaker | None = None

    def ask(self, name: str, call: Callable[[], T]) -> T:
        """Call what depends on something.

        Raises
        ------
        Gone
            It failed, has failed too often lately, or was given up; `degraded` has it from now on.
        GivenUp
            Nobody waits any more.
        """
        breaker = self._breakers[name]
        with self._lock:
            self._check()
            if name in self._without or not breaker.admit():
                self.degraded.add(name)
                raise Gone(name)
            self._waits_for, self._since = name, time.monotonic()
        failure: Exception | None = None
        try:
            return call()
        except InvalidRequest:
            raise
        except Exception as error:
            # Whatever a dependency's own code raises: it has not answered
            failure = error
            raise Gone(name) from error
        finally:
            self._settle(name, breaker, failure)

    def ask_or(self, name: str, call: Callable[[], T], default: T) -> T:
        """Do the same; return the default where it is gone."""
        try:
            return self.ask(name, call)
        except Gone:
            return default

    def commit(self, name: str, hand_over: Callable[[], Future[T]]) -> Future[T]:
        """Hand over what was worked out, unless nobody waits for it or who takes it is gone."""
        breaker = self._breakers[name]
        with self._lock:
            self._check()
            if not breaker.admit():
                raise Gone(name)
            self._handed_to, self._since = breaker, time.monotonic()
        # Not under the lock: whoever takes it may write it in this very thread, and that may hang
        future = hand_over()
        future.add_done_callback(partial(_settle, breaker))
        return future

    def give_up(self, fair: float = 0.0) -> str | None:
        """Give up if it has waited so many seconds for something, and return for what; else it goes on."""
        with self._lock:
            if self._waits_for is None or self._given_up or time.monotonic() - self._since < fair:
                return None
            self._given_up = True
            self._breakers[self._waits_for].gave_up()
            return self._waits_for

    def abandon(self, fair: float = 0.0) -> bool:
        """Give up whatever it does; return whether it was on the way to its store by then, and may stand.

        What has not got so far is not handed over any more.
        """
        self.give_up()
        with self._lock:
            self._given_up = True
            breaker = self._handed_to
            if breaker is not None:
                _blame(breaker, time.monotonic() - self._since, fair)
        return breaker is not None

    def _check(self) -> None:
        if self._given_up:
            raise GivenUp("nobody waits for this any more")

    def _settle(self, name: str, breaker: Breaker, failure: Exception | None) -> None:
        """Note how a call ended; the first that fails is told in the log, by its kind alone."""
        with self._lock:
            self._waits_for = None
            if self._given_up:
                breaker.returned()
            elif failure is None:
                breaker.succeeded()
            else:
                self.degraded.add(name)
                breaker.failed()
                if breaker.condition.failures == 1:
                    _log.warning("%s does not answer: %s", name, type(failure).__name__)
            self._check()


def _settle(breaker: Breaker, future: Future[T]) -> None:
    """Note how what was handed over ended; whoever cancels it has noted that."""
    if future.cancelled():
        return
    if isinstance(future.exception(), DependencyError):
        breaker.failed()
    else:
        breaker.succeeded()


def _blame(breaker: Breaker, seconds: float, fair: float) -> None:
    """Note that a store has not said in time that something stands; it had so many seconds."""
    if seconds < fair:
        breaker.withdrew()
    else:
        breaker.failed()


async def watched(work: Callable[[Errand], T], hands: Hands, breakers: Breakers, deadline: Deadline) -> T:
    """Have something done in a thread; what it waits for too long is given up, and it is done without.

    Raises
    ------
    Overloaded
        It was not done by the deadline.
    """
    without: frozenset[str] = frozenset()
    while True:
        errand = Errand(breakers, without)
        future = hands.submit(partial(work, errand))
        try:
            stuck = await _stuck(errand, future, hands, deadline)
            if stuck is None:
                return future.result()
        except MomentError:
            _replace(hands, future)
            raise
        finally:
            future.cancel()
        _replace(hands, future)
        without |= {stuck}


async def _done(future: Future[T], seconds: float | None) -> bool:
    """Wait so many seconds for what a thread does; return whether it is done."""
    loop = asyncio.get_running_loop()
    told = loop.create_future()

    def tell(_: object = None) -> None:
        if not told.done():
            told.set_result(None)

    def tell_from_thread(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(tell)

    future.add_done_callback(tell_from_thread)
    end = None if seconds is None else loop.call_later(seconds, tell)
    try:
        await told
    finally:
        if end is not None:
            end.cancel()
    return future.done()


def _replace(hands: Hands, future: Future[T]) -> None:
    """Let another thread take the place of the one that is at this, until it has done it."""
    if not future.cancel() and not future.done():
        hands.stuck()
        future.add_done_callback(lambda _: hands.unstuck())


async def _stuck(errand: Errand, future: Future[T], hands: Hands, deadline: Deadline) -> str | None:
    """Wait until it is done (None), or return what it has waited for too long."""
    while True:
        patience = deadline.patience()
        waits = hands.alone > 0 and not future.running()
        if waits:
            patience = hands.alone if patience is None else min(hands.alone, patience)
        if await _done(future, patience):
            return None
        if waits:
            hands.hurry()
        elif (stuck := errand.give_up(deadline.fair)) is not None:
            return stuck
        if deadline.left() == 0:
            if errand.abandon(deadline.fair):
                raise _unrecorded()
            raise Overloaded("the decision was not made in time; ask again as Retry-After says")


async def recorded(future: Future[T], breaker: Breaker, deadline: Deadline) -> T:
    """Return what a store says of what was handed to it, by the deadline.

    Raises
    ------
    DependencyError
        It does not say so in time. What the store had not begun to write it will not write; what it had
        begun may stand, unacknowledged.
    """
    left = deadline.left()
    if future.done() or await _done(future, left):
        return future.result()
    future.cancel()
    _blame(breaker, deadline.fair if left is None else left, deadline.fair)
    raise _unrecorded()


def _unrecorded() -> DependencyError:
    return DependencyError(
        "it could not be recorded in time; ask again, under the same request_id if it has one"
    )


class Aside:
    """Does what reads stores apart from decisions, so that neither they nor the event loop wait for it.

    Parameters
    ----------
    seconds
        What takes longer is given up.
    hands
        The threads that do it.
    """

    def __init__(self, seconds: float = 5.0, hands: Hands | None = None) -> None:
        self._seconds = seconds
        self._hands = hands or Hands(2, "aside")

    async def __call__(self, work: Callable[[], T]) -> T:
        """Do it; DependencyError when it takes too long, Overloaded when too much of it hangs already."""
        if self._hands.threads > _MOST_ASIDE:
            raise Overloaded("too many reads are under way; ask again as Retry-After says")
        future = self._hands.submit(work)
        if await _done(future, self._seconds):
            return future.result()
        _replace(self._hands, future)
        raise DependencyError("a store does not answer in time; ask again as Retry-After says")

    def close(self) -> None:
        """Let the threads end."""
        self._hands.close()
