"""Counting aside: a little later, and many at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry

from serving.adapters.prometheus import PrometheusTelemetry
from serving.decision.catalogue import Catalogue
from serving.records import DecisionRecord
from serving.telemetry import Answered

SOON_SECONDS = 0.1
"""How much later something is counted, at most, while the worker keeps up."""


class CountsSoon(PrometheusTelemetry):
    """Prometheus' telemetry, whose requests and decisions are counted by a thread of its own.

    Between two decisions counting one costs a tenth of deciding it; a few dozen one after another, a third of
    that.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(registry)
        self._uncounted: deque[Callable[[], None]] = deque()
        self._called = threading.Event()
        threading.Thread(target=self._count_when_called, name="counting", daemon=True).start()

    def request(self, answered: Answered) -> None:
        """Have a request counted that was answered."""
        self._soon(partial(super().request, answered))

    def decision(self, record: DecisionRecord, catalogue: Catalogue) -> None:
        """Have a decision counted that was made and recorded."""
        self._soon(partial(super().decision, record, catalogue))

    def settle(self) -> None:
        """Count what waits, now."""
        while self._uncounted:
            try:
                count = self._uncounted.popleft()
            except IndexError:  # another thread has counted the last
                return
            count()

    def _soon(self, count: Callable[[], None]) -> None:
        self._uncounted.append(count)
        if not self._called.is_set():
            self._called.set()

    def _count_when_called(self) -> None:
        while True:
            self._called.wait()
            time.sleep(SOON_SECONDS)
            self._called.clear()
            self.settle()
