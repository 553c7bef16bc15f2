"""What comes out of ``GET /v1/customers/{customer_id}/decisions``, with examples."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from serving.api.examples import JSON
from serving.api.schemas import PastDecision

MAX_LIMIT = 100
LIMIT = 20

NEXT = "MTc3NzY1OTAwMDAwMDAwMC4wMTk5ZjNjMi04YjFhLTdkMjEtOWM2NC0wZjViMmY2YTRlMTA"


class HistoryAnswer(Struct, frozen=True):
    """A customer's decisions, newest first. With `next` there are more: send it as `cursor`."""

    customer_id: str
    decisions: tuple[PastDecision, ...]
    next: str | None


ANSWERS: Mapping[str, JSON] = {
    "a page": {
        "customer_id": "1228",
        "decisions": [
            {
                "decision_id": "0199f3c2-8b1a-7d21-9c64-0f5b2f6a4e10",
                "decided_at": "2026-05-01T18:30:00Z",
                "channel": "web",
                "offers": [
                    {
                        "placement": "home",
                        "rank": 1,
                        "action": "coupon-ice-cream",
                        "treatment": "web",
                        "tracking_id": "0199f3c2-8b1a-7d21-9c64-0f5b2f6a4e10.1",
                    }
                ],
            }
        ],
        "next": NEXT,
    },
    "nobody known": {"customer_id": "nobody", "decisions": [], "next": None},
}
