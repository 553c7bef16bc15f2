"""Why, in words: text is derived on read, from reasons and the catalogue that decided."""

from __future__ import annotations

from dataclasses import dataclass

from serving.decision.catalogue import Catalogue
from serving.decision.considered import Considered
from serving.decision.decision import Decision
from serving.decision.reasons import Reason
from serving.decision.values import Scalar, Stage

_WORDS = {
    Reason.NO_TREATMENT_FOR_CHANNEL: "no treatment for this channel",
    Reason.NO_TREATMENT_FOR_PLACEMENT: "no treatment for this placement",
    Reason.NOT_SCORED: "no score",
    Reason.UNDECIDED: "not decided yet",
    Reason.ACTION_TAKEN: "already in this answer",
    Reason.GROUP_TAKEN: "another of its group is in this placement",
    Reason.ISSUE_TAKEN: "another of its issue is in this placement",
}


@dataclass(frozen=True, slots=True)
class ExplainedCandidate:
    """One considered candidate in words.

    ``text`` reads like ``eligible: rule 12 `days_since_purchase <= 90` is false: days_since_purchase = 140``.
    """

    placement: str
    action_id: str
    treatment_id: str
    stage: Stage
    reason: Reason
    text: str


def explain(decision: Decision, catalogue: Catalogue) -> tuple[ExplainedCandidate, ...]:
    """Return the words for every candidate: what came furthest first, by priority, then by id."""
    order = sorted(
        decision.considered,
        key=lambda one: (-one.reason.stage_number, -(one.priority or 0.0), one.candidate.action.action_id),
    )
    return tuple(explain_candidate(one, catalogue) for one in order)


def explain_candidate(considered: Considered, catalogue: Catalogue) -> ExplainedCandidate:
    """Return the words for one candidate."""
    candidate = considered.candidate
    return ExplainedCandidate(
        placement=considered.placement,
        action_id=candidate.action.action_id,
        treatment_id=candidate.treatment.treatment_id,
        stage=considered.stage,
        reason=considered.reason,
        text=f"{considered.stage}: {_why(considered, catalogue)}",
    )


def _why(considered: Considered, catalogue: Catalogue) -> str:
    action = considered.candidate.action
    if considered.rule is not None:
        return _why_rule(considered, catalogue.rule_text(considered.rule))
    match considered.reason:
        case Reason.NOT_STARTED:
            words = f"starts at {action.starts_at:%Y-%m-%d %H:%M %Z}"
        case Reason.ENDED:
            words = f"ended at {action.ends_at:%Y-%m-%d %H:%M %Z}"
        case Reason.BELOW_FLOOR:
            words = (
                f"propensity {considered.propensity:.4g} is under the floor {catalogue.propensity_floor:.4g}"
            )
        case Reason.OUTRANKED:
            words = f"outranked with {_priority(considered)}"
        case Reason.SHOWN:
            words = _priority(considered)
        case reason:
            words = _WORDS[reason]
    return words


def _why_rule(considered: Considered, text: str) -> str:
    observed = considered.observed
    unknown = considered.reason.is_unknown
    missing = [name for name, value in observed.items() if value is None or value != value]  # noqa: PLR0124
    if unknown and missing:
        return f"rule {considered.rule} `{text}` is unknown: {', '.join(missing)} not known"
    values = ", ".join(f"{name} = {_written(value)}" for name, value in observed.items())
    return f"rule {considered.rule} `{text}` is {'unknown' if unknown else 'false'}: {values or 'no column'}"


def _priority(considered: Considered) -> str:
    action = considered.candidate.action
    lever = "" if action.lever == 1 else f" x lever {action.lever:g}"
    return (
        f"priority {considered.priority:.4g} = propensity {considered.propensity:.4g} "
        f"x value {action.value:.4g}{lever}"
    )


def _written(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return "not known" if value is None else repr(value)
