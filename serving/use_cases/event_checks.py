"""Which events make sense: each is checked by itself, and refused with a stable code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from features.realtime import LARGEST_AMOUNT, LONGEST, Attribute, EventKind
from serving.records import Mode
from serving.use_cases.access import EARLIEST, LATEST, Caller

AHEAD = timedelta(minutes=5)
"""How far a channel's clock may be ahead of ours."""

MAX_ATTRIBUTES = 20
MAX_WORD = 200


class Refusal(StrEnum):
    """Why an event is rejected."""

    UNKNOWN_KIND = "unknown-kind"
    UNKNOWN_ATTRIBUTE = "unknown-attribute"
    TOO_MANY_ATTRIBUTES = "too-many-attributes"
    INVALID_ATTRIBUTE = "invalid-attribute"
    MISSING_ATTRIBUTE = "missing-attribute"
    TIME_IN_FUTURE = "time-in-future"
    TIME_TOO_OLD = "time-too-old"
    TIME_OUT_OF_RANGE = "time-out-of-range"
    CHANNEL_NOT_ALLOWED = "channel-not-allowed"


class AttributeType(StrEnum):
    """What an attribute's value must be."""

    WORD = "word"
    AMOUNT = "amount"
    DURATION = "duration"
    TRUTH = "truth"


_WEB = {"topic": AttributeType.WORD, "device": AttributeType.WORD, "location_id": AttributeType.WORD}

ATTRIBUTES: Mapping[EventKind, Mapping[str, AttributeType]] = {
    EventKind.PAGE_VIEW: {**_WEB, "dwell_seconds": AttributeType.DURATION},
    EventKind.SEARCH: _WEB,
    EventKind.TRANSACTION: {
        "amount": AttributeType.AMOUNT,
        "currency": AttributeType.WORD,
        "category": AttributeType.WORD,
        "location_id": AttributeType.WORD,
    },
    EventKind.LOCATION: {"location_id": AttributeType.WORD, "device": AttributeType.WORD},
    EventKind.CALL: {
        "topic": AttributeType.WORD,
        "duration_seconds": AttributeType.DURATION,
        "resolved": AttributeType.TRUTH,
    },
    EventKind.SOCIAL_MENTION: {"topic": AttributeType.WORD, "platform": AttributeType.WORD},
}
"""What may be told of each kind of event, in the words of the canonical tables."""

REQUIRED: Mapping[EventKind, str] = {EventKind.TRANSACTION: "amount", EventKind.LOCATION: "location_id"}
"""What must be told."""

_WANTED: Mapping[AttributeType, str] = {
    AttributeType.WORD: f"it is one word of 1 to {MAX_WORD} characters",
    AttributeType.AMOUNT: f"it is a number of at most {LARGEST_AMOUNT:g} either way",
    AttributeType.DURATION: "it is a number of seconds, 0 or more",
    AttributeType.TRUTH: "it is true or false",
}
_TIMES: Mapping[Refusal, str] = {
    Refusal.TIME_IN_FUTURE: "it has not happened yet; send the time in UTC, or look at your clock",
    Refusal.TIME_TOO_OLD: f"only what happened within {LONGEST.days} days is taken",
    Refusal.TIME_OUT_OF_RANGE: f"a time is from {EARLIEST:%Y} to {LATEST:%Y}",
}

_KINDS: Mapping[str, EventKind] = {kind.value: kind for kind in EventKind}


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """An event as a caller reports it, well formed.

    Parameters
    ----------
    event_id
        The caller's own id; it stands for one event of its mode.
    profile
        A customer id, or the key of an identity nobody has linked yet.
    kind, occurred_at, channel, attributes
        What happened, when (UTC), where, and what is known of it.
    """

    event_id: str
    profile: str
    kind: str
    occurred_at: datetime
    channel: str
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why an event is not taken, the way out, and which attribute is meant where it is one's."""

    code: Refusal
    detail: str
    attribute: str | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """What of an event makes sense: its kind and its attributes."""

    kind: EventKind
    attributes: Mapping[str, Attribute]


def check(caller: Caller, reported: ReportedEvent, now: datetime) -> Sound | Rejected:
    """Return what makes sense of an event, or why it does not.

    A live event is of the last 30 days. A test key may report events of any time it may decide for.
    """
    if caller.channel not in (None, reported.channel):
        return Rejected(Refusal.CHANNEL_NOT_ALLOWED, "this key speaks for another channel")
    if fault := _time_fault(caller.mode, reported.occurred_at, now):
        return Rejected(fault, _TIMES[fault])
    kind = _KINDS.get(reported.kind)
    if kind is None:
        return Rejected(Refusal.UNKNOWN_KIND, f"a kind is one of {', '.join(_KINDS)}")
    return _sound(kind, reported.attributes)


def _sound(kind: EventKind, given: Mapping[str, object]) -> Sound | Rejected:
    if len(given) > MAX_ATTRIBUTES:
        return Rejected(Refusal.TOO_MANY_ATTRIBUTES, f"an event has at most {MAX_ATTRIBUTES}")
    if not ATTRIBUTES[kind].keys() >= given.keys():
        # What a caller made up is not repeated: it could be anything, of any length
        known = ", ".join(ATTRIBUTES[kind])
        return Rejected(Refusal.UNKNOWN_ATTRIBUTE, f"leave out what is none of {known}")
    attributes: dict[str, Attribute] = {}
    for name, value in given.items():
        if not isinstance(value, Attribute) or not _fits(value, ATTRIBUTES[kind][name]):
            return Rejected(Refusal.INVALID_ATTRIBUTE, _WANTED[ATTRIBUTES[kind][name]], name)
        attributes[name] = value
    required = REQUIRED.get(kind)
    if required is not None and required not in attributes:
        return Rejected(Refusal.MISSING_ATTRIBUTE, f"without its {required} it says nothing", required)
    return Sound(kind, attributes)


def _time_fault(mode: Mode, at: datetime, now: datetime) -> Refusal | None:
    if mode is Mode.TEST:
        return None if EARLIEST <= at < LATEST else Refusal.TIME_OUT_OF_RANGE
    if at > now + AHEAD:
        return Refusal.TIME_IN_FUTURE
    return Refusal.TIME_TOO_OLD if at < now - LONGEST else None


def _fits(value: Attribute, wanted: AttributeType) -> bool:
    if wanted is AttributeType.TRUTH or isinstance(value, bool):
        return wanted is AttributeType.TRUTH and isinstance(value, bool)
    if wanted is AttributeType.WORD or isinstance(value, str):
        return wanted is AttributeType.WORD and isinstance(value, str) and _is_word(value)
    lowest = 0.0 if wanted is AttributeType.DURATION else -LARGEST_AMOUNT
    return math.isfinite(value) and lowest <= value <= LARGEST_AMOUNT


def _is_word(text: str) -> bool:
    unfit = any(sign < " " or sign == "\x7f" or "\ud800" <= sign <= "\udfff" for sign in text)
    return 1 <= len(text) <= MAX_WORD and not unfit
