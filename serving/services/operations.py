"""The calls of the model services, as data: their descriptions are made from it."""

from __future__ import annotations

import msgspec

from serving.api import examples
from serving.api.examples import JSON
from serving.api.openapi import Document, describe
from serving.api.operations import Operation
from serving.api.schemas import Alive
from serving.services.schemas import (
    NextBestActionAnswer,
    NextBestActionRequest,
    PropensityAnswer,
    PropensityRequest,
    SegmentationAnswer,
    SegmentationRequest,
)

_VERSION = "0b1f6d0c9f1c4f5e8a7d3c2b1a09f8e7d6c5b4a3928170605f4e3d2c1b0a9f8e"
_FEATURES: JSON = {"days_since_purchase": 3, "household_size": "2"}

_PROBLEMS = (
    "malformed-json",
    "key-missing",
    "key-unknown",
    "scope-missing",
    "rate-limited",
    "body-too-slow",
    "body-too-large",
    "unsupported-media-type",
    "unknown-parameter",
    "unknown-field",
    "missing-field",
    "invalid-value",
    "internal",
    "overloaded",
    "dependency-unavailable",
)
_OF_THE_CORE = (
    "unknown-action",
    "unknown-channel",
    "unknown-placement",
    "duplicate-placement",
    "invalid-slots",
    "unknown-context",
    "invalid-context",
    "time-out-of-range",
)


class ScoringReady(msgspec.Struct, frozen=True):
    """Rows are answered, by these versions (digests)."""

    model: str
    versions: dict[str, str]
    status: str = "ready"


SEGMENTATION = Operation(
    method="post",
    path="/v1/scores/segmentation",
    name="scoreSegmentation",
    summary="Place customers among the personas",
    description=(
        "Takes every feature of the contract, the others' order and kin included by name only, and answers "
        "each customer's persona with the distance to all. Nothing is stored."
    ),
    answer=SegmentationAnswer,
    answers={
        "one": {
            "version": _VERSION,
            "rows": [{"persona": "Regulars", "nearest": [{"persona": "Regulars", "distance": 0.4}]}],
        }
    },
    body=SegmentationRequest,
    bodies={"one": {"rows": [{"features": _FEATURES}]}},
    problems=_PROBLEMS,
    scope="scores:read",
)

PROPENSITY = Operation(
    method="post",
    path="/v1/scores/propensity",
    name="scorePropensity",
    summary="Score actions for customers",
    description=(
        "Answers the probability of each action's positive outcome within its window, were it presented now: "
        "before calibration (`raw`) and calibrated (`propensity`). Who may be presented what is not asked. "
        "Nothing is stored."
    ),
    answer=PropensityAnswer,
    answers={
        "one": {
            "version": _VERSION,
            "catalogue": _VERSION,
            "rows": [{"scores": [{"action": "coupon-beef", "raw": 0.21, "propensity": 0.14}]}],
        }
    },
    body=PropensityRequest,
    bodies={"one": {"rows": [{"features": _FEATURES, "actions": ["coupon-beef"]}]}},
    problems=(*_PROBLEMS, "unknown-action"),
    scope="scores:read",
)

NEXT_BEST_ACTION = Operation(
    method="post",
    path="/v1/scores/next-best-action",
    name="scoreNextBestAction",
    summary="Ask a policy what it would pick",
    description=(
        "Decides from the row alone: rules, models, arbitration and exploration, slot by slot, with the "
        "action probability of each pick. It knows no contact history, no limits, budgets or stops, draws "
        "nobody into control or experiments, and records nothing: what is shown to customers comes from "
        "`POST /v1/decisions`."
    ),
    answer=NextBestActionAnswer,
    answers={
        "one": {
            "version": _VERSION,
            "propensity": _VERSION,
            "segmentation": _VERSION,
            "rows": [
                {
                    "at": "2026-05-01T18:30:00Z",
                    "seed": 7,
                    "profile": "known",
                    "segment": "Regulars",
                    "placements": [
                        {
                            "name": "home",
                            "reason": "filled",
                            "offers": [
                                {
                                    "rank": 1,
                                    "action": "coupon-beef",
                                    "treatment": "coupon-beef/web",
                                    "kind": "arbitrated",
                                    "raw": 0.21,
                                    "propensity": 0.14,
                                    "priority": 0.87,
                                    "action_probability": 0.95,
                                }
                            ],
                        }
                    ],
                }
            ],
        }
    },
    body=NextBestActionRequest,
    bodies={
        "one": {
            "rows": [
                {
                    "channel": "web",
                    "placements": [{"name": "home", "slots": 1}],
                    "features": _FEATURES,
                    "purposes": ["profiling", "marketing"],
                }
            ]
        }
    },
    problems=(*_PROBLEMS, *_OF_THE_CORE),
    scope="scores:read",
)

_ALIVE = Operation(
    method="get",
    path="/livez",
    name="alive",
    summary="Is the process there",
    description="Answers as long as the process can answer. Needs no key.",
    answer=Alive,
    answers=examples.ALIVE,
    problems=("internal",),
)
_READY = Operation(
    method="get",
    path="/readyz",
    name="ready",
    summary="Are rows answered",
    description="Says which versions answer. Needs no key.",
    answer=ScoringReady,
    answers={"one": {"model": "propensity", "versions": {"version": _VERSION}, "status": "ready"}},
    problems=("internal", "not-ready"),
)


def described(operation: Operation, title: str) -> Document:
    """Return the description of a service that answers one call."""
    return describe((operation, _ALIVE, _READY), title, operation.summary + ".")
