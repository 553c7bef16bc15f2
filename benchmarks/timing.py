"""How long a call takes: percentiles over many calls, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

LEAST_CALLS = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Times:
    """Percentiles in milliseconds, and over how many calls."""

    p50: float
    p99: float
    calls: int


def timed(call: Callable[[T], object], arguments: Sequence[T], *, seconds: float) -> Times:
    """Return the times of calls with the arguments in turn, for about so many seconds.

    Each argument is called with once before, at most a quarter of the time.
    """
    until = time.perf_counter() + seconds / 4
    for argument in arguments:
        call(argument)
        if time.perf_counter() > until:
            break
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while len(taken) < LEAST_CALLS or time.perf_counter() < until:
        argument = arguments[len(taken) % len(arguments)]
        started = time.perf_counter()
        call(argument)
        taken.append((time.perf_counter() - started) * 1000.0)
    p50, p99 = np.percentile(taken, [50, 99])
    return Times(float(p50), float(p99), len(taken))
