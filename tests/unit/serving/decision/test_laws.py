"""Laws of every decision, whatever the catalogue, the customer and the chance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.decision.actions import Action, Distinct
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.decide import decide
from serving.decision.decision import Decision
from serving.decision.exploration import ActionDistribution, Contest
from serving.decision.reasons import Reason
from serving.decision.shortlist import shortlist
from serving.decision.values import History, Scalar
from tests.unit.serving.decision.small import NOW, action, catalogue, customer, request, scorer, treatment

Case = tuple[Catalogue, dict[str, Scalar], dict[str, float], int]

RULES = ("age >= 18", "age < 18", "spend > 10", "age IS NOT NULL AND NOT spend > 10", "TRUE", "age <> age")


@dataclass(frozen=True)
class Proportional:
    """A policy that spreads: in proportion to priority, so that laws over chance mean something."""

    name: str = "proportional"

    def distribution(self, contest: Contest) -> ActionDistribution:
        weights = contest.priority + 1e-6
        return ActionDistribution(weights / weights.sum())


@st.composite
def actions(draw: st.DrawFn) -> tuple[Action, ...]:
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True))
    return tuple(_action(draw, name) for name in names)


def _action(draw: st.DrawFn, name: str) -> Action:
    count = draw(st.integers(1, 3))
    return action(
        name,
        value=draw(st.sampled_from((0.0, 1.0, 1.0, 2.5))),
        group=draw(st.sampled_from("xyz")),
        rules=tuple(draw(st.lists(st.integers(0, len(RULES) - 1), max_size=2))),
        treatments=[
            treatment(
                f"{name}-{number}",
                channel=draw(st.sampled_from(("web", "web", "app"))),
                places=draw(st.sampled_from((("home",), ("home", "side")))),
            )
            for number in range(count)
        ],
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    made = catalogue(
        *draw(actions()),
        rules=RULES,
        distinct=draw(st.sampled_from(Distinct)),
        floor=draw(st.sampled_from((0.0, 0.3))),
        exploration=draw(st.sampled_from((None, Proportional()))),
        fallback=draw(st.booleans()),
    )
    features: dict[str, Scalar] = {
        "age": draw(st.none() | st.integers(0, 90)),
        "spend": draw(st.none() | st.sampled_from((5.0, 50.0, float("nan")))),
    }
    scores = {
        str(one.treatment.treatment_id): draw(st.sampled_from((0.0, 0.1, 0.5, 0.5, 1.0)))
        for one in made.candidates
    }
    return made, features, scores, draw(st.integers(0, 1000))


def decided(made: Catalogue, features: dict[str, Scalar], scores: dict[str, float], seed: int) -> Decision:
    rng = np.random.default_rng(seed)
    return decide(request(home=3, side=2), made, customer(**features), History(), NOW, scorer(scores), rng)


def told(decision: Decision) -> list[tuple[object, ...]]:
    return [
        *(
            (offer.placement, offer.rank, offer.candidate.treatment.treatment_id, offer.action_probability)
            for offer in decision.offers
        ),
        *((p.name, p.reason) for p in decision.placements),
        *((one.placement, one.candidate.treatment.treatment_id, one.reason) for one in decision.considered),
        (decision.funnel,),
    ]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cases())
def test_what_is_shown_was_never_ruled_out(
    case: Case,
) -> None:
    decision = decided(*case)
    stopped = {
        (one.placement, one.candidate.treatment.treatment_id)
        for one in decision.considered
        if one.reason is not Reason.SHOWN
    }
    for offer in decision.offers:
        assert (offer.placement, offer.candidate.treatment.treatment_id) not in stopped
        assert 0 < offer.action_probability <= 1
        if offer.kind.learns:
            assert offer.propensity is not None
            assert offer.propensity >= case[0].propensity_floor
            assert offer.priority == offer.propensity * offer.value


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cases())
def test_everything_considered_is_counted_and_settled(
    case: Case,
) -> None:
    decision = decided(*case)
    reasons = {one.reason for one in decision.considered}
    assert Reason.UNDECIDED not in reasons
    for place in ("home", "side"):
        asked = {one.candidate.action.action_id for one in decision.considered if one.placement == place}
        assert asked == {one.action_id for one in case[0].actions}
    funnel = decision.funnel
    steps = [
        funnel.considered,
        funnel.available,
        funnel.eligible,
        funnel.applicable,
        funnel.suitable,
        funnel.within_contact_policy,
        funnel.scored,
        funnel.shown,
    ]
    assert steps == sorted(steps, reverse=True)
    assert funnel.considered == len(case[0].actions)
    assert funnel.shown == sum(offer.kind.learns for offer in decision.offers)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cases())
def test_no_action_twice_and_distinct_as_declared(
    case: Case,
) -> None:
    decision = decided(*case)
    shown = [offer.candidate.action.action_id for offer in decision.offers]
    assert len(shown) == len(set(shown))
    home = case[0].placement("web", "home")
    assert home is not None
    if home.distinct is Distinct.GROUP:
        groups = [
            offer.candidate.action.group
            for offer in decision.offers
            if offer.placement == "home" and offer.kind.learns
        ]
        assert len(groups) == len(set(groups))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_same_seed_same_decision_bit_for_bit(
    case: Case,
) -> None:
    assert told(decided(*case)) == told(decided(*case))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_catalogue_never_matters(case: Case, chance: Random) -> None:
    made, features, scores, seed = case
    shuffled = list(made.actions)
    chance.shuffle(shuffled)
    other = replace(made, actions=tuple(shuffled))
    assert other.digest == made.digest
    assert told(decided(other, features, scores, seed)) == told(decided(*case))


def test_stated_probabilities_are_the_true_ones() -> None:
    """6,000 answers of two slots stay within five standard errors of the joint π they state."""
    made = catalogue(
        action("a", value=3.0, treatments=[treatment("a-1"), treatment("a-2")]),
        action("b", value=2.0),
        action("c", value=1.0),
        exploration=Proportional(),
    )
    left = shortlist(request(home=2), made, customer(), History(), NOW)
    scores = scorer({"a-1": 0.2, "a-2": 0.4, "b-web": 0.3, "c-web": 0.5})(left)
    draws = 6_000
    counted: dict[tuple[str, ...], int] = {}
    stated: dict[tuple[str, ...], float] = {}
    rng = np.random.default_rng(11)
    for _ in range(draws):
        decision = choose(left, scores, History(), rng)
        key = tuple(str(offer.candidate.treatment.treatment_id) for offer in decision.offers)
        counted[key] = counted.get(key, 0) + 1
        stated[key] = decision.joint_probability
    assert abs(sum(stated.values()) - 1) < 1e-9
    for key, probability in stated.items():
        error = (probability * (1 - probability) / draws) ** 0.5
        assert abs(counted[key] / draws - probability) < 5 * error, key


def test_more_treatments_do_not_give_an_action_more_chance() -> None:
    made = catalogue(
        action("a", treatments=[treatment("a-1"), treatment("a-2")]),
        action("b"),
        exploration=Proportional(),
    )
    left = shortlist(request(home=1), made, customer(), History(), NOW)
    scores = scorer({}, otherwise=0.4)(left)
    stated = {
        offer.candidate.treatment.treatment_id: offer.action_probability
        for seed in range(40)
        for offer in choose(left, scores, History(), np.random.default_rng(seed)).offers
    }

    assert stated == pytest.approx({"a-1": 0.25, "a-2": 0.25, "b-web": 0.5})
