"""Quick ways of the core mean what the plain ways mean, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from moment.errors import InvariantViolation
from serving.decision.choose import choose
from serving.decision.considered import Funnel
from serving.decision.decision import Scores
from serving.decision.epsilon_uniform import EpsilonUniform
from serving.decision.exploration import ActionDistribution, Contest
from serving.decision.greedy import Greedy
from serving.decision.reasons import Reason
from serving.decision.seeded import Seeded
from serving.decision.shortlist import shortlist
from serving.decision.stops import Stops, first_of
from serving.decision.values import History
from tests.unit.serving.decision.small import NOW, action, catalogue, customer, request

SIZE = 4

priorities = st.integers(1, 60).flatmap(
    lambda size: arrays(np.float64, size, elements=st.floats(-1e6, 1e6, allow_nan=False))
)
stages = st.lists(
    st.tuples(
        st.lists(st.sampled_from([0, 0, 101, 203, 501]), min_size=SIZE, max_size=SIZE),
        st.booleans(),
        st.booleans(),
    ),
    max_size=4,
)


class Counting(np.random.Generator):
    """Counts what is drawn."""

    drawn = 0

    def random(self) -> float:  # type: ignore[override]
        self.drawn += 1
        return super().random()


@given(st.integers(0, 2**64 - 1))
def test_numbers_of_a_seed_are_those_of_numpy(seed: int) -> None:
    ours, theirs = Seeded(seed), np.random.default_rng(seed)

    assert [ours.random() for _ in range(5)] == [theirs.random() for _ in range(5)]


@given(priorities, st.floats(0.0, 1.0))
def test_uniform_choices_mixed_with_greedy_are_the_plain_mix(
    priority: np.ndarray[tuple[int], np.dtype[np.float64]], share: float
) -> None:
    found = EpsilonUniform(share).distribution(Contest(priority, np.full(len(priority), 0.1))).probabilities

    best = np.zeros(len(priority))
    best[np.argmax(priority)] = 1.0
    assert found.tobytes() == ((1.0 - share) * best + share / len(priority)).tobytes()


@given(priorities, st.integers(0, 99))
def test_what_is_sure_is_what_would_be_drawn(
    priority: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int
) -> None:
    sure = Greedy().distribution(Contest(priority, np.full(len(priority), 0.1)))
    chance = Counting(np.random.PCG64(seed))

    assert sure.draw(chance) == ActionDistribution(sure.probabilities).draw(Seeded(seed))
    assert chance.drawn == 0


def test_greedy_draws_nothing_and_a_mix_draws_one_number_a_slot() -> None:
    drawn = []
    for exploration in (Greedy(), EpsilonUniform(0.0), EpsilonUniform(0.5)):
        shop = catalogue(*(action(name) for name in "abc"), exploration=exploration)
        left = shortlist(request(home=2), shop, customer(), History(), NOW)
        chance = Counting(np.random.PCG64(1))
        choose(left, Scores(np.full(3, 0.1), np.array([0.1, 0.3, 0.2])), History(), chance)
        drawn.append(chance.drawn)

    assert drawn == [0, 2, 2]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(Reason))), max_size=12))
def test_a_funnel_counts_how_far_each_action_came(rows: Sequence[tuple[int, Reason]]) -> None:
    rows = [*((action, Reason.NOT_STARTED) for action in range(6)), *rows] if rows else []
    furthest = {
        action: max(reason.stage_number for one, reason in rows if one == action) for action, _ in rows
    }

    found = Funnel.of(
        np.array([reason for _, reason in rows], dtype=np.int32),
        np.array([action for action, _ in rows], dtype=np.intp),
    )

    assert found == Funnel(*(sum(stage > step for stage in furthest.values()) for step in range(8)))


@given(stages)
def test_the_first_stage_that_stops_an_action_is_its_reason(
    made: Sequence[tuple[list[int], bool, bool]],
) -> None:
    given_stages: list[Stops] = []
    expected: list[tuple[int, int, float | None]] = [(0, -1, None)] * SIZE
    for place, (reasons, numbered, observed) in enumerate(made):
        stopped = np.array(reasons) > 0
        given_stages.append(
            Stops(
                np.array(reasons, dtype=np.int32),
                np.where(stopped, place, -1).astype(np.int32) if numbered else None,
                np.where(stopped, place + 0.5, np.nan) if observed else None,
            )
        )
        told = (place if numbered else -1, place + 0.5 if observed else None)
        expected = [
            (reason, *told) if reason and not before[0] else before
            for reason, before in zip(reasons, expected, strict=True)
        ]

    reason, number, seen = first_of(SIZE, given_stages)

    values = [np.nan] * SIZE if seen is None else seen.tolist()
    found = zip(reason.tolist(), number.tolist(), values, strict=True)
    assert [(one, two, None if np.isnan(three) else three) for one, two, three in found] == expected
    assert (reason.dtype.name, number.dtype.name) == ("int32", "int32")


@pytest.mark.parametrize("wrong", [[np.nan, 1.5], [-0.1, 0.5], [1.0 + 1e-12, np.nan], [np.inf, 0.0]])
def test_a_propensity_out_of_bounds_is_found_beside_what_is_unknown(wrong: list[float]) -> None:
    shop = catalogue(action("a"), action("b"))
    left = shortlist(request(home=1), shop, customer(), History(), NOW)

    with pytest.raises(InvariantViolation, match=r"outside \[0, 1\]"):
        choose(left, Scores(np.array([0.1, 0.1]), np.array(wrong)), History(), Seeded(1))
    choose(left, Scores(np.array([0.1, 0.1]), np.array([np.nan, 1.0])), History(), Seeded(1))
