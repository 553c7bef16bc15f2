"""What an offer says: the treatment's templates, filled for one customer."""

from __future__ import annotations

import html
from collections.abc import Mapping
from urllib.parse import quote

from serving.decision.actions import Action, Candidate
from serving.decision.attributes import action_value
from serving.decision.templates import PLACE
from serving.decision.values import Scalar

_ADDRESSES = frozenset({"link", "image"})

_Wording = tuple[tuple[str, tuple[str, ...]], ...]
"""By field, the parts of its template."""

_MOST_KNOWN = 4096
_known: dict[int, tuple[Candidate, _Wording]] = {}


def render(
    candidate: Candidate, customer: Mapping[str, Scalar], context: Mapping[str, Scalar]
) -> dict[str, str]:
    """Fill every template of a treatment.

    What comes from the customer or the context is escaped: percent-encoded in addresses (``link``,
    ``image``), as HTML text elsewhere. What the catalogue's author wrote, ``action.*`` included, is left as
    it is. An unknown value is empty.
    """
    return {
        name: parts[0] if len(parts) == 1 else _fill(parts, customer, context, in_address=name in _ADDRESSES)
        for name, parts in _wording(candidate)
    }


def _fill(
    parts: tuple[str, ...], customer: Mapping[str, Scalar], context: Mapping[str, Scalar], *, in_address: bool
) -> str:
    filled = list(parts)
    for index in range(1, len(parts), 2):
        source, _, name = parts[index].partition(".")
        value = _words((customer if source == "customer" else context).get(name))
        filled[index] = quote(value, safe="") if in_address else html.escape(value)
    return "".join(filled)


def _wording(candidate: Candidate) -> _Wording:
    """Return the wording of a candidate, which is the same for everybody and made once.

    It is known by the object, not by what it equals: 1 equals True, and reads otherwise.
    """
    known = _known.get(id(candidate))
    if known is not None and known[0] is candidate:
        return known[1]
    wording = tuple(
        (name, _parts(template, candidate.action)) for name, template in candidate.treatment.content.items()
    )
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[id(candidate)] = candidate, wording
    return wording


def _parts(template: str, action: Action) -> tuple[str, ...]:
    """Return text and names of places, alternating, text first; what is of the action is text."""
    first, *rest = PLACE.split(template)
    parts = [first]
    for place, text in zip(rest[::2], rest[1::2], strict=True):
        source, _, name = place.partition(".")
        if source == "action":
            parts[-1] += _words(action_value(action, name)) + text
        else:
            parts += [place, text]
    return tuple(parts)


def _words(value: Scalar) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.2f}"
    return str(value)
