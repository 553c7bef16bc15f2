"""Gates on what a model costs to serve: the time of one call, and the size of its bundle."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from threadpoolctl import threadpool_limits

from serving.lifecycle import GateVerdict
from training.evaluation.intervals import MetricInterval, median_interval
from training.gates.bounds import Bounds, missing, verdict

_WARM_UP = 5
_MIB = 1024 * 1024


class TimeGate(Bounds, frozen=True, kw_only=True):
    """Bound of the median milliseconds of one call for ``rows`` rows, over ``repetitions`` calls."""

    rows: int
    repetitions: int


def scoring_time(gate: TimeGate, call: Callable[[], object], *, what: str) -> GateVerdict:
    """Hold the median time of a call, on a single thread, against its bound.

    Parameters
    ----------
    call
        One call through the bundle as serving opens it.
    what
        What one call does, for people.
    """
    return verdict(
        "scoring_time",
        f"Milliseconds to {what}, one thread",
        milliseconds(call, gate.repetitions),
        gate,
        f"median of {gate.repetitions} calls on the machine that trained",
    )


def milliseconds(call: Callable[[], object], repetitions: int) -> MetricInterval:
    """Return the median time of a call with its 95 % interval, after some calls that are not counted."""
    times = []
    with threadpool_limits(1):
        for repetition in range(-_WARM_UP, repetitions):
            started = time.perf_counter()
            call()
            if repetition >= 0:
                times.append(1000.0 * (time.perf_counter() - started))
    return median_interval(times)


def bundle_size(gate: Bounds, folder: Path) -> GateVerdict:
    """Hold the size of a bundle's files together against its bound."""
    name, title = "bundle_size", "MiB of the bundle"
    try:
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    except OSError as error:
        return missing(name, title, gate, f"the bundle cannot be read ({error.strerror})")
    return verdict(name, title, size / _MIB, gate)
