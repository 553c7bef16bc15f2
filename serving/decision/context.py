"""The context of a decision: what the channel may say, and what the core derives itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from moment.errors import InvalidRequest
from serving.decision.actions import ContextField, SetBy
from serving.decision.columns import Column, ColumnType
from serving.decision.parsing import nearest
from serving.decision.program import conform
from serving.decision.values import Request, Scalar

CONTEXT_PREFIX = "context."
"""How rules name what is in the context."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

DERIVED: Mapping[str, Column] = {
    "channel": Column(ColumnType.STRING),
    "hour": Column(ColumnType.INT),
    "weekday": Column(ColumnType.STRING, WEEKDAYS),
    "month": Column(ColumnType.INT),
}
"""What the core can derive; a catalogue declares those it uses as ``set_by: moment``."""


def complete_context(
    request: Request, declared: tuple[ContextField, ...], now: datetime, zone: ZoneInfo
) -> dict[str, Scalar]:
    """Return every declared value: sent by the channel, derived by the core, or None.

    Parameters
    ----------
    request
        Its context is checked against the declarations and against who sends it.
    declared
        The catalogue's declarations.
    now
        Time of the decision, with a time zone.
    zone
        Where the customer is: hour, weekday and month are told there.

    Raises
    ------
    InvalidRequest
        A value that is not declared, not the caller's to set, or of the wrong type.
    """
    local = now.astimezone(zone)
    derived: dict[str, Scalar] = {
        "channel": request.channel,
        "hour": local.hour,
        "weekday": WEEKDAYS[local.weekday()],
        "month": local.month,
    }
    sent = _checked(request, declared) if request.context else {}
    return {
        field.name: derived[field.name] if field.set_by is SetBy.MOMENT else sent.get(field.name)
        for field in declared
    }


@lru_cache(maxsize=512)
def zone_of(name: str | None, default: str) -> ZoneInfo:
    """Return a customer's time zone, or the default where it is unknown or no zone at all."""
    try:
        return ZoneInfo(name or default)
    except (KeyError, ValueError, OSError):
        return ZoneInfo(default)


def _checked(request: Request, declared: tuple[ContextField, ...]) -> dict[str, Scalar]:
    fields = {field.name: field for field in declared}
    settable = {SetBy.CHANNEL, SetBy.SYSTEM} if request.trusted else {SetBy.CHANNEL}
    for name in request.context:
        _check_who_sets(f"context.{name}", name, fields, settable)
    return {name: _checked_value(value, fields[name]) for name, value in request.context.items()}


def _check_who_sets(
    place: str, name: str, fields: Mapping[str, ContextField], settable: Collection[SetBy]
) -> None:
    field = fields.get(name)
    if field is None:
        allowed = [other.name for other in fields.values() if other.set_by in settable]
        known = f"; a channel may send {', '.join(allowed)}" if allowed else "; a channel may send none"
        raise InvalidRequest(
            f"`{place}` is not declared by the catalogue{nearest(name, allowed) or known}",
            code="unknown-context",
            field=place,
        )
    if field.set_by not in settable:
        why = (
            "is derived by Moment and cannot be sent; leave it out"
            if field.set_by is SetBy.MOMENT
            else "is for systems, not for channels; leave it out, or use a key that may assert context"
        )
        raise InvalidRequest(f"`{place}` {why}", code="context-not-settable", field=place)


def _checked_value(value: Scalar, field: ContextField) -> Scalar:
    place = f"context.{field.name}"
    if value is None:
        return None
    typed = conform(value, field.type)
    if typed is None:
        raise InvalidRequest(f"`{place}` must be {field.type}", code="invalid-context", field=place)
    if field.categories and typed not in field.categories:
        raise InvalidRequest(
            f"`{place}` must be one of {', '.join(field.categories)}", code="invalid-context", field=place
        )
    return typed
