"""Watching requests from outside the app: each is counted, timed and told in one line of the log."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from serving.telemetry import Answered, Telemetry

REQUEST_ID = "x-request-id"
"""Header of every answer: the id of the request in the log. Made here; a caller's own is not taken."""

_STATE = "moment"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_log = logging.getLogger("moment.requests")


@dataclass(slots=True)
class Noted:
    """What the app notes of a request while it answers; all of it was made by Moment."""

    code: str = ""
    decision_id: str = ""
    key_id: str = ""
    stages: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds of each stage of a decision."""


def noted(scope: Scope) -> Noted:
    """Return what is noted of a request, to add to it; a fresh one where nobody watches."""
    found = scope.get(_STATE)
    return found if isinstance(found, Noted) else Noted()


def method_of(scope: Scope) -> str:
    """Return the request's method, ``other`` for one that nobody knows: its words may be anybody's."""
    method = str(scope.get("method", ""))
    return method if method in _METHODS else "other"


class Watch:
    """The app with every request of it watched.

    Parameters
    ----------
    app
        Answers the requests.
    telemetry
        Is told of each.
    clock
        Seconds, for durations.
    """

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell of it."""
        if str(scope["type"]) != "http":
            await self._app(scope, receive, send)
            return
        started = self._clock()
        request_id, note, status = secrets.token_hex(8), Noted(), 0
        scope[_STATE] = note  # type: ignore[literal-required]

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableScopeHeaders.from_message(message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._tell(scope, note, request_id, status, self._clock() - started)

    def _tell(self, scope: Scope, note: Noted, request_id: str, status: int, seconds: float) -> None:
        route, method = str(scope.get("path_template", "")), method_of(scope)
        self._telemetry.request(Answered(method, route, status, note.code, seconds))
        if _log.isEnabledFor(logging.INFO):
            told = {
                "request_id": request_id,
                "decision_id": note.decision_id,
                "key_id": note.key_id,
                "method": method,
                "route": route,
                "status": status,
                "code": note.code,
                "ms": round(seconds * 1000, 3),
            }
            _log.info("request", extra={name: value for name, value in told.items() if value != ""})
