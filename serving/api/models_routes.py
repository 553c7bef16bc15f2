"""``/v1/models``: what serves, what would take its place, and the word of who answers for it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import cast

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.datastructures import State
from msgspec import UNSET

from moment.errors import InvalidRequest
from serving.api.access import caller_of, signer_of
from serving.api.addresses import id_in_path
from serving.api.decoding import instant, read_body, structured
from serving.api.models_schemas import (
    APPROVALS,
    MODEL,
    MODELS,
    VERSIONS,
    AcceptedGate,
    ApprovalAnswered,
    ApprovalRequest,
    Approved,
    FindingAnswered,
    ModelAnswer,
    ModelBrief,
    ModelsAnswer,
    PersonAnswered,
    VersionAnswer,
    VersionBrief,
)
from serving.api.operations import ACCESS, ALWAYS, BODY, Operation, Parameter
from serving.api.routes import Office, ok, refuse_parameters
from serving.lifecycle import Actor, Book, Finding, Model, Version
from serving.ports import Scope
from serving.settings import Settings

_NAME = Parameter(
    "name", "path", "Which model.", {"type": "string", "enum": [one.value for one in Model]}, "propensity"
)
_VERSION = Parameter(
    "version",
    "path",
    "The first digits of its digest, as `moment models list` tells them, or all 64.",
    {"type": "string", "pattern": "^[0-9a-f]{1,64}$"},
    "93a1f0c55b7e",
)

OPERATIONS = (
    Operation(
        method="get",
        path="/v1/models",
        name="listModels",
        summary="List the models: what serves, what would take its place",
        description=(
            "Each model's champion and challengers as the ledger has them. Before the first champion, what "
            "serves is the bundle this machine has; `people_in_charge` says whether the machine may still "
            "promote by itself."
        ),
        answer=ModelsAnswer,
        answers=MODELS,
        problems=(*ACCESS, *ALWAYS),
        scope=Scope.READ_MODELS,
    ),
    Operation(
        method="get",
        path="/v1/models/{name}",
        name="readModel",
        summary="Read all versions of a model",
        description=(
            "Newest first: who made each, what every gate found, which gates somebody answers for, what was "
            "found wrong, who approved it, and until when."
        ),
        answer=ModelAnswer,
        answers=MODEL,
        problems=(*ACCESS, "not-found", "invalid-value", *ALWAYS),
        parameters=(_NAME,),
        scope=Scope.READ_MODELS,
    ),
    Operation(
        method="post",
        path="/v1/models/{name}/{version}/approvals",
        name="approveVersion",
        summary="Approve or reject a version",
        description=(
            "In the name of the person whose own key asks, and signed with it: a risk officer who did not "
            "make the version. It holds for the digest sent and for no other content. It does not make the "
            "version the champion: `moment models promote` does. MLflow shows it after the next command of "
            "Moment there, or `moment models mirror`."
        ),
        answer=VersionAnswer,
        answers=VERSIONS,
        body=ApprovalRequest,
        bodies=APPROVALS,
        problems=(
            *BODY,
            *ACCESS,
            "live-only",
            "role-missing",
            "not-found",
            "unknown-version",
            "digest-differs",
            "four-eyes",
            "not-now",
            *ALWAYS,
        ),
        parameters=(_NAME, _VERSION),
        scope=Scope.APPROVE_MODELS,
    ),
)

APPROVED_DAYS = 365

_decoder = msgspec.json.Decoder(ApprovalRequest)


def routes(office: Office, settings: Settings) -> Router:
    """Return the addresses of models."""

    @get("/models")
    async def list_models(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.READ_MODELS)
        refuse_parameters(request, ())
        book, now = await asyncio.to_thread(office.life.book), office.access.clock()
        return ok(ModelsAnswer(tuple(_brief(book, model, now) for model in Model)))

    @get("/models/{name:str}")
    async def read_model(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.READ_MODELS)
        refuse_parameters(request, ())
        model = _model(id_in_path(request, "name"))
        book, now = await asyncio.to_thread(office.life.book), office.access.clock()
        champion = book.champion(model)
        versions = tuple(_answer(book, one, now) for one in reversed(book.of_model(model)))
        in_charge = model in book.claimed
        return ok(ModelAnswer(model, champion.digest if champion else None, in_charge, versions))

    @post("/models/{name:str}/{version:str}/approvals", status_code=200)
    async def approve_version(request: Request[None, None, State]) -> Response[bytes]:
        caller = caller_of(request, office.access)
        caller.require(Scope.APPROVE_MODELS)
        refuse_parameters(request, ())
        model, version = _model(id_in_path(request, "name")), id_in_path(request, "version")
        wanted = structured(_decoder, await read_body(request, settings))
        until = _until(wanted, office.access.clock())
        signer = signer_of(request, caller, office)

        def say() -> tuple[Book, Version]:
            life = office.life
            found = life.find(model, version)
            if found.digest != wanted.digest:
                raise InvalidRequest(
                    f"{model} {found.version} has another digest; look at it again and approve what you see",
                    code="digest-differs",
                    field="digest",
                )
            if wanted.decision == "reject":
                said = life.reject(model, found.digest, wanted.reason, signer)
            else:
                days = APPROVED_DAYS if wanted.days is UNSET else wanted.days
                said = life.approve(
                    model, found.digest, days=days, until=until, reason=wanted.reason, by=signer
                )
            return life.book(), said

        book, said = await asyncio.to_thread(say)
        return ok(_answer(book, said, office.access.clock()))

    return Router("/v1", route_handlers=[list_models, read_model, approve_version])


def _until(wanted: ApprovalRequest, now: datetime) -> datetime | None:
    """Return the instant at which an approval shall end, where one is named: the earlier of both."""
    ends = None if wanted.expires_at is UNSET else instant(wanted.expires_at, "expires_at")
    if ends is None or wanted.days is UNSET:
        return ends
    return min(ends, now + timedelta(days=wanted.days))


def _model(name: str) -> Model:
    try:
        return Model(name)
    except ValueError:
        raise InvalidRequest(
            f"there is no such model; it is one of {', '.join(Model)}", code="not-found", field="name"
        ) from None


def answered(actor: Actor) -> PersonAnswered:
    """Return who acted, without the id of a key."""
    return PersonAnswered(actor.person, actor.role)


def _brief(book: Book, model: Model, now: datetime) -> ModelBrief:
    champion = book.champion(model)
    return ModelBrief(
        model=model,
        champion=None if champion is None else _line(champion, now),
        challengers=tuple(_line(one, now) for one in book.challengers(model)),
        people_in_charge=model in book.claimed,
    )


def _line(version: Version, now: datetime) -> VersionBrief:
    return VersionBrief(
        version=version.version,
        digest=version.digest,
        state=version.state,
        since=version.since,
        verdict=version.verdict,
        approval=_approved(version, now),
        shadow=version.shadow,
        routed=version.routed,
    )


def _answer(book: Book, version: Version, now: datetime) -> VersionAnswer:
    found = (one for one in book.findings.values() if one.model is version.model and one.closed is None)
    approval = version.approval
    return VersionAnswer(
        model=version.model,
        version=version.version,
        digest=version.digest,
        state=version.state,
        since=version.since,
        verdict=version.verdict,
        approval=_approved(version, now),
        approved=None
        if approval is None
        else ApprovalAnswered(answered(approval.by), approval.at, approval.expires_at, approval.reason),
        made_by=answered(version.made_by),
        submitted_at=version.submitted_at,
        tier=version.submitted.tier,
        use_class=version.submitted.use_class,
        owner=version.submitted.owner,
        gates=version.gates,
        accepted=tuple(AcceptedGate(gate, answered(by), reason) for gate, by, reason in version.accepted),
        findings=tuple(_finding(one) for one in found if one.digest in (None, version.digest)),
        shadow=version.shadow,
        routed=version.routed,
    )


def _approved(version: Version, now: datetime) -> Approved:
    return cast("Approved", version.approved(now))


def _finding(one: Finding) -> FindingAnswered:
    return FindingAnswered(
        one.finding_id, one.severity, one.section, one.blocks, one.text, answered(one.by), one.at
    )
