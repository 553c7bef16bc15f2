"""What can be stopped by name: a slip of the pen must not leave a wrong offer on the air."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from moment.errors import InvalidRequest
from serving.decision.catalogue import Catalogue
from serving.decision.parsing import nearest
from serving.lifecycle import Model, Stop, StopKind
from serving.lifecycle.refusing import OPERATIONS

_NAMED = 8

_CODES: Mapping[StopKind, str] = {
    StopKind.ACTION: "unknown-action",
    StopKind.ISSUE: "unknown-issue",
    StopKind.CHANNEL: "unknown-channel",
    StopKind.MODEL: "unknown-model",
}


def stoppable(kind: StopKind, catalogues: Iterable[Catalogue]) -> tuple[str, ...]:
    """Return everything of a kind that the catalogues have, fallbacks included, sorted."""
    found: set[str] = set(Model) if kind is StopKind.MODEL else set()
    for catalogue in catalogues:
        actions = (*catalogue.actions, *catalogue.fallbacks)
        match kind:
            case StopKind.ACTION:
                found |= {str(action.action_id) for action in actions}
            case StopKind.ISSUE:
                found |= {action.issue for action in actions if action.issue}
            case StopKind.CHANNEL:
                found |= set(catalogue.channels)
            case StopKind.MODEL:
                pass
    return tuple(sorted(found))


def check_stoppable(kind: StopKind, name: str, catalogues: Iterable[Catalogue]) -> None:
    """Refuse a name that nothing live has, with the nearest one.

    Raises
    ------
    InvalidRequest
        ``unknown-action``, ``unknown-issue``, ``unknown-channel`` or ``unknown-model``.
    """
    known = stoppable(kind, catalogues)
    if name not in known:
        hint = nearest(name, known) or _among(known)
        where = "there is no model" if kind is StopKind.MODEL else f"the catalogue has no {kind}"
        raise InvalidRequest(f"{where} `{name}`{hint}", code=_CODES[kind], field="name")


def _among(known: Sequence[str]) -> str:
    """Return a few names, so that the refusal says itself what there is."""
    some = ", ".join(known[:_NAMED])
    return f"; one of {some}" + (" …: `moment catalogue show` lists them all" * (len(known) > _NAMED))


def who_is_missing(stop: Stop) -> str:
    """Return in words who must still agree for a stop to be lifted."""
    wanted = " or ".join(sorted(OPERATIONS))
    if stop.asked is None:
        return f"two people, each {wanted}"
    return f"another {wanted} than {stop.asked.person}"
