"""The whole decision: shortlist, one scorer call, choice."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.decision import Decision, Scores
from serving.decision.exploration import Chance
from serving.decision.shortlist import Shortlist, shortlist
from serving.decision.values import Customer, History, Request


class Scorer(Protocol):
    """A pure function from a shortlist to scores; None when it cannot score."""

    def __call__(self, shortlist: Shortlist, /) -> Scores | None:
        """Return scores aligned to ``shortlist.contenders``."""
        ...


def decide(  # noqa: PLR0917  # the design's signature
    request: Request,
    catalogue: Catalogue,
    customer: Customer,
    history: History | None,
    now: datetime,
    scorer: Scorer,
    rng: Chance,
) -> Decision:
    """Return ``choose`` of ``shortlist``, with one scorer call between them (none when nothing is left)."""
    left = shortlist(request, catalogue, customer, history, now)
    scores = scorer(left) if left.contenders else None
    return choose(left, scores, history, rng)
