"""Every action's rules as one run per request: why each action fails its policy, and its context weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Action
from serving.decision.attributes import ACTION_PREFIX, action_value
from serving.decision.columns import ColumnType
from serving.decision.expression import ColumnRef, Expression, Literal, replace_columns
from serving.decision.program import Program
from serving.decision.reasons import Reason
from serving.decision.rules import Rule, Tier
from serving.decision.values import Scalar

_FALSE = {
    Tier.ELIGIBLE: Reason.NOT_ELIGIBLE,
    Tier.APPLICABLE: Reason.NOT_APPLICABLE,
    Tier.SUITABLE: Reason.NOT_SUITABLE,
}
_TRUTH: Mapping[Scalar, int] = {True: 0, False: 1, None: 2}


class Verdicts(NamedTuple):
    """What the rules say of each action; leading dimensions, if any, run over customers.

    Attributes
    ----------
    reason
        Shape (..., n_actions): code of the reason its policy fails, 0 where it holds.
    rule
        Shape (..., n_actions): id of the first rule that failed, -1 where it holds.
    weight
        Shape (..., n_actions): product of its context weights whose rule is true.
    """

    reason: NDArray[np.int32]
    rule: NDArray[np.int32]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RulePlan:
    """Every action's rules as one program and a few tables.

    Attributes
    ----------
    predicates
        Each distinct predicate once, the action's own values in place of ``action.*``.
    program
        The predicates, compiled.
    root
        Shape (n_actions, depth): which predicate is asked at each step; padded with the first, always true.
    rule
        Shape (n_actions, depth): id of the rule, -1 where padded.
    failure
        Shape (n_actions, depth): code of the reason when it is false; unknown is one more.
    weight_root, weight
        Shape (n_actions, width): the predicate and the factor of each context weight; padded with 1.
    """

    predicates: tuple[Expression, ...]
    program: Program
    root: NDArray[np.intp]
    rule: NDArray[np.int32]
    failure: NDArray[np.int32]
    weight_root: NDArray[np.intp]
    weight: NDArray[np.float64]

    def ask(self, row: Mapping[str, Scalar]) -> Verdicts:
        """Return what the rules say of each action for one customer and context."""
        return self.settle(np.array([_TRUTH[value] for value in self.program.run(row)], dtype=np.int8))

    def settle(self, truth: NDArray[np.int8]) -> Verdicts:
        """Return what follows from the truth of each predicate: 0 true, 1 false, 2 unknown.

        Parameters
        ----------
        truth
            Shape (..., n_predicates), in the order of ``predicates``. Leading dimensions are kept.
        """
        verdict = truth[..., self.root].astype(np.int32)
        failed = verdict > 0
        first = failed.argmax(axis=-1)[..., None]
        at_first = np.take_along_axis(verdict, first, axis=-1)[..., 0]
        every = np.arange(len(self.root))
        failure, rule = self.failure[every, first[..., 0]], self.rule[every, first[..., 0]]
        fails = at_first > 0
        true = truth[..., self.weight_root] == 0
        return Verdicts(
            np.where(fails, failure + at_first - 1, 0).astype(np.int32),
            np.where(fails, rule, -1).astype(np.int32),
            np.where(true, self.weight, 1.0).prod(axis=-1),
        )


def make_rule_plan(actions: Sequence[Action], rules: Sequence[Rule]) -> RulePlan:
    """Return the plan for actions ordered by id and the catalogue's rules."""
    depth = max((len(action.rules) for action in actions), default=0)
    width = max((len(action.weightings) for action in actions), default=0)
    root = np.zeros((len(actions), max(depth, 1)), dtype=np.intp)
    rule = np.full(root.shape, -1, dtype=np.int32)
    failure = np.zeros(root.shape, dtype=np.int32)
    weight_root = np.zeros((len(actions), max(width, 1)), dtype=np.intp)
    weight = np.ones(weight_root.shape)
    predicates: dict[Expression, int] = {Literal(True, ColumnType.BOOL): 0}
    for row, action in enumerate(actions):
        for step, use in enumerate(action.rules):
            bound = _bound(rules[use.rule_id].expression, action)
            root[row, step] = predicates.setdefault(bound, len(predicates))
            rule[row, step] = use.rule_id
            failure[row, step] = _FALSE[use.tier]
        for step, weighting in enumerate(action.weightings):
            bound = _bound(rules[weighting.rule_id].expression, action)
            weight_root[row, step] = predicates.setdefault(bound, len(predicates))
            weight[row, step] = weighting.weight
    return RulePlan(tuple(predicates), Program.of(predicates), root, rule, failure, weight_root, weight)


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
