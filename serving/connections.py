"""Connections as uvicorn takes them, with bounds to what comes on one, and an end that loses no answer.

Uvicorn alone keeps heads and trailers of any length, takes trailers for headers, works for clients that read
none of its answers, waits for ever for a WebSocket nobody serves, and resets who has not sent all of a body.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST_HEAD_BYTES = 64 * 1024
"""Of the first line and all fields; of trailers, too."""

MOST_FIELDS = 100

MOST_WAITING = 64
"""How many requests may be sent ahead, before the answer to the first."""

_MOST_DRAINED_BYTES = 64 * 1024
"""So much of a body that nobody reads may still come on a connection that is kept."""

_MOST_DISCARDED_BYTES = 32 * 2**20
"""So much of one that is closed, for its sender to see the answer."""

_MOST_UNSENT_BYTES = 64 * 1024
"""So much of an answer the system may hold for a client before it sends it: it would take megabytes."""

_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
"""Linux's number, where Python does not know the name."""


class _TooLargeError(Exception):
    """A head has too much of something; raised from within the parser, which stops then."""


class _Outlet:
    """What answers are written to: the connection, until it ends. Afterwards nothing is written."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, connection: Bounded, wire: asyncio.Transport) -> None:
        self.write = wire.write
        self.close = connection.part
        self.is_closing = connection.has_parted

    def shut(self) -> None:
        """Drop what is still written; whom it was for has gone, and that is no fault."""
        self.write = _drop
        self.close, self.is_closing = _nothing, _yes


class Bounded(HttpToolsProtocol):
    """A connection on which no client can pile anything up.

    No field is taken but those of a request's head, nothing is upgraded, requests sent ahead wait until the
    answers before them were taken, and what cannot be read is refused. Where a body is still on its way when
    its answer is, a connection is closed in two steps: a reset would take the answer from the client.
    """

    seconds: ClassVar[float] = 5.0
    """How long a client may take for whatever it is waited for."""

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - as uvicorn makes it
        super().__init__(*args, **named)
        self._wire: asyncio.Transport
        self._in_head = True
        self._whole = True
        self._deaf = False
        self._parted = False
        self._much = False
        self._fresh = True
        self._piled = 0
        self._looked_ahead = False
        self._is_kept_when_whole = False
        self._answering: RequestResponseCycle | None = None
        self._postponed: tuple[RequestResponseCycle, Any] | None = None
        self._discarded = 0
        self._enough: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection."""
        super().connection_made(transport)
        # Writing is paused as soon as the system takes no more, and goes on when it has taken all
        transport.set_write_buffer_limits(high=0)
        with contextlib.suppress(OSError):
            wire = transport.get_extra_info("socket")
            wire.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _MOST_UNSENT_BYTES)
        self._wire = transport
        self.transport = cast("asyncio.Transport", _Outlet(self, transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """Let whoever is still answering know that nobody listens."""
        self._parted = self._deaf = True
        cast("_Outlet", self.transport).shut()
        self._had_enough()
        self._postponed = None
        if self._answering is not None and not self._answering.response_complete:
            # Uvicorn tells only the last request, which may wait behind this one
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._deaf:
            self._discard(len(data))
            return
        self._unset_keepalive_if_required()
        self._much = len(data) > MOST_HEAD_BYTES or not self._whole
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            too_large = isinstance(error.__context__, _TooLargeError)
            self._break_off("head-too-large" if too_large else "malformed-request")
            return
        if not self._whole:
            self._look_ahead(len(data))

    def _feed(self, data: bytes) -> None:
        """Parse. A request that would rather speak another protocol is taken as any other."""
        begin = 0
        while begin < len(data):
            try:
                self.parser.feed_data(data[begin:] if begin else data)
            except httptools.HttpParserUpgrade as asked:
                begin += asked.args[0]
                _go_on_after_head(self)
            else:
                return

    def _should_upgrade(self) -> bool:
        return False

    def on_message_begin(self) -> None:
        """Begin with a request."""
        self._in_head, self._whole, self._fresh, self._piled = True, False, True, 0
        self._looked_ahead = self._is_kept_when_whole = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head. Those of trailers say nothing about the request (RFC 9110, 6.5.1)."""
        if not self._in_head:
            return
        if len(self.headers) >= MOST_FIELDS:
            raise _TooLargeError
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin to answer, or have the request wait behind others."""
        if self._much and _size(self.url, self.headers) > MOST_HEAD_BYTES:
            raise _TooLargeError
        self._in_head, self._fresh = False, True
        super().on_headers_complete()
        if len(self.pipeline) > MOST_WAITING:
            raise _TooLargeError

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._fresh = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the whole request is there."""
        if self.parser.should_upgrade():
            return  # The parser has read its head, and takes the body for another protocol
        super().on_message_complete()
        self._whole = True
        if self._looked_ahead:
            self._had_enough()
            if self._is_kept_when_whole and not self.cycle.response_started:
                self.cycle.keep_alive = True

    def _look_ahead(self, count: int) -> None:
        """Bound what piles up of a request of which more is to come, and see how its connection may end."""
        self._piled = 0 if self._fresh else self._piled + count
        self._fresh = False
        if self._piled > MOST_HEAD_BYTES:
            self._break_off("head-too-large")
        elif not self._in_head and not self._looked_ahead:
            self._looked_ahead = True
            if self.cycle.keep_alive and (self.expect_100_continue or not _is_short(self.headers)):
                # Until the body is there: an answer before says that what is left of it will not be read
                self.cycle.keep_alive, self._is_kept_when_whole = False, True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401
        """Begin to answer; who has not taken what was answered before waits."""
        if self.flow.write_paused:
            self._postponed = (cycle, app)
            return
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on to the next request, and see that what is left of this one's body does not come for ever."""
        super().on_response_complete()
        if self._parted:
            return
        if self.flow.write_paused:
            self.flow.pause_reading()
        if not self._whole and not self._in_head and self.cycle.response_complete:
            self._enough = self.loop.call_later(self.seconds, self._wire.abort)

    def pause_writing(self) -> None:
        """Read no more from who does not read."""
        super().pause_writing()
        if not self._parted:
            self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Go on, all answers were taken."""
        super().resume_writing()
        if self._postponed is not None:
            cycle, app = self._postponed
            self._postponed = None
            self._start_asgi_task(cycle, app)
        elif self._parted or self.cycle.response_complete:
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """Close when what is under way is answered."""
        self._is_kept_when_whole = False
        super().shutdown()

    def has_parted(self) -> bool:
        """Return whether nothing more is answered here."""
        return self._parted or self._wire.is_closing()

    def part(self) -> None:
        """Close, once what was written is sent; while more is coming, only when the client has seen it."""
        if self._parted:
            return
        more_comes = (not self._whole and not self._in_head) or self._deaf
        more_comes = more_comes or self.flow.read_paused or bool(self.pipeline)
        self._parted = self._deaf = True
        cast("_Outlet", self.transport).write = _drop
        if not more_comes:
            self._wire.close()
            return
        if self._wire.can_write_eof():
            self._wire.write_eof()
        self.flow.resume_reading()
        self._had_enough()
        self._enough = self.loop.call_later(self.seconds, self._end)

    def _end(self) -> None:
        if self._wire.get_write_buffer_size():
            self._enough = self.loop.call_later(self.seconds, self._end)
        else:
            self._wire.abort()

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > _MOST_DISCARDED_BYTES:
            self._wire.abort()

    def _had_enough(self) -> None:
        if self._enough is not None:
            self._enough.cancel()
            self._enough = None

    def _break_off(self, code: str) -> None:
        """Read no more, for it cannot be read: answer what came before, or say what is wrong, and close."""
        self._deaf = True
        waiting = [one for one in self._unanswered() if not one.response_complete]
        broken = waiting.pop() if waiting and waiting[-1].more_body else None
        if waiting:
            if broken is not None:
                self.pipeline.popleft()
            waiting[-1].keep_alive = False
            return
        self._postponed = None
        if broken is not None and broken.response_started:
            self._wire.abort()
            return
        if broken is not None:
            broken.disconnected = True
            broken.message_event.set()
        self.transport.write(refusal(code, self.server_state.default_headers))
        self.transport.close()

    def _unanswered(self) -> Iterator[RequestResponseCycle]:
        """Yield what is being answered, and what waits for it, in its order."""
        if self._answering is not None:
            yield self._answering
        if self._postponed is not None:
            yield self._postponed[0]
        for cycle, _ in reversed(self.pipeline):
            yield cycle


def refusal(code: str, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the whole answer to what is not even a request."""
    from http import HTTPStatus

    import msgspec

    from serving.api.problem_examples import SAID
    from serving.api.problems import MEDIA_TYPE, problem

    said = problem(code, SAID[code].detail)
    body = msgspec.json.encode(said)
    lines = [
        f"HTTP/1.1 {said.status} {HTTPStatus(said.status).phrase}".encode(),
        *(name + b": " + value for name, value in headers),
        b"content-type: " + MEDIA_TYPE.encode(),
        b"content-length: " + str(len(body)).encode(),
        b"cache-control: no-store",
        b"connection: close",
    ]
    return b"\r\n".join([*lines, b"", body])


def _go_on_after_head(connection: Bounded) -> None:
    """Give a connection a parser that goes on after the head read last, whatever it asked to upgrade to."""
    begun = False

    def once_begun(call: Callable[..., None]) -> Callable[..., None]:
        return lambda *found: call(*found) if begun else None

    heads = ("on_message_begin", "on_url", "on_header", "on_headers_complete")
    bodies = ("on_body", "on_message_complete")
    parser = httptools.HttpRequestParser(
        SimpleNamespace(
            **{name: once_begun(getattr(connection, name)) for name in heads},
            **{name: getattr(connection, name) for name in bodies},
        )
    )
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    connection.parser = parser
    lengths = [
        name + b": " + value
        for name, value in connection.headers
        if name in {b"content-length", b"transfer-encoding"}
    ]
    parser.feed_data(b"\r\n".join([b"POST / HTTP/1.1", *lengths, b"", b""]))
    begun = True


def _size(url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Return how many bytes a head has, line by line."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def _is_short(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether a body is so short that the rest of it may come though nobody reads it."""
    declared = next((int(value) for name, value in headers if name == b"content-length"), None)
    return declared is not None and declared <= _MOST_DRAINED_BYTES


def _drop(data: object) -> None:
    """Write nothing."""


def _nothing() -> None:
    """Do nothing."""


def _yes() -> bool:
    return True
