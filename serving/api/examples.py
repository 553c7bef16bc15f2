"""Examples of every request and answer, as the descriptions show them. A test reads each as its schema."""

from __future__ import annotations

from collections.abc import Mapping

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]

_VERSIONS: JSON = {
    "catalogue": "5c1d0f3e9a7b4c2d8e6f1a0b3c5d7e9f5c1d0f3e9a7b4c2d8e6f1a0b3c5d7e9f",
    "contract": "a94a8fe5ccb19ba61c4c0873d391e987a94a8fe5ccb19ba61c4c0873d391e987",
    "propensity": "2fd4e1c67a2d28fced849ee1bb76e7392fd4e1c67a2d28fced849ee1bb76e739",
    "segmentation": "de9f2c7fd25e1b3afad3e85a0bd17d9bde9f2c7fd25e1b3afad3e85a0bd17d9b",
    "code": "0.1.0",
    "policy": "93a1f0c55b7e28fced849ee1bb76e73993a1f0c55b7e28fced849ee1bb76e739",
}
_DECISION = "0199f3c2-8b1a-7c44-9d0e-3f5a6b7c8d9e"
_SCORES: JSON = {"propensity": 0.0214, "priority": 0.0642, "action_probability": 1.0}


def _offer(*, scores: bool = False) -> dict[str, JSON]:
    offer: dict[str, JSON] = {
        "rank": 1,
        "action": "coupon-yogurt",
        "treatment": "coupon-yogurt-web",
        "content": {"title": "A coupon for yogurt", "link": "/offers/coupon-yogurt"},
        "tracking_id": f"{_DECISION}.1",
        "expires_at": "2018-01-02T18:30:00Z",
    }
    return offer | {"scores": _SCORES} if scores else offer


def _answer(*, scores: bool = False) -> dict[str, JSON]:
    answer: dict[str, JSON] = {
        "decision_id": _DECISION,
        "placements": [{"name": "checkout", "offers": [_offer(scores=scores)], "reason": "filled"}],
        "profile": "known",
        "experiments": [{"layer": "ranking", "experiment": "push-loans", "arm": "as-is"}],
        "degraded": [],
        "approval": "approved",
        "versions": _VERSIONS,
        "mode": "test",
    }
    return answer | {"segment": "Frequent families"} if scores else answer


DECISION_REQUESTS: Mapping[str, JSON] = {
    "now": {
        "customer_id": "1228",
        "channel": "web",
        "placements": [{"name": "home", "slots": 3}],
        "request_id": "7f3c-1",
    },
    "at a given time, with scores (test key)": {
        "customer_id": "1228",
        "channel": "web",
        "placements": [{"name": "checkout"}],
        "context": {"time": "2018-01-02T18:00:00Z"},
        "include": ["scores"],
    },
    "a visitor nobody knows": {"channel": "web", "placements": [{"name": "home"}]},
}
DECISION_ANSWERS: Mapping[str, JSON] = {"offers": _answer(), "with scores": _answer(scores=True)}
RECORDS: Mapping[str, JSON] = {
    "record": {
        "decision_id": _DECISION,
        "mode": "test",
        "channel": "web",
        "customer_id": "1228",
        "request_id": None,
        "received_at": "2026-11-22T09:00:00Z",
        "decided_at": "2018-01-02T18:00:00Z",
        "profile": "known",
        "placements": [
            {
                "name": "checkout",
                "slots": 1,
                "reason": "filled",
                "offers": [_offer() | {"reserved_until": "2018-01-02T18:40:00Z", "kind": "arbitrated"}],
            }
        ],
        "context": {"hour": 18, "weekday": 2},
        "features": [
            {"name": "recency_days", "value": 3.0, "state": "present", "as_of": "2018-01-01T00:00:00Z"}
        ],
        "funnel": {
            "considered": 158,
            "available": 158,
            "eligible": 41,
            "applicable": 41,
            "suitable": 41,
            "within_contact_policy": 41,
            "scored": 41,
            "shown": 1,
        },
        "considered": [
            {
                "placement": "checkout",
                "action": "coupon-yogurt",
                "treatment": "coupon-yogurt-web",
                "stage": "shown",
                "reason": "shown",
                "why": "shown",
                "rule": None,
                "observed": {},
                "policy": None,
            },
            {
                "placement": "checkout",
                "action": "coupon-beef",
                "treatment": "coupon-beef-web",
                "stage": "contact_policy",
                "reason": "limit_reached",
                "why": "contact_policy: limit `twice-a-week`: 2 presentations of it in 7 days, at most 2",
                "rule": None,
                "observed": {},
                "policy": {
                    "kind": "limit",
                    "name": "twice-a-week",
                    "observed": 2.0,
                    "bound": 2.0,
                    "unit": "contacts",
                },
            },
        ],
        "experiments": [{"layer": "ranking", "experiment": "push-loans", "arm": "as-is"}],
        "control": False,
        "held_out": False,
        "exploration": "greedy",
        "degraded": [],
        "stops": [{"stop_id": "stop_1f2e3d4c5b6a", "kind": "action", "name": "coupon-beef"}],
        "approvals": {"segmentation": "approved", "propensity": "approved", "next-best-action": "approved"},
        "versions": _VERSIONS,
        "attempt": 1,
        "seed": "12053914811467353087",
        "latency_ms": {"features": 1.1, "segment": 0.1, "shortlist": 0.4, "score": 1.2, "choose": 0.2},
    }
}
CUSTOMERS: Mapping[str, JSON] = {
    "known": {
        "customer_id": "1228",
        "profile": "known",
        "as_of": "2018-01-02T18:00:00Z",
        "segment": "Frequent families",
        "features": [
            {
                "name": "recency_days",
                "value": 3.0,
                "state": "present",
                "as_of": "2018-01-01T00:00:00Z",
                "age_seconds": 151200.0,
                "unit": "days",
                "meaning": "Days since the last purchase",
            }
        ],
        "decisions": [
            {
                "decision_id": _DECISION,
                "decided_at": "2018-01-02T18:00:00Z",
                "channel": "web",
                "offers": [
                    {
                        "placement": "checkout",
                        "rank": 1,
                        "action": "coupon-yogurt",
                        "treatment": "coupon-yogurt-web",
                        "tracking_id": f"{_DECISION}.1",
                    }
                ],
            }
        ],
    },
    "nobody knows": {
        "customer_id": "nobody",
        "profile": "none",
        "as_of": "2018-01-02T18:00:00Z",
        "segment": None,
        "features": [],
        "decisions": [],
    },
}
READY: Mapping[str, JSON] = {"ready": {"status": "ready", "versions": _VERSIONS}}
ALIVE: Mapping[str, JSON] = {"alive": {"status": "alive"}}
