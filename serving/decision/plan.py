"""What a catalogue knows before any request comes: columns over its actions, compiled rules, slates.

Built once when a catalogue is made, never changed. All arrays run over actions or candidates in order of id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Action, Candidate, Placement
from serving.decision.budgets import BudgetPlan
from serving.decision.consent import ConsentPlan
from serving.decision.contact_plan import ContactPlan
from serving.decision.rule_plan import RulePlan, make_rule_plan
from serving.decision.rules import Rule
from serving.decision.slates import Slate, make_slate


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The catalogue, ready to decide with.

    Attributes
    ----------
    candidates
        Every action-treatment pair, ordered by action and treatment id.
    rules
        The engagement policy and the context weights.
    consents
        What each action needs to be allowed.
    contacts
        Contact policies, exclusions, budgets and volumes.
    opening
        Starts and ends, each of shape (n_actions,), seconds since 1970, infinite where open; None when every
        action is always open.
    mandatory
        Shape (n_actions,): what must go out; None when nothing must.
    action
        Shape (n_candidates,): index of each candidate's action.
    value
        Shape (n_candidates,): a factor of the priority.
    group, issue
        Shape (n_actions,): a number per distinct group and issue.
    slates
        By channel and placement.
    """

    candidates: tuple[Candidate, ...]
    rules: RulePlan
    consents: ConsentPlan
    contacts: ContactPlan
    opening: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    mandatory: NDArray[np.bool_] | None
    action: NDArray[np.intp]
    value: NDArray[np.float64]
    group: NDArray[np.intp]
    issue: NDArray[np.intp]
    slates: Mapping[tuple[str, str], Slate]

    @property
    def budgets(self) -> BudgetPlan:
        """What all customers together may get."""
        return self.contacts.budgets


def make_plan(
    actions: Sequence[Action], placements: Sequence[Placement], rules: Sequence[Rule], contacts: ContactPlan
) -> Plan:
    """Return the plan for actions and treatments that are ordered by id."""
    owned = [
        (row, action, treatment) for row, action in enumerate(actions) for treatment in action.treatments
    ]
    return Plan(
        candidates=tuple(Candidate(action, treatment) for _, action, treatment in owned),
        rules=make_rule_plan(actions, rules),
        consents=ConsentPlan.of(actions),
        contacts=contacts,
        opening=_opening(actions),
        mandatory=_mandatory(actions),
        action=np.array([row for row, _, _ in owned], dtype=np.intp),
        value=np.array([action.value for _, action, _ in owned], dtype=np.float64),
        group=_numbered([action.group for action in actions]),
        issue=_numbered([action.issue for action in actions]),
        slates={(place.channel, place.name): make_slate(place, actions) for place in placements},
    )


def _opening(actions: Sequence[Action]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    if all(action.starts_at is None and action.ends_at is None for action in actions):
        return None
    starts = [action.starts_at.timestamp() if action.starts_at else -np.inf for action in actions]
    ends = [action.ends_at.timestamp() if action.ends_at else np.inf for action in actions]
    return np.array(starts), np.array(ends)


def _mandatory(actions: Sequence[Action]) -> NDArray[np.bool_] | None:
    found = np.array([action.mandatory is not None for action in actions], dtype=np.bool_)
    return found if found.any() else None


def _numbered(names: Sequence[str]) -> NDArray[np.intp]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.intp)
