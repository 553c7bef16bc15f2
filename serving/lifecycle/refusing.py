"""What rules refuse with, and who may do what."""

from __future__ import annotations

from moment.errors import InvalidRequest
from serving.lifecycle.acts import Actor, OfVersion
from serving.lifecycle.book import Book, Version

RISK = frozenset({"risk_officer"})
OPERATIONS = frozenset({"risk_officer", "operator"})
MAKERS = frozenset({"risk_officer", "operator", "data_scientist"})


def refused(message: str, code: str = "not-now") -> InvalidRequest:
    """Return a refusal; by itself it says that another time, or another state, would do."""
    return InvalidRequest(message, code=code, field=None)


def unknown(model: str, digest: str) -> InvalidRequest:
    """Return the refusal of a version that is not in the ledger."""
    return refused(
        f"{model} has no version {digest[:12]}; `moment models list` shows them", "unknown-version"
    )


def require(by: Actor, roles: frozenset[str] | None, what: str) -> None:
    """Refuse who is no person, or has none of the roles; None is any role."""
    if not by.is_person:
        raise refused(
            f"only people {what}: name your personal key with --key FILE or MOMENT_PERSON_KEY "
            "(`moment keys create --person NAME --role ROLE` makes one)",
            "role-missing",
        )
    if roles is not None and by.role not in roles:
        raise refused(f"the role {by.role} may not {what}; {' or '.join(sorted(roles))} may", "role-missing")


def require_maker(by: Actor, what: str) -> None:
    """Refuse a person who works as something else; the machine may."""
    if by.is_person:
        require(by, MAKERS, what)


def require_charge(book: Book, model: str, by: Actor, what: str) -> None:
    """Refuse the machine where people are in charge, and a person who works as something else."""
    if by.is_person:
        require(by, MAKERS, what)
    elif model in book.claimed:
        raise refused(
            f"people are in charge of {model}, and only people {what} then: name your personal key with "
            "--key FILE or MOMENT_PERSON_KEY",
            "four-eyes",
        )


def require_reason(reason: str) -> None:
    """Refuse an act nobody gives a reason for."""
    if not reason.strip():
        raise InvalidRequest("say why: a reason is kept with the act", code="invalid-value", field="reason")


def version_of(book: Book, act: OfVersion) -> Version:
    """Return the version an act is about, or refuse it."""
    version = book.find(act.model, act.digest)
    if version is None:
        raise unknown(act.model, act.digest)
    return version
