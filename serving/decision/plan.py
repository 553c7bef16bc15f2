"""What a catalogue knows before any request comes: columns over its actions, compiled rules, slates.

Built once when a catalogue is made, never changed. All arrays run over actions or candidates in order of id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Action, Candidate, Placement
from serving.decision.reasons import Reason
from serving.decision.rule_plan import RulePlan, make_rule_plan
from serving.decision.rules import Rule


@dataclass(frozen=True, slots=True, eq=False)
class Slate:
    """The candidates of one placement, known before any request.

    Attributes
    ----------
    placement
        The placement.
    candidate, action
        Shape (n,): index of each candidate, and of its action. At least one row per action.
    unfit
        Shape (n,): 0 where the treatment fits the placement, else the code of the reason.
    several
        Whether some action has more than one treatment that fits.
    """

    placement: Placement
    candidate: NDArray[np.intp]
    action: NDArray[np.intp]
    unfit: NDArray[np.int32]
    several: bool


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The catalogue, ready to decide with.

    Attributes
    ----------
    candidates
        Every action-treatment pair, ordered by action and treatment id.
    rules
        The engagement policy.
    opening
        Starts and ends, each of shape (n_actions,), seconds since 1970, infinite where open; None when every
        action is always open.
    value, lever
        Shape (n_candidates,): factors of the priority.
    group, issue
        Shape (n_actions,): a number per distinct group and issue.
    slates
        By channel and placement.
    """

    candidates: tuple[Candidate, ...]
    rules: RulePlan
    opening: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    value: NDArray[np.float64]
    lever: NDArray[np.float64]
    group: NDArray[np.intp]
    issue: NDArray[np.intp]
    slates: Mapping[tuple[str, str], Slate]


def make_plan(actions: Sequence[Action], placements: Sequence[Placement], rules: Sequence[Rule]) -> Plan:
    """Return the plan for actions and treatments that are ordered by id."""
    candidates = tuple(Candidate(action, treatment) for action in actions for treatment in action.treatments)
    return Plan(
        candidates=candidates,
        rules=make_rule_plan(actions, rules),
        opening=_opening(actions),
        value=np.array([candidate.action.value for candidate in candidates], dtype=np.float64),
        lever=np.array([candidate.action.lever for candidate in candidates], dtype=np.float64),
        group=_numbered([action.group for action in actions]),
        issue=_numbered([action.issue for action in actions]),
        slates={(placement.channel, placement.name): _slate(placement, actions) for placement in placements},
    )


def _opening(actions: Sequence[Action]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    if all(action.starts_at is None and action.ends_at is None for action in actions):
        return None
    starts = [action.starts_at.timestamp() if action.starts_at else -np.inf for action in actions]
    ends = [action.ends_at.timestamp() if action.ends_at else np.inf for action in actions]
    return np.array(starts), np.array(ends)


def _numbered(names: Sequence[str]) -> NDArray[np.intp]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.intp)


def _slate(placement: Placement, actions: Sequence[Action]) -> Slate:
    candidate: list[int] = []
    owner: list[int] = []
    unfit: list[int] = []
    several = False
    first = 0
    for row, action in enumerate(actions):
        on_channel = [t.channel == placement.channel for t in action.treatments]
        fitting = [
            position
            for position, treatment in enumerate(action.treatments)
            if on_channel[position] and placement.name in treatment.placements
        ]
        missing = Reason.NO_TREATMENT_FOR_PLACEMENT if any(on_channel) else Reason.NO_TREATMENT_FOR_CHANNEL
        for position in fitting or [on_channel.index(True) if any(on_channel) else 0]:
            candidate.append(first + position)
            owner.append(row)
            unfit.append(0 if fitting else missing)
        several = several or len(fitting) > 1
        first += len(action.treatments)
    return Slate(
        placement,
        np.array(candidate, dtype=np.intp),
        np.array(owner, dtype=np.intp),
        np.array(unfit, dtype=np.int32),
        several,
    )
