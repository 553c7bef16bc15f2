"""One version of a model, and what each act makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import singledispatch

from msgspec import Struct

from serving.lifecycle.acts import (
    Accepted,
    Actor,
    AnyAct,
    Approved,
    Challenged,
    Judged,
    Model,
    OfVersion,
    Promoted,
    Rejected,
    Retired,
    RolledBack,
    State,
    Submitted,
)
from serving.lifecycle.gates import GateVerdict, Verdict, overall

_SHORT = 12
_RANK = {Verdict.PASS: 0, Verdict.INCONCLUSIVE: 1, Verdict.FAIL: 2}


class Written(Struct, frozen=True, kw_only=True):
    """An act as the ledger keeps it.

    Parameters
    ----------
    seq
        1, 2, 3 without a gap.
    at
        When, UTC.
    by
        Who.
    act
        What.
    """

    seq: int
    at: datetime
    by: Actor
    act: AnyAct


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved a version, when, and until when."""

    by: Actor
    at: datetime
    expires_at: datetime
    reason: str = ""

    def holds(self, now: datetime) -> bool:
        """Whether it has not ended."""
        return now < self.expires_at


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model.

    Parameters
    ----------
    model, digest
        Which.
    state
        Where it is in its life.
    made_by, submitted_at, submitted
        Who made it, when, and what was said of it then.
    since
        When it came into its state.
    gates
        What the gates found, the last time they were asked; empty: never.
    accepted
        Gates that somebody took upon themselves, with who and why.
    approval
        The last one; None: never approved, or not since its gates were asked and found worse.
    shadow, routed
        Its shares as a challenger; 0 in every other state.
    """

    model: Model
    digest: str
    state: State
    made_by: Actor
    submitted_at: datetime
    submitted: Submitted
    since: datetime
    gates: tuple[GateVerdict, ...] = ()
    accepted: tuple[tuple[str, Actor, str], ...] = ()
    approval: Approval | None = None
    shadow: float = 0.0
    routed: float = 0.0

    @property
    def version(self) -> str:
        """Short id made from the digest, as the bundle's folder is called."""
        return self.digest[:_SHORT]

    @property
    def verdict(self) -> Verdict | None:
        """What the gates say together; None: never asked."""
        return overall(self.gates) if self.gates else None

    @property
    def unaccepted(self) -> tuple[GateVerdict, ...]:
        """Gates that did not pass, and that nobody has taken upon themselves."""
        borne = {gate for gate, _, _ in self.accepted}
        return tuple(one for one in self.gates if one.verdict is not Verdict.PASS and one.gate not in borne)

    def moved(self, state: State, at: datetime) -> Version:
        """Return it in a state, not entered anew where it was there. Only a challenger keeps its shares."""
        since = self.since if state is self.state else at
        if state is State.CHALLENGER:
            return replace(self, state=state, since=since)
        return replace(self, state=state, since=since, shadow=0.0, routed=0.0)

    def approved(self, now: datetime) -> str:
        """Return ``none``, ``approved`` or ``expired``."""
        if self.approval is None:
            return "none"
        return "approved" if self.approval.holds(now) else "expired"


@singledispatch
def after(act: OfVersion, old: Version, entry: Written) -> Version:  # noqa: ARG001 - what all have in common
    """Return a version as an act leaves it."""
    raise TypeError(act)


@after.register
def _judged(act: Judged, old: Version, entry: Written) -> Version:
    new = replace(old, gates=act.gates, accepted=())
    if old.state not in (State.CANDIDATE, State.CHALLENGER):
        return new
    # Who approved looked at other results. What serves, or has served, keeps what it served with
    if _is_worse(act.gates, than=old.gates):
        new = replace(new, approval=None)
    failed = overall(act.gates) is Verdict.FAIL
    return new.moved(State.CANDIDATE if failed else State.CHALLENGER, entry.at)


@after.register
def _accepted(act: Accepted, old: Version, entry: Written) -> Version:
    borne = (*old.accepted, *((gate, entry.by, act.reason) for gate in act.gates))
    new = replace(old, accepted=borne)
    failing = any(one.verdict is Verdict.FAIL for one in new.unaccepted)
    return new if failing or old.state is not State.CANDIDATE else new.moved(State.CHALLENGER, entry.at)


@after.register
def _challenged(act: Challenged, old: Version, entry: Written) -> Version:  # noqa: ARG001
    return replace(old, shadow=act.shadow, routed=act.routed)


@after.register
def _approved(act: Approved, old: Version, entry: Written) -> Version:
    return replace(old, approval=Approval(entry.by, entry.at, act.expires_at, act.reason))


@after.register
def _rejected(act: Rejected, old: Version, entry: Written) -> Version:  # noqa: ARG001
    return old.moved(State.REJECTED, entry.at)


@after.register
def _retired(act: Retired, old: Version, entry: Written) -> Version:  # noqa: ARG001
    return old.moved(State.RETIRED, entry.at)


@after.register(Promoted)
@after.register(RolledBack)
def _serving(act: Promoted | RolledBack, old: Version, entry: Written) -> Version:  # noqa: ARG001
    return old.moved(State.CHAMPION, entry.at)


def _is_worse(gates: Sequence[GateVerdict], *, than: Sequence[GateVerdict]) -> bool:
    """Whether a gate found less than it did before, is not asked any more, or is new and did not pass."""
    now = {one.gate: _RANK[one.verdict] for one in gates}
    before = {one.gate: _RANK[one.verdict] for one in than}
    failed = _RANK[Verdict.FAIL]
    return any(now.get(gate, failed) > before.get(gate, 0) for gate in now.keys() | before.keys())
