"""What goes in and out of ``POST /v1/outcomes``, with examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from serving.api.examples import JSON
from serving.api.schemas import Identifier
from serving.use_cases.outcomes import OutcomeRefusal, OutcomeVerdict

MAX_OUTCOMES = 100


class OutcomeReported(Struct, frozen=True, forbid_unknown_fields=True):
    """What became of one offer."""

    tracking_id: Annotated[Identifier, Meta(description="As the answer with the offer holds it.")]
    kind: Annotated[
        Identifier,
        Meta(
            description=(
                "`presented`: it was on the screen; `clicked`, `accepted`, `rejected`, `converted`, or what "
                "the catalogue names as the outcome of an action. Another one is rejected."
            )
        ),
    ]
    event_id: Annotated[Identifier, Meta(description="Your own id of the report, by which it counts once.")]
    occurred_at: Annotated[
        str,
        Meta(
            description="When it happened: RFC 3339 with offset.",
            extra_json_schema={"format": "date-time"},
        ),
    ]
    value: (
        Annotated[
            float,
            Meta(description="What it was worth, in the catalogue's currency. Not from browsers."),
        ]
        | UnsetType
    ) = UNSET


class OutcomesRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Reports what became of offers, in any order."""

    outcomes: Annotated[tuple[OutcomeReported, ...], Meta(min_length=1, max_length=MAX_OUTCOMES)]


class OutcomeAnswered(Struct, frozen=True, omit_defaults=True):
    """What became of one report.

    `recorded`: it counts. `recorded_late`: it counts, but the offer's reservation had ended when it was
    reported presented. `duplicate`: it was reported before, the same. `conflict`: it was reported before,
    differently; the first report counts. `rejected`: `code` says why, `detail` the way out.
    """

    event_id: str
    verdict: OutcomeVerdict
    code: OutcomeRefusal | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class OutcomesAnswer(Struct, frozen=True):
    """What became of each report, in the order sent. What is recorded is on the disk."""

    outcomes: tuple[OutcomeAnswered, ...]


_TRACKING = "0199f3c2-8b1a-7c44-9d0e-3f5a6b7c8d9e.1.aW5vdCBhIHJlYWwgc2lnbg"
_SHOWN: dict[str, JSON] = {
    "tracking_id": _TRACKING,
    "kind": "presented",
    "event_id": "web-5f1-shown",
    "occurred_at": "2026-05-01T18:00:02Z",
}
REQUESTS: Mapping[str, JSON] = {
    "it was shown": {"outcomes": [_SHOWN]},
    "shown, clicked, bought": {
        "outcomes": [
            _SHOWN,
            {
                "tracking_id": _TRACKING,
                "kind": "clicked",
                "event_id": "web-5f1-click",
                "occurred_at": "2026-05-01T18:00:09Z",
            },
            {
                "tracking_id": _TRACKING,
                "kind": "converted",
                "event_id": "till-9921",
                "occurred_at": "2026-05-02T09:12:00+02:00",
                "value": 12.4,
            },
        ]
    },
}
ANSWERS: Mapping[str, JSON] = {
    "each by itself": {
        "outcomes": [
            {"event_id": "web-5f1-shown", "verdict": "recorded"},
            {"event_id": "web-5f1-click", "verdict": "duplicate"},
            {
                "event_id": "till-9921",
                "verdict": "rejected",
                "code": "time-in-future",
                "detail": "it has not happened yet; send the time in UTC",
            },
        ]
    }
}
