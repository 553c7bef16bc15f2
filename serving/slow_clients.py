"""Connections whose requests do not begin, or whose answers nobody takes: uvicorn alone would wait for ever.

The body of a request has a time of its own (`serving.api.decoding`); this is for what comes before it and
after.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http import auto

from serving.connections import Bounded

_MOST_TAKING = 6
"""So many times as long as for anything else a client may take for an answer of which it takes some."""


class Impatient(Bounded):
    """A connection that is closed when the head of a request takes too long to arrive, or an answer to leave.

    The time runs from when the connection is made and, of later requests on it, from their first bytes. That
    of an answer runs from when the client, and the systems between, hold no more of it.
    """

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - as uvicorn makes it
        super().__init__(*args, **named)
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the time begin."""
        super().connection_made(transport)
        self._late = self.loop.call_later(self.seconds, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let it end."""
        self._arrived()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; most heads come whole, and then no time need be kept."""
        super().data_received(data)
        if not self._in_head or self._deaf:
            self._arrived()
        elif self._late is None:
            self._late = self.loop.call_later(self.seconds, self._hang_up)

    def pause_writing(self) -> None:
        """Note that the client does not take an answer."""
        super().pause_writing()
        if self._stalled is None:
            until = self.loop.time() + _MOST_TAKING * self.seconds
            self._stalled = self.loop.call_later(self.seconds, self._look, until, self._unsent())

    def resume_writing(self) -> None:
        """Note that it has taken all of it."""
        self._taken()
        super().resume_writing()

    def _look(self, until: float, before: int) -> None:
        """Give up on a client that has taken nothing since it was looked, or takes too long altogether."""
        unsent = self._unsent()
        if unsent >= before or self.loop.time() >= until:
            self._wire.abort()
        else:
            self._stalled = self.loop.call_later(self.seconds, self._look, until, unsent)

    def _unsent(self) -> int:
        return self._wire.get_write_buffer_size()

    def _taken(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _hang_up(self) -> None:
        if self._answering is not None and not self._answering.response_complete:
            # What is under way before it holds the head up, and nothing is read meanwhile
            self._late = self.loop.call_later(self.seconds, self._hang_up)
        else:
            self._wire.close()

    def _arrived(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def wait_at_most(seconds: float) -> None:
    """Let uvicorn, which nobody here starts, take connections so in this process from now on."""
    Impatient.seconds = seconds
    auto.AutoHTTPProtocol = Impatient
