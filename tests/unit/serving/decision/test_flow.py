"""From shortlist to answer: mandatory first, rechecks over the answer, control, what an answer leaves."""

from __future__ import annotations

import doctest
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import serving.decision.mandatory
from moment.errors import InvariantViolation
from serving.decision.actions import Allowance, Distinct, Exclusion, LawfulBasis, Placement, Weighting
from serving.decision.catalogue import Catalogue
from serving.decision.choose import choose
from serving.decision.columns import Column, ColumnType
from serving.decision.contact import CoolOff, Limit, Per, QuietHours
from serving.decision.decide import decide
from serving.decision.decision import Decision, FillReason, OfferKind, Scores, contacts_of
from serving.decision.experiments import Arm, Assignment, Changes, Experiment, Layer, Share
from serving.decision.formula import parse_formula
from serving.decision.shortlist import shortlist
from serving.decision.thompson import Thompson
from serving.decision.values import ActionId, Consent, Contact, Customer, History, Purpose, Used
from tests.unit.serving.decision.small import NOW, action, catalogue, customer, request, scorer, treatment

LEGAL, CONTRACT = LawfulBasis.LEGAL_OBLIGATION, LawfulBasis.CONTRACT
MARKETING = frozenset({Purpose.MARKETING})
DAY = timedelta(days=1)
UNIT = replace(customer(), unit="u")
NO_HISTORY = History()


def decided(
    made: Catalogue,
    *,
    person: Customer | None = None,
    history: History | None = NO_HISTORY,
    scores: Mapping[str, float] | None = None,
    seed: int = 1,
    **places: int,
) -> Decision:
    rng = np.random.default_rng(seed)
    asked = request(**(places or {"home": 1}))
    return decide(asked, made, person or customer(), history, NOW, scorer(scores or {}), rng)


def names(decision: Decision) -> list[list[str]]:
    return [
        [str(offer.candidate.action.action_id) for offer in placement.offers]
        for placement in decision.placements
    ]


def reasons(decision: Decision) -> dict[str, str]:
    return {one.candidate.action.action_id: one.reason.name for one in decision.considered}


def test_mandatory_messages_go_first_by_lever_then_id_and_are_not_scored() -> None:
    made = catalogue(
        action("a", value=99.0),
        action("late", mandatory=CONTRACT),
        replace(action("urgent", mandatory=CONTRACT), lever=2.0),
        action("law", mandatory=LEGAL),
    )
    asking = scorer({})
    decision = decide(request(home=3), made, customer(), History(), NOW, asking, np.random.default_rng(1))

    assert names(decision) == [["urgent", "late", "law"]]
    assert {offer.kind for offer in decision.offers} == {OfferKind.MANDATORY}
    assert decision.joint_probability == 1.0
    assert reasons(decision)["a"] == "OUTRANKED"


def test_mandatory_messages_go_out_when_the_stores_and_the_model_are_gone() -> None:
    made = replace(
        catalogue(
            action("law", purposes=MARKETING, mandatory=LEGAL),
            action("sells", purposes=MARKETING),
            action("serves", purposes=frozenset({Purpose.SERVICE})),
        ),
        contact_policies=(Limit("one", 1, DAY, per=Per.ALL),),
    )
    alone = replace(customer(), consent=None)
    decision = decided(made, person=alone, history=None, home=3)

    assert names(decision) == [["law", "serves"]]
    assert reasons(decision)["sells"] == "CONSENT_STORE_GONE"
    left = shortlist(request(home=3), made, alone, None, NOW)
    assert names(choose(left, None, None, np.random.default_rng(1))) == [["law"]]


def test_mandatory_messages_pass_limits_holdout_and_cool_off_but_not_an_opt_out() -> None:
    made = replace(
        catalogue(action("law", mandatory=LEGAL), action("contract", mandatory=CONTRACT), action("a")),
        contact_policies=(Limit("none", 0, DAY, per=Per.ALL), CoolOff("rest", DAY)),
        holdout=Share(1.0, "h"),
    )
    before = History(
        contacts=(Contact("t", ActionId("law"), "g", "i", "web", NOW - DAY / 2, NOW, NOW - DAY / 2),)
    )
    decision = decided(made, person=UNIT, history=before, home=3)
    assert names(decision) == [["contract", "law"]]
    assert reasons(decision)["a"] == "HELD_OUT"
    assert decision.held_out
    opted_out = replace(UNIT, consent=Consent(opted_out=True))
    assert names(decided(made, person=opted_out, history=before, home=3)) == [["law"]]


def test_a_mandatory_message_of_a_later_placement_closes_an_earlier_one() -> None:
    """What must go out has its place before anything competes, wherever it is."""
    made = replace(
        catalogue(
            replace(action("a", value=9.0), exclusions=("pair",)),
            replace(
                action("m", mandatory=CONTRACT, treatments=[treatment("m-1", places=("side",))]),
                exclusions=("pair",),
            ),
        ),
        exclusions=(Exclusion("pair"),),
    )
    decision = decided(made, home=1, side=1)

    assert names(decision) == [[], ["m"]]
    assert decision.placements[0].reason is FillReason.NOTHING_LEFT
    assert [one.reason.name for one in decision.considered] == [
        "EXCLUDED",
        "NO_TREATMENT_FOR_PLACEMENT",
        "EXCLUDED",
        "SHOWN",
    ]


def test_a_mandatory_action_shows_its_first_treatment_and_is_counted_in_the_funnel() -> None:
    twice = [treatment("m-1"), treatment("m-2")]
    decision = decided(catalogue(action("m", mandatory=CONTRACT, treatments=twice), action("a")), home=2)

    assert [one.candidate.treatment.treatment_id for one in decision.offers] == ["m-1", "a-web"]
    assert [(one.candidate.treatment.treatment_id, one.reason.name) for one in decision.considered] == [
        ("a-web", "SHOWN"),
        ("m-1", "SHOWN"),
        ("m-2", "ACTION_TAKEN"),
    ]
    assert decision.funnel.shown == decision.funnel.scored == 2


def test_limits_are_used_up_across_placements() -> None:
    made = replace(
        catalogue(action("a"), action("b"), action("c", group="h"), distinct=Distinct.ACTION),
        contact_policies=(Limit("one-of-a-group", 1, DAY, per=Per.GROUP),),
    )
    decision = decided(made, scores={"a-web": 0.9}, home=2, side=2)

    assert names(decision) == [["a", "c"], []]
    assert [(p.name, p.reason) for p in decision.placements] == [
        ("home", FillReason.FILLED),
        ("side", FillReason.NOTHING_LEFT),
    ]
    stopped = [one for one in decision.considered if one.reason.name == "LIMIT_USED_UP"]
    assert [(one.candidate.action.action_id, one.policy, one.measured) for one in stopped] == [
        ("b", 0, 1.0),
        ("b", 0, 1.0),
    ]


def test_a_lost_contact_store_still_keeps_the_answer_itself_within_limits() -> None:
    service = frozenset({Purpose.SERVICE})
    made = replace(
        catalogue(action("a", purposes=service), action("b", purposes=service)),
        contact_policies=(Limit("one", 1, DAY, per=Per.ALL),),
    )

    assert names(decided(made, history=None, home=2)) == [["a"]]


def test_what_needs_no_history_holds_when_the_contact_store_is_gone() -> None:
    quiet = QuietHours("morning", time(8), time(12))
    service = action("a", purposes=frozenset({Purpose.SERVICE}))
    made = replace(catalogue(service), contact_policies=(quiet,), outbound=frozenset({"web"}))

    assert reasons(decided(made, history=None)) == {"a": "QUIET_HOURS"}


def test_control_is_uniform_over_actions_then_treatments() -> None:
    pair = [treatment("a-1"), treatment("a-2")]
    made = replace(catalogue(action("a", value=9.0, treatments=pair), action("b")), control=Share(1.0, "c"))
    stated = {
        str(offer.candidate.treatment.treatment_id): offer.action_probability
        for seed in range(40)
        for offer in decided(made, person=UNIT, seed=seed).offers
    }

    assert stated == {"a-1": 0.25, "a-2": 0.25, "b-web": 0.5}
    decision = decided(made, person=UNIT)
    assert decision.control
    assert decision.offers[0].kind.learns
    assert not decided(made).control  # no unit, no group


def test_a_customer_is_in_holdout_or_control_or_experiments() -> None:
    layer = Layer("l", "l", (Experiment("e", (Arm("x", 1.0),)),))
    made = replace(catalogue(action("a")), layers=(layer,))
    assert decided(made, person=UNIT).assignments == (Assignment("l", "e", "x"),)
    controlled = replace(made, control=Share(1.0, "c"))
    both = decided(controlled, person=UNIT)
    assert (both.control, both.held_out, both.assignments) == (True, False, ())
    held = decided(replace(controlled, holdout=Share(1.0, "h")), person=UNIT)
    assert (held.control, held.held_out, held.assignments) == (False, True, ())


def test_an_arms_lever_is_used_and_recorded() -> None:
    layer = Layer("l", "l", (Experiment("e", (Arm("x", 1.0, Changes(levers={ActionId("b"): 3.0})),)),))
    made = replace(
        catalogue(
            action("a", value=2.0), replace(action("b"), weightings=(Weighting(0, 1.5),)), rules=("TRUE",)
        ),
        layers=(layer,),
    )
    (offer,) = decided(made, person=UNIT).offers

    assert offer.candidate.action.action_id == "b"
    assert (offer.lever, offer.context_weight, offer.value, offer.priority) == (3.0, 1.5, 1.0, 2.25)


def test_a_formula_without_a_number_ranks_nothing() -> None:
    formula = parse_formula("propensity / spend", {"spend": Column(ColumnType.FLOAT)}).formula
    made = replace(catalogue(action("a"), fallback=True), formula=formula)
    decision = decided(made, person=customer(spend=None))

    assert reasons(decision) == {"a": "NOT_RANKED"}
    assert decision.placements[0].reason is FillReason.NOTHING_SCORED
    assert [offer.kind for offer in decision.offers] == [OfferKind.FALLBACK]
    assert decided(made, person=customer(spend=2.0)).offers[0].priority == 0.25


def test_a_spent_budget_is_not_available() -> None:
    made = catalogue(replace(action("a"), cost=2.0, budget=Allowance(total=10.0)), action("b"))
    used = History(used={ActionId("a"): Used(budget_total=9.0)})
    decision = decided(made, history=used, home=2)

    assert names(decision) == [["b"]]
    assert decision.considered[0].measured == 9.0
    assert decision.funnel.available == 1


def test_what_a_model_knows_of_its_certainty_reaches_exploration() -> None:
    made = catalogue(action("a"), action("b"), exploration=Thompson(1000, simulations=2000))
    left = shortlist(request(home=1), made, customer(), History(), NOW)
    values = np.array([0.5, 0.4])

    def chance_of_b(evidence: float) -> float:
        scores = Scores(values, values, np.full(2, evidence))
        offers = [
            choose(left, scores, History(), np.random.default_rng(seed)).offers[0] for seed in range(60)
        ]
        return max((o.action_probability for o in offers if o.candidate.action.action_id == "b"), default=0.0)

    assert chance_of_b(4.0) > 0.2 > chance_of_b(100_000.0)
    with pytest.raises(InvariantViolation, match="aligned"):
        choose(left, Scores(values, values, np.ones(3)), History(), np.random.default_rng(1))


def test_offers_expire_with_the_placement_or_the_action() -> None:
    ends = replace(action("a"), ends_at=NOW + timedelta(minutes=5))
    made = replace(
        catalogue(ends, action("b")),
        placements=(Placement("web", "home", 2, lifetime=DAY, report_within=timedelta(hours=2)),),
    )
    first, second = decided(made, scores={"a-web": 0.9}, home=2).offers

    assert (first.expires_at, first.reserved_until) == (
        NOW + timedelta(minutes=5),
        NOW + timedelta(hours=2, minutes=5),
    )
    assert (second.expires_at, second.reserved_until) == (NOW + DAY, NOW + DAY + timedelta(hours=2))


def test_an_offer_expires_in_utc_and_is_reported_by_the_clock_whatever_zone_its_action_ends_in() -> None:
    clocks_go_back = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    placement = Placement("web", "home", 1, lifetime=DAY, report_within=timedelta(hours=2))
    ends = replace(action("a"), ends_at=clocks_go_back.astimezone(ZoneInfo("Europe/Berlin")))
    instants = placement.lifetime_of(ends, clocks_go_back - timedelta(minutes=5))
    assert instants == (clocks_go_back, clocks_go_back + timedelta(hours=2))
    assert {instant.tzinfo for instant in instants} == {UTC}


def test_an_answer_leaves_contacts_of_all_but_fallbacks() -> None:
    made = catalogue(action("m", mandatory=CONTRACT), action("a"), fallback=True)
    berlin = replace(customer(), timezone="Europe/Berlin")
    decision = decided(made, person=berlin, home=3)
    found = contacts_of(decision, ["t1", "t2", "t3"])

    assert [offer.kind.value for offer in decision.offers] == ["mandatory", "arbitrated", "fallback"]
    assert [(one.tracking_id, one.action_id, one.mandatory) for one in found] == [
        ("t1", "m", True),
        ("t2", "a", False),
    ]
    assert found[0] == Contact(
        tracking_id="t1",
        action_id=ActionId("m"),
        group="g",
        issue="i",
        channel="web",
        decided_at=NOW,
        reserved_until=NOW + timedelta(minutes=40),
        mandatory=True,
        timezone="Europe/Berlin",
    )
    with pytest.raises(ValueError, match="zip"):
        contacts_of(decision, ["t1"])


def test_verdicts_a_batch_has_asked_are_used_as_they_are() -> None:
    made = catalogue(action("a", rules=(0,)), action("b"), rules=("age > 40",))
    row = {"age": 30}
    plan = made.plan.rules
    asked = plan.ask(row)
    told = shortlist(request(home=1), made, customer(age=99), History(), NOW, asked)

    assert [one.action.action_id for one in told.contenders] == ["b"]
    assert asked.reason.tolist() == plan.ask(row).reason.tolist()


def test_examples_in_docstrings_run() -> None:
    assert doctest.testmod(serving.decision.mandatory).failed == 0
