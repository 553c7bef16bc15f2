"""The journal of events and the real-time features in memory: for tests, examples and trying things out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime

from features.contract import FeatureContract
from features.realtime import EMPTY, State, fold
from features.realtime_features import REALTIME_V1
from moment.errors import DependencyError
from serving.adapters.realtime_reader import facts_of
from serving.ports import CustomerFacts, Journaled, JournalEntry, Verdict
from serving.records import Mode


class MemoryEvents:
    """The ports `EventJournal` and `RealtimeFeatures` on dictionaries, under one lock.

    With `broken` set, both fail as stores that are away do.
    """

    def __init__(self) -> None:
        self.broken = False
        self._bodies: dict[tuple[Mode, str], bytes] = {}
        self._states: dict[tuple[Mode, str], State] = {}
        self._lock = threading.Lock()

    @property
    def contract(self) -> FeatureContract:
        """The features it serves."""
        return REALTIME_V1

    def append(
        self,
        entries: Sequence[JournalEntry],
        *,
        mode: Mode,
        key_id: str,  # noqa: ARG002 - nothing is looked up by key here
        received_at: datetime,  # noqa: ARG002 - nor by time
    ) -> Future[Journaled]:
        """Keep events and fold them."""
        journaled: Future[Journaled] = Future()
        if self.broken:
            journaled.set_exception(DependencyError("the journal does not answer; try again later"))
            return journaled
        visible: Future[bool] = Future()
        visible.set_result(True)
        with self._lock:
            verdicts = tuple(self._append(entry, mode) for entry in entries)
        journaled.set_result(Journaled(verdicts, visible))
        return journaled

    def read(self, profile: str, *, mode: Mode, now: datetime) -> CustomerFacts:
        """Return the features of a profile; here nobody is linked."""
        if self.broken:
            raise DependencyError("the real-time features cannot be read; try again later")
        return facts_of(self._states.get((mode, profile), EMPTY), now)

    def _append(self, entry: JournalEntry, mode: Mode) -> Verdict:
        name = mode, entry.event.event_id
        if name in self._bodies:
            return Verdict.DUPLICATE if self._bodies[name] == entry.body else Verdict.CONFLICT
        self._bodies[name] = entry.body
        whose = mode, entry.profile
        self._states[whose] = fold(self._states.get(whose, EMPTY), [entry.event])
        return Verdict.RECORDED
