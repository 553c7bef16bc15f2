"""Addresses as they came: an id in one means what its own characters say, and nobody else.

A router that takes apart what is decoded already sees an id's slash as the end of a part, and drops empty
parts: then ``95%2F`` is customer 95. So the app is asked by the undecoded path, and each id is decoded where
it is read.
"""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote, unquote

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from moment.errors import InvalidRequest
from serving.api.problems import AnyRequest
from serving.api.schemas import Identifier

_NOWHERE = "/%"
"""Where no route leads."""


class AsWritten:
    """The app, asked by addresses as they were written; HEAD is answered as GET is, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if str(scope["type"]) != "http":
            await self._app(scope, receive, send)
            return
        asked = cast("dict[str, Any]", scope)
        raw = asked.get("raw_path")
        path = quote(asked["path"]) if raw is None else raw.decode("latin-1")
        asked["path"] = _NOWHERE if "//" in path or (path.endswith("/") and path != "/") else path
        if asked["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def bodiless(message: Message) -> None:
            asked["method"] = "HEAD"
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        asked["method"] = "GET"
        try:
            await self._app(scope, receive, bodiless)
        finally:
            asked["method"] = "HEAD"


def id_in_path(request: AnyRequest, name: str) -> str:
    """Return the id that a part of the request's address says.

    Raises
    ------
    InvalidRequest
        ``invalid-value``: no id can be so.
    """
    try:
        return msgspec.convert(unquote(request.path_params[name], errors="strict"), Identifier)
    except (UnicodeDecodeError, msgspec.ValidationError):
        raise InvalidRequest(
            "an id has 1 to 128 characters, none of them a control character, percent-encoded as UTF-8",
            code="invalid-value",
            field=name,
        ) from None
