"""Every action's rules as one run per request: why each action fails its policy, and its context weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Action
from serving.decision.arrays import ArrayProgram
from serving.decision.attributes import action_scalar, action_vectors, is_of_action
from serving.decision.columns import ColumnType
from serving.decision.expression import ColumnRef, Expression, Literal, column_refs, replace_columns
from serving.decision.program import Program
from serving.decision.reasons import Reason
from serving.decision.rules import Rule, Tier
from serving.decision.values import Scalar
from serving.decision.vectors import TRUTH, Truths

_FALSE = {
    Tier.ELIGIBLE: Reason.NOT_ELIGIBLE,
    Tier.APPLICABLE: Reason.NOT_APPLICABLE,
    Tier.SUITABLE: Reason.NOT_SUITABLE,
}
_HOLDS, _UNKNOWN, _FAILS = -128, 0, 1
"""Answers: what is added to the number of a step; with what holds, no sum is above zero."""

_STEPS_IN_INT8 = 63
_ANSWER: Mapping[Scalar, int] = {True: _HOLDS & 0xFF, None: _UNKNOWN, False: _FAILS}
_TRUTH: Mapping[Scalar, int] = {value: told & 0xFF for value, told in TRUTH.items()}
"""Both as bytes."""

_OF_TRUTH = np.array([_HOLDS, _FAILS, _UNKNOWN], dtype=np.int8)


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
    """Every action's rules as one program and a grid: a row per step, a column per action.

    The first rows are the steps of the engagement policy in the order they are asked, the others the context
    weights. In each place of the grid is where its answer is found.

    Attributes
    ----------
    program
        Rules over the row only as single values, those over ``action.*`` as arrays.
    answer
        Shape (n_rows, n_actions): which answer belongs there: 0 holds (also where there is no rule),
        1 unknown, 2 fails, then the single values of ``program``, then its arrays one after another.
    predicates
        Each distinct predicate once, the action's own values in place of ``action.*``; for tables.
    predicate
        Shape (n_rows, n_actions): which predicate belongs there; the first is always true.
    number
        Shape (n_steps, 1): the rank of each step where it is unknown; where it fails, one more. Earlier steps
        rank higher, and 0 is the rank of what holds.
    failure, rule
        Shape (n_actions, 2 * n_steps + 1): by rank, code of the reason and id of the rule; 0 and -1 where all
        steps hold.
    weight
        Shape (n_weights, n_actions): factor of each context weight; 1 where there is none.
    start
        Shape (n_actions,): where the ranks of each action begin in ``failure`` and ``rule``.
    """

    program: ArrayProgram
    answer: NDArray[np.intp]
    predicates: tuple[Expression, ...]
    predicate: NDArray[np.intp]
    number: NDArray[np.int8 | np.int16]
    failure: NDArray[np.int32]
    rule: NDArray[np.int32]
    weight: NDArray[np.float64]
    start: NDArray[np.intp]

    def ask(self, row: Mapping[str, Scalar]) -> Verdicts:
        """Return what the rules say of each action for one customer and context."""
        values, arrays = self.program.run_shortest(row)
        if arrays:
            return self._verdicts(
                _answers(self._truths(values, cast("list[Truths]", arrays)).take(self.answer))
            )
        told = bytes([*_ANSWER.values(), *map(_ANSWER.__getitem__, values)])
        return self._verdicts(np.frombuffer(told, dtype=np.int8).take(self.answer))

    def _truths(self, values: Sequence[Scalar], arrays: Sequence[Truths]) -> Truths:
        """Return what ``answer`` counts through, as truth; arrays of no dimension are stretched."""
        told = bytes([*_TRUTH.values(), *map(_TRUTH.__getitem__, values)])
        first, count = len(told), len(self.start)
        truths: Truths = np.empty(first + len(arrays) * count, dtype=np.int8)
        truths[:first] = np.frombuffer(told, dtype=np.int8)
        for begin, truth in zip(range(first, len(truths), count), arrays, strict=True):
            truths[begin : begin + count] = truth
        return truths

    def settle(self, truth: NDArray[np.int8]) -> Verdicts:
        """Return what follows from the truth of each predicate: 0 true, 1 false, 2 unknown.

        Parameters
        ----------
        truth
            Shape (..., n_predicates), in the order of ``predicates``. Leading dimensions are kept.
        """
        return self._verdicts(_OF_TRUTH[truth].take(self.predicate, axis=-1))

    def _verdicts(self, grid: NDArray[np.int8]) -> Verdicts:
        """Return what follows from a grid of answers, of shape (..., n_rows, n_actions)."""
        steps = len(self.number)
        asked, weights = grid[..., :steps, :], grid[..., steps:, :]
        if steps > _STEPS_IN_INT8:
            asked = np.where(asked == _HOLDS, np.iinfo(np.int16).min, asked.astype(np.int16))
        place = self.start + np.maximum.reduce(self.number + asked, axis=-2, initial=0)
        return Verdicts(self.failure.take(place), self.rule.take(place), self._weight(weights))

    def _weight(self, weights: NDArray[np.int8]) -> NDArray[np.float64]:
        if not len(self.weight):
            return np.ones((*weights.shape[:-2], len(self.start)))
        return reduce(
            np.multiply,
            [np.where(weights[..., row, :] == _HOLDS, own, 1.0) for row, own in enumerate(self.weight)],
        )


def _answers(truths: Truths) -> NDArray[np.int8]:
    """Return answers for truths in arithmetic, which is faster than a table for many."""
    return (truths > 0).view(np.int8) * np.int8(_HOLDS + 1) - truths


class _Use(NamedTuple):
    """A rule asked of an action in one row of the grid."""

    row: int
    action: int
    rule: Rule


def make_rule_plan(actions: Sequence[Action], rules: Sequence[Rule]) -> RulePlan:
    """Return the plan for actions ordered by id and the catalogue's rules."""
    steps = max((len(action.rules) for action in actions), default=0)
    weights = max((len(action.weightings) for action in actions), default=0)
    failure = np.zeros((len(actions), 2 * steps + 1), dtype=np.int32)
    rule = np.full(failure.shape, -1, dtype=np.int32)
    weight = np.ones((weights, len(actions)))
    for column, action in enumerate(actions):
        for step, use in enumerate(action.rules):
            unknown = 2 * (steps - step) - 1
            rule[column, unknown : unknown + 2] = use.rule_id
            failure[column, unknown : unknown + 2] = _FALSE[use.tier] + 1, _FALSE[use.tier]
        for step, weighting in enumerate(action.weightings):
            weight[step, column] = weighting.weight
    uses = tuple(_uses(actions, rules, steps))
    shape = (steps + weights, len(actions))
    predicates, predicate = _predicates(actions, uses, shape)
    program, answer = _program(actions, uses, shape)
    number = np.arange(2 * steps - 1, 0, -2, dtype=np.int16)[:, None]
    return RulePlan(
        program=program,
        answer=answer,
        predicates=predicates,
        predicate=predicate,
        number=number.astype(np.int8) if steps <= _STEPS_IN_INT8 else number,
        failure=failure,
        rule=rule,
        weight=weight,
        start=np.arange(len(actions)) * (2 * steps + 1),
    )


def _uses(actions: Sequence[Action], rules: Sequence[Rule], steps: int) -> Iterator[_Use]:
    for column, action in enumerate(actions):
        for step, use in enumerate(action.rules):
            yield _Use(step, column, rules[use.rule_id])
        for step, weighting in enumerate(action.weightings):
            yield _Use(steps + step, column, rules[weighting.rule_id])


def _program(
    actions: Sequence[Action], uses: Iterable[_Use], shape: tuple[int, int]
) -> tuple[ArrayProgram, NDArray[np.intp]]:
    """Return the program of the rules in use, and which of its answers belongs where on the grid."""
    of_rule: dict[Expression, list[_Use]] = {}
    for use in uses:
        of_rule.setdefault(use.rule.expression, []).append(use)
    over_actions = {node: any(map(is_of_action, column_refs(node))) for node in of_rule}
    singles = [node for node in of_rule if not over_actions[node]]
    arrays = [node for node in of_rule if over_actions[node]]
    known = action_vectors(actions, arrays)
    program, folded = ArrayProgram.of(singles, arrays, known, len(actions)).without_folded()
    answer = np.zeros(shape, dtype=np.intp)
    for number, node in enumerate(singles, start=len(_ANSWER)):
        for use in of_rule[node]:
            answer[use.row, use.action] = number
    start = len(_ANSWER) + len(singles)
    for node, truth in zip(arrays, folded, strict=True):
        for use in of_rule[node]:
            told = start + use.action if truth is None else 1 - int(cast("Truths", truth)[use.action])
            answer[use.row, use.action] = told
        start += len(actions) if truth is None else 0
    return program, answer


def _predicates(
    actions: Sequence[Action], uses: Iterable[_Use], shape: tuple[int, int]
) -> tuple[tuple[Expression, ...], NDArray[np.intp]]:
    """Return each distinct predicate with action values in place, and which belongs where on the grid."""
    predicate = np.zeros(shape, dtype=np.intp)
    numbers: dict[Expression, int] = {Literal(True, ColumnType.BOOL): 0}
    known: dict[tuple[object, ...], int] = {}
    named: dict[int, tuple[ColumnRef, ...]] = {}
    for row, column, rule in uses:
        if rule.rule_id not in named:
            named[rule.rule_id] = tuple(filter(is_of_action, column_refs(rule.expression)))
        values = {one.name: action_scalar(actions[column], one) for one in named[rule.rule_id]}
        key = (rule.rule_id, *values.values())
        if key not in known:
            known[key] = numbers.setdefault(_bound(rule.expression, values), len(numbers))
        predicate[row, column] = known[key]
    return tuple(numbers), predicate


def _bound(expression: Expression, values: Mapping[str, Scalar]) -> Expression:
    """Return the expression with the action's own values in place, or its truth where nothing is left."""

    def value_of(column: ColumnRef) -> Expression:
        return Literal(values[column.name], column.type) if column.name in values else column

    bound = replace_columns(expression, value_of)
    return bound if column_refs(bound) else Literal(Program.of([bound]).run({})[0], ColumnType.BOOL)
