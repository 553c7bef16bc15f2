"""The addresses of the API: each reads strictly, asks one use case, and answers."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

import msgspec
from litestar import HttpMethod, Request, Response, Router, get, post, route
from litestar.datastructures import State

from moment.errors import InvalidRequest
from serving.api.access import caller_of
from serving.api.addresses import id_in_path
from serving.api.answers import customer_answer, decision_answer, erasure_receipt, record_answer
from serving.api.decoding import decode, instant, read_body
from serving.api.metrics import noted
from serving.api.problems import AnyRequest
from serving.api.schemas import Alive, Ready
from serving.ports import Scope
from serving.ports.life import Signer
from serving.settings import Settings
from serving.use_cases.access import Access
from serving.use_cases.desk import Desk
from serving.use_cases.life import Life

_UNKEPT = {"Cache-Control": "no-store"}

_encode = msgspec.json.Encoder().encode


class Office(Protocol):
    """Where the desk is found; it may not be open yet."""

    @property
    def access(self) -> Access:
        """The door; DependencyError when the store of keys is away."""
        ...

    @property
    def life(self) -> Life:
        """The life of models; DependencyError when its ledger is away."""
        ...

    def signer(self, secret: str) -> Signer:
        """Return the person whose own key has this secret; InvalidRequest where it is nobody's."""
        ...

    def desk(self) -> Desk:
        """Return the open desk; DependencyError says why there is none, and the way out."""
        ...


def router(office: Office, settings: Settings) -> Router:
    """Return the addresses under ``/v1``."""

    @post("/decisions", status_code=200)
    async def make_decision(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.DECIDE)
        refuse_parameters(request, ())
        ask = decode(await read_body(request, settings))
        if "scores" in ask.include:
            caller.require(Scope.READ_SCORES)
        record = await office.desk().decide.answer(caller, ask)
        note = noted(request.scope)
        note.decision_id, note.stages = record.decision_id, record.latency_ms
        return ok(decision_answer(record))

    @get("/decisions/{decision_id:str}")
    async def read_decision(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.READ_DECISIONS)
        refuse_parameters(request, ("include",))
        scores = _include_scores(request)
        if scores:
            caller.require(Scope.READ_SCORES)
        desk, decision_id = office.desk(), id_in_path(request, "decision_id")
        recalled = await desk.aside(lambda: desk.recall(caller, decision_id))
        return ok(record_answer(recalled, views=desk.views, scores=scores))

    # One handler for both: an address says to OPTIONS only the methods of the handler it met first
    @route("/customers/{customer_id:str}", http_method=[HttpMethod.GET, HttpMethod.DELETE], status_code=200)
    async def customer(request: Request[None, None, State]) -> Response[bytes]:
        answer = erase_customer if request.method == HttpMethod.DELETE else read_customer
        return await answer(request)

    async def read_customer(request: AnyRequest) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.READ_CUSTOMERS)
        refuse_parameters(request, ("time",))
        customer_id, time = id_in_path(request, "customer_id"), _time(request)
        desk = office.desk()
        return ok(customer_answer(await desk.aside(lambda: desk.view_customer(caller, customer_id, time))))

    async def erase_customer(request: AnyRequest) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.ERASE_CUSTOMERS)
        refuse_parameters(request, ())
        desk, customer_id = office.desk(), id_in_path(request, "customer_id")
        return ok(erasure_receipt(await desk.erasing(caller, customer_id)))

    return Router("/v1", route_handlers=[make_decision, read_decision, customer])


def probes(office: Office) -> Router:
    """Return the addresses that operations ask; they need no key."""

    @get("/livez")
    async def alive() -> Response[bytes]:
        return ok(Alive())

    @get("/readyz")
    async def ready() -> Response[bytes]:
        desk = office.desk()
        await desk.aside(desk.check)
        return ok(Ready(desk.versions))

    return Router("/", route_handlers=[alive, ready])


def ok(answer: msgspec.Struct) -> Response[bytes]:
    """Return an answer as JSON. It may be about a person: nobody on the way may keep it."""
    return Response(_encode(answer), media_type="application/json", headers=_UNKEPT)


def refuse_parameters(request: AnyRequest, known: Collection[str]) -> None:
    """Refuse query parameters that mean nothing here, and any given twice."""
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known or names.count(name) > 1:
            raise InvalidRequest(
                "this query parameter is not known here, or given twice; leave it out",
                code="unknown-parameter",
                field=name if len(name) <= 64 and name.isprintable() else None,
            )


def _include_scores(request: AnyRequest) -> bool:
    include = request.query_params.get("include")
    if include not in (None, "scores"):
        raise InvalidRequest("include can only be scores", code="invalid-value", field="include")
    return include == "scores"


def _time(request: AnyRequest) -> datetime | None:
    time = request.query_params.get("time")
    return None if time is None else instant(time, "time")
