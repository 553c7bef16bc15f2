"""The process that keeps the workers up: what it tells them, and what it tells of them.

BentoML leaves that to circus. Here circus' arbiter learns to let its workers know that all of them stop,
which a signal alone does not say; to say that a worker ended; and to let SIGHUP be, which would end them all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from bentoml._internal.utils import circus as circus_of_bentoml
from circus.exc import ConflictError

from serving.leaving import SUPERVISOR_PIPE
from serving.logs import LogForm, say

stopping = threading.Event()
"""Set when this process was told to stop the service."""

_AGAIN_SECONDS = 0.1

_Arbiter = circus_of_bentoml.Arbiter


def supervise(form: LogForm) -> None:
    """Supervise in this way what BentoML starts from now on in this process; `form` is the log's."""
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    os.environ[SUPERVISOR_PIPE] = str(reading)

    def let_go() -> None:
        if not stopping.is_set():
            stopping.set()
            os.close(writing)

    circus_of_bentoml.Arbiter = _supervisor(let_go, form)


def _supervisor(let_go: Callable[[], None], form: LogForm) -> type[Any]:
    """Return an arbiter that calls `let_go` before it stops its workers."""

    class Supervisor(_Arbiter):  # type: ignore[misc, valid-type]
        """Keeps the workers up."""

        def start(self, cb: Callable[[Any], Any] | None = None) -> None:
            """Start them, and tell of each that ends by itself."""
            for watcher in self.watchers:
                watcher.hooks["after_reap"] = told
            super().start(cb)

        def stop(self) -> Any:  # noqa: ANN401 - circus' own future
            """Let the workers close the address, and stop."""
            let_go()
            try:
                return super().stop()
            except ConflictError:  # it is about to start a worker
                self.loop.call_later(_AGAIN_SECONDS, self.stop)

        def reload(self, **_: object) -> None:
            """Do nothing: a worker reads everything anew that may change while it runs."""
            say(form, "serve", "SIGHUP: nothing is read anew; restart for new settings.")

    def told(*, process_pid: int, exit_code: int | None, **_: object) -> None:
        if not stopping.is_set():
            how = "ended" if exit_code is None else _how(exit_code)
            say(form, "serve", f"Worker {process_pid} {how}; another takes its place.", pid=process_pid)

    return Supervisor


def _how(exit_code: int) -> str:
    return f"was ended by signal {-exit_code}" if exit_code < 0 else f"ended with {exit_code}"
