"""The Admin service beside the decision service: started with it, kept up, and stopped with it."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

from serving.logs import LogForm, say

_PAUSE_SECONDS = 5.0
_STOP_SECONDS = 5.0


class AdminProcess:
    """Runs ``serving.admin`` as a process of its own while its ``with`` block lasts.

    The process reads its settings from the environment. Its standard input is a pipe of ours that nobody
    writes to: when this process is gone, however it went, the pipe ends and the Admin service with it.
    """

    def __init__(self, form: LogForm = LogForm.TEXT) -> None:
        self._form = form
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="admin", daemon=True)

    def __enter__(self) -> Self:
        """Start it."""
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it, and wait until it has."""
        self._stopping.set()
        self._keeper.join()

    def _keep(self) -> None:
        """Start it, and again whenever it ends by itself."""
        while not self._stopping.is_set():
            # A session of its own: Ctrl+C is for us, who then stop it in order
            process = subprocess.Popen(
                [sys.executable, "-m", "serving.admin"], stdin=subprocess.PIPE, start_new_session=True
            )
            while not self._stopping.wait(0.2) and process.poll() is None:
                pass
            code = _stop(process)
            if not self._stopping.is_set():
                said = f"The Admin service ended with {code}; starting it again in {_PAUSE_SECONDS:g} s."
                say(self._form, "serve", said)
                self._stopping.wait(_PAUSE_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> int:
    """Let a process end by itself, which it does when its input ends; else end it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        return process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
