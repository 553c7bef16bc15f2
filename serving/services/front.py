"""The place in front of a service: every request from outside goes to our app, none to BentoML's.

The supervising process has a front too, so nothing heavy is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from moment.errors import InvariantViolation
from serving.leaving import on_terminate
from serving.services.batching import batched

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

    from serving.api.overload import Entrance


class Front:
    """The place of one service's app, which moves in when a worker makes the service."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self._entrance: Entrance | None = None
        self._inside: ASGIApp | None = None
        self._starlette: object = None

    def move_in(self, entrance: Entrance, app: ASGIApp) -> None:
        """Answer by this app from now on."""
        self._entrance, self._app = entrance, app

    async def rows(self, body: bytes) -> bytes:
        """Return what a batch made of a checked body."""
        if self._inside is None:
            raise InvariantViolation("rows were asked for before anybody came in")
        return await batched(self._inside, body, self._starlette)

    def leave(self) -> None:
        """Tell clients to go elsewhere: this worker is about to stop."""
        if self._entrance is not None:
            self._entrance.leaving = True

    async def __call__(
        self, inside: ASGIApp, scope: Scope, receive: Receive, send: Send, drain_seconds: float
    ) -> None:
        """Answer a request; what is not one is BentoML's."""
        kind = str(scope["type"])
        if kind == "lifespan":
            on_terminate(self.leave, drain_seconds)
        if kind != "http":
            await inside(scope, receive, send)
            return
        if self._app is None:
            raise InvariantViolation("a request came before the service was made")
        self._inside = inside
        self._starlette = scope.get("app")
        # A scope of its own: what our app notes in it is nothing to BentoML
        await self._app(cast("Any", dict(scope)), receive, send)


class InFront:
    """The middleware by which a service is given its front."""

    def __init__(self, app: ASGIApp, front: Front, drain_seconds: float) -> None:
        self._app = app
        self._front = front
        self._drain_seconds = drain_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._front(self._app, scope, receive, send, self._drain_seconds)
