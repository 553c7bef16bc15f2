"""Treatments within actions: all at once as each by itself."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serving.decision.side_by_side
from serving.decision.epsilon_uniform import EpsilonUniform
from serving.decision.exploration import Contest, Exploration
from serving.decision.greedy import Greedy
from serving.decision.side_by_side import chances_within, part
from serving.decision.softmax import Softmax
from serving.decision.thompson import Thompson
from serving.decision.treatments import field_of
from serving.decision.uniform import Uniform

POLICIES = (
    Greedy(),
    Uniform(),
    EpsilonUniform(0.3),
    EpsilonUniform(0.2, Softmax(0.5)),
    EpsilonUniform(0.2, Thompson(50, simulations=100)),
    Softmax(0.2),
    Softmax(1e-300),
    Thompson(50, simulations=100),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(POLICIES),
    st.lists(
        st.lists(st.sampled_from((-2.0, -0.0, 0.0, 1.0, 1.0, 3.5, 1e300)), min_size=1, max_size=4),
        min_size=1,
        max_size=6,
    ),
)
def test_many_contests_at_once_are_each_by_itself(policy: Exploration, groups: list[list[float]]) -> None:
    priority = np.array([number for group in groups for number in group])
    contest = Contest(priority, np.full(len(priority), 0.2), np.full(len(priority), 30.0))
    first = np.cumsum([0, *(len(group) for group in groups[:-1])])

    chances = chances_within(policy, contest, first)

    for begin, group in zip(first.tolist(), groups, strict=True):
        span = slice(begin, begin + len(group))
        alone = policy.distribution(part(contest, span)).probabilities
        assert chances[span] == pytest.approx(alone, abs=1e-12)
        assert abs(chances[span].sum() - 1) < 1e-12


def test_an_action_competes_with_the_mean_of_its_treatments() -> None:
    contest = Contest(np.array([1.0, 3.0, 2.5]), np.array([0.1, 0.3, 0.5]), np.array([10.0, 30.0, 50.0]))
    field = field_of(Uniform(), contest, np.array([4, 5, 8]), np.array([0, 0, 2]))

    assert field.action.tolist() == [0, 2]
    assert field.contest.priority.tolist() == [2.0, 2.5]
    assert field.contest.propensity.tolist() == pytest.approx([0.2, 0.5])
    assert field.contest.evidence is not None
    assert field.contest.evidence.tolist() == [20.0, 50.0]
    rng = np.random.default_rng(3)
    picks = {field.pick(np.array([0, 1]), rng) for _ in range(60)}
    assert picks == {(4, 0.25), (5, 0.25), (8, 0.5)}
    assert {field.pick(np.array([1]), rng) for _ in range(5)} == {(8, 1.0)}


def test_a_single_treatment_costs_no_second_number() -> None:
    contest = Contest(np.array([1.0, 3.0]), np.array([0.1, 0.3]))
    used, counted = np.random.default_rng(3), np.random.default_rng(3)
    field_of(Uniform(), contest, np.array([0, 1]), np.array([0, 1])).pick(np.array([0, 1]), used)
    counted.random()

    assert used.random() == counted.random()


def test_examples_in_docstrings_run() -> None:
    assert doctest.testmod(serving.decision.side_by_side).failed == 0
