"""What ``then`` of a golden decision may speak of: each name with how it is read off a decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from serving.decision.considered import Considered
from serving.decision.decision import Decision
from serving.decision.explanation import explain_candidate
from serving.decision.reasons import Reason

T = TypeVar("T")

REASONS = "reasons"
_OF_EXCLUSIONS = (Reason.RECENTLY_EXCLUDED, Reason.EXCLUDED)


def _offers(decision: Decision) -> object:
    return {
        placement.name: [offer.candidate.treatment.treatment_id for offer in placement.offers]
        for placement in decision.placements
    }


def _actions(decision: Decision) -> object:
    return {
        placement.name: [offer.candidate.action.action_id for offer in placement.offers]
        for placement in decision.placements
    }


def _kinds(decision: Decision) -> object:
    return {filled.name: [offer.kind.value for offer in filled.offers] for filled in decision.placements}


def _placements(decision: Decision) -> object:
    return {filled.name: filled.reason.value for filled in decision.placements}


def _of_each(decision: Decision, tell: Callable[[Considered], T]) -> dict[str, dict[str, T]]:
    """Return something of every considered candidate, by placement and name."""
    return {filled.name: _of_placement(decision, filled.name, tell) for filled in decision.placements}


def _of_placement(decision: Decision, placement: str, tell: Callable[[Considered], T]) -> dict[str, T]:
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
    """Return each reason's name; behind a colon the rule, contact policy or exclusion it comes from."""
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
    "actions": _actions,
    "kinds": _kinds,
    "placements": _placements,
    "why": _why,
    REASONS: _reasons,
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

NOT_OFFERED = "not_offered"
REFUSED = "refused"
THEN = frozenset(TELLERS) | {NOT_OFFERED, REFUSED}


def told(decision: Decision, then: Mapping[str, Any]) -> dict[str, object]:
    """Return what a decision says of everything that a case states.

    A reason that is stated by its name alone is told so: what is behind the colon is free then.
    """
    found = {name: TELLERS[name](decision) for name in then if name in TELLERS}
    if NOT_OFFERED in then:
        offered = {str(offer.candidate.action.action_id) for offer in decision.offers}
        found[NOT_OFFERED] = [name for name in then[NOT_OFFERED] if name not in offered]
    if REASONS in then:
        found[REASONS] = _as_short_as(then[REASONS], _of_each(decision, lambda one: _reason(one, decision)))
    return found


def _as_short_as(
    stated: Mapping[str, Mapping[str, Any]], found: dict[str, dict[str, str]]
) -> dict[str, dict[str, str]]:
    return {
        placement: {
            name: reason.partition(": ")[0]
            if ": " not in str(stated.get(placement, {}).get(name, ": "))
            else reason
            for name, reason in here.items()
        }
        for placement, here in found.items()
    }
