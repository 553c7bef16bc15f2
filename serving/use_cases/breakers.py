"""Breakers: what has failed several times in a row is left alone for a while, and then tried once.

A breaker is closed while calls go well. After some failures in a row it is open: nobody waits for what is
gone. When it has rested, it is half-open: one call is let through, and what becomes of that closes it or
opens it again, for twice as long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """What a breaker lets through: everything, nothing, one call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much a breaker bears.

    Parameters
    ----------
    failures
        So many in a row open it.
    rest, longest_rest
        Seconds it stays open at first, and at most; each trial that fails doubles them.
    late
        How many calls may be out that nobody waits for any more. While there are so many, nothing is let
        through: threads that hang must not pile up.
    """

    failures: int = 3
    rest: float = 1.0
    longest_rest: float = 30.0
    late: int = 4


@dataclass(frozen=True, slots=True)
class Condition:
    """What a breaker knows. Each event makes another one; nothing here reads a clock.

    Parameters
    ----------
    state
        What it lets through.
    failures
        How many calls have failed in a row.
    reopens_at, rest
        When it lets the next trial through, and how long it rests this time; of no meaning when closed.
    late
        How many calls are out that nobody waits for any more.
    """

    state: State = State.CLOSED
    failures: int = 0
    reopens_at: float = 0.0
    rest: float = 0.0
    late: int = 0

    @property
    def is_untroubled(self) -> bool:
        """Whether all goes well: a call that begins or goes well changes nothing."""
        return self.state is State.CLOSED and not self.failures

    def admits(self, tolerance: Tolerance, now: float) -> bool:
        """Whether a call may begin."""
        if self.late >= tolerance.late:
            return False
        return self.state is State.CLOSED or (self.state is State.OPEN and now >= self.reopens_at)

    def begun(self) -> Condition:
        """Return what follows when an admitted call begins: one that has rested is on trial."""
        return self if self.state is State.CLOSED else replace(self, state=State.HALF_OPEN)

    def succeeded(self) -> Condition:
        """Return what follows when a call goes well. One that began before it opened proves nothing."""
        return self if self.state is State.OPEN else Condition(late=self.late)

    def withdrawn(self, now: float) -> Condition:
        """Return what follows when a call had no chance: a trial is to be made again."""
        if self.state is not State.HALF_OPEN:
            return self
        return replace(self, state=State.OPEN, reopens_at=now)

    def failed(self, tolerance: Tolerance, now: float) -> Condition:
        """Return what follows when a call fails, or takes too long."""
        failures = self.failures + 1
        if self.state is State.OPEN or (self.state is State.CLOSED and failures < tolerance.failures):
            return replace(self, failures=failures)
        rest = min(self.rest * 2 if self.state is State.HALF_OPEN else tolerance.rest, tolerance.longest_rest)
        return Condition(State.OPEN, failures, now + rest, rest, self.late)


class Breaker:
    """One breaker, for all threads of a process.

    Parameters
    ----------
    tolerance
        How much it bears.
    clock
        Tells seconds and never goes back.
    told
        Told whenever it opens (False) or closes (True).
    """

    def __init__(
        self,
        tolerance: Tolerance,
        clock: Callable[[], float],
        told: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._tolerance = tolerance
        self._clock = clock
        self._told = told
        self._lock = threading.Lock()
        self._condition = Condition()

    @property
    def condition(self) -> Condition:
        """What it knows now."""
        return self._condition

    def would_admit(self) -> bool:
        """Whether a call could begin now."""
        return self._condition.admits(self._tolerance, self._clock())

    def admit(self) -> bool:
        """Begin a call, or say that none may begin. A call that has begun ends in one of the next four."""
        condition = self._condition
        if condition.is_untroubled and condition.late < self._tolerance.late:
            # Nothing changes, so nobody need take turns
            return True
        with self._lock:
            admitted = self._condition.admits(self._tolerance, self._clock())
            if admitted:
                self._condition = self._condition.begun()
        return admitted

    def succeeded(self) -> None:
        """Note that a call went well."""
        if self._condition.is_untroubled:
            return
        with self._lock:
            self._become(self._condition.succeeded())

    def failed(self) -> None:
        """Note that a call failed."""
        with self._lock:
            self._become(self._condition.failed(self._tolerance, self._clock()))

    def withdrew(self) -> None:
        """Note that a call was taken back before it had a fair chance."""
        with self._lock:
            self._condition = self._condition.withdrawn(self._clock())

    def gave_up(self) -> None:
        """Note that nobody waits any more for a call that is out; `returned` tells when it is back."""
        with self._lock:
            failed = self._condition.failed(self._tolerance, self._clock())
            self._become(replace(failed, late=failed.late + 1))

    def returned(self) -> None:
        """Note that a call nobody waited for has come back."""
        with self._lock:
            self._condition = replace(self._condition, late=self._condition.late - 1)

    def _become(self, condition: Condition) -> None:
        was, self._condition = self._condition.state, condition
        if condition.state is not was and condition.state is not State.HALF_OPEN:
            self._told(condition.state is State.CLOSED)


class Breakers:
    """A breaker for each thing deciding depends on, made when it is first asked for.

    Parameters
    ----------
    tolerance, clock
        Of each.
    told
        Told by name of each that opens or closes.
    of
        How much those bear that bear something else, by name.
    """

    def __init__(
        self,
        tolerance: Tolerance | None = None,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[str, bool], None] = lambda _name, _up: None,
        of: Mapping[str, Tolerance] = MappingProxyType({}),
    ) -> None:
        self._of = of
        self._tolerance = tolerance or Tolerance()
        self._clock = clock
        self._told = told
        self._lock = threading.Lock()
        self._breakers: dict[str, Breaker] = {}

    def __getitem__(self, name: str) -> Breaker:
        found = self._breakers.get(name)
        if found is None:
            tolerance = self._of.get(name, self._tolerance)
            new = Breaker(tolerance, self._clock, lambda up: self._told(name, up))
            with self._lock:
                found = self._breakers.setdefault(name, new)
        return found

    def conditions(self) -> Mapping[str, Condition]:
        """Return what each knows now, for metrics."""
        return MappingProxyType({name: one.condition for name, one in sorted(self._breakers.items())})
