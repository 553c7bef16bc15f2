"""Stopping a worker without resetting anybody's connection.

For a while it goes on answering, and asks each client to close its connection. Then nobody new gets in: what
asks to connect is left without an answer while those who stand at the door are served, and refused after it.
Then the server stops as it would have: it answers what is under way, and closes the rest.

The address belongs to all workers, so it is closed when all stop: when their supervisor does, or is gone.
A worker that is told to go alone takes no more connections, and the others go on.
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

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
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

_NEWS_SECONDS = 1.0
"""How long after a signal the supervisor may take to stop too: some send one to all of a group."""

SUPERVISOR_PIPE = "SUPERVISOR_PIPE"
"""Names in a worker's environment the reading end of a pipe whose other end the supervisor alone has."""


def on_terminate(leave: Callable[[], None], seconds: float) -> None:
    """Have SIGTERM and SIGINT, and the supervisor when it stops or dies, call `leave` and end this worker.

    When all stop, everybody is answered for so many seconds more before the address is closed. A worker that
    goes alone leaves the address to the others. To be called in the main thread, from the event loop, before
    it listens.
    """
    welcome_connections()
    _Departure(leave, seconds, _supervisor()).watch()


class _Departure:
    """How a worker goes; `supervisor` is the pipe that ends with the supervisor, None where there is none."""

    def __init__(self, leave: Callable[[], None], seconds: float, supervisor: int | None) -> None:
        self._leave = leave
        self._seconds = seconds
        self._supervisor = supervisor
        self._all_stop = supervisor is None
        self._asked = self._going = False
        self._loop = asyncio.get_running_loop()
        self._before = signal.getsignal(signal.SIGTERM)

    def watch(self) -> None:
        """Wait for a signal, or for the supervisor to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        if self._supervisor is not None:
            self._loop.add_reader(self._supervisor, self._supervisor_stops, self._supervisor)

    def _signalled(self, _: int, __: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._ask)

    def _supervisor_stops(self, pipe: int) -> None:
        self._loop.remove_reader(pipe)
        self._all_stop = True
        self._go()

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self._loop.call_later(0 if self._all_stop else _NEWS_SECONDS, self._go)

    def _go(self) -> None:
        if self._going:
            return
        self._going = True
        self._leave()
        if self._all_stop:
            self._loop.call_later(self._seconds, self._close_address)
            return
        # The socket is everybody's: what waits at it is theirs from now on
        for server in getattr(getattr(self._before, "__self__", None), "servers", ()):
            server.close()
        self._loop.call_later(max(self._seconds, _LINGER_SECONDS), self._finish)

    def _close_address(self) -> None:
        ignore_connections()
        self._loop.call_later(_HANDSHAKE_SECONDS, self._refuse, _PATIENCE)

    def _refuse(self, patience: int) -> None:
        if not refuse_connections() and patience:
            self._loop.call_later(_PAUSE_SECONDS, self._refuse, patience - 1)
            return
        # Who has connected last is yet to send; what is idle then is closed
        self._loop.call_later(_LINGER_SECONDS, self._finish)

    def _finish(self) -> None:
        if callable(self._before):
            self._before(signal.SIGTERM, None)
            # uvicorn takes a second signal for not waiting any longer, and waits for ever without it
            self._loop.call_later(_GRACE_SECONDS, self._before, signal.SIGINT, None)


def _supervisor() -> int | None:
    """Return the pipe that ends with the supervisor, where one was handed to this process."""
    named = os.environ.get(SUPERVISOR_PIPE, "")
    try:
        pipe = int(named)
        return pipe if stat.S_ISFIFO(os.fstat(pipe).st_mode) else None
    except (ValueError, OSError):
        return None


def welcome_connections() -> None:
    """Let in again whoever asks to connect, whatever a worker before this one has left at the address."""
    if sys.platform.startswith("linux"):
        for found in _sockets():
            with found, contextlib.suppress(OSError):
                found.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def ignore_connections() -> None:
    """Leave who asks to connect from now on without an answer; whose handshake has begun may end it.

    A listener that goes resets whoever is half in. A client that gets no answer asks again after a second,
    and is refused then. Where the system has no such filter, nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    for listening in _listening():
        with listening, contextlib.suppress(OSError):
            drop_knocks(listening)


def drop_knocks(listening: socket.socket) -> None:
    """Have Linux drop what asks a socket for a new connection."""
    program = ctypes.create_string_buffer(_KNOCKS)
    steps = len(_KNOCKS) // struct.calcsize("HBBI")
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
    for found in _sockets():
        if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            yield found
        else:
            found.close()


def _sockets() -> Iterator[socket.socket]:
    """Yield a copy of each TCP socket of this process."""
    for descriptor in range(3, _MOST_DESCRIPTORS):
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            found = socket.socket(fileno=os.dup(descriptor))
            if found.family in {socket.AF_INET, socket.AF_INET6} and found.type == socket.SOCK_STREAM:
                yield found
            else:
                found.close()
