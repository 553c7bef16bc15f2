"""What the model's scores make of the contenders: propensity, the floor, the priority."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moment.errors import InvariantViolation
from serving.decision.arbitration import priority as product
from serving.decision.considered import ConsideredTable
from serving.decision.decision import Scores
from serving.decision.reasons import Reason
from serving.decision.shortlist import Shortlist


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What competes, with its numbers.

    Parameters
    ----------
    table
        Every candidate; those that compete, and mandatory messages that may go out, are still ``UNDECIDED``.
        Its columns of reasons are its own: they are settled in place.
    index
        Shape (n_contenders,): the contenders, as ``Shortlist.contender_index``.
    raw
        Shape (n_contenders,): scores before calibration, NaN where there is none.
    evidence
        Shape (n_contenders,): observations each propensity is worth; None where the model does not say.
    """

    table: ConsideredTable
    index: NDArray[np.intp]
    raw: NDArray[np.float64]
    evidence: NDArray[np.float64] | None

    def raw_of(self, candidate: int) -> float:
        """Return the score before calibration of a contender, by index of the candidate."""
        return float(self.raw[self.index.searchsorted(candidate)])

    def evidence_of(self, candidates: NDArray[np.intp]) -> NDArray[np.float64] | None:
        """Return what the propensities of contenders are worth, by index of the candidate."""
        return None if self.evidence is None else self.evidence[self.index.searchsorted(candidates)]


def score(shortlist: Shortlist, scores: Scores | None) -> Scored:
    """Return the contenders with propensity and priority, those stopped that have none or too little.

    Raises
    ------
    InvariantViolation
        Scores of another length than the contenders, or outside [0, 1].
    """
    before, index = shortlist.considered, shortlist.contender_index
    if scores is None:
        scores = Scores(np.full(len(index), np.nan), np.full(len(index), np.nan))
    _check(scores, len(index))
    rows, contender = shortlist.competing, shortlist.contender
    priority = _priority(shortlist, scores.propensity)
    reason = before.reason.copy()
    row_propensity, row_priority = before.propensity.copy(), before.priority.copy()
    row_propensity[rows], row_priority[rows] = scores.propensity.take(contender), priority.take(contender)
    stopped = _stopped(scores.propensity, priority, shortlist.policy.propensity_floor)
    if stopped is not None:
        reason[rows] = stopped.take(contender)
    table = ConsideredTable(
        catalogue=before.catalogue,
        policy=before.policy,
        row=before.row,
        placements=before.placements,
        placement=before.placement,
        candidate=before.candidate,
        reason=reason,
        rule=before.rule.copy(),
        observed=before.observed.copy(),
        propensity=row_propensity,
        context_weight=before.context_weight,
        priority=row_priority,
    )
    return Scored(table, index, scores.raw, scores.evidence)


def _priority(shortlist: Shortlist, propensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the priority of each contender, as this customer's policy has it."""
    plan, policy, index = shortlist.catalogue.plan, shortlist.policy, shortlist.contender_index
    if policy.formula_plan is not None:
        whole = np.full(len(plan.candidates), np.nan)
        whole[index] = propensity
        weight, row = shortlist.context_weight[plan.action], shortlist.considered.row
        return policy.formula_plan.priority(row, whole, plan.value, weight, policy.lever)[index]
    weight = shortlist.context_weight.take(plan.action.take(index))
    with np.errstate(over="ignore"):  # infinite is no priority: it is not ranked
        return product(propensity, plan.value.take(index), weight, policy.lever.take(index))


def _stopped(
    propensity: NDArray[np.float64], priority: NDArray[np.float64], floor: float
) -> NDArray[np.int32] | None:
    """Return the reason of each contender, ``UNDECIDED`` where it competes; None when all do."""
    ranked, low = np.isfinite(priority), propensity < floor if floor > 0.0 else None
    if np.logical_and.reduce(ranked) and (low is None or not np.logical_or.reduce(low)):
        return None
    reason = np.full(len(priority), Reason.UNDECIDED, dtype=np.int32)
    reason[~ranked] = Reason.NOT_RANKED
    if low is not None:
        reason[low] = Reason.BELOW_FLOOR
    reason[np.isnan(propensity)] = Reason.NOT_SCORED
    return reason


def _check(scores: Scores, contenders: int) -> None:
    shape, propensity = (contenders,), scores.propensity
    if (
        propensity.shape != shape
        or scores.raw.shape != shape
        or (scores.evidence is not None and scores.evidence.shape != shape)
    ):
        raise InvariantViolation(
            f"{contenders} contenders were sent to be scored, {propensity.shape} came back; "
            "scores are aligned to Shortlist.contenders"
        )
    least, most = np.minimum.reduce(propensity, initial=0.0), np.maximum.reduce(propensity, initial=1.0)
    # Where there is NaN both are: then each is looked at
    if not (least == 0.0 and most == 1.0) and bool(np.any((propensity < 0) | (propensity > 1))):
        raise InvariantViolation("a propensity lies outside [0, 1]; is the calibration applied?")
