"""Stopping a worker on SIGTERM without resetting anybody's connection.

For a while it goes on answering, and asks each client to close its connection. Then its address refuses new
connections, and the server stops as it would have: it answers what is under way, and closes the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from types import FrameType

_MOST_DESCRIPTORS = 256

_GRACE_SECONDS = 20.0
"""How long a worker that stops waits for clients that do not take their answers."""


def on_terminate(leave: Callable[[], None], seconds: float) -> None:
    """Have SIGTERM call `leave` at once, and do what it did before only so many seconds later.

    To be called in the main thread, from the event loop.
    """
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int) -> None:
        refuse_connections()
        if callable(before):
            before(number, None)
            # uvicorn takes a second signal for not waiting any longer, and waits for ever without it
            loop.call_later(_GRACE_SECONDS, before, signal.SIGINT, None)

    def begin(number: int) -> None:
        leave()
        loop.call_later(seconds, stop, number)

    def terminate(number: int, _: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin, number)

    signal.signal(signal.SIGTERM, terminate)


def refuse_connections() -> None:
    """Let nobody connect any more to any address this process listens on, whoever shares the socket.

    Closing it here would leave it open in the processes it is shared with, where nobody answers.
    """
    for listening in _listening():
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RD)
        listening.close()


def _listening() -> Iterator[socket.socket]:
    """Yield a copy of each TCP socket of this process that listens."""
    for descriptor in range(3, _MOST_DESCRIPTORS):
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            found = socket.socket(fileno=os.dup(descriptor))
            listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if listens and found.family in {socket.AF_INET, socket.AF_INET6}:
                yield found
            else:
                found.close()
