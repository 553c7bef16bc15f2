"""Which of the contenders is shown: propensity, arbitration, then slot by slot."""

from __future__ import annotations

import math

from serving.decision.considered import Funnel
from serving.decision.decision import Decision, FilledPlacement, Scores
from serving.decision.exploration import Chance
from serving.decision.rechecks import Given
from serving.decision.scoring import Scored, score
from serving.decision.seats import Seats
from serving.decision.shortlist import Shortlist
from serving.decision.uniform import Uniform
from serving.decision.values import History


def choose(shortlist: Shortlist, scores: Scores | None, history: History | None, rng: Chance) -> Decision:
    """Fill the slots from the shortlist.

    What is forced takes the first slot it fits; mandatory messages the first slots of every placement; then
    what competes fills the rest, placement by placement in the order of the request.

    Parameters
    ----------
    shortlist
        From ``shortlist``.
    scores
        Aligned to ``shortlist.contenders``; None when there is no model to ask: then only mandatory messages
        and fallbacks are left.
    history
        What limits look back on, the answer's own picks with it slot by slot; None when the contact store is
        gone.
    rng
        The only source of chance: the same seed gives the same decision. One number is drawn per slot that is
        competed for, unless the policy leaves nothing to chance; one more where the chosen action has several
        treatments that fit.

    Raises
    ------
    InvariantViolation
        Scores of another length than the contenders, or outside [0, 1].
    """
    scored = score(shortlist, scores)
    placements = _filled(shortlist, scored, history, rng)
    table, allotment = scored.table, shortlist.allotment
    return Decision(
        placements=placements,
        considered=table,
        funnel=Funnel.of(table.reason, shortlist.catalogue.plan.action.take(table.candidate)),
        joint_probability=math.prod(o.action_probability for filled in placements for o in filled.offers),
        context=shortlist.context,
        catalogue_digest=shortlist.catalogue.digest,
        channel=shortlist.request.channel,
        decided_at=shortlist.now,
        timezone=shortlist.customer.timezone,
        assignments=allotment.assignments,
        control=allotment.control,
        held_out=allotment.held_out,
    )


def _filled(
    shortlist: Shortlist, scored: Scored, history: History | None, rng: Chance
) -> tuple[FilledPlacement, ...]:
    given = Given(shortlist, history)
    exploration = Uniform() if shortlist.allotment.control else shortlist.policy.exploration
    seats, first = [], 0
    for position, slate in enumerate(shortlist.slates):
        seats.append(Seats(shortlist, scored, given, position, first))
        first += len(slate.candidate)
    if shortlist.forced is not None:
        seats[shortlist.forced.position].place_forced(shortlist.forced.row)
    for placement in seats:
        placement.place_mandatory()
    for placement in seats:
        placement.arbitrate(exploration, rng)
    return tuple(placement.filled() for placement in seats)
