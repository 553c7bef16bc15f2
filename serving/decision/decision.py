"""What goes out: scores, offers, filled placements, the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Candidate
from serving.decision.considered import ConsideredTable, Funnel
from serving.decision.values import Scalar


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the model said, aligned to ``Shortlist.contenders``.

    Parameters
    ----------
    raw
        Shape (n,): probability before calibration. Kept for the record; not used to decide.
    propensity
        Shape (n,): calibrated probability in [0, 1]; NaN when a candidate could not be scored.
    """

    raw: NDArray[np.float64]
    propensity: NDArray[np.float64]


class OfferKind(StrEnum):
    """How an offer came to be."""

    ARBITRATED = "arbitrated"
    FALLBACK = "fallback"

    @property
    def learns(self) -> bool:
        """Whether its record may teach a model or a policy."""
        return self is OfferKind.ARBITRATED


@dataclass(frozen=True, slots=True)
class Offer:
    """One slot filled.

    Parameters
    ----------
    placement, rank
        Where; rank counts from 1 within the placement.
    candidate
        The action and the treatment to show.
    kind
        How it came to be here.
    raw, propensity
        The model's scores; None for a fallback.
    value, context_weight, lever
        The other factors of the priority.
    priority
        What arbitration sorted by; None for a fallback.
    action_probability
        π: the chance of this pick given the shortlist and the earlier picks of the answer.
    """

    placement: str
    rank: int
    candidate: Candidate
    kind: OfferKind
    raw: float | None
    propensity: float | None
    value: float
    context_weight: float
    lever: float
    priority: float | None
    action_probability: float


class FillReason(StrEnum):
    """Why a placement ended as it did. With a slot left open: the furthest any candidate for it came."""

    FILLED = "filled"
    NOTHING_AVAILABLE = "nothing_available"
    NOTHING_ELIGIBLE = "nothing_eligible"
    NOTHING_APPLICABLE = "nothing_applicable"
    NOTHING_SUITABLE = "nothing_suitable"
    NOTHING_WITHIN_CONTACT_POLICY = "nothing_within_contact_policy"
    NOTHING_SCORED = "nothing_scored"
    NOTHING_LEFT = "nothing_left"


@dataclass(frozen=True, slots=True)
class FilledPlacement:
    """One placement of the answer.

    Parameters
    ----------
    name
        Name of the placement.
    slots
        How many were asked for.
    offers
        In rank order; may be fewer than ``slots``, may be empty.
    reason
        ``filled`` when competition filled every slot; else why it could not (a fallback may still be among
        the offers).
    """

    name: str
    slots: int
    offers: tuple[Offer, ...]
    reason: FillReason


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The answer to one request, with everything needed to explain it.

    Parameters
    ----------
    placements
        In the order of the request.
    considered
        Every candidate of every requested placement with its final reason.
    funnel
        How many actions came how far.
    joint_probability
        π of the whole answer: the product over its slots.
    context
        The complete context as rules saw it.
    catalogue_digest
        Digest of the catalogue that decided.
    """

    placements: tuple[FilledPlacement, ...]
    considered: ConsideredTable
    funnel: Funnel
    joint_probability: float
    context: Mapping[str, Scalar]
    catalogue_digest: str

    @property
    def offers(self) -> tuple[Offer, ...]:
        """All offers, placement by placement."""
        return tuple(offer for placement in self.placements for offer in placement.offers)
