"""``POST /v1/events``: what customers do right now."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from litestar import Request, Response, Router, post
from litestar.datastructures import State
from msgspec import UNSET

from moment.errors import InvalidRequest
from serving.api.access import caller_of
from serving.api.decoding import instant, read_body, structured
from serving.api.events_schemas import (
    ANSWERS,
    REQUESTS,
    EventAnswered,
    EventReported,
    EventsAnswer,
    EventsRequest,
)
from serving.api.operations import ACCESS, ALWAYS, Operation
from serving.api.routes import Office, ok, refuse_parameters
from serving.ports import Identity, Scope
from serving.settings import Settings
from serving.use_cases.event_checks import ReportedEvent
from serving.use_cases.events import EventTaken

_decoder = msgspec.json.Decoder(EventsRequest)

OPERATIONS = (
    Operation(
        method="post",
        path="/v1/events",
        name="takeEvents",
        summary="Report what customers do",
        description=(
            "Takes up to 100 events in any order and answers once they are on the disk; each has a verdict "
            "of its own. The next decision sees what they changed, as a rule as soon as this answers, "
            "otherwise within 100 ms. An `event_id` counts once: sending a request again is safe. A key "
            "bound to a channel reports for that channel. Test keys may report events of any time; live "
            "decisions never see those."
        ),
        answer=EventsAnswer,
        answers=ANSWERS,
        body=EventsRequest,
        bodies=REQUESTS,
        problems=(
            "malformed-json",
            *ACCESS,
            "body-too-slow",
            "body-too-large",
            "unsupported-media-type",
            "unknown-field",
            "missing-field",
            "invalid-value",
            *ALWAYS,
        ),
        scope=Scope.WRITE_EVENTS,
    ),
)


def routes(office: Office, settings: Settings) -> Router:
    """Return the address for events."""

    @post("/events", status_code=200)
    async def take_events(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.WRITE_EVENTS)
        refuse_parameters(request, ())
        wanted = structured(_decoder, await read_body(request, settings))
        desk = office.desk()
        reported = await desk.aside(
            lambda: [
                _reported(place, event, lambda one: desk.identify.profile(caller, one))
                for place, event in enumerate(wanted.events)
            ]
        )
        taken = await desk.take_events(caller, reported)
        return ok(EventsAnswer(tuple(map(_answered, taken))))

    return Router("/v1", route_handlers=[take_events])


def _reported(place: int, event: EventReported, profile_of: Callable[[Identity], str]) -> ReportedEvent:
    if event.customer_id is not UNSET and event.identity is UNSET:
        profile = event.customer_id
    elif event.identity is not UNSET and event.customer_id is UNSET:
        profile = profile_of(event.identity.identity)
    else:
        raise InvalidRequest(
            "an event is of a customer_id or of an identity; send one of them",
            code="invalid-value",
            field=f"events[{place}]",
        )
    return ReportedEvent(
        event_id=event.event_id,
        profile=profile,
        kind=event.kind,
        occurred_at=instant(event.occurred_at, f"events[{place}].occurred_at"),
        channel=event.channel,
        attributes=event.attributes,
    )


def _answered(taken: EventTaken) -> EventAnswered:
    return EventAnswered(
        event_id=taken.event_id,
        verdict=taken.verdict,
        code=UNSET if taken.code is None else taken.code,
        detail=UNSET if taken.detail is None else taken.detail,
        attribute=UNSET if taken.attribute is None else taken.attribute,
    )
