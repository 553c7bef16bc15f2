"""What a golden case may speak of: each name with how it is read off a decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from serving.decision.considered import Considered
from serving.decision.decision import Decision
from serving.decision.explanation import explain_candidate
from serving.decision.reasons import Reason
from serving.decision.values import Scalar

_OF_EXCLUSIONS = (Reason.RECENTLY_EXCLUDED, Reason.EXCLUDED)


def _offers(decision: Decision) -> object:
    return {
        placement.name: [offer.candidate.treatment.treatment_id for offer in placement.offers]
        for placement in decision.placements
    }


def _kinds(decision: Decision) -> object:
    return {filled.name: [offer.kind.value for offer in filled.offers] for filled in decision.placements}


def _placements(decision: Decision) -> object:
    return {filled.name: filled.reason.value for filled in decision.placements}


def _of_each(decision: Decision, tell: Callable[[Considered], Scalar]) -> dict[str, dict[str, Scalar]]:
    """Return something of every considered candidate, by placement and name."""
    return {filled.name: _of_placement(decision, filled.name, tell) for filled in decision.placements}


def _of_placement(
    decision: Decision, placement: str, tell: Callable[[Considered], Scalar]
) -> dict[str, Scalar]:
    here = [one for one in decision.considered if one.placement == placement]
    times = Counter(one.candidate.action.action_id for one in here)
    return {
        one.candidate.action.action_id
        if times[one.candidate.action.action_id] == 1
        else one.candidate.treatment.treatment_id: tell(one)
        for one in here
    }


def _why(decision: Decision) -> object:
    catalogue = decision.considered.catalogue
    return _of_each(decision, lambda one: explain_candidate(one, catalogue).text)


def _reasons(decision: Decision) -> object:
    """The reason's name; behind a colon the rule, the contact policy or the exclusion it comes from."""
    return _of_each(decision, lambda one: _reason(one, decision))


def _reason(one: Considered, decision: Decision) -> str:
    catalogue, name = decision.considered.catalogue, one.reason.name.lower()
    if one.rule is not None:
        return f"{name}: {catalogue.rule_text(one.rule)}"
    if one.policy is None:
        return name
    if one.reason in _OF_EXCLUSIONS:
        return f"{name}: {catalogue.exclusions[one.policy].name}"
    return f"{name}: {catalogue.contact_policies[one.policy].name}"


def _priorities(decision: Decision) -> object:
    return _of_each(decision, lambda one: None if one.priority is None else round(one.priority, 9))


def _funnel(decision: Decision) -> object:
    funnel = decision.funnel
    return [
        funnel.considered,
        funnel.available,
        funnel.eligible,
        funnel.applicable,
        funnel.suitable,
        funnel.within_contact_policy,
        funnel.scored,
        funnel.shown,
    ]


TELLERS: Mapping[str, Callable[[Decision], object]] = {
    "offers": _offers,
    "kinds": _kinds,
    "placements": _placements,
    "why": _why,
    "reasons": _reasons,
    "measured": lambda decision: _of_each(decision, lambda one: one.measured),
    "priorities": _priorities,
    "levers": lambda decision: _of_each(decision, lambda one: one.lever),
    "context_weights": lambda decision: _of_each(decision, lambda one: one.context_weight),
    "probabilities": lambda decision: [offer.action_probability for offer in decision.offers],
    "joint_probability": lambda decision: decision.joint_probability,
    "learns": lambda decision: [offer.kind.learns for offer in decision.offers],
    "expires_at": lambda decision: [offer.expires_at for offer in decision.offers],
    "reserved_until": lambda decision: [offer.reserved_until for offer in decision.offers],
    "funnel": _funnel,
    "context": lambda decision: dict(decision.context),
    "assignments": lambda decision: {
        one.layer: f"{one.experiment}: {one.arm}" for one in decision.assignments
    },
    "control": lambda decision: decision.control,
    "held_out": lambda decision: decision.held_out,
}
"""What ``then`` may name. Of candidates: by placement, then by action (by treatment where several fit)."""
