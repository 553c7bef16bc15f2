"""Which candidates may be shown: availability, then the engagement policy. Everything before a model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from serving.decision.actions import Candidate
from serving.decision.catalogue import Catalogue
from serving.decision.considered import ConsideredTable
from serving.decision.values import Customer, History, Request, Scalar


@dataclass(frozen=True, slots=True, eq=False)
class Shortlist:
    """What is left before scoring, with the reason for everything that is not.

    Parameters
    ----------
    catalogue, customer, request, now
        As given.
    context
        The complete context rules saw: what the channel sent and what the core derived (``hour``, ``weekday``, …);
        declared values that were not sent are None.
    contenders
        The candidates left in at least one placement, each once, ordered by action and treatment id. Scores are
        aligned to them: **one** model call for all.
    considered
        Every candidate of every requested placement; for those left the reason is still open (``UNDECIDED``).
    """

    catalogue: Catalogue
    customer: Customer
    request: Request
    now: datetime
    context: Mapping[str, Scalar]
    contenders: tuple[Candidate, ...]
    considered: ConsideredTable


def shortlist(
    request: Request, catalogue: Catalogue, customer: Customer, history: History, now: datetime
) -> Shortlist:
    """Return every candidate with its reason and those left to score.

    Parameters
    ----------
    request
        Channel, placements and slots, context. Checked here.
    catalogue
        Everything that can be offered.
    customer
        Features as rules see them; NaN and None are unknown. Profile ``none`` has no features.
    history
        What limits look back on (issue 3); not yet used here.
    now
        Time of the decision, with a time zone.

    Raises
    ------
    InvalidRequest
        Unknown channel, placement or context field, wrong type, slots out of range; ``code`` and ``field`` set.
    """
    raise NotImplementedError


__all__ = ["Shortlist", "shortlist"]
