"""From bytes to a checked request; whatever is wrong is named by its JSON path."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from moment.errors import InvalidRequest
from serving.api.problems import AnyRequest
from serving.api.schemas import MAX_WORD, DecisionRequest, ForceAsked
from serving.decision.values import ActionId, Forced, Scalar, TreatmentId
from serving.settings import Settings
from serving.use_cases.asking import Ask

T = TypeVar("T")

_DISCARDED_BYTES = 32 * 2**20
_LARGEST_INTEGER = 2**53
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

_WHERE = re.compile(r" - at `(?:key` in `)?\$\.?(?P<path>.*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<name>.*)`$", re.DOTALL)
_BYTE = re.compile(r"\(byte (?P<byte>\d+)\)$")
_MISSING = re.compile(r"missing required field `(?P<name>.*)`$", re.DOTALL)

_decoder = msgspec.json.Decoder(DecisionRequest)


async def read_body(request: AnyRequest, settings: Settings) -> bytes:
    """Return the body of a request that says it is JSON, within the limits of size and time.

    Raises
    ------
    InvalidRequest
        ``unsupported-media-type``, ``body-too-large``, ``body-too-slow``.
    """
    _check_media_type(request)
    try:
        async with asyncio.timeout(settings.body_seconds):
            return await _receive(request, settings.max_body_bytes)
    except TimeoutError:
        raise InvalidRequest(
            f"the body must arrive within {settings.body_seconds:g} s", code="body-too-slow"
        ) from None


def decode(body: bytes) -> Ask:
    """Read the body of ``POST /v1/decisions``.

    Raises
    ------
    InvalidRequest
        ``malformed-json``, ``unknown-field``, ``missing-field``, ``invalid-value``.
    """
    wanted = structured(_decoder, body)
    if wanted.identity is not msgspec.UNSET and wanted.customer_id is not msgspec.UNSET:
        raise InvalidRequest(
            "a decision is for a customer_id or for an identity; send one of them",
            code="invalid-value",
            field="identity",
        )
    context = dict(wanted.context)
    time = _time(context.pop("time")) if "time" in context else None
    return Ask(
        customer_id=None if wanted.customer_id is msgspec.UNSET else wanted.customer_id,
        identity=None if wanted.identity is msgspec.UNSET else wanted.identity.identity,
        channel=wanted.channel,
        placements=tuple(
            (item.name, None if item.slots is msgspec.UNSET else item.slots) for item in wanted.placements
        ),
        context=scalars(context),
        time=time,
        request_id=None if wanted.request_id is msgspec.UNSET else wanted.request_id,
        language=None if wanted.language is msgspec.UNSET else wanted.language,
        force=None if wanted.force is msgspec.UNSET else _force(wanted.force),
        include=tuple(sorted(set(wanted.include))),
        body_sha256=hashlib.sha256(body).digest(),
    )


def structured(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Read a body as what a decoder expects.

    Raises
    ------
    InvalidRequest
        ``malformed-json``, ``unknown-field``, ``missing-field``, ``invalid-value``.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = _BYTE.search(str(error))
        where = f", at byte {place['byte']}" if place else ""
        raise InvalidRequest(
            f"the body is not well-formed JSON in UTF-8{where}", code="malformed-json"
        ) from None


def instant(text: object, field: str) -> datetime:
    """Read an RFC 3339 instant, which has an offset, as UTC; beyond all years it is the first or the last."""
    try:
        found = msgspec.convert(text, datetime)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except OverflowError:
        return _FIRST if found.year == _FIRST.year else _LAST
    except msgspec.ValidationError:
        pass
    raise InvalidRequest(
        "a time is written like 2026-05-01T18:00:00Z, with its offset", code="invalid-value", field=field
    )


def _check_media_type(request: AnyRequest) -> None:
    types = request.headers.getall("content-type", [])
    media_type, _, parameters = (types[0] if len(types) == 1 else "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    plain = media_type.strip().lower() == "application/json" and charset in ("", "charset=utf-8")
    if not plain or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise InvalidRequest(
            "send one Content-Type, application/json, and no Content-Encoding", code="unsupported-media-type"
        )


async def _receive(request: AnyRequest, limit: int) -> bytes:
    """Return the body. One that is too large is read on for a while, so that its sender sees the answer."""
    chunks: list[bytes] = []
    size = 0
    more = True
    while more and size <= _DISCARDED_BYTES:
        message = await request.receive()
        if message["type"] != "http.request":
            raise InvalidRequest("the body ended before its end", code="malformed-json")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        more = message.get("more_body", False)
    if size > limit:
        raise InvalidRequest(f"the body may have {limit} bytes", code="body-too-large")
    return b"".join(chunks)


def _refusal(message: str) -> InvalidRequest:
    where = _WHERE.search(message)
    path = where["path"].replace("[...]", "") if where else ""
    said = message[: where.start()] if where else message
    for pattern, code, words in (
        (_UNKNOWN, "unknown-field", "this field is not known here; leave it out"),
        (_MISSING, "missing-field", "this field is required"),
    ):
        if found := pattern.search(said):
            return InvalidRequest(words, code=code, field=_join(path, found["name"]))
    return InvalidRequest(_plain(said), code="invalid-value", field=path or None)


def _plain(message: str) -> str:
    """Return the decoder's words in ours; it names types, never a value."""
    if message.startswith("Invalid enum value"):
        return "this is none of the words it may be; GET /openapi.json lists them"
    if "matching regex" in message:
        controls = (
            "no control characters may be in it" if "x00" in message else "it is not written as it must be"
        )
        return f"{controls}; GET /openapi.json says how to write it"
    return message[:1].lower() + message[1:].replace("`", "")


def _join(path: str, name: str) -> str:
    shown = name if len(name) <= 64 and name.isprintable() else "…"
    return f"{path}.{shown}" if path else shown


def scalars(context: Mapping[str, object], place: str = "context") -> dict[str, Scalar]:
    """Return the context as rules may compare it; InvalidRequest (``invalid-value``) for anything else."""
    return {name: _scalar(place, name, value) for name, value in context.items()}


def _scalar(place: str, name: str, value: object) -> Scalar:
    if isinstance(value, bool) or (isinstance(value, str) and len(value) <= MAX_WORD):
        return value
    if isinstance(value, int) and abs(value) <= _LARGEST_INTEGER:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise InvalidRequest(
        f"a context value is one word of at most {MAX_WORD} characters, a number or true/false; "
        "leave unknown ones out",
        code="invalid-value",
        field=_join(place, name),
    )


def _force(wanted: ForceAsked) -> Forced:
    treatment = None if wanted.treatment is msgspec.UNSET else TreatmentId(wanted.treatment)
    return Forced(ActionId(wanted.action), treatment)


def _time(value: object) -> datetime:
    return instant(value, "context.time")
