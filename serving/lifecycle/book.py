"""What all acts together come to: the state of every version, what is approved, found and stopped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from serving.lifecycle.acts import (
    Actor,
    FindingAdded,
    FindingClosed,
    Model,
    OfVersion,
    Promoted,
    ResumeAsked,
    Resumed,
    RolledBack,
    Severity,
    State,
    StopKind,
    Stopped,
    Submitted,
)
from serving.lifecycle.versions import Approval, Version, Written, after

__all__ = ["Approval", "Book", "Finding", "Stop", "Version", "Written"]

K = TypeVar("K")
V = TypeVar("V")


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

    def condemns(self, version: Version) -> bool:
        """Whether it holds back this very version: then nobody goes back to it either."""
        return self.digest is not None and self.holds_back(version)


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
        Digests of a model's champions, each once, in the order in which they last came; the last one serves.
    findings, stops
        By id; a stop that was lifted is gone.
    claimed
        Models some person has taken charge of, by any act but a stop: from then on the machine promotes
        nothing.
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

    def formers(self, model: Model) -> tuple[Version, ...]:
        """Return what a rollback may go back to, nearest first: not retired, not found wrong by name."""
        before = (self.versions[model, one] for one in reversed(self.champions.get(model, ())[:-1]))
        return tuple(
            one
            for one in before
            if one.state is State.FORMER and not any(found.condemns(one) for found in self.findings.values())
        )

    def former(self, model: Model) -> Version | None:
        """Return what a rollback goes back to: the nearest champion before the present one."""
        return next(iter(self.formers(model)), None)

    def challengers(self, model: Model) -> tuple[Version, ...]:
        """Return a model's challengers, oldest first."""
        return tuple(one for one in self.of_model(model) if one.state is State.CHALLENGER)

    def routed(self, model: Model, now: datetime) -> tuple[Version, ...]:
        """Return the challengers that decide for customers now: approved, and nothing holds them back."""
        return tuple(
            one
            for one in self.challengers(model)
            if one.routed and one.approved(now) == "approved" and not self.held_back(one)
        )

    def held_back(self, version: Version) -> tuple[Finding, ...]:
        """Return the open findings for which a version may not be promoted."""
        return tuple(one for one in self.findings.values() if one.holds_back(version))

    def after(self, entry: Written) -> Book:
        """Return the book with one act more. It is believed: `rules.check` says whether it may be."""
        book = replace(self, seq=entry.seq)
        match entry.act:
            case OfVersion() as act:
                return _with_version(book, act, entry)
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
                book = _claimed(book, act.model, entry.by)
                return replace(book, findings=_put(self.findings, act.finding_id, found))
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


def _with_version(book: Book, act: OfVersion, entry: Written) -> Book:
    """Return the book with a version as an act left it."""
    book, key = _claimed(book, act.model, entry.by), (act.model, act.digest)
    if isinstance(act, Submitted):
        new = Version(act.model, act.digest, State.CANDIDATE, entry.by, entry.at, act, entry.at)
        return replace(book, versions=_put(book.versions, key, new))
    if isinstance(act, (Promoted, RolledBack)):
        book = _with_champion(book, act, entry)
    return replace(book, versions=_put(book.versions, key, after(act, book.versions[key], entry)))


def _with_champion(book: Book, act: Promoted | RolledBack, entry: Written) -> Book:
    """Return the book with another in the champion's place, and the one before a former."""
    model, versions = act.model, book.versions
    before = book.champion(model)
    if before is not None:
        versions = _put(versions, (model, before.digest), before.moved(State.FORMER, entry.at))
    past = book.champions.get(model, ())
    if isinstance(act, RolledBack):
        line = past[: past.index(act.digest) + 1]
    else:
        line = (*(one for one in past if one != act.digest), act.digest)
    return replace(book, versions=versions, champions=_put(book.champions, model, line))


def _claimed(book: Book, model: Model, by: Actor) -> Book:
    return replace(book, claimed=book.claimed | {model}) if by.is_person else book


def _put(mapping: MappingProxyType[K, V], key: K, value: V) -> MappingProxyType[K, V]:
    return MappingProxyType({**mapping, key: value})
