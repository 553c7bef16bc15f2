"""Connections whose requests do not begin: uvicorn alone would keep them open for as long as they like.

The body of a request has a time of its own (`serving.api.decoding`); this is for what comes before it.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Impatient(HttpToolsProtocol):
    """A connection that is closed when the head of a request takes too long to arrive.

    The time runs from when the connection is made and, of later requests on it, from their first bytes.
    """

    seconds: ClassVar[float] = 5.0

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - as uvicorn makes it
        super().__init__(*args, **named)
        self._awaits_head = True
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the time begin."""
        super().connection_made(transport)
        self._end = self.loop.call_later(self.seconds, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let it end."""
        self._arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._awaits_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that it is there."""
        self._awaits_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take what came; most heads come whole, and then no time need be kept."""
        super().data_received(data)
        if not self._awaits_head:
            self._arrived()
        elif self._end is None:
            self._end = self.loop.call_later(self.seconds, self.transport.close)

    def _arrived(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None


def wait_at_most(seconds: float) -> None:
    """Let uvicorn, which nobody here starts, take connections so in this process from now on."""
    Impatient.seconds = seconds
    auto.AutoHTTPProtocol = Impatient
