"""What the model's scores make of the contenders: propensity, the floor, the priority."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moment.errors import InvariantViolation
from serving.decision.arbitration import priority
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
        Its columns are its own: the reasons are settled in place.
    raw
        Shape (n_candidates,): scores before calibration, NaN where there is none.
    evidence
        Shape (n_candidates,): observations each propensity is worth; None where the model does not say.
    """

    table: ConsideredTable
    raw: NDArray[np.float64]
    evidence: NDArray[np.float64] | None


def score(shortlist: Shortlist, scores: Scores | None) -> Scored:
    """Return the contenders with propensity and priority, those stopped that have none or too little.

    Raises
    ------
    InvariantViolation
        Scores of another length than the contenders, or outside [0, 1].
    """
    if scores is not None:
        _check(scores, len(shortlist.contenders))
    propensity = _by_candidate(shortlist, None if scores is None else scores.propensity)
    before, plan = shortlist.considered, shortlist.catalogue.plan
    competes = before.reason == Reason.UNDECIDED
    if plan.mandatory is not None:
        competes &= ~plan.mandatory[plan.action[before.candidate]]
    row_propensity = np.where(competes, propensity[before.candidate], np.nan)
    row_priority = np.where(competes, _priority(shortlist, propensity)[before.candidate], np.nan)
    reason = before.reason.copy()
    reason[competes & ~np.isfinite(row_priority)] = Reason.NOT_RANKED
    reason[row_propensity < shortlist.policy.propensity_floor] = Reason.BELOW_FLOOR
    reason[competes & np.isnan(row_propensity)] = Reason.NOT_SCORED
    table = replace(
        before,
        reason=reason,
        rule=before.rule.copy(),
        observed=before.observed.copy(),
        propensity=row_propensity,
        priority=row_priority,
    )
    evidence = None if scores is None or scores.evidence is None else scores.evidence
    return Scored(
        table=table,
        raw=_by_candidate(shortlist, None if scores is None else scores.raw),
        evidence=None if evidence is None else _by_candidate(shortlist, evidence),
    )


def _priority(shortlist: Shortlist, propensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the priority over all candidates of the catalogue, as this customer's policy has it."""
    plan, policy = shortlist.catalogue.plan, shortlist.policy
    weight = shortlist.context_weight[plan.action]
    if policy.formula_plan is None:
        with np.errstate(over="ignore"):  # infinite is no priority: it is not ranked
            return priority(propensity, plan.value, weight, policy.lever)
    row = shortlist.considered.row
    return policy.formula_plan.priority(row, propensity, plan.value, weight, policy.lever)


def _by_candidate(shortlist: Shortlist, column: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return a column over the contenders as one over all candidates, NaN where there is none."""
    spread = np.full(len(shortlist.catalogue.plan.candidates), np.nan)
    if column is not None:
        spread[shortlist.contender_index] = column
    return spread


def _check(scores: Scores, contenders: int) -> None:
    columns = [scores.raw, scores.propensity, *([] if scores.evidence is None else [scores.evidence])]
    if any(column.shape != (contenders,) for column in columns):
        raise InvariantViolation(
            f"{contenders} contenders were sent to be scored, {scores.propensity.shape} came back; "
            "scores are aligned to Shortlist.contenders"
        )
    if bool(np.any((scores.propensity < 0) | (scores.propensity > 1))):
        raise InvariantViolation("a propensity lies outside [0, 1]; is the calibration applied?")
