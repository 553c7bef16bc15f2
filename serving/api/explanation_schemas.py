"""What goes in and out of explanation and replay. OpenAPI's schemas are made from these."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from serving.api.examples import JSON
from serving.api.schemas import BoundReached
from serving.decision.values import Scalar, Stage
from serving.records import FunnelCounts, Versions
from serving.use_cases.deciding_again import ScoresFrom
from serving.use_cases.differences import DifferenceKind
from serving.use_cases.replay import ReplayVerdict


class ComparisonFailed(Struct, frozen=True):
    """A comparison of a rule that was not true: what was observed, and what it would have to be."""

    columns: tuple[str, ...]
    observed: Scalar
    operator: str
    threshold: Scalar | tuple[Scalar, ...]


class RuleFailed(Struct, frozen=True):
    """The first rule that was not true; `unknown` when something it reads is not known."""

    rule_id: int
    text: str
    unknown: bool
    observed: dict[str, Scalar]
    failed: tuple[ComparisonFailed, ...]


class RankedBy(Struct, frozen=True):
    """The priority and its factors as used, and the place by it among what competed for the placement."""

    priority: float
    propensity: float
    value: float
    context_weight: float | None
    lever: float
    formula: str | None
    rank: int | None
    of: int | None


class CandidateExplained(Struct, frozen=True):
    """One candidate: how far it came, and why not further, in words and values."""

    placement: str
    action: str
    treatment: str
    stage: Stage
    reason: str
    text: str
    rule: RuleFailed | None
    policy: BoundReached | None
    ranking: RankedBy | UnsetType | None = UNSET


class ExplanationAnswer(Struct, frozen=True):
    """Why a decision came out as it did: candidates that came furthest first.

    `erased`: what was known of the customer is gone, so observed values are null. `remark` says why an action
    asked for is no candidate.
    """

    decision_id: str
    text: str
    funnel: FunnelCounts
    candidates: tuple[CandidateExplained, ...]
    erased: bool
    remark: str | UnsetType = UNSET


class DifferenceAnswered(Struct, frozen=True):
    """One thing that is not as recorded: of what, as it was, and as it comes out now."""

    kind: DifferenceKind
    subject: str
    recorded: Annotated[
        str | UnsetType | None, Meta(description="Left out where it is a score and none were asked for.")
    ] = UNSET
    replayed: str | UnsetType | None = UNSET


class ReplayAnswer(Struct, frozen=True):
    """What came of deciding again from the recorded inputs.

    `identical`: bit for bit. `different`: `differences` names what, causes first. `erased`: what was known of
    the customer is gone. `impossible`: the catalogue that decided is gone, or has not what the record
    names. `scores` says whether the model was asked again or its recorded scores were taken.
    """

    decision_id: str
    verdict: ReplayVerdict
    differences: tuple[DifferenceAnswered, ...]
    scores: ScoresFrom
    notes: tuple[str, ...]
    recorded: Versions
    replayed: Versions | None


_VERSIONS: JSON = {
    "catalogue": "3f9a0c" + "0" * 58,
    "contract": "b1c2d3" + "0" * 58,
    "propensity": "92993020a759" + "0" * 52,
    "segmentation": "921506f867f1" + "0" * 52,
    "code": "0.4.0",
    "policy": "",
}

EXPLANATIONS: dict[str, JSON] = {
    "one action": {
        "decision_id": "0199f3c2-8b1a-7c3e-9d5f-2a4b6c8d0e1f",
        "text": (
            "158 considered → 158 available → 131 eligible → 131 applicable → 131 suitable → "
            "129 within contact policy → 129 scored → 3 shown\n"
            "home  coupon-beef-web  eligible: rule 12 `days_since_purchase <= 90` is false: "
            "days_since_purchase = 140"
        ),
        "funnel": {
            "considered": 158,
            "available": 158,
            "eligible": 131,
            "applicable": 131,
            "suitable": 131,
            "within_contact_policy": 129,
            "scored": 129,
            "shown": 3,
        },
        "candidates": [
            {
                "placement": "home",
                "action": "coupon-beef",
                "treatment": "coupon-beef-web",
                "stage": "eligible",
                "reason": "not_eligible",
                "text": "eligible: rule 12 `days_since_purchase <= 90` is false: days_since_purchase = 140",
                "rule": {
                    "rule_id": 12,
                    "text": "days_since_purchase <= 90",
                    "unknown": False,
                    "observed": {"days_since_purchase": 140},
                    "failed": [
                        {
                            "columns": ["days_since_purchase"],
                            "observed": 140,
                            "operator": "<=",
                            "threshold": 90,
                        }
                    ],
                },
                "policy": None,
            }
        ],
        "erased": False,
    }
}

REPLAYS: dict[str, JSON] = {
    "identical": {
        "decision_id": "0199f3c2-8b1a-7c3e-9d5f-2a4b6c8d0e1f",
        "verdict": "identical",
        "differences": [],
        "scores": "model",
        "notes": [],
        "recorded": _VERSIONS,
        "replayed": _VERSIONS,
    },
    "against today's catalogue": {
        "decision_id": "0199f3c2-8b1a-7c3e-9d5f-2a4b6c8d0e1f",
        "verdict": "different",
        "differences": [
            {
                "kind": "rule",
                "subject": "coupon-beef",
                "recorded": "eligible: days_since_purchase <= 90",
                "replayed": None,
            },
            {
                "kind": "policy",
                "subject": "contact policy three-a-week limit",
                "recorded": "3",
                "replayed": "1",
            },
        ],
        "scores": "model",
        "notes": [],
        "recorded": _VERSIONS,
        "replayed": _VERSIONS,
    },
}
