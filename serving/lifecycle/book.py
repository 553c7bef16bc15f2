"""What all acts together come to: the state of every version, what is approved, found and stopped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeVar

from msgspec import Struct

from serving.lifecycle.acts import (
    Accepted,
    Actor,
    AnyAct,
    Approved,
    Challenged,
    FindingAdded,
    FindingClosed,
    Judged,
    Model,
    OfVersion,
    Promoted,
    Rejected,
    ResumeAsked,
    Resumed,
    Retired,
    RolledBack,
    Severity,
    State,
    StopKind,
    Stopped,
    Submitted,
)
from serving.lifecycle.gates import GateVerdict, Verdict, overall

ALERT_AHEAD = timedelta(days=30)
"""How long before an approval ends it is said."""

_SHORT = 12

K = TypeVar("K")
V = TypeVar("V")


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
    gates
        What the gates found, the last time they were asked; empty: never.
    accepted
        Gates that somebody took upon themselves, with who and why.
    approval
        The last one; None: never approved.
    shadow, routed
        Its shares as a challenger.
    since
        When it came into its state.
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
        """Return it in a state; one it was in before is not entered anew."""
        return replace(self, state=state, since=self.since if state is self.state else at)

    def approved(self, now: datetime) -> str:
        """Return ``none``, ``approved`` or ``expired``."""
        if self.approval is None:
            return "none"
        return "approved" if self.approval.holds(now) else "expired"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found, open or closed."""

    finding_id: str
    model: Model
    digest: str | None
    severity: Severity
    section: str
    blocks: bool
    text: str
    by: Actor
    at: datetime
    closed: tuple[Actor, datetime, str] | None = None

    def holds_back(self, version: Version) -> bool:
        """Whether this version may not be promoted for it."""
        about = self.model is version.model and self.digest in (None, version.digest)
        return about and self.blocks and self.closed is None


@dataclass(frozen=True, slots=True)
class Stop:
    """Something that is off; `asked` is who wants it back."""

    stop_id: str
    kind: StopKind
    name: str
    reason: str
    by: Actor
    at: datetime
    asked: Actor | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """The state of everything after `seq` acts.

    Parameters
    ----------
    seq
        Number of acts in it.
    versions
        By model and digest.
    champions
        Digests of a model's champions, in the order in which they came; the last one serves.
    findings, stops
        By id; a stop that was lifted is gone.
    claimed
        Models some person has taken charge of: from then on the machine promotes nothing.
    """

    seq: int = 0
    versions: MappingProxyType[tuple[Model, str], Version] = field(
        default_factory=lambda: MappingProxyType({})
    )
    champions: MappingProxyType[Model, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    findings: MappingProxyType[str, Finding] = field(default_factory=lambda: MappingProxyType({}))
    stops: MappingProxyType[str, Stop] = field(default_factory=lambda: MappingProxyType({}))
    claimed: frozenset[Model] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[Written]) -> Book:
        """Return what the entries, in order, come to."""
        book = cls()
        for entry in entries:
            book = book.after(entry)
        return book

    def of_model(self, model: Model) -> tuple[Version, ...]:
        """Return a model's versions, oldest first."""
        return tuple(one for one in self.versions.values() if one.model is model)

    def find(self, model: Model, digest: str) -> Version | None:
        """Return the version with this digest."""
        return self.versions.get((model, digest))

    def champion(self, model: Model) -> Version | None:
        """Return the version that serves."""
        past = self.champions.get(model, ())
        return self.versions[model, past[-1]] if past else None

    def former(self, model: Model) -> Version | None:
        """Return what a rollback goes back to: the champion before the present one, unless retired."""
        past = self.champions.get(model, ())
        if not past:
            return None
        before = [one for one in past[:-1] if one != past[-1]]
        kept = [one for one in before if self.versions[model, one].state is State.FORMER]
        return self.versions[model, kept[-1]] if kept else None

    def challengers(self, model: Model) -> tuple[Version, ...]:
        """Return a model's challengers, oldest first."""
        return tuple(one for one in self.of_model(model) if one.state is State.CHALLENGER)

    def ending(self, now: datetime) -> tuple[Version, ...]:
        """Return champions whose approval ends within 30 days, or has ended."""
        found = (self.champion(model) for model in Model)
        return tuple(
            one
            for one in found
            if one is not None and one.approval is not None and not one.approval.holds(now + ALERT_AHEAD)
        )

    def after(self, entry: Written) -> Book:
        """Return the book with one act more. It is believed: `rules.check` says whether it may be."""
        book = replace(self, seq=entry.seq)
        match entry.act:
            case OfVersion():
                return book._with_version(entry, entry.act)
            case FindingAdded() as act:
                found = Finding(
                    act.finding_id,
                    act.model,
                    act.digest,
                    act.severity,
                    act.section,
                    act.blocks,
                    act.reason,
                    entry.by,
                    entry.at,
                )
                claimed = self.claimed | {act.model} if entry.by.is_person else self.claimed
                return replace(book, findings=_put(self.findings, act.finding_id, found), claimed=claimed)
            case FindingClosed() as act:
                closed = replace(self.findings[act.finding_id], closed=(entry.by, entry.at, act.reason))
                return replace(book, findings=_put(self.findings, act.finding_id, closed))
            case Stopped() as act:
                stop = Stop(act.stop_id, act.kind, act.name, act.reason, entry.by, entry.at)
                return replace(book, stops=_put(self.stops, act.stop_id, stop))
            case ResumeAsked() as act:
                asked = replace(self.stops[act.stop_id], asked=entry.by)
                return replace(book, stops=_put(self.stops, act.stop_id, asked))
            case Resumed() as act:
                left = {name: stop for name, stop in self.stops.items() if name != act.stop_id}
                return replace(book, stops=MappingProxyType(left))

    def _with_version(self, entry: Written, act: OfVersion) -> Book:
        """Return the book with a version as an act left it."""
        key, at, by = (act.model, act.digest), entry.at, entry.by
        if isinstance(act, Submitted):
            made = Version(act.model, act.digest, State.CANDIDATE, by, at, act, at)
            return replace(self, versions=_put(self.versions, key, made))
        old = self.versions[key]
        match act:
            case Judged():
                failed = overall(act.gates) is Verdict.FAIL
                state = State.CANDIDATE if failed else State.CHALLENGER
                if old.state not in (State.CANDIDATE, State.CHALLENGER):
                    state = old.state
                new = replace(old, gates=act.gates, accepted=()).moved(state, at)
            case Accepted():
                borne = (*old.accepted, *((gate, by, act.reason) for gate in act.gates))
                new = replace(old, accepted=borne)
                failing = any(one.verdict is Verdict.FAIL for one in new.unaccepted)
                if old.state is State.CANDIDATE and old.gates and not failing:
                    new = new.moved(State.CHALLENGER, at)
            case Challenged():
                new = replace(old, shadow=act.shadow, routed=act.routed)
            case Approved():
                new = replace(old, approval=Approval(by, at, act.expires_at, act.reason))
            case Rejected():
                new = replace(old, shadow=0.0, routed=0.0).moved(State.REJECTED, at)
            case Retired():
                new = replace(old, shadow=0.0, routed=0.0).moved(State.RETIRED, at)
            case Promoted() | RolledBack():
                return self._with_champion(old, entry)
            case _:
                raise TypeError(act)
        people = (Accepted, Approved, Rejected, Retired)
        claimed = self.claimed | {act.model} if by.is_person and isinstance(act, people) else self.claimed
        return replace(self, versions=_put(self.versions, key, new), claimed=claimed)

    def _with_champion(self, chosen: Version, entry: Written) -> Book:
        """Return the book with another champion."""
        model, versions = chosen.model, dict(self.versions)
        before = self.champion(model)
        if before is not None and before.digest != chosen.digest:
            versions[model, before.digest] = before.moved(State.FORMER, entry.at)
        versions[model, chosen.digest] = replace(chosen, shadow=0.0, routed=0.0).moved(
            State.CHAMPION, entry.at
        )
        past = self.champions.get(model, ())
        if isinstance(entry.act, RolledBack):
            past = _back_to(past, chosen.digest)
        else:
            past = (*past, chosen.digest)
        return replace(
            self,
            versions=MappingProxyType(versions),
            champions=_put(self.champions, model, past),
            claimed=self.claimed | {model} if entry.by.is_person else self.claimed,
        )


def _back_to(past: tuple[str, ...], digest: str) -> tuple[str, ...]:
    """Return the line of champions up to the last time this one served."""
    last = max(place for place, one in enumerate(past) if one == digest)
    return past[: last + 1]


def _put(mapping: MappingProxyType[K, V], key: K, value: V) -> MappingProxyType[K, V]:
    return MappingProxyType({**mapping, key: value})
