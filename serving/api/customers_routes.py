"""Consents, identities, erasure and export: what customers decide about themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from litestar import Request, Response, Router, get, post, put
from litestar.datastructures import State
from msgspec import UNSET

from serving.api.access import caller_of
from serving.api.addresses import id_in_path
from serving.api.answers import feature_answers, past_decision
from serving.api.customers_schemas import (
    CONSENT_ANSWERS,
    CONSENT_REQUESTS,
    EXPORTS,
    LINK_ANSWERS,
    LINK_REQUESTS,
    PROFILE_CONSENT_REQUESTS,
    RECEIPTS,
    UNLINK_ANSWERS,
    ConsentChosen,
    ConsentHeld,
    ConsentsAnswer,
    ConsentsRequest,
    ErasureReceipt,
    EventHeld,
    ExportAnswer,
    IdentityHeld,
    LinkAnswer,
    LinkRequest,
    OutcomeHeld,
    ProfileConsentsRequest,
)
from serving.api.decoding import read_body, structured
from serving.api.examples import JSON
from serving.api.operations import ACCESS, ALWAYS, BODY, CUSTOMER_ID, Operation
from serving.api.routes import Office, ok, refuse_parameters
from serving.decision.values import ProfileKind
from serving.ports import Scope
from serving.settings import Settings
from serving.use_cases.consents import Choice
from serving.use_cases.export import Held

_consents = msgspec.json.Decoder(ConsentsRequest)
_profile_consents = msgspec.json.Decoder(ProfileConsentsRequest)
_link = msgspec.json.Decoder(LinkRequest)


def _link_operation(path: str, name: str, summary: str, said: str, answers: Mapping[str, JSON]) -> Operation:
    return Operation(
        method="post",
        path=path,
        name=name,
        summary=summary,
        description=said,
        answer=LinkAnswer,
        answers=answers,
        body=LinkRequest,
        bodies=LINK_REQUESTS,
        problems=(*BODY, *ACCESS, *ALWAYS),
        scope=Scope.LINK_IDENTITIES,
    )


OPERATIONS = (
    Operation(
        method="put",
        path="/v1/customers/{customer_id}/consents",
        name="tellConsents",
        summary="Tell what a customer allows",
        description=(
            "Appends to the consent ledger; the newest entry of a purpose holds, and a refusal where two are "
            "of one instant. It holds from the next request on. What was never asked is refused, but for "
            "`service`. What a test key tells holds for test traffic alone."
        ),
        answer=ConsentsAnswer,
        answers=CONSENT_ANSWERS,
        body=ConsentsRequest,
        bodies=CONSENT_REQUESTS,
        problems=(*BODY, *ACCESS, "channel-not-allowed", "unknown-channel", *ALWAYS),
        parameters=(CUSTOMER_ID,),
        scope=Scope.WRITE_CONSENTS,
    ),
    Operation(
        method="put",
        path="/v1/identities/consents",
        name="tellProfileConsents",
        summary="Tell what a visitor allows",
        description=(
            "For somebody known by an identity alone, such as who answers a cookie banner. Linked with a "
            "customer later, the stricter of both answers holds."
        ),
        answer=ConsentsAnswer,
        answers=CONSENT_ANSWERS,
        body=ProfileConsentsRequest,
        bodies=PROFILE_CONSENT_REQUESTS,
        problems=(*BODY, *ACCESS, "channel-not-allowed", "unknown-channel", *ALWAYS),
        scope=Scope.WRITE_CONSENTS,
    ),
    _link_operation(
        "/v1/identities/link",
        "linkIdentity",
        "Link an identity with a customer",
        "At log-in: what the identity's own profile was offered and did joins the customer's history. Linked "
        "with a second customer it is shared, and from then on nobody's.",
        LINK_ANSWERS,
    ),
    _link_operation(
        "/v1/identities/unlink",
        "unlinkIdentity",
        "Undo a link",
        "Each keeps the history it has made itself.",
        UNLINK_ANSWERS,
    ),
    Operation(
        method="delete",
        path="/v1/customers/{customer_id}",
        name="eraseCustomer",
        summary="Erase a customer",
        description=(
            "Destroys the customer's key and takes them out of every store, for good: a later ingest does "
            "not bring them back. Only a live key may. The key and what decisions read go at once; the "
            "answer waits up to 60 s for the files, and after a 503 that goes on: ask again for the receipt. "
            "It counts all that was taken out since the first time; asked again it looks everywhere again, "
            "and answers the same unless it found more. Somebody nobody knows has a receipt of no rows."
        ),
        answer=ErasureReceipt,
        answers=RECEIPTS,
        problems=(*ACCESS, "live-only", "invalid-value", *ALWAYS),
        parameters=(CUSTOMER_ID,),
        scope=Scope.ERASE_CUSTOMERS,
    ),
    Operation(
        method="get",
        path="/v1/customers/{customer_id}/export",
        name="exportCustomer",
        summary="Export everything held about a customer",
        description="The answer to a customer's request for access. At most 10,000 of a kind, the newest.",
        answer=ExportAnswer,
        answers=EXPORTS,
        problems=(*ACCESS, "channel-not-allowed", "invalid-value", *ALWAYS),
        parameters=(CUSTOMER_ID,),
        scope=Scope.EXPORT_CUSTOMERS,
    ),
)


def routes(office: Office, settings: Settings) -> Router:
    """Return the addresses, but for erasing: an address is made in one place, and reading has it."""

    @put("/customers/{customer_id:str}/consents", status_code=200)
    async def tell_consents(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.WRITE_CONSENTS)
        refuse_parameters(request, ())
        wanted = structured(_consents, await read_body(request, settings))
        customer_id, choices = id_in_path(request, "customer_id"), _choices(wanted.consents)
        desk = office.desk()
        since = await desk.aside(lambda: desk.tell_consents(caller, customer_id, choices))
        return ok(_recorded(wanted.consents, since))

    @put("/identities/consents", status_code=200)
    async def tell_profile_consents(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.WRITE_CONSENTS)
        refuse_parameters(request, ())
        wanted = structured(_profile_consents, await read_body(request, settings))
        desk, choices, identity = office.desk(), _choices(wanted.consents), wanted.identity.identity
        since = await desk.aside(
            lambda: desk.tell_consents(caller, desk.identify.profile(caller, identity), choices)
        )
        return ok(_recorded(wanted.consents, since))

    @post("/identities/link", status_code=200)
    async def link_identity(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.LINK_IDENTITIES)
        refuse_parameters(request, ())
        wanted = structured(_link, await read_body(request, settings))
        desk, identity = office.desk(), wanted.identity.identity
        found = await desk.aside(lambda: desk.identify.link(caller, identity, wanted.customer_id))
        return ok(LinkAnswer(identity.kind, "shared" if found.shared else "linked"))

    @post("/identities/unlink", status_code=200)
    async def unlink_identity(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.LINK_IDENTITIES)
        refuse_parameters(request, ())
        wanted = structured(_link, await read_body(request, settings))
        desk, identity = office.desk(), wanted.identity.identity
        await desk.aside(lambda: desk.identify.unlink(caller, identity, wanted.customer_id))
        return ok(LinkAnswer(identity.kind, "unlinked"))

    @get("/customers/{customer_id:str}/export")
    async def export_customer(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.EXPORT_CUSTOMERS)
        refuse_parameters(request, ())
        desk, customer_id = office.desk(), id_in_path(request, "customer_id")
        return ok(_export(await desk.aside(lambda: desk.export(caller, customer_id))))

    handlers = [tell_consents, tell_profile_consents, link_identity, unlink_identity]
    return Router("/v1", route_handlers=[*handlers, export_customer])


def _choices(chosen: Sequence[ConsentChosen]) -> list[Choice]:
    return [Choice(one.purpose, None if one.channel is UNSET else one.channel, one.status) for one in chosen]


def _recorded(chosen: tuple[ConsentChosen, ...], since: datetime) -> ConsentsAnswer:
    return ConsentsAnswer(chosen, since)


def _export(held: Held) -> ExportAnswer:
    known = held.facts.found or held.facts.event_times
    return ExportAnswer(
        customer_id=held.customer_id,
        profile=ProfileKind.KNOWN if held.facts.found else ProfileKind.NONE,
        as_of=held.as_of,
        features=feature_answers(held.facts, held.specs.values() if known else (), held.as_of),
        consents=msgspec.convert(held.consents, tuple[ConsentHeld, ...], from_attributes=True),
        identities=msgspec.convert(held.identities, tuple[IdentityHeld, ...], from_attributes=True),
        decisions=tuple(map(past_decision, held.decisions)),
        outcomes=msgspec.convert(held.outcomes, tuple[OutcomeHeld, ...], from_attributes=True),
        events=msgspec.convert(held.events, tuple[EventHeld, ...], from_attributes=True),
    )
