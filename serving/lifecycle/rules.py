"""Which act may be done when, by whom. A refusal says what is in the way and what to do about it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import singledispatch

from serving.lifecycle.acts import (
    Accepted,
    Act,
    Actor,
    AnyAct,
    Approved,
    Challenged,
    FindingAdded,
    FindingClosed,
    Judged,
    Model,
    Promoted,
    Rejected,
    ResumeAsked,
    Resumed,
    Retired,
    RolledBack,
    State,
    StopKind,
    Stopped,
    Submitted,
)
from serving.lifecycle.book import Book, Stop, Version
from serving.lifecycle.gates import Verdict
from serving.lifecycle.naming import named
from serving.lifecycle.refusing import (
    MAKERS,
    OPERATIONS,
    RISK,
    refused,
    require,
    require_charge,
    require_maker,
    require_reason,
    unknown,
    version_of,
)

LONGEST_APPROVAL = timedelta(days=730)
"""Nobody answers for a model longer than this without looking at it again."""

_TIERS = (1, 2, 3)


def check(book: Book, act: AnyAct, by: Actor, now: datetime) -> None:
    """Refuse an act that may not be done now.

    Raises
    ------
    InvalidRequest
        With code ``unknown-version``, ``unknown-finding``, ``unknown-stop``, ``role-missing``, ``four-eyes``,
        ``two-people`` or ``not-now``.
    """
    _rule(act, book, by, now)


def check_promotion(book: Book, version: Version, by: Actor, now: datetime) -> None:
    """Refuse to make a version the champion: its state, its gates, findings, and its approval.

    A former champion may be promoted again, under the same conditions as a challenger. The machine
    may promote without an approval for as long as no person has taken charge of the model, then nothing.
    """
    require_charge(book, version.model, by, "promote versions")
    name = named(version)
    if version.state not in (State.CHALLENGER, State.FORMER):
        ask = version.state is State.CANDIDATE
        way = "its gates come first: `moment models show`" if ask else "`moment models list` shows what may"
        raise refused(f"{name} is {version.state}, only a challenger is promoted; {way}")
    if version.unaccepted:
        gates = ", ".join(f"{one.gate} ({one.verdict})" for one in version.unaccepted)
        raise refused(
            f"{name} has gates nobody answers for: {gates}; a risk officer can take them on: "
            f"`moment models accept {name} --gate GATE --reason WHY`"
        )
    _check_findings(book, version)
    if by.is_person and version.approved(now) != "approved":
        raise refused(
            f"{name} has no approval that holds ({version.approved(now)}); somebody other than "
            f"{version.made_by.person or 'the machine'} must give one: `moment models approve {name}`",
            "four-eyes",
        )


@singledispatch
def _rule(act: Act, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001 - what all have in common
    raise TypeError(act)


@_rule.register
def _submitted(act: Submitted, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    require_maker(by, "submit versions")
    known = book.find(act.model, act.digest)
    if known is not None:
        raise refused(f"{named(known)} is in the ledger already, as {known.state}")
    if act.tier not in _TIERS:
        raise refused(f"a tier is 1 (most harm), 2 or 3, not {act.tier}")


@_rule.register
def _judged(act: Judged, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    require_maker(by, "tell what gates found")
    version = version_of(book, act)
    _check_state(version, (State.REJECTED, State.RETIRED), "nothing more is asked of it")
    names = [one.gate for one in act.gates]
    if not names or len(names) != len(set(names)):
        raise refused(f"every gate of {named(version)} is told once, and at least one")


@_rule.register
def _accepted(act: Accepted, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    require_charge(book, act.model, by, "take gates upon themselves")
    require_reason(act.reason)
    version = version_of(book, act)
    _check_state(version, (State.REJECTED, State.RETIRED), "nothing more is asked of it")
    open_gates = {one.gate: one.verdict for one in version.unaccepted}
    for gate in act.gates:
        if gate not in open_gates:
            raise refused(f"{named(version)} has no gate {gate!r} that waits for anybody to answer for it")
    if not act.gates:
        raise refused("name the gates: --gate GATE")
    if by.is_person:
        require(by, RISK, "take gates upon themselves")
        if by.is_same_person(version.made_by):
            raise refused(
                f"{by.person} made {named(version)}; somebody else must answer for its gates", "four-eyes"
            )
    elif any(open_gates[gate] is Verdict.FAIL for gate in act.gates):
        failed = ", ".join(gate for gate in act.gates if open_gates[gate] is Verdict.FAIL)
        raise refused(
            f"{named(version)} failed {failed}: only a risk officer takes that on, by name: "
            f"`moment models accept {named(version)} --gate GATE --reason WHY --key FILE`",
            "role-missing",
        )


@_rule.register
def _challenged(act: Challenged, book: Book, by: Actor, now: datetime) -> None:
    require_maker(by, "set a challenger's shares")
    version = version_of(book, act)
    if version.state is not State.CHALLENGER:
        raise refused(f"{named(version)} is {version.state}, no challenger")
    if not (0 <= act.shadow <= 1 and 0 <= act.routed <= 1):
        raise refused("shares go from 0 to 1")
    if not act.routed:
        return
    require_charge(book, act.model, by, "give customers to a challenger")
    if version.approved(now) != "approved":
        raise refused("customers are only given to a challenger that is approved", "four-eyes")
    _check_findings(book, version)
    others = sum(one.routed for one in book.challengers(act.model) if one.digest != act.digest)
    if others + act.routed > 1:
        raise refused(f"other challengers of {act.model} decide for {others:.0%} of its customers already")


@_rule.register
def _approved(act: Approved, book: Book, by: Actor, now: datetime) -> None:
    require(by, RISK, "approve versions")
    version = version_of(book, act)
    if by.is_same_person(version.made_by):
        raise refused(f"{by.person} made {named(version)}; somebody else must approve it", "four-eyes")
    candidates = (State.CANDIDATE, State.REJECTED, State.RETIRED)
    _check_state(version, candidates, "only what no gate failed is approved")
    if act.expires_at.tzinfo is None:
        raise refused("an approval ends at an instant with its zone, e.g. 2027-01-31T00:00:00Z")
    if not now < act.expires_at <= now + LONGEST_APPROVAL:
        raise refused(f"an approval ends in the future, at most {LONGEST_APPROVAL.days} days from now")


@_rule.register
def _rejected(act: Rejected, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    require(by, RISK, "reject versions")
    require_reason(act.reason)
    version = version_of(book, act)
    if version.state not in (State.CANDIDATE, State.CHALLENGER):
        raise refused(
            f"{named(version)} is {version.state}; what has served is retired: `moment models retire`"
        )


@_rule.register
def _promoted(act: Promoted, book: Book, by: Actor, now: datetime) -> None:
    check_promotion(book, version_of(book, act), by, now)


@_rule.register
def _rolled_back(act: RolledBack, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    """Ask for no approval: to be safe again must not wait. It says so, by `approval: expired` in answers."""
    require_charge(book, act.model, by, "roll back")
    require_reason(act.reason)
    version = version_of(book, act)
    condemned = [one.finding_id for one in book.findings.values() if one.condemns(version)]
    if version.state is State.FORMER and condemned:
        raise refused(
            f"{', '.join(condemned)} is about {named(version)} itself; go back to another, or stop the "
            f"model: `moment stop --model {version.model}`"
        )
    if version.digest not in {one.digest for one in book.formers(act.model)}:
        raise refused(
            f"{named(version)} is {version.state}, and did not serve before the present champion; only a "
            "former champion is gone back to, anything else is promoted: "
            f"`moment models promote {named(version)}`"
        )


@_rule.register
def _retired(act: Retired, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    require(by, MAKERS, "retire versions")
    version = version_of(book, act)
    _check_state(version, (State.CHAMPION,), "promote another version first")
    _check_state(version, (State.RETIRED,), "nothing more is to be done")


@_rule.register
def _finding_added(act: FindingAdded, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    require(by, MAKERS, "add findings")
    require_reason(act.reason)
    if act.digest is not None and book.find(act.model, act.digest) is None:
        raise unknown(act.model, act.digest)
    _check_new(act.finding_id, book.findings)


@_rule.register
def _finding_closed(act: FindingClosed, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    require(by, RISK, "close findings")
    require_reason(act.reason)
    found = book.findings.get(act.finding_id)
    if found is None:
        raise refused(f"there is no finding {act.finding_id}; `moment findings list`", "unknown-finding")
    if found.closed is not None:
        raise refused(f"{act.finding_id} is closed already")
    version = None if found.digest is None else book.find(found.model, found.digest)
    if version is not None and by.is_same_person(version.made_by):
        raise refused(f"{by.person} made {named(version)}; somebody else must close it", "four-eyes")


@_rule.register
def _stopped(act: Stopped, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    require(by, None, "stop anything")
    require_reason(act.reason)
    if not act.name.strip():
        raise refused(f"say which {act.kind}: --{act.kind} NAME")
    if act.kind is StopKind.MODEL and act.name not in set(Model):
        raise refused(f"there is no model {act.name!r}; one of {', '.join(Model)}", "unknown-model")
    for one in book.stops.values():
        if (one.kind, one.name) == (act.kind, act.name):
            raise refused(f"{act.kind} {act.name} is stopped already, as {one.stop_id}")
    _check_new(act.stop_id, book.stops)


@_rule.register
def _resume_asked(act: ResumeAsked, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    stop = _stop_to_resume(act.stop_id, book, by)
    if stop.asked is not None and by.is_same_person(stop.asked):
        raise _second(stop)


@_rule.register
def _resumed(act: Resumed, book: Book, by: Actor, now: datetime) -> None:  # noqa: ARG001
    stop = _stop_to_resume(act.stop_id, book, by)
    if stop.asked is None or by.is_same_person(stop.asked):
        raise _second(stop)


def _stop_to_resume(stop_id: str, book: Book, by: Actor) -> Stop:
    require(by, OPERATIONS, "resume what is stopped")
    stop = book.stops.get(stop_id)
    if stop is None:
        raise refused(f"nothing is stopped as {stop_id}; `moment stop --list` shows what is", "unknown-stop")
    return stop


def _second(stop: Stop) -> Exception:
    return refused(f"{stop.stop_id} is resumed by two people; another person must agree", "two-people")


def _check_findings(book: Book, version: Version) -> None:
    blocking = ", ".join(one.finding_id for one in book.held_back(version))
    if blocking:
        raise refused(
            f"{named(version)} is held back by {blocking}; `moment findings close` once they are mended"
        )


def _check_state(version: Version, states: Collection[State], so: str) -> None:
    if version.state in states:
        raise refused(f"{named(version)} is {version.state}; {so}")


def _check_new(name: str, known: Collection[str]) -> None:
    if name in known:
        raise refused(f"{name} is taken; choose another id")
