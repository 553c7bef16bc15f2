"""What an offer says: the treatment's templates, filled for one customer."""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

from serving.decision.actions import Candidate
from serving.decision.attributes import action_value
from serving.decision.templates import PLACE
from serving.decision.values import Scalar

_ADDRESSES = frozenset({"link", "image"})


def render(
    candidate: Candidate, customer: Mapping[str, Scalar], context: Mapping[str, Scalar]
) -> dict[str, str]:
    """Fill every template of a treatment.

    What comes from the customer or the context is escaped: percent-encoded in addresses (``link``,
    ``image``), as HTML text elsewhere. What the catalogue's author wrote, ``action.*`` included, is left as
    it is. An unknown value is empty.
    """
    return {
        name: _fill(template, candidate, customer, context, in_address=name in _ADDRESSES)
        for name, template in candidate.treatment.content.items()
    }


def _fill(
    template: str,
    candidate: Candidate,
    customer: Mapping[str, Scalar],
    context: Mapping[str, Scalar],
    *,
    in_address: bool,
) -> str:
    parts = list(_split(template))
    for index in range(1, len(parts), 2):
        source, _, name = parts[index].partition(".")
        if source == "action":
            parts[index] = _words(action_value(candidate.action, name))
        else:
            value = _words((customer if source == "customer" else context).get(name))
            parts[index] = quote(value, safe="") if in_address else html.escape(value)
    return "".join(parts)


@lru_cache(maxsize=4096)
def _split(template: str) -> tuple[str, ...]:
    """Return text and names of places, alternating, text first."""
    return tuple(PLACE.split(template))


def _words(value: Scalar) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.2f}"
    return str(value)
