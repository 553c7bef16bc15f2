"""Why and why not, in words and values, for every stage."""

from __future__ import annotations

import doctest
import json
from dataclasses import replace
from datetime import time, timedelta

import numpy as np
import pytest

import serving.decision.explanation
import serving.decision.thresholds
import serving.decision.wording
from serving.decision.actions import Action, Allowance, Exclusion, LawfulBasis, Weighting
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.contact import CalendarWindow, CoolOff, Counting, Limit, Per, QuietHours, Suppression
from serving.decision.decide import decide
from serving.decision.decision import Decision
from serving.decision.experiments import Arm, Changes, Experiment, Layer, Share
from serving.decision.explanation import Explanation, explain
from serving.decision.formula import parse_formula
from serving.decision.parsing import parse_rule
from serving.decision.reasons import Reason
from serving.decision.thresholds import FailedComparison, failed_comparisons
from serving.decision.values import (
    ActionId,
    Consent,
    Contact,
    Customer,
    History,
    PastOutcome,
    Purpose,
    Scalar,
    Used,
)
from tests.unit.serving.decision.small import NOW, action, catalogue, customer, request, scorer, treatment

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NO_HISTORY = History()
TWO_NOES = tuple(
    PastOutcome("rejected", ActionId("a"), "g", "i", "web", NOW - ago) for ago in (DAY, HOUR * 12)
)


def decided(
    made: Catalogue,
    *,
    person: Customer | None = None,
    history: History | None = NO_HISTORY,
    scores: dict[str, float] | None = None,
    slots: int = 1,
) -> Decision:
    rng = np.random.default_rng(1)
    return decide(request(home=slots), made, person or customer(), history, NOW, scorer(scores or {}), rng)


def told(*actions: Action, made: Catalogue | None = None, **more: object) -> str:
    """Return the text of the first action's first candidate."""
    decision = decided(made or catalogue(*actions), **more)  # type: ignore[arg-type]
    return explain(decision.considered).about("a").candidates[0].text


def past(name: str, ago: timedelta, **more: object) -> Contact:
    at = NOW - ago
    made = Contact(name, ActionId(name), "g", "i", "web", at, at + HOUR, presented_at=at)
    return replace(made, **more)  # type: ignore[arg-type]


def test_availability_says_when_what_and_how_much() -> None:
    assert told(replace(action("a"), starts_at=NOW + DAY)) == "availability: starts at 2026-03-04 11:00 UTC"
    assert told(replace(action("a"), ends_at=NOW)) == "availability: ended at 2026-03-03 11:00 UTC"
    german = action("a", treatments=[treatment("a-1", language="de"), treatment("a-2")])
    assert explain(decided(catalogue(german)).considered).candidates[-1].text == (
        "availability: written in `de`; another of its treatments is nearer to the customer's language"
    )
    spent = History(used={ActionId("a"): Used(99.5, 9.5, 10, 3)})
    budget = replace(action("a"), cost=1.0, budget=Allowance(100, 10))
    assert told(budget, history=spent) == ("availability: budget: 99.5 of 100 EUR used, one offer costs 1")
    today = replace(budget, budget=Allowance(None, 10))
    assert told(today, history=spent) == ("availability: budget: 9.5 of 10 EUR used today, one offer costs 1")
    assert told(replace(action("a"), volume=Allowance(None, 3)), history=spent) == (
        "availability: volume: 3 of 3 offers used today"
    )


def test_consent_says_which_purposes() -> None:
    sells = action("a", purposes=frozenset({Purpose.MARKETING, Purpose.LOCATION}))
    assert told(sells) == "eligible: no consent to all of location, marketing"
    gone = replace(customer(), consent=None)
    assert told(sells, person=gone) == "eligible: consents cannot be read, so marketing rests"
    silent = replace(customer(), consent=Consent(opted_out=True))
    assert told(action("a"), person=silent) == "eligible: the customer wants nothing on this channel"


@pytest.mark.parametrize(
    ("policy", "history", "text"),
    [
        (
            Limit("three", 3, 7 * DAY),
            History(contacts=tuple(past("a", number * DAY, tracking_id=str(number)) for number in range(4))),
            "limit `three`: 4 presentations of it in 7 days, at most 3",
        ),
        (
            Limit("once", 1, CalendarWindow.DAY, Counting.DECISIONS, Per.GROUP, per_channel=True),
            History(contacts=(past("b", HOUR),)),
            "limit `once`: 1 decision of its group on this channel today, at most 1",
        ),
        (
            Suppression("after-a-no", "rejected", 30 * DAY, after=2),
            History(outcomes=TWO_NOES),
            "suppression `after-a-no`: 2 times `rejected`, rests for 30 days, 29.5 days to go",
        ),
        (
            CoolOff("breath", DAY),
            History(contacts=(past("b", 4 * HOUR, mandatory=True),)),
            "cool-off `breath`: something was given, rests for 1 day, 20 hours to go",
        ),
    ],
)
def test_contact_policies_say_their_name_count_and_bound(
    policy: Limit | Suppression | CoolOff, history: History, text: str
) -> None:
    made = replace(catalogue(action("a")), contact_policies=(policy,))

    assert told(made=made, history=history) == f"contact_policy: {text}"


def test_quiet_hours_say_what_time_it_is() -> None:
    made = replace(
        catalogue(action("a")),
        contact_policies=(QuietHours("night", time(21), time(8)),),
        outbound=frozenset({"web"}),
    )
    kathmandu = replace(customer(), timezone="Asia/Kathmandu")
    assert told(made=made, person=kathmandu).startswith("shown")
    adelaide = replace(customer(), timezone="Australia/Adelaide")
    assert told(made=made, person=adelaide) == (
        "contact_policy: quiet hours `night`: 21:00 to 08:00, it is 21:30"
    )


def test_holdout_a_lost_store_and_exclusions() -> None:
    sells = replace(action("a"), exclusions=("loans",))
    other = replace(action("b"), exclusions=("loans",))
    held = replace(catalogue(sells), holdout=Share(1.0, "h"))
    unit = replace(customer(), unit="u")
    assert told(made=held, person=unit) == "contact_policy: the customer is in the no-marketing holdout"
    assert (
        told(sells, history=None)
        == "contact_policy: contacts cannot be read, so marketing and what has a budget rest"
    )
    made = replace(catalogue(sells, other), exclusions=(Exclusion("loans", 7 * DAY),))
    assert told(made=made, history=History(contacts=(past("b", DAY),))) == (
        "contact_policy: exclusion `loans`: another of it was given, rests for 7 days, 6 days to go"
    )
    assert told(made=made, scores={"b-web": 0.9}, slots=2) == (
        "arbitration: exclusion `loans`: another of it is in this answer"
    )


def test_a_limit_that_the_answer_itself_used_up() -> None:
    made = replace(catalogue(action("a"), action("b")), contact_policies=(Limit("one", 1, DAY, per=Per.ALL),))

    assert told(made=made, scores={"b-web": 0.9}, slots=2) == (
        "arbitration: limit `one`: 1 presentation of anything in 1 day, with this answer's own, at most 1"
    )


def test_a_priority_is_told_with_its_factors_as_used_and_its_rank() -> None:
    pushed = Changes(levers={ActionId("a"): 1.5})
    made = replace(
        catalogue(
            replace(action("a", value=2.0), lever=2.0, weightings=(Weighting(0, 0.5),)),
            action("b", value=9.0),
            action("c"),
            rules=("age > 20",),
        ),
        layers=(Layer("l", "l", (Experiment("e", (Arm("pushed", 1.0, pushed),)),)),),
    )
    person = replace(customer(age=30), unit="u")
    decision = decided(made, person=person, scores={"a-web": 0.1, "b-web": 0.5, "c-web": 0.4})
    explanation = explain(decision.considered)

    first, *rest = explanation.as_text().splitlines()
    assert first == (
        "3 considered → 3 available → 3 eligible → 3 applicable → 3 suitable → 3 within contact policy"
        " → 3 scored → 1 shown"
    )
    product = "propensity 0.1 x value 2 x context weight 0.5 x lever 3"
    assert rest == [
        "home  b-web  shown: priority 4.5 = propensity 0.5 x value 9 (rank 1 of 3)",
        "home  c-web  arbitration: outranked with priority 0.4 = propensity 0.4 x value 1 (rank 2 of 3)",
        f"home  a-web  arbitration: outranked with priority 0.3 = {product} (rank 3 of 3)",
    ]


def test_a_formula_is_told_and_what_it_gives_no_number_for() -> None:
    formula = parse_formula("value / (age - 30) * propensity", {"age": Column(ColumnType.INT)}).formula
    made = replace(catalogue(action("a", value=4.0)), formula=formula)

    assert told(made=made, person=customer(age=32)) == (
        "shown: priority 1 = `value / (age - 30) * propensity` with propensity 0.5, value 4"
    )
    assert told(made=made, person=customer(age=30)) == (
        "propensity: no priority: `value / (age - 30) * propensity` makes no number"
    )


def test_a_floor_is_that_of_the_customers_arm() -> None:
    layer = Layer("l", "l", (Experiment("e", (Arm("x", 1.0, Changes(propensity_floor=0.7)),)),))
    made = replace(catalogue(action("a")), layers=(layer,))

    assert told(made=made, person=replace(customer(), unit="u")) == (
        "propensity: propensity 0.5 is under the floor 0.7"
    )


def test_mandatory_messages_say_their_basis() -> None:
    must = action("a", mandatory=LawfulBasis.LEGAL_OBLIGATION)
    first = replace(action("b", mandatory=LawfulBasis.CONTRACT), lever=2.0)

    assert told(must) == "shown: must go out: legal obligation"
    assert told(must, first) == "arbitration: other mandatory messages go first"


def test_a_rule_says_which_comparison_failed() -> None:
    made = catalogue(action("a", rules=(0,)), rules=("age >= 18 AND spend < 100 * 2",))
    decision = decided(made, person=customer(age=16, spend=50.0))
    told_of = explain(decision.considered).candidates[0]

    assert told_of.rule is not None
    assert told_of.rule.failed == (FailedComparison(("age",), 16, ">=", 18),)
    assert told_of.text == ("eligible: rule 0 `age >= 18 AND spend < 100 * 2` is false: age = 16, spend = 50")


NUMBER, WORD, FLAG = Column(ColumnType.FLOAT), Column(ColumnType.STRING), Column(ColumnType.BOOL)


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ("10 < spend", [(("spend",), 7.0, ">", 10.0)]),
        ("spend * 2 >= action.price", [(("spend",), 14.0, ">=", 20.0)]),
        ("city IN ('b', 'a')", [(("city",), "c", "in", ("a", "b"))]),
        ("spend > 10 OR city = 'd'", [(("spend",), 7.0, ">", 10.0), (("city",), "c", "=", "d")]),
        ("spend < 10 AND unknown > 1", [(("unknown",), None, ">", 1.0)]),
        ("spend > unknown", [(("spend",), 7.0, ">", None)]),
        ("vip", []),
        ("spend < 10", []),
    ],
)
def test_thresholds(text: str, failed: list[tuple[tuple[str, ...], Scalar, str, Scalar]]) -> None:
    columns = {"spend": NUMBER, "city": WORD, "vip": FLAG, "unknown": NUMBER, "action.price": NUMBER}
    rule = parse_rule(text, columns).expression
    assert rule is not None
    row: dict[str, Scalar] = {"spend": 7.0, "city": "c", "vip": False, "action.price": 20.0}

    found = failed_comparisons(rule, row)

    assert [(one.columns, one.observed, one.operator, one.threshold) for one in found] == failed


def test_it_is_json_as_it_is() -> None:
    made = replace(
        catalogue(action("a", rules=(0,)), action("b"), rules=("age > 99",)),
        contact_policies=(Limit("one", 1, DAY),),
    )
    decision = decided(made, person=customer(age=30), history=History(contacts=(past("b", HOUR),)))
    explanation = explain(decision.considered)

    assert json.loads(json.dumps(explanation.about("a").as_dict(), allow_nan=False)) == {
        "funnel": {
            "considered": 2,
            "available": 2,
            "eligible": 1,
            "applicable": 1,
            "suitable": 1,
            "within_contact_policy": 0,
            "scored": 0,
            "shown": 0,
        },
        "candidates": [
            {
                "placement": "home",
                "action_id": "a",
                "treatment_id": "a-web",
                "stage": "eligible",
                "reason": "not_eligible",
                "text": "eligible: rule 0 `age > 99` is false: age = 30",
                "rule": {
                    "rule_id": 0,
                    "text": "age > 99",
                    "unknown": False,
                    "observed": {"age": 30},
                    "failed": [{"columns": ["age"], "observed": 30, "operator": ">", "threshold": 99}],
                },
                "policy": None,
                "ranking": None,
            }
        ],
    }
    stopped = explanation.about("b").candidates[0].as_dict()["policy"]
    assert stopped == {"kind": "limit", "name": "one", "observed": 1.0, "bound": 1, "unit": "contacts"}


def test_every_reason_has_words() -> None:
    bounded = replace(action("a"), budget=Allowance(1, 1), volume=Allowance(1, 1), starts_at=NOW, ends_at=NOW)
    made = replace(
        catalogue(bounded, rules=("TRUE",)),
        contact_policies=(Limit("one", 1, DAY),),
        exclusions=(Exclusion("pair"),),
    )
    table = decided(made).considered
    for reason in Reason:
        stopped = replace(
            table,
            reason=np.array([reason], dtype=np.int32),
            rule=np.zeros(1, dtype=np.int32),
            propensity=np.array([0.1]),
        )
        (one,) = explain(stopped).candidates
        stage, _, words = one.text.partition(": ")
        assert stage == one.stage
        assert words


def test_nothing_considered_is_explained_too() -> None:
    assert explain(decided(catalogue()).considered) == Explanation(decided(catalogue()).funnel, candidates=())


@pytest.mark.parametrize(
    "module", [serving.decision.explanation, serving.decision.thresholds, serving.decision.wording]
)
def test_examples_in_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
