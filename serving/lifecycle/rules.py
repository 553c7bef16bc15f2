"""Which act may be done when, by whom. A refusal says what is in the way and what to do about it."""

from __future__ import annotations

from datetime import datetime

from moment.errors import InvalidRequest
from serving.lifecycle.acts import (
    Accepted,
    Actor,
    AnyAct,
    Approved,
    Challenged,
    FindingAdded,
    FindingClosed,
    Judged,
    OfVersion,
    Promoted,
    Rejected,
    ResumeAsked,
    Resumed,
    Retired,
    RolledBack,
    State,
    Stopped,
    Submitted,
)
from serving.lifecycle.book import Book, Version

RISK = "risk_officer"
OPERATIONS = frozenset({RISK, "operator"})
MAKERS = frozenset({RISK, "operator", "data_scientist"})


def check(book: Book, act: AnyAct, by: Actor, now: datetime) -> None:
    """Refuse an act that may not be done now.

    Raises
    ------
    InvalidRequest
        With code ``unknown-version``, ``unknown-finding``, ``unknown-stop``, ``role-missing``, ``four-eyes``,
        ``two-people`` or ``not-now``.
    """
    match act:
        case Submitted():
            _check_submitted(book, act, by)
        case OfVersion():
            _check_version(book, act, by, now)
        case FindingAdded():
            _require(by, MAKERS, "add findings")
            _reasoned(act.reason)
            if act.digest is not None and book.find(act.model, act.digest) is None:
                raise _unknown(act.model, act.digest)
        case FindingClosed():
            _require(by, frozenset({RISK}), "close findings")
            _reasoned(act.reason)
            found = book.findings.get(act.finding_id)
            if found is None:
                raise _refused(
                    f"there is no finding {act.finding_id}; `moment findings list`", "unknown-finding"
                )
            if found.closed is not None:
                raise _refused(f"{act.finding_id} is closed already", "not-now")
        case Stopped():
            _require(by, None, "stop anything")
            _reasoned(act.reason)
            if any((one.kind, one.name) == (act.kind, act.name) for one in book.stops.values()):
                raise _refused(f"{act.kind} {act.name} is stopped already", "not-now")
        case ResumeAsked() | Resumed():
            _check_resume(book, act, by)


def _check_submitted(book: Book, act: Submitted, by: Actor) -> None:
    if by.is_person:
        _require(by, MAKERS, "submit versions")
    known = book.find(act.model, act.digest)
    if known is not None:
        raise _refused(f"{act.model} {known.version} is in the ledger already, as {known.state}", "not-now")


def _check_version(book: Book, act: OfVersion, by: Actor, now: datetime) -> None:
    version = book.find(act.model, act.digest)
    if version is None:
        raise _unknown(act.model, act.digest)
    name = f"{version.model} {version.version}"
    match act:
        case Judged():
            if version.state in (State.REJECTED, State.RETIRED):
                raise _refused(f"{name} is {version.state}; nothing more is asked of it", "not-now")
        case Accepted():
            _check_accepted(book, act, version, by)
        case Challenged():
            _check_challenged(act, version, by, now)
        case Approved():
            _check_approved(act, version, by, now)
        case Rejected():
            _require(by, frozenset({RISK}), "reject versions")
            _reasoned(act.reason)
            if version.state not in (State.CANDIDATE, State.CHALLENGER):
                raise _refused(f"{name} is {version.state}; only what does not serve is rejected", "not-now")
        case Promoted():
            check_promotion(book, version, by, now)
        case RolledBack():
            _require(by, MAKERS, "roll back")
            _reasoned(act.reason)
            if version.state is not State.FORMER:
                raise _refused(
                    f"{name} is {version.state}; only a former champion is gone back to", "not-now"
                )
        case Retired():
            _require(by, MAKERS, "retire versions")
            if version.state in (State.CHAMPION, State.RETIRED):
                raise _refused(f"{name} is {version.state}; promote another version first", "not-now")


def check_promotion(book: Book, version: Version, by: Actor, now: datetime) -> None:
    """Refuse to make a version the champion: its state, its gates, findings, and its approval.

    The machine may promote without an approval for as long as no person has taken charge of the model.
    """
    name = f"{version.model} {version.version}"
    if version.state is not State.CHALLENGER:
        way = (
            "ask its gates first"
            if version.state is State.CANDIDATE
            else "`moment models list` shows what may"
        )
        raise _refused(f"{name} is {version.state}, only a challenger is promoted; {way}", "not-now")
    if version.unaccepted:
        gates = ", ".join(f"{one.gate} ({one.verdict})" for one in version.unaccepted)
        raise _refused(
            f"{name} has gates nobody answers for: {gates}; a risk officer can take them on: "
            f"`moment models accept {version.model} {version.version} --gate GATE --reason WHY`",
            "not-now",
        )
    blocking = [one.finding_id for one in book.findings.values() if one.holds_back(version)]
    if blocking:
        raise _refused(
            f"{name} is held back by {', '.join(blocking)}; `moment findings close` once they are mended",
            "not-now",
        )
    if not by.is_person:
        if version.model in book.claimed and version.approved(now) != "approved":
            raise _refused(f"people are in charge of {version.model}: {name} needs an approval", "four-eyes")
        return
    _require(by, MAKERS, "promote versions")
    if version.approved(now) != "approved":
        raise _refused(
            f"{name} has no approval that holds ({version.approved(now)}); somebody other than "
            f"{version.made_by.person or 'who made it'} must: `moment models approve {version.model} {version.version}`",
            "four-eyes",
        )


def _check_accepted(book: Book, act: Accepted, version: Version, by: Actor) -> None:
    _reasoned(act.reason)
    known = {one.gate for one in version.gates}
    for gate in act.gates:
        if gate not in known:
            raise _refused(f"{version.model} {version.version} was asked no gate {gate!r}", "not-now")
    if by.is_person:
        _require(by, frozenset({RISK}), "take gates upon themselves")
        if by.is_same_person(version.made_by):
            raise _refused(
                "who made a version does not answer for its gates; somebody else must", "four-eyes"
            )
    elif version.model in book.claimed:
        raise _refused(f"people are in charge of {version.model}: a risk officer must accept", "four-eyes")


def _check_challenged(act: Challenged, version: Version, by: Actor, now: datetime) -> None:
    if by.is_person:
        _require(by, MAKERS, "set a challenger's shares")
    if version.state is not State.CHALLENGER:
        raise _refused(f"{version.model} {version.version} is {version.state}, no challenger", "not-now")
    if not (0 <= act.shadow <= 1 and 0 <= act.routed <= 1):
        raise _refused("shares go from 0 to 1", "not-now")
    if act.routed and version.approved(now) != "approved":
        raise _refused("customers are only given to a challenger that is approved", "four-eyes")


def _check_approved(act: Approved, version: Version, by: Actor, now: datetime) -> None:
    _require(by, frozenset({RISK}), "approve versions")
    name = f"{version.model} {version.version}"
    if by.is_same_person(version.made_by):
        raise _refused(f"{by.person} made {name}; somebody else must approve it", "four-eyes")
    if version.state in (State.CANDIDATE, State.REJECTED, State.RETIRED):
        raise _refused(f"{name} is {version.state}; only what passed its gates is approved", "not-now")
    if act.expires_at <= now:
        raise _refused("an approval ends in the future", "not-now")


def _check_resume(book: Book, act: ResumeAsked | Resumed, by: Actor) -> None:
    _require(by, OPERATIONS, "resume what is stopped")
    stop = book.stops.get(act.stop_id)
    if stop is None:
        raise _refused(
            f"nothing is stopped as {act.stop_id}; `moment stop --list` shows what is", "unknown-stop"
        )
    if isinstance(act, ResumeAsked):
        return
    if stop.asked is None or by.is_same_person(stop.asked):
        raise _refused(f"{act.stop_id} is resumed by two people; another person must agree", "two-people")


def _require(by: Actor, roles: frozenset[str] | None, what: str) -> None:
    """Refuse who is no person, or has none of the roles; None is any role."""
    if not by.is_person:
        raise _refused(
            f"only people {what}: name your personal key with --key FILE or MOMENT_PERSON_KEY "
            "(`moment keys create --person NAME --role ROLE` makes one)",
            "role-missing",
        )
    if roles is not None and by.role not in roles:
        raise _refused(f"the role {by.role} may not {what}; {' or '.join(sorted(roles))} may", "role-missing")


def _reasoned(reason: str) -> None:
    if not reason.strip():
        raise _refused("say why: --reason", "not-now")


def _unknown(model: str, digest: str) -> InvalidRequest:
    return _refused(
        f"{model} has no version {digest[:12]}; `moment models list` shows them", "unknown-version"
    )


def _refused(message: str, code: str) -> InvalidRequest:
    return InvalidRequest(message, code=code, field=None)
