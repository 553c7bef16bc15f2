"""The app in front of a batchable method: keys, checks, problem details. BentoML's own manners end here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from litestar import Litestar, Request, Response, Router, get, post
from litestar.datastructures import State

from serving.api.access import caller_of
from serving.api.decoding import read_body
from serving.api.metrics import Watch
from serving.api.overload import Entrance
from serving.api.problems import handle
from serving.api.routes import ok, refuse_parameters
from serving.api.schemas import Alive
from serving.ports import Scope
from serving.services.batching import answer
from serving.services.operations import ScoringReady, described
from serving.telemetry import UNTOLD
from serving.use_cases.access import Caller

if TYPE_CHECKING:
    from litestar.types import ASGIApp

    from serving.api.operations import Operation
    from serving.services.scoring import Scoring
    from serving.settings import Settings

_UNKEPT = {"Cache-Control": "no-store"}

Batched = Callable[[bytes], Awaitable[bytes]]


def build(  # noqa: PLR0917 - each a part that is open already
    name: str,
    operation: Operation,
    scoring: Scoring,
    door: Callable[[str], Caller],
    settings: Settings,
    rows: Batched,
) -> Litestar:
    """Return the app of one model.

    Parameters
    ----------
    name
        Of the service.
    operation
        The call it answers.
    scoring
        Checks what it is asked, and knows its versions.
    door
        Tells who asks.
    settings
        Limits of size and time.
    rows
        Awaits the answers to a checked body, from a batch.
    """
    description = described(operation, f"Moment {name}").encode()
    versions = dict(scoring.versions)

    @post(operation.path.rpartition("/")[2], status_code=200)
    async def scores(request: Request[None, None, State]) -> Response[bytes]:
        caller_of(request, door).require(Scope.READ_SCORES)
        refuse_parameters(request, ())
        body = await read_body(request, settings)
        scoring.check(body)
        return Response(answer(versions, await rows(body)), media_type="application/json", headers=_UNKEPT)

    @get("/livez")
    async def alive() -> Response[bytes]:
        return ok(Alive())

    @get("/readyz")
    async def ready() -> Response[bytes]:
        return ok(ScoringReady(operation.path.rpartition("/")[2], versions))

    @get("/openapi.json")
    async def openapi_json() -> Response[bytes]:
        return Response(description, media_type="application/openapi+json;version=3.1")

    return Litestar(
        route_handlers=[Router("/v1/scores", route_handlers=[scores]), alive, ready, openapi_json],
        exception_handlers={Exception: handle},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )


def watched(app: Litestar, most_in_flight: int) -> tuple[Entrance, Watch]:
    """Return the entrance to the app, and all of it with every request watched."""
    entrance = Entrance(cast("ASGIApp", app), most_in_flight)
    return entrance, Watch(entrance, UNTOLD)
