"""One thread that brings changed real-time states online, for all that a process folds.

What waits goes into one write, so that many events share it. A state that could not be brought online, or
whose process died before it did, is found in the database and pushed again; an older state never replaces a
newer one there, whoever comes last.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from features.store import PushedState
from serving.adapters.instants import from_microseconds
from serving.adapters.sqlite_events import KeptState, KeptStates, StateKey
from serving.records import Mode

_SWEEP_SECONDS = 1.0
_LARGEST_SWEEP = 500

_log = logging.getLogger("moment.realtime")


def online_ref(customer_ref: str, mode: Mode) -> str:
    """Return under which name a state is online: test and live events never meet."""
    return customer_ref if mode is Mode.LIVE else f"{mode}:{customer_ref}"


class _Waiting:
    """States to bring online, and who waits for it."""

    def __init__(self, keys: frozenset[StateKey]) -> None:
        self.keys = keys
        self.future: Future[bool] = Future()
        self.future.set_running_or_notify_cancel()  # who gives up waiting cannot take it back


class RealtimePusher:
    """The pushing thread.

    Parameters
    ----------
    states
        Where states are kept.
    push
        Brings states online; it may raise, they are tried again.
    """

    def __init__(self, states: KeptStates, push: Callable[[Sequence[PushedState]], None]) -> None:
        self._states = states
        self._push = push
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._pushed: dict[StateKey, KeptState] = {}
        self._failing = False
        self._sweep_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="realtime-push", daemon=True)
        self._thread.start()

    def announce(self, keys: frozenset[StateKey]) -> Future[bool]:
        """Bring changed states online; the future says whether it worked, it never raises."""
        waiting = _Waiting(keys)
        if keys:
            self._queue.put(waiting)
        else:
            waiting.future.set_result(True)
        return waiting.future

    def close(self) -> None:
        """Push what waits, note what is online, and stop."""
        self._queue.put(None)
        self._thread.join()
        self._states.close()

    def _run(self) -> None:
        closing = False
        while not closing:
            if time.monotonic() >= self._sweep_at:
                self._sweep()
            group, closing = self._next_group()
            keys = {key for waiting in group for key in waiting.keys}
            done = not keys or self._bring(partial(self._states.read, keys)) is not None
            for waiting in group:
                waiting.future.set_result(done)
        self._note()

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        """Wait for work, at most until the next sweep, and take what is behind it along."""
        group: list[_Waiting] = []
        try:
            waiting = self._queue.get(timeout=max(0.0, self._sweep_at - time.monotonic()))
            while waiting is not None:
                group.append(waiting)
                waiting = self._queue.get_nowait()
        except queue.Empty:
            return group, False
        return group, True

    def _sweep(self) -> None:
        """Note what is online, then push what is not known to be."""
        self._note()
        found = self._bring(partial(self._states.behind, _LARGEST_SWEEP))
        more = found is not None and len(found) == _LARGEST_SWEEP
        self._sweep_at = time.monotonic() + (0.0 if more else _SWEEP_SECONDS)

    def _bring(self, read: Callable[[], list[KeptState]]) -> list[KeptState] | None:
        """Push what is read, and return it; None when it did not work."""
        try:
            found = read()
            self._push([_online(one) for one in found])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            if not self._failing:
                _log.warning("real-time states cannot be brought online now: %s", type(error).__name__)
            self._failing = True
            return None
        self._failing = False
        self._pushed.update({(one.customer_ref, one.mode): one for one in found})
        return found

    def _note(self) -> None:
        """Have it noted what is online. Not known to be noted, it is only pushed again."""
        if self._pushed:
            noted, self._pushed = self._pushed, {}
            try:
                self._states.mark(noted.values()).result()
            except Exception:  # noqa: BLE001 - it is found again by the next sweep
                _log.warning("it cannot be noted which real-time states are online")


def _online(kept: KeptState) -> PushedState:
    return PushedState(online_ref(kept.customer_ref, kept.mode), kept.state, from_microseconds(kept.as_of))
