"""Stopping a worker on SIGTERM without resetting anybody's connection.

For a while it goes on answering, and asks each client to close its connection. Then nobody new gets in: what
asks to connect is left without an answer while those who stand at the door are served, and refused after it.
Then the server stops as it would have: it answers what is under way, and closes the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from types import FrameType

_MOST_DESCRIPTORS = 256

_HANDSHAKE_SECONDS = 0.1
"""How long those who were connecting when the door was closed may take to get in."""

_PATIENCE, _PAUSE_SECONDS = 500, 0.002
"""How often, and after what pause, it is looked again whether nobody waits to be accepted."""

_LINGER_SECONDS = 0.5
"""How long those who have connected may take to send what they connected for."""

_INFO_BYTES, _UNACCEPTED = 104, 24
"""Of Linux's ``tcp_info``: its size, and where a listening socket's queue is told."""

_SO_ATTACH_FILTER = 26
_KNOCKS = struct.pack(
    "HBBI" * 4,
    *(0x30, 0, 0, 13),  # Load the flags of the TCP header
    *(0x45, 0, 1, 0x02),  # Unless SYN is among them, skip one
    *(0x06, 0, 0, 0),  # Drop it
    *(0x06, 0, 0, 0xFFFFFFFF),  # Take it whole
)
"""A program for Linux's socket filter that drops what asks for a new connection and nothing else."""

_GRACE_SECONDS = 20.0
"""How long a worker that stops waits for clients that do not take their answers."""


def on_terminate(leave: Callable[[], None], seconds: float) -> None:
    """Have SIGTERM call `leave` at once, and do what it did before only so many seconds later.

    To be called in the main thread, from the event loop.
    """
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int) -> None:
        ignore_connections()
        loop.call_later(_HANDSHAKE_SECONDS, refuse, number, _PATIENCE)

    def refuse(number: int, patience: int) -> None:
        if not refuse_connections() and patience:
            loop.call_later(_PAUSE_SECONDS, refuse, number, patience - 1)
            return
        # Who has connected last is yet to send; what is idle then is closed
        loop.call_later(_LINGER_SECONDS, finish, number)

    def finish(number: int) -> None:
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


def ignore_connections() -> None:
    """Leave who asks to connect from now on without an answer; whose handshake has begun may end it.

    A listener that goes resets whoever is half in. A client that gets no answer asks again after a second,
    and is refused then. Where the system has no such filter, nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    program = ctypes.create_string_buffer(_KNOCKS)
    steps = len(_KNOCKS) // struct.calcsize("HBBI")
    for listening in _listening():
        with listening, contextlib.suppress(OSError):
            listening.setsockopt(
                socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", steps, ctypes.addressof(program))
            )


def refuse_connections() -> bool:
    """Let nobody connect any more to any address this process listens on, whoever shares the socket.

    Closing it here would leave it open in the processes it is shared with, where nobody answers. Who has
    connected and is not served yet would be reset: then it is left as it is, and False returned.
    """
    refused = True
    for listening in _listening():
        # Nothing may come between these two
        if _queued(listening):
            refused = False
        else:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RD)
        listening.close()
    return refused


def _queued(listening: socket.socket) -> int:
    """Return how many have connected and are not accepted yet, where the system tells (Linux)."""
    if not sys.platform.startswith("linux"):
        return 0
    info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    return int(struct.unpack_from("I", info, _UNACCEPTED)[0])


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
