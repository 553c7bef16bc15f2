"""What goes out: scores, offers, filled placements, the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Candidate
from serving.decision.considered import ConsideredTable, Funnel
from serving.decision.experiments import Assignment
from serving.decision.values import Contact, Scalar


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the model said, aligned to ``Shortlist.contenders``.

    Parameters
    ----------
    raw
        Shape (n,): probability before calibration. Kept for the record; not used to decide.
    propensity
        Shape (n,): calibrated probability in [0, 1]; NaN when a candidate could not be scored.
    evidence
        Shape (n,): how many observations each propensity is worth; None when the model does not say.
    """

    raw: NDArray[np.float64]
    propensity: NDArray[np.float64]
    evidence: NDArray[np.float64] | None = None


class OfferKind(StrEnum):
    """How an offer came to be."""

    ARBITRATED = "arbitrated"
    MANDATORY = "mandatory"
    FALLBACK = "fallback"
    FORCED = "forced"

    @property
    def learns(self) -> bool:
        """Whether its record may teach a model or a policy."""
        return self is OfferKind.ARBITRATED

    @property
    def is_contact(self) -> bool:
        """Whether it is kept as a contact of the customer's: not what merely fills a slot or was forced."""
        return self in {OfferKind.ARBITRATED, OfferKind.MANDATORY}


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
        The model's scores; None for what did not compete.
    value, context_weight, lever
        The other factors of the priority, as used: the lever with what the customer's experiments change.
    priority
        What arbitration sorted by; None for what did not compete.
    action_probability
        π: the chance of this pick given the shortlist and the earlier picks of the answer.
    expires_at
        A channel must not show it later: the placement's lifetime from now, or the action's end before that.
    reserved_until
        Until then a presentation may be reported in time: the placement's ``report_within`` after that.
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
    expires_at: datetime
    reserved_until: datetime


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
    channel, decided_at, timezone
        The channel that asked; when; the IANA name of the customer's zone, None where unknown.
    assignments
        The arms the customer is in, one an experiment; none in control or holdout.
    control, held_out
        Whether the customer is in control (slots filled uniformly), or in the no-marketing holdout.
    """

    placements: tuple[FilledPlacement, ...]
    considered: ConsideredTable
    funnel: Funnel
    joint_probability: float
    context: Mapping[str, Scalar]
    catalogue_digest: str
    channel: str
    decided_at: datetime
    timezone: str | None = None
    assignments: tuple[Assignment, ...] = ()
    control: bool = False
    held_out: bool = False

    @property
    def offers(self) -> tuple[Offer, ...]:
        """All offers, placement by placement."""
        return tuple(offer for placement in self.placements for offer in placement.offers)


def contacts_of(decision: Decision, tracking_ids: Sequence[str]) -> tuple[Contact, ...]:
    """Return the contacts a decision makes with the customer: all but fallbacks and forced offers, in order.

    Parameters
    ----------
    decision
        For a customer who is identified: nobody else has a history.
    tracking_ids
        One for each of ``decision.offers``, those included that are no contacts.
    """
    return tuple(
        Contact(
            tracking_id=tracking_id,
            action_id=offer.candidate.action.action_id,
            group=offer.candidate.action.group,
            issue=offer.candidate.action.issue,
            channel=decision.channel,
            decided_at=decision.decided_at,
            reserved_until=offer.reserved_until,
            mandatory=offer.kind is OfferKind.MANDATORY,
            timezone=decision.timezone,
        )
        for offer, tracking_id in zip(decision.offers, tracking_ids, strict=True)
        if offer.kind.is_contact
    )
