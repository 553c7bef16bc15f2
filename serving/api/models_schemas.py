"""What goes in and comes out of ``/v1/models`` and ``/v1/stops``, with examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from serving.api.examples import JSON
from serving.api.schemas import Instant
from serving.lifecycle import GateVerdict, Model, Severity, State, StopKind, Verdict

LONGEST_APPROVAL_DAYS = 730

Approved = Literal["none", "approved", "expired"]
Reason = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]+$")]
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Days = Annotated[int, Meta(ge=1, le=LONGEST_APPROVAL_DAYS)]


class PersonAnswered(Struct, frozen=True):
    """Who did it; without a person it was the machine."""

    person: str | None
    role: str | None


class ApprovalAnswered(Struct, frozen=True):
    """An approval: who gave it, why, and until when it holds."""

    by: PersonAnswered
    at: Instant
    expires_at: Instant
    reason: str


class AcceptedGate(Struct, frozen=True):
    """A gate that did not pass, and who answers for it."""

    gate: str
    by: PersonAnswered
    reason: str


class FindingAnswered(Struct, frozen=True):
    """Something found and not closed; while one `blocks`, nothing is promoted."""

    finding_id: str
    severity: Severity
    section: str
    blocks: bool
    text: str
    by: PersonAnswered
    at: Instant


class VersionBrief(Struct, frozen=True):
    """A version of a model in one line. `approval` is of now."""

    version: str
    digest: str
    state: State
    since: Instant
    verdict: Verdict | None
    approval: Approved
    shadow: float
    routed: float


class VersionAnswer(Struct, frozen=True):
    """A version of a model: who made it, what its gates found, who approved it, until when."""

    model: Model
    version: str
    digest: str
    state: State
    since: Instant
    verdict: Verdict | None
    approval: Approved
    approved: ApprovalAnswered | None
    made_by: PersonAnswered
    submitted_at: Instant
    tier: int
    use_class: str
    owner: str
    gates: tuple[GateVerdict, ...]
    accepted: tuple[AcceptedGate, ...]
    findings: tuple[FindingAnswered, ...]
    shadow: float
    routed: float


class ModelBrief(Struct, frozen=True):
    """One model: its champion, and what would take its place."""

    model: Model
    champion: VersionBrief | None
    challengers: tuple[VersionBrief, ...]
    people_in_charge: bool


class ModelsAnswer(Struct, frozen=True):
    """Every model, as the ledger has it."""

    models: tuple[ModelBrief, ...]


class ModelAnswer(Struct, frozen=True):
    """One model with all its versions, newest first. Before the first champion, `champion` is null."""

    model: Model
    champion: str | None
    people_in_charge: bool
    versions: tuple[VersionAnswer, ...]


class ApprovalRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Approve or reject the version with this digest, in the name of whose key asks.

    An approval holds for `days` and until `expires_at`, whichever is sooner; for 365 days where neither is
    said. A rejection does not end.
    """

    digest: Digest
    reason: Reason
    decision: Literal["approve", "reject"] = "approve"
    days: Days | UnsetType = UNSET
    expires_at: (
        Annotated[str, Meta(description="RFC 3339 with offset.", extra_json_schema={"format": "date-time"})]
        | UnsetType
    ) = UNSET


class StopRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Take an action, issue, channel or model off at once."""

    kind: StopKind
    name: Name
    reason: Reason


class ResumeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Ask for a stop to be lifted, or agree with who asked."""

    reason: Reason


class StopAnswer(Struct, frozen=True):
    """Something that is off. `resume_asked_by` is who wants it back; another person must agree."""

    stop_id: str
    kind: StopKind
    name: str
    reason: str
    by: PersonAnswered
    at: Instant
    resume_asked_by: PersonAnswered | None


class StopsAnswer(Struct, frozen=True):
    """Everything that is off now, oldest first."""

    stops: tuple[StopAnswer, ...]


class ResumeAnswer(Struct, frozen=True):
    """Whether the stop is lifted; before, `missing` says who is wanted."""

    stop_id: str
    lifted: bool
    missing: str | None


_DIGEST = "2fd4e1c67a2d28fced849ee1bb76e7392fd4e1c67a2d28fced849ee1bb76e739"
_NEXT = "93a1f0c55b7e28fced849ee1bb76e7392fd4e1c67a2d28fced849ee1bb76e739"
_ADA: JSON = {"person": "Ada Byron", "role": "risk_officer"}
_CARL: JSON = {"person": "Carl Gauss", "role": "data_scientist"}
_CHAMPION: JSON = {
    "version": _DIGEST[:12],
    "digest": _DIGEST,
    "state": "champion",
    "since": "2026-05-02T09:00:00Z",
    "verdict": "pass",
    "approval": "approved",
    "shadow": 0.0,
    "routed": 0.0,
}
_CHALLENGER: JSON = {
    "version": _NEXT[:12],
    "digest": _NEXT,
    "state": "challenger",
    "since": "2026-06-01T09:00:00Z",
    "verdict": "inconclusive",
    "approval": "none",
    "shadow": 0.1,
    "routed": 0.0,
}
_GATE: dict[str, JSON] = {
    "gate": "auc.observed",
    "title": "AUC, observed exposures, at least 0.70",
    "verdict": "inconclusive",
    "value": 0.74,
    "low": 0.69,
    "high": 0.79,
    "at_least": 0.7,
    "at_most": None,
    "note": "",
}


def _version(*, approved: bool) -> dict[str, JSON]:
    return {
        "model": "propensity",
        "version": _NEXT[:12],
        "digest": _NEXT,
        "state": "challenger" if approved else "rejected",
        "since": "2026-06-01T09:00:00Z",
        "verdict": "inconclusive",
        "approval": "approved" if approved else "none",
        "approved": {
            "by": _ADA,
            "at": "2026-06-02T10:00:00Z",
            "expires_at": "2027-06-02T10:00:00Z",
            "reason": "read the report with the team",
        }
        if approved
        else None,
        "made_by": _CARL,
        "submitted_at": "2026-06-01T08:59:00Z",
        "tier": 2,
        "use_class": "marketing",
        "owner": "Carl Gauss",
        "gates": [_GATE],
        "accepted": [{"gate": "auc.observed", "by": _ADA, "reason": "few answers yet; looked at in July"}],
        "findings": [
            {
                "finding_id": "finding_1f2e3d4c5b6a",
                "severity": "low",
                "section": "calibration",
                "blocks": False,
                "text": "a little low for new customers",
                "by": _ADA,
                "at": "2026-06-02T09:30:00Z",
            }
        ],
        "shadow": 0.1 if approved else 0.0,
        "routed": 0.0,
    }


_STOP: dict[str, JSON] = {
    "stop_id": "stop_1f2e3d4c5b6a",
    "kind": "action",
    "name": "coupon-beef",
    "reason": "the price is wrong",
    "by": _CARL,
    "at": "2026-06-03T12:00:00Z",
    "resume_asked_by": None,
}

MODELS: Mapping[str, JSON] = {
    "all": {
        "models": [
            {
                "model": "propensity",
                "champion": _CHAMPION,
                "challengers": [_CHALLENGER],
                "people_in_charge": True,
            }
        ]
    }
}
MODEL: Mapping[str, JSON] = {
    "propensity": {
        "model": "propensity",
        "champion": _DIGEST,
        "people_in_charge": True,
        "versions": [_version(approved=True)],
    }
}
APPROVALS: Mapping[str, JSON] = {
    "approve for a year": {"digest": _NEXT, "reason": "read the report with the team", "days": 365},
    "approve until a day": {
        "digest": _NEXT,
        "reason": "until the new data are in",
        "expires_at": "2026-12-31T00:00:00Z",
    },
    "reject": {"digest": _NEXT, "reason": "worse for new customers", "decision": "reject"},
}
VERSIONS: Mapping[str, JSON] = {
    "approved": _version(approved=True),
    "rejected": _version(approved=False),
}
STOPPED: Mapping[str, JSON] = {"stopped": _STOP}
STOPS: Mapping[str, JSON] = {
    "one, wanted back": {"stops": [_STOP | {"resume_asked_by": _ADA}]},
    "nothing is off": {"stops": []},
}
STOP_ASKED: Mapping[str, JSON] = {
    "an action": {"kind": "action", "name": "coupon-beef", "reason": "the price is wrong"},
    "a channel": {"kind": "channel", "name": "app", "reason": "wrong language after the release"},
}
RESUME_ASKED: Mapping[str, JSON] = {"resume": {"reason": "the price is right again"}}
RESUMED: Mapping[str, JSON] = {
    "asked": {
        "stop_id": "stop_1f2e3d4c5b6a",
        "lifted": False,
        "missing": "another risk_officer or operator than Ada Byron",
    },
    "lifted": {"stop_id": "stop_1f2e3d4c5b6a", "lifted": True, "missing": None},
}
