"""The entrance: how many requests are inside, and what a worker that is about to stop tells its clients."""

from __future__ import annotations

import msgspec
from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.metrics import noted
from serving.api.problems import MEDIA_TYPE, RETRY_SECONDS, Problem, problem

_PROBES = frozenset({"/livez", "/readyz"})


class Entrance:
    """The app, which at most so many requests are in at a time; others are refused before they are read.

    A request is in until its answer begins.

    A worker that is to stop is not ready any more, and asks each client it answers to close the connection:
    whoever asks again then asks somebody else, and no request is on its way when the connection is closed.

    Parameters
    ----------
    app
        Answers the requests.
    most
        How many at a time. Probes are always let in.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._inside = 0
        self.leaving = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if str(scope["type"]) != "http":
            await self._app(scope, receive, send)
            return

        holds = False

        async def told(message: Message) -> None:
            nonlocal holds
            if holds and message["type"] == "http.response.start":
                # It was worked for; how long the client takes for its answer keeps nobody else out
                holds = False
                self._inside -= 1
            if self.leaving and message["type"] == "http.response.start":
                MutableScopeHeaders.from_message(message)["connection"] = "close"
            await send(message)

        path = str(scope.get("path", ""))
        if self.leaving and path == "/readyz":
            await _refuse(scope, told, problem("not-ready", "this worker is about to stop"))
        elif self._inside >= self._most and path not in _PROBES:
            refusal = problem("overloaded", "too many requests are under way; ask again as Retry-After says")
            await _refuse(scope, told, refusal)
        else:
            holds = True
            self._inside += 1
            try:
                await self._app(scope, receive, told)
            finally:
                if holds:
                    self._inside -= 1


async def _refuse(scope: Scope, send: Send, refusal: Problem) -> None:
    noted(scope).code = refusal.code
    body = msgspec.json.encode(refusal)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"retry-after", str(RETRY_SECONDS).encode()),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
