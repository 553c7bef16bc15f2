"""What challengers said beside decisions they did not make: kept for comparison, nothing of it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Protocol

from msgspec import Struct


class ShadowScores(Struct, frozen=True, tag="propensity"):
    """What a propensity challenger said of the contenders, aligned; `candidate` indexes the catalogue's."""

    candidate: list[int]
    raw: list[float | None]
    propensity: list[float | None]


class ShadowSegment(Struct, frozen=True, tag="segmentation"):
    """The persona a segmentation challenger would have assigned."""

    segment: str | None


class ShadowOffer(Struct, frozen=True):
    """One slot as a policy would have filled it, with its action probability π."""

    placement: str
    rank: int
    action: str
    treatment: str
    kind: str
    propensity: float | None
    priority: float | None
    action_probability: float


class ShadowOffers(Struct, frozen=True, tag="next-best-action"):
    """What a policy would have offered; `catalogue` is its catalogue's digest."""

    catalogue: str
    offers: tuple[ShadowOffer, ...]
    joint_probability: float


Told = ShadowScores | ShadowSegment | ShadowOffers
"""What a challenger said; of no person more than the open part of the decision's record."""


class Shadow(Struct, frozen=True):
    """What one challenger said beside one decision.

    Parameters
    ----------
    decision_id
        Beside which; its record has what decided instead.
    model, digest
        Which challenger.
    at
        When the decision was asked for.
    told
        What it said.
    """

    decision_id: str
    model: str
    digest: str
    at: datetime
    told: Told


class ShadowRecords(Protocol):
    """Keeps shadows for as long as the records of their decisions."""

    def append(self, shadows: Sequence[Shadow]) -> Future[int]:
        """Keep some, and return how many are new and have a record; the future is done when they are kept."""
        ...

    def beside(self, decision_id: str) -> tuple[Shadow, ...]:
        """Return what challengers said beside a decision."""
        ...

    def said(self, model: str, digest: str, *, after: str = "", limit: int = 1000) -> tuple[Shadow, ...]:
        """Return what a challenger said, in the order of the decisions' ids, after one of them."""
        ...
