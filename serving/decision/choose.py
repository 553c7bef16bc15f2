"""Which of the contenders is shown: propensity, arbitration, then slot by slot."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from moment.errors import InvariantViolation
from serving.decision.answer import Answer
from serving.decision.arbitration import NEUTRAL_WEIGHT, priority
from serving.decision.considered import ConsideredTable, Funnel
from serving.decision.decision import Decision, Scores
from serving.decision.reasons import Reason
from serving.decision.shortlist import Shortlist
from serving.decision.values import History


def choose(
    shortlist: Shortlist, scores: Scores | None, history: History | None, rng: np.random.Generator
) -> Decision:
    """Fill the slots from the shortlist, placement by placement in the order of the request.

    Parameters
    ----------
    shortlist
        From ``shortlist``.
    scores
        Aligned to ``shortlist.contenders``; None when there is no model to ask: then only fallbacks are left.
    history
        What limits look back on, the answer's own picks with it slot by slot; None when the contact store is
        gone.
    rng
        The only source of chance: the same seed gives the same decision. One number is drawn per slot filled,
        one more where the chosen action has several treatments that fit.

    Raises
    ------
    InvariantViolation
        Scores of another length than the contenders, or outside [0, 1].
    """
    table, raw = _scored(shortlist, scores)
    answer = Answer(shortlist, table, raw, history)
    placements = tuple(answer.fill(position, rng) for position in range(len(shortlist.slates)))
    return Decision(
        placements=placements,
        considered=table,
        funnel=Funnel.of(table.reason, answer.action),
        joint_probability=math.prod(o.action_probability for filled in placements for o in filled.offers),
        context=shortlist.context,
        catalogue_digest=shortlist.catalogue.digest,
        channel=shortlist.request.channel,
        decided_at=shortlist.now,
        timezone=shortlist.customer.timezone,
    )


def _scored(shortlist: Shortlist, scores: Scores | None) -> tuple[ConsideredTable, NDArray[np.float64]]:
    """Return the table with propensity, priority and what they rule out, and the raw score per candidate."""
    before, plan = shortlist.considered, shortlist.catalogue.plan
    raw, propensity = _by_candidate(shortlist, scores)
    sorted_by = priority(propensity, plan.value, np.full_like(plan.value, NEUTRAL_WEIGHT), plan.lever)
    undecided = before.reason == Reason.UNDECIDED
    row_propensity = np.where(undecided, propensity[before.candidate], np.nan)
    reason = before.reason.copy()
    reason[undecided & np.isnan(row_propensity)] = Reason.NOT_SCORED
    reason[row_propensity < shortlist.catalogue.propensity_floor] = Reason.BELOW_FLOOR
    row_priority = np.where(undecided, sorted_by[before.candidate], np.nan)
    return replace(before, reason=reason, propensity=row_propensity, priority=row_priority), raw


def _by_candidate(
    shortlist: Shortlist, scores: Scores | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return raw and calibrated scores over all candidates of the catalogue, NaN where there is none."""
    size = len(shortlist.catalogue.candidates)
    raw, propensity = np.full(size, np.nan), np.full(size, np.nan)
    if scores is not None:
        _check(scores, len(shortlist.contenders))
        raw[shortlist.contender_index] = scores.raw
        propensity[shortlist.contender_index] = scores.propensity
    return raw, propensity


def _check(scores: Scores, contenders: int) -> None:
    if scores.raw.shape != (contenders,) or scores.propensity.shape != (contenders,):
        raise InvariantViolation(
            f"{contenders} contenders were sent to be scored, {scores.propensity.shape} came back; "
            "scores are aligned to Shortlist.contenders"
        )
    if bool(np.any((scores.propensity < 0) | (scores.propensity > 1))):
        raise InvariantViolation("a propensity lies outside [0, 1]; is the calibration applied?")
