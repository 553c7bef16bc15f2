"""``GET /v1/customers/{customer_id}/decisions``: what a customer was offered before."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta

from litestar import Request, Response, Router, get
from litestar.datastructures import State

from moment.errors import InvalidRequest
from serving.api.access import caller_of
from serving.api.addresses import id_in_path
from serving.api.answers import past_decision
from serving.api.decoding import instant
from serving.api.history_schemas import ANSWERS, LIMIT, MAX_LIMIT, NEXT, HistoryAnswer
from serving.api.operations import ACCESS, ALWAYS, CUSTOMER_ID, Operation, Parameter
from serving.api.problems import AnyRequest
from serving.api.routes import Office, ok, refuse_parameters
from serving.ports import Past, Place, Scope
from serving.settings import Settings
from serving.use_cases.access import Caller

_PARAMETERS = ("from", "to", "channel", "action", "limit", "cursor")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_CURSOR = 256
_INSTANT = {"type": "string", "format": "date-time"}

OPERATIONS = (
    Operation(
        method="get",
        path="/v1/customers/{customer_id}/decisions",
        name="listDecisions",
        summary="List a customer's decisions",
        description=(
            "Newest first, by the instant they were decided for, in pages; of the key's mode and channel "
            "only. A customer nobody knows, one only other channels know and one who was erased all have "
            "none. Of a decision whose personal part is no longer kept, the offers are listed all the same."
        ),
        answer=HistoryAnswer,
        answers=ANSWERS,
        problems=(*ACCESS, "not-found", "invalid-value", *ALWAYS),
        parameters=(
            CUSTOMER_ID,
            Parameter("from", "query", "Decided at this instant or later.", _INSTANT, "2026-05-01T00:00:00Z"),
            Parameter("to", "query", "Decided before this instant.", _INSTANT, "2026-06-01T00:00:00Z"),
            Parameter("channel", "query", "Decided for this channel.", {"type": "string"}, "web"),
            Parameter("action", "query", "Offered this action.", {"type": "string"}, "coupon-ice-cream"),
            Parameter(
                "limit",
                "query",
                f"How many on a page; {LIMIT} where nothing is said.",
                {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
                "20",
            ),
            Parameter(
                "cursor",
                "query",
                "`next` of the page before, to go on from there; with the same other parameters.",
                {"type": "string"},
                NEXT,
            ),
        ),
        scope=Scope.READ_CUSTOMERS,
    ),
)


def routes(office: Office, settings: Settings) -> Router:  # noqa: ARG001 - as all parts are made
    """Return the address of a customer's decisions."""

    @get("/customers/{customer_id:str}/decisions")
    async def list_decisions(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.READ_CUSTOMERS)
        refuse_parameters(request, _PARAMETERS)
        desk, customer_id = office.desk(), id_in_path(request, "customer_id")
        wanted = _wanted(request, caller)
        page = await desk.aside(lambda: desk.view_history(caller, customer_id, wanted))
        decisions = tuple(map(past_decision, page.decisions))
        return ok(HistoryAnswer(customer_id, decisions, None if page.rest is None else _cursor(page.rest)))

    return Router("/v1", route_handlers=[list_decisions])


def _wanted(request: AnyRequest, caller: Caller) -> Past:
    said = request.query_params
    since, until = (_instant(request, name) for name in ("from", "to"))
    if since is not None and until is not None and since >= until:
        raise InvalidRequest("`from` must be before `to`", code="invalid-value", field="from")
    return Past(
        mode=caller.mode,
        limit=_limit(said.get("limit", str(LIMIT))),
        channel=said.get("channel"),
        action=said.get("action"),
        since=since,
        until=until,
        before=_place(said["cursor"]) if "cursor" in said else None,
    )


def _instant(request: AnyRequest, name: str) -> datetime | None:
    text = request.query_params.get(name)
    return None if text is None else instant(text, name)


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT):
        raise InvalidRequest(
            f"a page has from 1 to {MAX_LIMIT} decisions", code="invalid-value", field="limit"
        )
    return int(text)


def _cursor(place: Place) -> str:
    microseconds = (place.decided_at - _EPOCH) // _MICROSECOND
    return base64.urlsafe_b64encode(f"{microseconds}.{place.decision_id}".encode()).decode().rstrip("=")


def _place(cursor: str) -> Place:
    """Read a cursor. It is no secret and no permission: it only says where a page begins."""
    try:
        padded = cursor[:_LONGEST_CURSOR].encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        microseconds, _, decision_id = text.partition(".")
        return Place(_EPOCH + int(microseconds) * _MICROSECOND, decision_id)
    except (ValueError, OverflowError, binascii.Error):
        raise InvalidRequest(
            "this is no cursor; send `next` of the page before as it was given",
            code="invalid-value",
            field="cursor",
        ) from None
