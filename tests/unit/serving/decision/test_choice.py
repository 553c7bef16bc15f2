"""Scores, chance and what is computed once."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import pytest

import serving.decision.greedy
import serving.decision.parsing
from moment.errors import InvariantViolation
from serving.decision.choose import choose
from serving.decision.decide import decide
from serving.decision.decision import Scores
from serving.decision.explanation import explain
from serving.decision.exploration import ActionDistribution
from serving.decision.shortlist import shortlist
from serving.decision.values import History
from tests.unit.serving.decision.small import NOW, action, catalogue, customer, request, scorer


def test_all_candidates_of_all_placements_are_scored_in_one_call_each_once() -> None:
    made = catalogue(action("a"), action("b"), action("c", rules=(0,)), rules=("age > 99",))
    asking = scorer({})
    decide(request(home=2, side=2), made, customer(age=30), History(), NOW, asking, np.random.default_rng(1))
    left = shortlist(request(home=2, side=2), made, customer(age=30), History(), NOW)

    assert asking.calls == 1
    assert [one.action.action_id for one in left.contenders] == ["a", "b"]


def test_no_scorer_is_asked_when_nothing_is_left() -> None:
    made = catalogue(action("a", rules=(0,)), rules=("age > 99",), fallback=True)
    asking = scorer({})
    decision = decide(
        request(home=1), made, customer(age=30), History(), NOW, asking, np.random.default_rng(1)
    )

    assert asking.calls == 0
    assert [offer.kind.value for offer in decision.offers] == ["fallback"]


def test_an_empty_catalogue_answers_with_the_fallback() -> None:
    decision = decide(
        request(home=1),
        catalogue(fallback=True),
        customer(),
        History(),
        NOW,
        scorer({}),
        np.random.default_rng(1),
    )

    assert [offer.candidate.action.action_id for offer in decision.offers] == ["flyer"]
    assert decision.funnel.considered == 0


@pytest.mark.parametrize("values", [[0.5], [0.5, 1.5], [-0.1, 0.5]])
def test_scores_that_cannot_be_are_refused(values: list[float]) -> None:
    left = shortlist(request(home=1), catalogue(action("a"), action("b")), customer(), History(), NOW)

    with pytest.raises(InvariantViolation):
        choose(left, Scores(np.array(values), np.array(values)), History(), np.random.default_rng(1))


def test_a_shortlist_can_be_chosen_from_again_and_again() -> None:
    left = shortlist(request(home=2), catalogue(action("a"), action("b")), customer(), History(), NOW)
    scores = scorer({"a-web": 0.1, "b-web": 0.2})(left)
    first = choose(left, scores, History(), np.random.default_rng(1))
    again = choose(left, scores, History(), np.random.default_rng(1))

    assert [one.reason for one in first.considered] == [one.reason for one in again.considered]
    assert {one.reason.name for one in left.considered} == {"UNDECIDED"}


def test_drawing_never_takes_what_has_no_probability() -> None:
    distribution = ActionDistribution(np.array([0.0, 0.3, 0.0, 0.7, 0.0]))
    rng = np.random.default_rng(5)

    assert {distribution.draw(rng) for _ in range(500)} == {1, 3}


def test_the_digest_knows_content_and_nothing_else() -> None:
    made = catalogue(action("a"), action("b", value=2.0))

    assert made.digest == catalogue(action("b", value=2.0), action("a")).digest
    assert made.digest != catalogue(action("a"), action("b", value=2.5)).digest
    assert made.digest != replace(made, propensity_floor=0.1).digest
    assert made.version == made.digest[:12]


def test_explanations_begin_with_what_is_shown() -> None:
    made = catalogue(action("a"), action("b"), action("c", rules=(0,)), rules=("age > 99",))
    decision = decide(
        request(home=1),
        made,
        customer(age=30),
        History(),
        NOW,
        scorer({"b-web": 0.9}),
        np.random.default_rng(1),
    )

    assert [line.text for line in explain(decision.considered).candidates] == [
        "shown: priority 0.9 = propensity 0.9 x value 1",
        "arbitration: outranked with priority 0.5 = propensity 0.5 x value 1",
        "eligible: rule 0 `age > 99` is false: age = 30",
    ]


@pytest.mark.parametrize("module", [serving.decision.greedy, serving.decision.parsing])
def test_examples_in_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
