"""``/v1/stops``: take a wrong offer off the air at once; two people bring it back."""

from __future__ import annotations

import asyncio

import msgspec
from litestar import HttpMethod, Request, Response, Router, post, route
from litestar.datastructures import State

from serving.api.access import caller_of, signer_of
from serving.api.addresses import id_in_path
from serving.api.decoding import read_body, structured
from serving.api.models_routes import answered
from serving.api.models_schemas import (
    RESUME_ASKED,
    RESUMED,
    STOP_ASKED,
    STOPPED,
    STOPS,
    ResumeAnswer,
    ResumeRequest,
    StopAnswer,
    StopRequest,
    StopsAnswer,
)
from serving.api.operations import ACCESS, ALWAYS, AN_ID, BODY, Operation, Parameter
from serving.api.problems import AnyRequest
from serving.api.routes import Office, ok, refuse_parameters
from serving.lifecycle import Stop
from serving.ports import Scope
from serving.settings import Settings
from serving.use_cases.stoppable import check_stoppable, who_is_missing

_ID = Parameter("stop_id", "path", "Id of the stop.", AN_ID, "stop_1f2e3d4c5b6a")
_PERSONAL = (*BODY, *ACCESS, "live-only", "role-missing")

OPERATIONS = (
    Operation(
        method="get",
        path="/v1/stops",
        name="listStops",
        summary="List everything that is off",
        description="Oldest first, with who stopped it, why, and who wants it back.",
        answer=StopsAnswer,
        answers=STOPS,
        problems=(*ACCESS, *ALWAYS),
        scope=Scope.READ_MODELS,
    ),
    Operation(
        method="post",
        path="/v1/stops",
        name="stop",
        summary="Take an action, issue, channel or model off at once",
        description=(
            "Any person with a key of their own may, alone. Every worker keeps to it within a second, "
            "mandatory and fallback offers included, and every decision records it."
        ),
        answer=StopAnswer,
        answers=STOPPED,
        body=StopRequest,
        bodies=STOP_ASKED,
        problems=(
            *_PERSONAL,
            "not-now",
            "unknown-action",
            "unknown-issue",
            "unknown-channel",
            "unknown-model",
            *ALWAYS,
        ),
        scope=Scope.STOP,
    ),
    Operation(
        method="post",
        path="/v1/stops/{stop_id}/resume",
        name="resume",
        summary="Ask for a stop to be lifted, or agree",
        description=(
            "Two different people, risk officers or operators, lift a stop: the first asks, the second "
            "agrees. Until then it stays."
        ),
        answer=ResumeAnswer,
        answers=RESUMED,
        body=ResumeRequest,
        bodies=RESUME_ASKED,
        problems=(*_PERSONAL, "unknown-stop", "two-people", "not-now", *ALWAYS),
        parameters=(_ID,),
        scope=Scope.STOP,
    ),
)

_stop = msgspec.json.Decoder(StopRequest)
_resume = msgspec.json.Decoder(ResumeRequest)


def routes(office: Office, settings: Settings) -> Router:
    """Return the addresses of stops."""

    # One handler for both: an address says to OPTIONS only the methods of the handler it met first
    @route("/stops", http_method=[HttpMethod.GET, HttpMethod.POST], status_code=200)
    async def stops(request: Request[None, None, State]) -> Response[bytes]:
        return await (stop if request.method == HttpMethod.POST else list_stops)(request)

    async def list_stops(request: AnyRequest) -> Response[bytes]:
        caller_of(request, office.access).require(Scope.READ_MODELS)
        refuse_parameters(request, ())
        book = await asyncio.to_thread(office.life.book)
        return ok(StopsAnswer(tuple(map(_answer, book.stops.values()))))

    async def stop(request: AnyRequest) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.STOP)
        refuse_parameters(request, ())
        wanted = structured(_stop, await read_body(request, settings))
        signer = signer_of(request, caller, office)
        live = office.desk().decide.live.now
        deciding = (live.champion, *(arm.versions for arm in live.arms))
        check_stoppable(wanted.kind, wanted.name, [one.catalogue for one in deciding])
        life = office.life
        done = await asyncio.to_thread(life.stop, wanted.kind, wanted.name, wanted.reason, signer)
        return ok(_answer(done))

    @post("/stops/{stop_id:str}/resume", status_code=200)
    async def resume(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.STOP)
        refuse_parameters(request, ())
        wanted = structured(_resume, await read_body(request, settings))
        stop_id, life = id_in_path(request, "stop_id"), office.life
        signer = signer_of(request, caller, office)
        left = await asyncio.to_thread(lambda: life.resume(stop_id, signer, reason=wanted.reason))
        missing = None if left is None else who_is_missing(left)
        return ok(ResumeAnswer(stop_id, left is None, missing))

    return Router("/v1", route_handlers=[stops, resume])


def _answer(stop: Stop) -> StopAnswer:
    return StopAnswer(
        stop_id=stop.stop_id,
        kind=stop.kind,
        name=stop.name,
        reason=stop.reason,
        by=answered(stop.by),
        at=stop.at,
        resume_asked_by=None if stop.asked is None else answered(stop.asked),
    )
