"""What goes in and out of ``POST /v1/events``, with examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from serving.api.examples import JSON
from serving.api.schemas import Identifier, IdentityNamed
from serving.use_cases.event_checks import Refusal
from serving.use_cases.events import EventVerdict

MAX_EVENTS = 100


class EventReported(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing a customer did. It is of a `customer_id` or of an `identity`, of one of them."""

    event_id: Annotated[Identifier, Meta(description="Your own id of the event, by which it counts once.")]
    kind: Annotated[
        Identifier,
        Meta(
            description=(
                "`page_view`, `search`, `transaction`, `location`, `call` or `social_mention`; another "
                "one is rejected."
            )
        ),
    ]
    occurred_at: Annotated[
        str,
        Meta(
            description="When it happened: RFC 3339 with offset, within the last 30 days.",
            extra_json_schema={"format": "date-time"},
        ),
    ]
    channel: Annotated[Identifier, Meta(description="Where it happened.")]
    customer_id: Annotated[Identifier, Meta(description="Whose it is.")] | UnsetType = UNSET
    identity: IdentityNamed | UnsetType = UNSET
    attributes: Annotated[
        dict[str, Any],
        Meta(
            description=(
                "What is known of it. `page_view`: topic, device, dwell_seconds, location_id; `search`: "
                "topic, device, location_id; `transaction`: amount (required), currency, category, "
                "location_id; `location`: location_id (required), device; `call`: topic, duration_seconds, "
                "resolved; `social_mention`: topic, platform. Each is a word, a number or true/false; with "
                "another the event is rejected."
            ),
        ),
    ] = {}


class EventsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Reports what customers did, in any order."""

    events: Annotated[tuple[EventReported, ...], Meta(min_length=1, max_length=MAX_EVENTS)]


class EventAnswered(Struct, frozen=True, omit_defaults=True):
    """What became of one event.

    `recorded`: it counts. `duplicate`: it was reported before, the same. `conflict`: its `event_id` stands
    for another event, which counts; this one does not. `rejected`: `code` says why, `detail` the way out,
    `attribute` which one is meant.
    """

    event_id: str
    verdict: EventVerdict
    code: Refusal | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    attribute: str | UnsetType = UNSET


class EventsAnswer(Struct, frozen=True):
    """What became of each event, in the order sent. What is recorded is on the disk."""

    events: tuple[EventAnswered, ...]


_VIEW: dict[str, JSON] = {
    "event_id": "web-81d2",
    "customer_id": "1228",
    "kind": "page_view",
    "occurred_at": "2026-05-01T18:00:00Z",
    "channel": "web",
    "attributes": {"topic": "yogurt", "dwell_seconds": 12.5},
}
REQUESTS: Mapping[str, JSON] = {
    "a page view": {"events": [_VIEW]},
    "a search of a visitor, a purchase, a call": {
        "events": [
            {
                "event_id": "web-81d3",
                "identity": {"kind": "cookie", "value": "c6f1d2a7b3"},
                "kind": "search",
                "occurred_at": "2026-05-01T18:00:04Z",
                "channel": "web",
                "attributes": {"topic": "coffee"},
            },
            {
                "event_id": "till-44",
                "customer_id": "1228",
                "kind": "transaction",
                "occurred_at": "2026-05-01T17:58:00Z",
                "channel": "store",
                "attributes": {"amount": 12.4, "currency": "USD", "location_id": "367"},
            },
            {
                "event_id": "phone-7",
                "customer_id": "1228",
                "kind": "call",
                "occurred_at": "2026-05-01T17:40:00Z",
                "channel": "phone",
                "attributes": {"topic": "complaint", "resolved": False},
            },
        ]
    },
}
ANSWERS: Mapping[str, JSON] = {
    "each by itself": {
        "events": [
            {"event_id": "web-81d2", "verdict": "recorded"},
            {"event_id": "web-81d1", "verdict": "duplicate"},
            {
                "event_id": "till-44",
                "verdict": "rejected",
                "code": "missing-attribute",
                "detail": "without its amount it says nothing",
                "attribute": "amount",
            },
        ]
    }
}
