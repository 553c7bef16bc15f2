"""The way from a checked request into BentoML's adaptive batching, and back, within one process.

BentoML gathers the rows of several requests in front of a method it calls `batchable`, and hands them over at
once. Its own endpoint of that method would answer mistakes in its own manner and write what was sent into its
log, so nobody reaches it from outside: the only way in is here, by ASGI, with rows that were checked before.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from moment.errors import DependencyError, InvariantViolation, Overloaded

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message

ROUTE = "/rows"
"""Where the batchable method of each service is mounted, inside."""

MAX_BATCH_ROWS = 256
"""As many rows are scored at once; a request with more is cut, and put together again."""

MAX_LATENCY_MS = 500
"""Who would have to wait longer for a batch is refused at once."""


async def batched(inside: ASGIApp, body: bytes, context: object) -> bytes:
    """Return the JSON list of answers to a checked body ``{"rows": […]}``.

    Parameters
    ----------
    inside
        BentoML's own app, without what stands in front of it.
    body
        As it came.
    context
        BentoML's app as Starlette names it to its routes.

    Raises
    ------
    Overloaded
        The batch would have come too late.
    DependencyError
        The model failed; the log has the place.
    """
    status, content = await _ask(inside, body, context)
    if status == HTTPStatus.OK:
        return content
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise Overloaded("more rows are asked for than can be scored in time; ask again as Retry-After says")
    if status == HTTPStatus.BAD_REQUEST:
        raise InvariantViolation("rows that were checked were refused by BentoML")
    raise DependencyError("the model did not score these rows; the log of the service says where it failed")


async def _ask(inside: ASGIApp, body: bytes, context: object) -> tuple[int, bytes]:
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": ROUTE,
        "raw_path": ROUTE.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        "client": None,
        "server": None,
        "state": {},
        "extensions": {},
        "app": context,
    }
    sent = [{"type": "http.request", "body": body, "more_body": False}]
    told: list[Message] = []

    async def receive() -> Any:  # noqa: ANN401 - ASGI's own
        return sent.pop() if sent else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        told.append(message)

    await inside(cast("Any", scope), receive, send)
    status = next((one["status"] for one in told if one["type"] == "http.response.start"), 500)
    return status, b"".join(one.get("body", b"") for one in told if one["type"] == "http.response.body")


def answer(versions: dict[str, str], rows: bytes) -> bytes:
    """Return the whole answer: digests first, then the rows as they are."""
    return json.dumps(versions)[:-1].encode() + b', "rows": ' + rows + b"}"
