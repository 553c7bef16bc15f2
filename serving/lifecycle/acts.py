"""What is done to a version of a model, one value an act.

Acts are stored and signed: fields are added with a default, never renamed.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from serving.lifecycle.gates import GateVerdict


class Model(StrEnum):
    """The three models that live this life."""

    SEGMENTATION = "segmentation"
    PROPENSITY = "propensity"
    NEXT_BEST_ACTION = "next-best-action"


class State(StrEnum):
    """Where a version is in its life."""

    CANDIDATE = "candidate"
    CHALLENGER = "challenger"
    CHAMPION = "champion"
    FORMER = "former"
    REJECTED = "rejected"
    RETIRED = "retired"


class Severity(StrEnum):
    """How grave a finding is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class StopKind(StrEnum):
    """What a stop takes off."""

    ACTION = "action"
    ISSUE = "issue"
    CHANNEL = "channel"
    MODEL = "model"


class Actor(Struct, frozen=True):
    """Who acts. Without a person it is the machine: a scheduled retraining, the demo, a keyless command.

    Parameters
    ----------
    key_id
        The key the act is signed with; ``machine`` for the server's own.
    person, role
        Whose personal key it is, and what they work as (``serving.ports.Role``).
    """

    key_id: str
    person: str | None = None
    role: str | None = None

    @property
    def is_person(self) -> bool:
        """Whether somebody answers for the act by name."""
        return self.person is not None

    def is_same_person(self, other: Actor) -> bool:
        """Whether both are one person, whatever keys they hold."""
        return (
            self.person is not None
            and other.person is not None
            and _plain(self.person) == _plain(other.person)
        )


MACHINE = Actor("machine")


def _plain(name: str) -> str:
    """Return a name as two spellings of it have in common: case, spaces and forms of letters left aside."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


class Act(Struct, frozen=True, kw_only=True, tag_field="act"):
    """What is common to all acts: why it was done, in words."""

    reason: str = ""


class OfVersion(Act, frozen=True, kw_only=True):
    """An act on one version.

    Parameters
    ----------
    model
        Which model.
    digest
        SHA-256 of the bundle: an act holds for this content and no other.
    """

    model: Model
    digest: str


class Submitted(OfVersion, frozen=True, kw_only=True, tag="submitted"):
    """A bundle became a candidate.

    Parameters
    ----------
    run_id
        The MLflow run it came from; empty where none.
    registered
        Its number in MLflow's registry; empty where it is not there.
    tier
        How much harm a wrong one can do: 1 (most) to 3.
    use_class
        What it is used for, e.g. ``marketing``.
    owner
        Who answers for it.
    data_digest
        SHA-256 of what it was trained on; empty for what is not trained.
    """

    run_id: str = ""
    registered: str = ""
    tier: int = 2
    use_class: str = "marketing"
    owner: str = ""
    data_digest: str = ""


class Judged(OfVersion, frozen=True, kw_only=True, tag="judged"):
    """The gates were asked. None failed: it is a challenger; one failed: it is a candidate.

    What somebody took upon themselves before goes with the old result.
    """

    gates: tuple[GateVerdict, ...]


class Accepted(OfVersion, frozen=True, kw_only=True, tag="accepted"):
    """Somebody takes what gates found upon themselves, failed or inconclusive, and says why (`reason`)."""

    gates: tuple[str, ...]


class Challenged(OfVersion, frozen=True, kw_only=True, tag="challenged"):
    """A challenger's shares were set.

    Parameters
    ----------
    shadow
        Share of decisions it scores beside the champion without being asked, 0 to 1.
    routed
        Share of customers it decides for, as an experiment, 0 to 1. Needs an approval.
    """

    shadow: float = 0.0
    routed: float = 0.0


class Approved(OfVersion, frozen=True, kw_only=True, tag="approved"):
    """A person who did not make it approves it, until `expires_at`."""

    expires_at: datetime


class Rejected(OfVersion, frozen=True, kw_only=True, tag="rejected"):
    """It shall not serve."""


class Promoted(OfVersion, frozen=True, kw_only=True, tag="promoted"):
    """It became the champion; the champion before it is a former one."""


class RolledBack(OfVersion, frozen=True, kw_only=True, tag="rolled_back"):
    """A former champion became the champion again."""


class Retired(OfVersion, frozen=True, kw_only=True, tag="retired"):
    """It is of no use any more. Never the champion."""


class FindingAdded(Act, frozen=True, kw_only=True, tag="finding_added"):
    """Something is wrong with a model, or with one version of it.

    Parameters
    ----------
    finding_id
        Names it, e.g. ``finding_1f2e3d``.
    model, digest
        What it is about; no digest: every version.
    severity, section
        How grave, and which part of the model's report it speaks of.
    blocks
        Whether nothing may be promoted while it is open.
    """

    finding_id: str
    model: Model
    digest: str | None = None
    severity: Severity
    section: str
    blocks: bool = False


class FindingClosed(Act, frozen=True, kw_only=True, tag="finding_closed"):
    """What was found is mended or borne; `reason` says which."""

    finding_id: str


class Stopped(Act, frozen=True, kw_only=True, tag="stopped"):
    """An action, issue, channel or model is off at once."""

    stop_id: str
    kind: StopKind
    name: str


class ResumeAsked(Act, frozen=True, kw_only=True, tag="resume_asked"):
    """One person wants a stop lifted."""

    stop_id: str


class Resumed(Act, frozen=True, kw_only=True, tag="resumed"):
    """Another person agreed: the stop is lifted."""

    stop_id: str


AnyAct = (
    Submitted
    | Judged
    | Accepted
    | Challenged
    | Approved
    | Rejected
    | Promoted
    | RolledBack
    | Retired
    | FindingAdded
    | FindingClosed
    | Stopped
    | ResumeAsked
    | Resumed
)
"""What the ledger holds."""
