"""What a catalogue knows before any request comes: columns over its actions, compiled rules, slates.

Built once when a catalogue is made, never changed. All arrays run over actions or candidates in order of id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Action, Candidate, Placement
from serving.decision.columns import ColumnType
from serving.decision.expression import ColumnRef, Expression, Literal, replace_columns
from serving.decision.program import Program
from serving.decision.reasons import Reason
from serving.decision.rules import Rule, Tier
from serving.decision.values import Scalar

ACTION_PREFIX = "action."

ACTION_FIELDS = {
    "id": ColumnType.STRING,
    "label": ColumnType.STRING,
    "issue": ColumnType.STRING,
    "group": ColumnType.STRING,
    "value": ColumnType.FLOAT,
}
"""What every action has under ``action.*`` besides its attributes."""

_FALSE = {
    Tier.ELIGIBLE: Reason.NOT_ELIGIBLE,
    Tier.APPLICABLE: Reason.NOT_APPLICABLE,
    Tier.SUITABLE: Reason.NOT_SUITABLE,
}
_TRUTH = {True: 0, False: 1, None: 2}


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
class RulePlan:
    """Every action's rules as one program and two tables.

    Attributes
    ----------
    program
        Each distinct predicate once; a rule over ``action.*`` once per distinct set of values.
    root
        Shape (n_actions, depth): which predicate is asked at each step; padded with the first, always true.
    rule
        Shape (n_actions, depth): id of the rule, -1 where padded.
    failure
        Shape (n_actions, depth): code of the reason when it is false; unknown is one more.
    """

    program: Program
    root: NDArray[np.intp]
    rule: NDArray[np.int32]
    failure: NDArray[np.int32]

    def ask(self, row: Mapping[str, Scalar]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return per action why its policy fails and the rule that failed; 0 and -1 where it holds."""
        truth = np.array([_TRUTH[value] for value in self.program.run(row)], dtype=np.int32)
        verdict = truth[self.root]
        failed = verdict > 0
        first = failed.argmax(axis=1)
        every = np.arange(len(first))
        fails = failed[every, first]
        reason = np.where(fails, self.failure[every, first] + verdict[every, first] - 1, 0).astype(np.int32)
        return reason, np.where(fails, self.rule[every, first], -1).astype(np.int32)


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
        rules=_rule_plan(actions, rules),
        opening=_opening(actions),
        value=np.array([candidate.action.value for candidate in candidates], dtype=np.float64),
        lever=np.array([candidate.action.lever for candidate in candidates], dtype=np.float64),
        group=_numbered([action.group for action in actions]),
        issue=_numbered([action.issue for action in actions]),
        slates={(placement.channel, placement.name): _slate(placement, actions) for placement in placements},
    )


def action_value(action: Action, name: str) -> Scalar:
    """Return the value of ``action.<name>`` as rules and templates see it."""
    match name:
        case "id":
            return action.action_id
        case "label" | "issue" | "group":
            return str(getattr(action, name))
        case "value":
            return action.value
        case _:
            return action.attributes.get(name)


def _rule_plan(actions: Sequence[Action], rules: Sequence[Rule]) -> RulePlan:
    depth = max((len(action.rules) for action in actions), default=0)
    shape = (len(actions), max(depth, 1))
    root = np.zeros(shape, dtype=np.intp)
    rule = np.full(shape, -1, dtype=np.int32)
    failure = np.zeros(shape, dtype=np.int32)
    predicates: dict[Expression, int] = {Literal(True, ColumnType.BOOL): 0}
    for row, action in enumerate(actions):
        for step, use in enumerate(action.rules):
            bound = _bound(rules[use.rule_id].expression, action)
            root[row, step] = predicates.setdefault(bound, len(predicates))
            rule[row, step] = use.rule_id
            failure[row, step] = _FALSE[use.tier]
    return RulePlan(Program.of(predicates), root, rule, failure)


def _bound(expression: Expression, action: Action) -> Expression:
    """Return the expression with the action's own values in place of ``action.*``."""

    def value_of(column: ColumnRef) -> Expression:
        if not column.name.startswith(ACTION_PREFIX):
            return column
        value = action_value(action, column.name.removeprefix(ACTION_PREFIX))
        if value is not None and column.type is ColumnType.FLOAT:
            value = float(value) + 0.0  # -0.0 is 0.0: equal nodes must mean one thing
        return Literal(value, column.type)

    return replace_columns(expression, value_of)


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
