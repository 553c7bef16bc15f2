"""Every refusal the API knows: RFC 9457 problem details with a stable code. All errors are mapped here."""

from __future__ import annotations

import logging
import math
import time
import traceback
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import ClientException, HTTPException, MethodNotAllowedException, NotFoundException

from moment.errors import ConfigurationError, DependencyError, InvalidRequest, Overloaded, StepMissing
from serving.api.metrics import noted

MEDIA_TYPE = "application/problem+json"

AnyRequest = Request[Any, Any, Any]

_log = logging.getLogger("moment.api")


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Problem details (RFC 9457). `code` is stable; `field` is the JSON path of what is wrong."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its status and its title."""

    status: int
    title: str


_KINDS = {
    "malformed-json": Kind(400, "The body is not JSON"),
    "malformed-request": Kind(400, "The request is not HTTP as it should be"),
    "key-missing": Kind(401, "An API key is required"),
    "key-unknown": Kind(401, "The API key is not valid"),
    "scope-missing": Kind(403, "The key may not do this"),
    "channel-not-allowed": Kind(403, "The key may not speak for this channel"),
    "live-only": Kind(403, "Only live keys may do this"),
    "test-only": Kind(403, "Only test keys may do this"),
    "origin-not-allowed": Kind(403, "Pages of this origin may not post"),
    "role-missing": Kind(403, "The person may not do this"),
    "not-found": Kind(404, "There is no such thing"),
    "unknown-version": Kind(404, "The model has no such version"),
    "unknown-stop": Kind(404, "Nothing is stopped under this id"),
    "method-not-allowed": Kind(405, "This address does not take this method"),
    "body-too-slow": Kind(408, "The body did not arrive in time"),
    "rate-limited": Kind(429, "The key asks too often"),
    "too-many-customers": Kind(429, "The key asked about too many customers"),
    "request-id-reused": Kind(409, "The request id stands for another request"),
    "answer-withdrawn": Kind(409, "The earlier answer may not be given again"),
    "four-eyes": Kind(409, "Another person must do this"),
    "two-people": Kind(409, "A second person must agree"),
    "not-now": Kind(409, "This cannot be done now"),
    "digest-differs": Kind(409, "The version is not what was looked at"),
    "body-too-large": Kind(413, "The body is too large"),
    "unsupported-media-type": Kind(415, "The body must be plain application/json"),
    "head-too-large": Kind(431, "The head of the request is too large"),
    "unknown-field": Kind(422, "The field is not known"),
    "missing-field": Kind(422, "A field is missing"),
    "invalid-value": Kind(422, "A value is not of the right kind"),
    "unknown-parameter": Kind(422, "The query parameter is not known"),
    "time-out-of-range": Kind(422, "The time is out of range"),
    "unknown-action": Kind(422, "The action is not in the catalogue"),
    "unknown-treatment": Kind(422, "The action has no such treatment"),
    "treatment-does-not-fit": Kind(422, "The treatment is made for none of the placements asked for"),
    "unknown-issue": Kind(422, "The issue is not in the catalogue"),
    "unknown-model": Kind(422, "There is no such model"),
    "unknown-channel": Kind(422, "The channel is not in the catalogue"),
    "unknown-placement": Kind(422, "The placement is not in the catalogue"),
    "duplicate-placement": Kind(422, "A placement is asked for twice"),
    "invalid-slots": Kind(422, "The placement does not have that many slots"),
    "invalid-placements": Kind(422, "The placements asked for make no sense"),
    "unknown-context": Kind(422, "The context field is not declared"),
    "invalid-context": Kind(422, "A context value is not of the declared kind"),
    "context-not-settable": Kind(422, "The context field is not the caller's to set"),
    "internal": Kind(500, "Moment made a mistake"),
    "overloaded": Kind(503, "More is asked than can be answered in time"),
    "dependency-unavailable": Kind(503, "Something Moment needs does not answer"),
    "step-missing": Kind(503, "A step must be run first"),
    "not-ready": Kind(503, "Moment is not ready"),
}
KINDS = MappingProxyType(_KINDS)
"""Every code the API answers with."""

RETRY_SECONDS = 2

PROBES = frozenset({"/livez", "/readyz"})

_TOLD_SECONDS = 60.0
"""How long a probe's refusal is not told again."""

_told: dict[str, tuple[str, float]] = {}


def problem(code: str, detail: str, field: str | None = None) -> Problem:
    """Return the problem of a known code."""
    kind = KINDS[code]
    return Problem(f"urn:moment:problem:{code}", kind.title, kind.status, detail, code, field)


def problem_of(error: Exception) -> Problem:
    """Return what a caller is told of an error."""
    if isinstance(error, InvalidRequest):
        return problem(error.code, str(error), error.field)
    if isinstance(error, DependencyError):
        return problem(_of_dependency(error), str(error))
    if isinstance(error, ConfigurationError):
        return problem("not-ready", str(error).partition("\n")[0])
    return problem(*_of_framework(error))


def _of_dependency(error: DependencyError) -> str:
    if isinstance(error, Overloaded):
        return "overloaded"
    return "step-missing" if isinstance(error, StepMissing) else "dependency-unavailable"


def _of_framework(error: Exception) -> tuple[str, str]:
    """Return code and detail of what Litestar raises itself; anything else is a defect."""
    match error:
        case NotFoundException():
            return "not-found", "nothing is at this address; GET /openapi.json lists what is"
        case MethodNotAllowedException():
            return "method-not-allowed", "take one of the methods that the Allow header names"
        case ClientException(detail="Invalid host header"):
            return "malformed-request", "the header Host names no host; send one like moment.example:3000"
        case HTTPException() if error.status_code < 500:
            return "invalid-value", "the request cannot be read; GET /openapi.json says how to write it"
        case _:
            return "internal", "a defect of Moment; it is in the log of the service"


def respond(refusal: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Return the response of a problem."""
    extra = {"Cache-Control": "no-store", **(headers or {})}
    if refusal.status == 401:
        extra["WWW-Authenticate"] = 'Bearer realm="moment"'
    if refusal.status == 503:
        extra["Retry-After"] = str(RETRY_SECONDS)
    return Response(
        content=msgspec.json.encode(refusal),
        status_code=refusal.status,
        media_type=MEDIA_TYPE,
        headers=extra,
    )


def handle(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Answer any error with a problem; a defect is logged with its place, never with a caller's data."""
    refusal = problem_of(error)
    noted(request.scope).code = refusal.code
    if refusal.code == "internal":
        place = "".join(traceback.format_tb(error.__traceback__))
        _log.error("%s in %s %s\n%s", type(error).__name__, request.method, _template(request), place)
    elif refusal.status == 503 and not _is_told(_template(request), refusal.detail):
        _log.warning("%s: %s", refusal.code, refusal.detail)
    return respond(refusal, _headers(error, refusal))


def _is_told(template: str, detail: str) -> bool:
    """Whether a refused probe need not be told: several a second say what the last did."""
    if template not in PROBES:
        return False
    now = time.monotonic()
    if _told.get(template, ("", 0.0))[0] == detail and now - _told[template][1] < _TOLD_SECONDS:
        return True
    _told[template] = detail, now
    return False


def _headers(error: Exception, refusal: Problem) -> dict[str, str] | None:
    if refusal.status == 405:
        return getattr(error, "headers", None)
    if isinstance(error, InvalidRequest) and error.retry_after is not None:
        return {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    return None


def _template(request: AnyRequest) -> str:
    """Return the address without what a caller put into it."""
    return str(request.scope.get("path_template", "")) or "an unknown address"
