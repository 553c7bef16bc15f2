"""What keys have asked lately, in memory: for tests, and where one process is all there is."""

from __future__ import annotations

import threading
from datetime import datetime

from serving.ports import Bounds

HOUR = 3600

_RESOLUTION = 1e-6
"""Seconds that an instant, as a float, cannot tell apart."""


def spacing(bounds: Bounds) -> tuple[float, float]:
    """Return the seconds from one request to the next in the long run, and how far one may run ahead."""
    gap = 0.0 if bounds.per_second is None else 1 / bounds.per_second
    return gap, gap * ((bounds.burst or 1) - 1)


def next_turn(turn: float, instant: float, bounds: Bounds) -> tuple[float, float]:
    """Return when the request after this one is due, and how long this one has to wait.

    The generic cell rate algorithm (ITU-T I.371): a token bucket that keeps one number. A request due at
    `turn` may come early by as much as a burst allows; each moves the turn by one spacing, one that must wait
    by none.
    """
    gap, ahead = spacing(bounds)
    # Should the clock be set back, nobody waits longer than for a whole burst
    due = min(max(turn, instant), instant + ahead + gap)
    wait = due - ahead - instant
    return (due + gap, 0.0) if wait <= _RESOLUTION else (due, wait)


def hour_of(now: datetime) -> tuple[int, float]:
    """Return the hour of the clock, counted from 1970, and the seconds that are left of it."""
    instant = now.timestamp()
    return int(instant // HOUR), HOUR - instant % HOUR


class MemoryAllowance:
    """The port `Allowance` in dictionaries, for one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, float] = {}
        self._asked: dict[str, tuple[int, set[str]]] = {}

    def take(self, key_id: str, bounds: Bounds, now: datetime) -> float:
        """Count one request; return 0, or the seconds to wait."""
        with self._lock:
            turn, wait = next_turn(self._turns.get(key_id, 0.0), now.timestamp(), bounds)
            self._turns[key_id] = turn
        return wait

    def ask_about(self, key_id: str, customer_id: str, bounds: Bounds, now: datetime) -> float:
        """Count a customer asked about; return 0, or the seconds to wait."""
        limit, (hour, left) = bounds.customers_per_hour, hour_of(now)
        with self._lock:
            known, asked = self._asked.get(key_id, (hour, set()))
            if known != hour:
                asked = set()
            if customer_id not in asked and limit is not None and len(asked) >= limit:
                return left
            asked.add(customer_id)
            self._asked[key_id] = hour, asked
        return 0.0
