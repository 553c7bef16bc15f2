"""Erasures that were asked for over HTTP: what matters at once is done, and the files are waited for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

from moment.errors import DependencyError, MomentError
from serving.ports import Erasure
from serving.use_cases.access import Caller
from serving.use_cases.deadline import Aside
from serving.use_cases.erase import EraseCustomer, Receipt
from serving.use_cases.hands import Hands

ERASING_SECONDS = 60.0
"""How long a request waits for its receipt."""

_MOST_WAITING = 16
"""So many requests of a worker wait for receipts: a worker lets in only so many requests at all."""

_log = logging.getLogger("moment.erasing")


@dataclass(slots=True)
class _Job:
    """An erasure of this worker that is under way, and how often it was asked for."""

    future: Future[Receipt]
    asked: int = 1


@dataclass(slots=True)
class Erasing:
    """Erases for whoever can wait only so long; what takes longer goes on, and asking again joins it.

    Parameters
    ----------
    erase
        What erases.
    aside
        Where the first part is done: it takes no longer than reading.
    seconds
        How long one request waits for the files.
    """

    erase: EraseCustomer
    aside: Aside
    seconds: float = ERASING_SECONDS
    _hands: Hands = field(default_factory=lambda: Hands(1, "erasing"))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _jobs: dict[str, _Job] = field(default_factory=dict)
    _waiting: int = 0

    async def __call__(self, caller: Caller, customer_id: str) -> Receipt:
        """Erase a customer, or join the erasure that is under way.

        Raises
        ------
        InvalidRequest
            The caller may not.
        DependencyError
            A store does not answer; or the files take longer, and it goes on without who asked.
        """
        future = await self.aside(lambda: self._begun(self.erase.begin(caller, customer_id)))
        patience = self.seconds if self._waiting < _MOST_WAITING else 0.0
        self._waiting += 1
        try:
            await _wait(future, patience)
            if future.done():
                return future.result()
        finally:
            self._waiting -= 1
        under_way = " and ".join(self.erase.turns.under_way()) or "other erasures"
        raise DependencyError(
            "the customer's key is destroyed and nothing of them is online; their files are still to be "
            f"cleared, which goes on (under way: {under_way}): ask again for the receipt"
        )

    def resume(self) -> None:
        """Go on, in the background, with what was interrupted: whoever asked was told that it goes on."""
        self._hands.submit(self._resume)

    def _resume(self) -> None:
        try:
            for customer_id in self.erase.erasures.unfinished():
                self._begun(self.erase.start(customer_id))
        except MomentError as error:
            _log.warning("interrupted erasures are to be asked for again: %s", type(error).__name__)

    def _begun(self, erasure: Erasure) -> Future[Receipt]:
        with self._lock:
            job = self._jobs.get(erasure.customer_id)
            if job is None:
                future = self._hands.submit(lambda: self._finish(erasure))
                job = self._jobs[erasure.customer_id] = _Job(future)
            else:
                job.asked += 1
            return job.future

    def _finish(self, erasure: Erasure) -> Receipt:
        """Finish an erasure, and look again while it was begun anew meanwhile."""
        asked, receipt = 0, None
        while receipt is None or not self._ended(erasure.customer_id, asked):
            asked = self._asked(erasure.customer_id)
            try:
                receipt = self.erase.finish(erasure)
            except Exception as error:
                with self._lock:
                    del self._jobs[erasure.customer_id]
                _log.warning("an erasure is not done, and to be asked for again: %s", type(error).__name__)
                raise
        return receipt

    def _asked(self, customer_id: str) -> int:
        with self._lock:
            return self._jobs[customer_id].asked

    def _ended(self, customer_id: str, asked: int) -> bool:
        with self._lock:
            if self._jobs[customer_id].asked != asked:
                return False
            del self._jobs[customer_id]
            return True


async def _wait(future: Future[Receipt], seconds: float) -> None:
    """Wait until it is done, but only so long; it goes on whatever becomes of who waits."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(told.set)

    future.add_done_callback(tell)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await told.wait()
