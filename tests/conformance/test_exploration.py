"""What every policy of exploration promises, asked of every one of them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from moment.errors import InvariantViolation
from serving.decision.choose import choose
from serving.decision.decision import Scores
from serving.decision.digest import canonical
from serving.decision.epsilon_uniform import EpsilonUniform
from serving.decision.exploration import ActionDistribution, Contest, Exploration
from serving.decision.explorations import DEFAULT_EXPLORATION, EXPLORATIONS
from serving.decision.greedy import Greedy
from serving.decision.shortlist import shortlist
from serving.decision.side_by_side import chances_within, part
from serving.decision.softmax import Softmax
from serving.decision.thompson import Thompson
from serving.decision.uniform import Uniform
from serving.decision.values import History
from tests.unit.serving.decision import small

SIGNIFICANCE = 1e-4
"""Seeds are fixed: what passes does so for ever. Chance alone would fail one test in ten thousand."""

DRAWS = 100_000

NAMES = "abcde"


@dataclass(frozen=True, slots=True)
class Promise:
    """A policy and what it says of itself beyond what all promise."""

    exploration: Exploration
    equivariant: bool = True
    scale_invariant: bool = True
    leaves_nobody_out: bool = False


PROMISES = [
    Promise(Greedy()),
    Promise(Uniform(), leaves_nobody_out=True),
    Promise(EpsilonUniform(), leaves_nobody_out=True),
    Promise(EpsilonUniform(0.3, Softmax(0.2)), leaves_nobody_out=True),
    Promise(EpsilonUniform(0.2, Thompson(50, simulations=100)), False, False, leaves_nobody_out=True),
    Promise(EpsilonUniform(0.0)),
    Promise(EpsilonUniform(1.0), leaves_nobody_out=True),
    Promise(Softmax(0.2)),
    Promise(Softmax(1e-300)),
    Promise(Softmax(1e9), leaves_nobody_out=True),
    Promise(Thompson(200, simulations=500), False, False),
    Promise(Thompson(1, simulations=100), False, False),
]


def every_policy() -> Iterator[Any]:
    for promise in PROMISES:
        yield pytest.param(promise, id=promise.exploration.name)


each = pytest.mark.parametrize("promise", list(every_policy()))


@st.composite
def contests(draw: st.DrawFn, *, distinct: bool = False) -> Contest:
    size = draw(st.integers(1, 12))
    priorities = st.one_of(
        st.floats(-1e308, 1e308), st.floats(0.0, 100.0), st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1e308])
    )
    if distinct:  # so far apart that neither a scale nor rounding makes equals of them
        priorities = st.integers(-1000, 1000).map(float)
    chances = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 1.0, 5e-324, 1e-13, 1.0 - 1e-16]))
    worth = st.one_of(st.floats(0.0, 1e9), st.just(float("nan")))
    return Contest(
        np.array(draw(st.lists(priorities, min_size=size, max_size=size, unique=distinct))),
        np.array(draw(st.lists(chances, min_size=size, max_size=size))),
        draw(
            st.one_of(st.none(), st.lists(worth, min_size=size, max_size=size).map(np.array)),
        ),
    )


def typical(size: int = 8, seed: int = 1) -> Contest:
    """Priorities as a model makes them: close enough that several may win."""
    rng = np.random.default_rng(seed)
    propensity = rng.uniform(0.02, 0.1, size)
    return Contest(propensity * rng.uniform(20.0, 60.0, size), propensity)


@each
@given(contest=contests())
@settings(max_examples=50)
def test_chances_are_a_distribution(promise: Promise, contest: Contest) -> None:
    found = promise.exploration.distribution(contest)

    assert found.probabilities.shape == contest.priority.shape
    assert found.probabilities.dtype == np.float64
    assert (found.probabilities >= 0.0).all()
    assert abs(found.probabilities.sum() - 1.0) <= 1e-12
    if promise.leaves_nobody_out:
        assert (found.probabilities > 0.0).all()
    if found.error is not None:
        assert found.error.shape == contest.priority.shape
        assert ((found.error >= 0.0) & (found.error <= 1.0)).all()


@each
@given(contest=contests())
@settings(max_examples=20)
def test_the_same_contest_has_the_same_chances_and_is_left_as_it_was(
    promise: Promise, contest: Contest
) -> None:
    copy = part(contest, np.arange(len(contest.priority)))
    first = promise.exploration.distribution(contest)
    np.random.default_rng().random(3)  # whatever else is drawn in between
    again = promise.exploration.distribution(copy)

    assert first.probabilities.tobytes() == again.probabilities.tobytes()
    assert contest.priority.tobytes() == copy.priority.tobytes()
    assert contest.propensity.tobytes() == copy.propensity.tobytes()


@each
def test_one_competitor_is_certain(promise: Promise) -> None:
    for priority in (0.0, -3.0, 7.0):
        alone = Contest(np.array([priority]), np.array([0.1]))
        assert promise.exploration.distribution(alone).probabilities.tolist() == [1.0]


@each
@given(contest=contests(distinct=True), data=st.data())
@settings(max_examples=30)
def test_the_order_of_competitors_does_not_matter(
    promise: Promise, contest: Contest, data: st.DataObject
) -> None:
    order = np.array(data.draw(st.permutations(range(len(contest.priority)))), dtype=np.intp)
    one = promise.exploration.distribution(contest)
    other = promise.exploration.distribution(part(contest, order))

    if promise.equivariant:
        np.testing.assert_allclose(other.probabilities, one.probabilities[order], rtol=1e-12, atol=1e-15)
    else:
        within_error(other, one, order)


@each
@given(contest=contests(distinct=True), scale=st.sampled_from([1e-6, 0.01, 3.0, 1e9]))
@settings(max_examples=30)
def test_the_currency_does_not_matter(promise: Promise, contest: Contest, scale: float) -> None:
    one = promise.exploration.distribution(contest)
    scaled = Contest(contest.priority * scale, contest.propensity, contest.evidence)
    other = promise.exploration.distribution(scaled)

    if promise.scale_invariant:
        np.testing.assert_allclose(other.probabilities, one.probabilities, rtol=1e-9, atol=1e-15)
    else:
        within_error(other, one, np.arange(len(scaled.priority)))


def within_error(one: ActionDistribution, other: ActionDistribution, order: NDArray[np.intp]) -> None:
    """Two simulations differ by less than six times the error of their difference."""
    assert one.error is not None
    assert other.error is not None
    error = np.hypot(one.error, other.error[order])
    assert (np.abs(one.probabilities - other.probabilities[order]) <= 6.0 * error + 1e-15).all()


@each
@given(contest=contests(), data=st.data())
@settings(max_examples=30)
def test_contests_side_by_side_are_those_contests(
    promise: Promise, contest: Contest, data: st.DataObject
) -> None:
    starts = data.draw(st.sets(st.integers(0, len(contest.priority) - 1)))
    first = np.array(sorted(starts | {0}), dtype=np.intp)
    found = chances_within(promise.exploration, contest, first)

    parts = np.split(np.arange(len(contest.priority)), first[1:])
    each_alone = [promise.exploration.distribution(part(contest, one)).probabilities for one in parts]
    np.testing.assert_allclose(found, np.concatenate(each_alone), rtol=1e-12, atol=1e-15)


@each
def test_draws_come_as_often_as_stated(promise: Promise) -> None:
    """100,000 draws against the stated chances, by chi-square; the impossible never comes."""
    distribution = promise.exploration.distribution(typical())
    rng = np.random.default_rng(20)
    counted = np.bincount([distribution.draw(rng) for _ in range(DRAWS)], minlength=8)

    assert come_as_often(counted, distribution.probabilities)


@each
def test_several_slots_come_jointly_as_often_as_stated(promise: Promise) -> None:
    jointly(promise.exploration, answers=100 if "thompson" in promise.exploration.name else 500)


def test_a_hundred_thousand_picks_come_jointly_as_often_as_stated() -> None:
    jointly(EpsilonUniform(0.1, Softmax(0.3)), answers=20_000)


def jointly(exploration: Exploration, answers: int) -> None:
    """Whole answers of the real core: three slots without replacement, then two of another placement.

    Each answer's joint chance is worked out apart, from the policy alone; the core states the very same, and
    over many answers each comes that often, by chi-square.
    """
    values, propensities = np.array([1.0, 1.2, 1.5, 1.6, 0.9]), np.array([0.09, 0.08, 0.06, 0.055, 0.1])
    actions = [
        replace(small.action(name, value=value), purposes=frozenset())
        for name, value in zip(NAMES, values.tolist(), strict=True)
    ]
    catalogue = small.catalogue(*actions, exploration=exploration)
    left = shortlist(small.request(home=3, side=2), catalogue, small.customer(), History(), small.NOW)
    expected = joint(exploration, Contest(values * propensities, propensities), slots=5)
    assert sum(expected.values()) == pytest.approx(1.0, abs=1e-12)

    rng, scores = np.random.default_rng(21), Scores(propensities, propensities)
    counted: Counter[str] = Counter()
    for _ in range(answers):
        decision = choose(left, scores, History(), rng)
        offers = [offer for filled in decision.placements for offer in filled.offers]
        key = "".join(offer.candidate.action.action_id for offer in offers)
        counted[key] += 1
        assert math.isclose(decision.joint_probability, expected[key], rel_tol=1e-9)
    keys = sorted(expected)
    assert come_as_often(np.array([counted[key] for key in keys]), np.array([expected[key] for key in keys]))


def joint(exploration: Exploration, contest: Contest, slots: int) -> dict[str, float]:
    """Return the chance of each ordered answer: the product of the chances of its picks."""
    found: dict[str, float] = {}

    def go(taken: tuple[int, ...], chance: float) -> None:
        if len(taken) == slots:
            found["".join(NAMES[index] for index in taken)] = chance
            return
        left = np.array([index for index in range(len(contest.priority)) if index not in taken])
        chances = exploration.distribution(part(contest, left)).probabilities
        for index, one in zip(left.tolist(), chances.tolist(), strict=True):
            go((*taken, index), chance * one)

    go((), 1.0)
    return found


def come_as_often(counted: NDArray[np.int64], chances: NDArray[np.float64]) -> bool:
    """Whether counts fit chances: the impossible never, the rare (pooled) and the others by chi-square."""
    if counted[chances == 0.0].any():
        return False
    expected = chances * counted.sum()
    often = expected >= 5.0
    found = np.append(counted[often], counted[~often].sum())
    wanted = np.append(expected[often], expected[~often].sum())
    if wanted[-1] < 1e-6:
        if found[-1]:
            return False
        found, wanted = found[:-1], wanted[:-1]
    wanted *= found.sum() / wanted.sum()  # rounding; chi-square wants the very same sum
    return len(wanted) == 1 or bool(stats.chisquare(found, wanted).pvalue > SIGNIFICANCE)


def test_the_check_of_counts_can_fail() -> None:
    fair = np.full(4, 0.25)
    assert come_as_often(np.array([250, 260, 240, 250]), fair)
    assert not come_as_often(np.array([350, 160, 240, 250]), fair)
    assert not come_as_often(np.array([1, 999]), np.array([0.0, 1.0]))
    assert not come_as_often(np.array([60, 940]), np.array([1e-4, 1.0 - 1e-4]))


def test_softmax_is_what_it_says() -> None:
    contest = typical()
    relative = contest.priority / contest.priority.max()
    plain = np.exp(relative / 0.2)

    found = Softmax(0.2).distribution(contest).probabilities
    np.testing.assert_allclose(found, plain / plain.sum(), rtol=1e-12)
    assert Softmax(1e-6).distribution(contest).probabilities.max() == pytest.approx(1.0)
    np.testing.assert_allclose(Softmax(1e6).distribution(contest).probabilities, 1 / 8, rtol=1e-5)


def test_a_hopeless_newcomer_leaves_the_odds_of_the_others_alone() -> None:
    for exploration in (Softmax(0.2), Uniform()):
        two = exploration.distribution(Contest(np.array([4.0, 3.0]), np.full(2, 0.1))).probabilities
        three = exploration.distribution(Contest(np.array([4.0, 3.0, 0.01]), np.full(3, 0.1))).probabilities
        assert three[0] / three[1] == pytest.approx(two[0] / two[1], rel=1e-12)


def test_a_share_of_picks_is_uniform_and_the_rest_follows_the_base() -> None:
    contest = typical()
    base = Softmax(0.3).distribution(contest).probabilities
    mixed = EpsilonUniform(0.25, Softmax(0.3)).distribution(contest).probabilities

    np.testing.assert_allclose(mixed, 0.75 * base + 0.25 / 8, rtol=1e-14)
    simulated = EpsilonUniform(0.25, Thompson(50)).distribution(contest)
    alone = Thompson(50).distribution(contest)
    assert simulated.error is not None
    assert alone.error is not None
    np.testing.assert_allclose(simulated.error, 0.75 * alone.error, rtol=1e-14)


@pytest.mark.parametrize("worth", [20.0, 200.0, 5_000.0])
def test_thompson_is_within_its_error_of_a_large_simulation_of_another_make(worth: float) -> None:
    """400,000 plays drawn from gammas, over every competitor; the statement is from 2,000."""
    contest = typical(30, seed=int(worth))
    found = Thompson(worth, simulations=2_000).distribution(contest)
    rng = np.random.default_rng(5)
    a, b = contest.propensity * worth, (1.0 - contest.propensity) * worth
    wins = np.zeros(30)
    for _ in range(20):
        good, bad = rng.standard_gamma(a, (5_000, 30)), rng.standard_gamma(b, (5_000, 30))
        played = contest.priority * (good / (good + bad)) / contest.propensity
        wins += np.bincount(played.argmax(axis=1), minlength=30)
    truth = wins / wins.sum()

    assert found.error is not None
    assert (np.abs(found.probabilities - truth) <= 4.5 * found.error).all()
    assert (found.error <= 0.5 / np.sqrt(2_000) + 1e-9).all()
    assert 0.3 < np.mean(np.abs(found.probabilities - truth)[truth > 0.01] / found.error[truth > 0.01]) < 1.3


def test_what_thompson_does_not_play_could_not_have_won() -> None:
    """Competitors it leaves out win nothing in 200,000 plays of them all."""
    rng = np.random.default_rng(6)
    propensity = rng.uniform(0.05, 0.2, 40)
    contest = Contest(propensity * np.geomspace(1.0, 60.0, 40), propensity)
    worth = 400.0
    left_out = Thompson(worth).left_out(contest)
    assert 10 < left_out.sum() < 38

    theta = rng.beta(propensity * worth, (1.0 - propensity) * worth, (200_000, 40))
    won = np.bincount((contest.priority * theta / propensity).argmax(axis=1), minlength=40)
    assert won[left_out].sum() == 0


def test_thompson_explores_what_is_not_known_yet() -> None:
    priority, propensity = np.array([5.0, 4.5]), np.array([0.05, 0.05])
    known = [
        Thompson(100)
        .distribution(Contest(priority, propensity, np.array([10_000.0, worth])))
        .probabilities[1]
        for worth in (50.0, 500.0, 50_000.0)
    ]

    assert known[0] > known[1] > known[2]
    assert known[2] < 0.1


def test_thompson_takes_certainty_as_it_is() -> None:
    thompson = Thompson(200)
    certain = Contest(np.array([0.0, 3.0, 3.0]), np.array([0.0, 1.0, 1.0]))
    nothing = Contest(np.zeros(3), np.zeros(3))

    assert thompson.distribution(certain).probabilities.tolist() == [0.0, 0.5, 0.5]
    np.testing.assert_allclose(thompson.distribution(nothing).probabilities, 1 / 3, rtol=1e-12)


def test_evidence_counts_from_the_contest_and_else_from_the_policy() -> None:
    contest = typical(2)
    unknown = Contest(contest.priority, contest.propensity, np.array([np.nan, np.nan]))
    said = Contest(contest.priority, contest.propensity, np.array([70.0, 70.0]))
    plain = Thompson(70).distribution(contest).probabilities

    assert np.array_equal(Thompson(70).distribution(unknown).probabilities, plain)
    assert np.array_equal(Thompson(70).distribution(said).probabilities, plain)
    assert not np.array_equal(Thompson(10_000).distribution(contest).probabilities, plain)


SCRIPT = """
import numpy as np
from serving.decision.exploration import Contest
from serving.decision.thompson import Thompson
p = np.linspace(0.02, 0.1, 8)
print(Thompson(50).distribution(Contest(1.0 / p + 3.0, p)).probabilities.tolist())
"""


def test_another_process_states_the_same_chances() -> None:
    propensity = np.linspace(0.02, 0.1, 8)
    here = Thompson(50).distribution(Contest(1.0 / propensity + 3.0, propensity)).probabilities.tolist()
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    )

    assert run.stdout.strip() == str(here)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EpsilonUniform(1.5), "share is 1.5; it is a number from 0 to 1"),
        (lambda: EpsilonUniform(float("nan")), "share is nan"),
        (lambda: Softmax(0.0), "temperature is 0.0; it is a number above 0"),
        (lambda: Softmax(float("inf")), "temperature is inf"),
        (lambda: Thompson(0.5), "evidence is 0.5; it is a number of at least 1"),
        (lambda: Thompson(200, simulations=99), "simulations is 99; it is a whole number from 100 to 100000"),
        (lambda: Thompson(200, simulations=True), "simulations is True"),
    ],
)
def test_parameters_out_of_bounds_are_named(make: Callable[[], Exploration], message: str) -> None:
    with pytest.raises(InvariantViolation, match=message):
        make()


def test_policies_that_differ_differ_in_name_and_in_a_digest() -> None:
    explorations = [promise.exploration for promise in PROMISES]

    assert len({one.name for one in explorations}) == len(explorations)
    assert len({canonical(one) for one in explorations}) == len(explorations)
    assert canonical(Softmax(0.5)) == '{"policy":"softmax","temperature":0.5}'
    assert len({*explorations, Softmax(0.2), Greedy()}) == len(explorations)


def test_the_registry_knows_every_policy_and_what_it_takes() -> None:
    assert {one.exploration.name.partition("(")[0] for one in PROMISES} == set(EXPLORATIONS)
    takes = {
        word: ([one.name for one in kind.numbers], kind.policies, sorted(kind.required))
        for word, kind in EXPLORATIONS.items()
    }
    assert takes == {
        "greedy": ([], (), []),
        "uniform": ([], (), []),
        "epsilon_uniform": (["share"], ("base",), []),
        "softmax": (["temperature"], (), ["temperature"]),
        "thompson": (["evidence", "simulations"], (), ["evidence"]),
    }
    assert EXPLORATIONS["softmax"].make(temperature=0.5) == Softmax(0.5)
    assert EpsilonUniform(0.05, Greedy()) == DEFAULT_EXPLORATION
