"""A batch as a whole: chunks over processes, results in order, and what it all came to."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from features.population import Span
from moment.errors import DependencyError, MomentError
from moment.private import keep_private
from moment.progress import SILENT, Step
from serving.batch.balances import Balances, holds
from serving.batch.chunks import Chunk, Decided
from serving.batch.opening import Setup, open_work
from serving.batch.output import Output
from serving.batch.rows import Form
from serving.batch.tally import Tally
from serving.decision.budgets import BudgetPlan
from serving.decision.values import ActionId, Used


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a process cannot go on. A value: errors with more than a message do not travel."""

    message: str


Work = Callable[[Chunk], Decided | Failure]


class Pool(Protocol):
    """Takes chunks and decides them, in whatever order."""

    def submit(self, chunk: Chunk) -> Future[Decided | Failure]:
        """Hand in a chunk."""
        ...


class _Here:
    """Decides in this process, when asked."""

    def __init__(self, setup: Setup) -> None:
        self._work, self.close = open_work(setup)

    def submit(self, chunk: Chunk) -> Future[Decided | Failure]:
        """Decide a chunk at once."""
        future: Future[Decided | Failure] = Future()
        future.set_result(self._work(chunk))
        return future


class _Processes:
    """Decides in other processes."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def submit(self, chunk: Chunk) -> Future[Decided | Failure]:
        """Hand in a chunk."""
        return self._executor.submit(_decide, chunk)


@contextmanager
def pool_of(setup: Setup, workers: int) -> Iterator[Pool]:
    """Open what decides chunks: this process, or several others."""
    if workers == 1:
        here = _Here(setup)
        try:
            yield here
        finally:
            here.close()
        return
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(setup,),
    )
    try:
        yield _Processes(executor)
    finally:
        # What is being decided is finished, what waits is not begun
        executor.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Budgets and volumes of a plan: what is bounded, and what was used before.

    With reservations the ledger keeps them, and there is nothing to know here.
    """

    plan: BudgetPlan
    used: Mapping[ActionId, Used]


def in_order(pool: Pool, spans: Sequence[Span], ahead: int, bounds: Bounds | None) -> Iterator[Decided]:
    """Yield what comes of each span, in their order, while the next ones (``ahead``) are under way.

    A chunk is decided with what was left of budgets when it was begun. Where the chunks before it have used
    something up since, it is decided again: the result is as if all had been decided one after another.

    Raises
    ------
    DependencyError
        A process could not go on.
    """
    used = {} if bounds is None else bounds.used
    taken: Counter[ActionId] = Counter()
    waiting: deque[Future[Decided | Failure]] = deque()
    coming = iter(spans)
    while True:
        while len(waiting) < ahead and (span := next(coming, None)) is not None:
            waiting.append(pool.submit(Chunk(span, used, taken.copy())))
        if not waiting:
            return
        decided = _result(waiting.popleft())
        if bounds is not None and not _still_holds(bounds, decided, taken):
            decided = _result(pool.submit(Chunk(decided.chunk.span, used, taken.copy())))
        taken.update(decided.charged)
        yield decided


def _still_holds(bounds: Bounds, decided: Decided, taken: Counter[ActionId]) -> bool:
    before = Balances(bounds.plan, bounds.used, decided.chunk.taken).left()
    return holds(before, Balances(bounds.plan, bounds.used, taken).left(), decided.charged)


def _result(future: Future[Decided | Failure]) -> Decided:
    try:
        found = future.result()
    except BrokenExecutor as error:
        raise DependencyError(
            "a process of the batch ended by itself, perhaps for lack of memory; run it with --workers 1"
        ) from error
    if isinstance(found, Failure):
        raise DependencyError(found.message)
    return found


def run(  # noqa: PLR0917
    setup: Setup,
    spans: Sequence[Span],
    form: Form,
    bounds: Bounds | None,
    out: Path,
    workers: int,
    step: Step = SILENT,
) -> Tally:
    """Decide for all spans and write the file; return what it came to."""
    tally = Tally()
    total = sum(span.customers for span in spans)
    started = time.monotonic()
    with pool_of(setup, workers) as pool, Output(out, form.schema) as output:
        for decided in in_order(pool, spans, 1 if workers == 1 else workers + 1, bounds):
            output.write(decided.table, decided.rejected)
            tally.add(decided.tally)
            step.advance(
                decided.chunk.span.customers,
                note=_pace(tally.customers, total, time.monotonic() - started),
            )
    return tally


def _pace(done: int, total: int, seconds: float) -> str:
    rate = done / seconds if seconds else 0.0
    rest = (total - done) / rate if rate else 0.0
    return f"{rate:,.0f} customers/s, {rest:.0f} s left"


_work: Callable[[Chunk], Decided] | None = None
_refusal: str = ""


def _begin(setup: Setup) -> None:
    """Open everything, in a process of its own."""
    global _work, _refusal  # noqa: PLW0603 - what a process of the pool has for itself
    keep_private()
    # Whoever began the batch decides when it ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _work, _ = open_work(setup)
    except MomentError as error:
        _refusal = str(error)


def _decide(chunk: Chunk) -> Decided | Failure:
    if _work is None:
        return Failure(_refusal)
    try:
        return _work(chunk)
    except MomentError as error:
        return Failure(str(error))
