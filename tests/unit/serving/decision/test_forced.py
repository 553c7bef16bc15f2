"""What a test key forces: where it goes, what it leaves alone, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from moment.errors import InvalidRequest
from serving.decision.actions import Distinct, LawfulBasis
from serving.decision.catalogue import Catalogue
from serving.decision.decide import decide
from serving.decision.decision import Decision, contacts_of
from serving.decision.epsilon_uniform import EpsilonUniform
from serving.decision.reasons import Reason
from serving.decision.values import ActionId, Consent, Forced, History, Request, TreatmentId
from tests.unit.serving.decision.small import NOW, action, catalogue, customer, request, scorer, treatment

SHOP = catalogue(action("a"), action("b"), action("c", rules=(0,)), rules=("age > 99",))


def force(asked: Request, action_id: str, treatment_id: str | None = None) -> Request:
    named = None if treatment_id is None else TreatmentId(treatment_id)
    return replace(asked, force=Forced(ActionId(action_id), named))


def decided(
    asked: Request, made: Catalogue = SHOP, *, language: str | None = None, seed: int = 1
) -> Decision:
    who = replace(customer(age=30), language=language)
    return decide(
        asked, made, who, History(), NOW, scorer({"a-web": 0.9, "b-web": 0.6}), np.random.default_rng(seed)
    )


def shown(decision: Decision) -> list[list[str]]:
    return [
        [f"{offer.kind}: {offer.candidate.treatment.treatment_id}" for offer in filled.offers]
        for filled in decision.placements
    ]


def test_it_goes_first_and_what_else_is_shown_stays_as_it_was() -> None:
    free = decided(request(home=2))
    forced = decided(force(request(home=3), "c"))

    assert shown(free) == [["arbitrated: a-web", "arbitrated: b-web"]]
    assert shown(forced) == [["forced: c-web", "arbitrated: a-web", "arbitrated: b-web"]]
    assert [offer.rank for offer in forced.offers] == [1, 2, 3]


def test_it_is_no_contact_and_scored_by_nobody() -> None:
    decision = decided(force(request(home=2), "a"))
    offer = decision.offers[0]

    assert [one.action_id for one in contacts_of(decision, ["t1", "t2"])] == ["b"]
    assert (offer.action_probability, offer.propensity, offer.raw, offer.priority) == (1.0, None, None, None)
    assert not offer.kind.learns


def test_it_is_never_twice_in_an_answer() -> None:
    decision = decided(force(request(home=2, side=2), "a"))

    assert shown(decision) == [["forced: a-web", "arbitrated: b-web"], []]
    assert {one.reason for one in decision.considered if one.candidate.action.action_id == "a"} == {
        Reason.FORCED,
        Reason.ACTION_TAKEN,
    }


def test_it_goes_before_what_must_go_out_and_draws_nothing() -> None:
    made = catalogue(
        action("a"),
        action("b"),
        action("law", mandatory=LawfulBasis.LEGAL_OBLIGATION),
        exploration=EpsilonUniform(0.5),
    )
    answers = {str(shown(decided(force(request(home=3), "b"), made, seed=seed))) for seed in range(5)}

    assert answers == {"[['forced: b-web', 'mandatory: law-web', 'arbitrated: a-web']]"}


@pytest.mark.parametrize(("distinct", "beside"), [(Distinct.ACTION, 1), (Distinct.GROUP, 0)])
def test_its_placement_stays_distinct(distinct: Distinct, beside: int) -> None:
    made = catalogue(action("a", group="g"), action("b", group="g"), distinct=distinct)

    assert len(decided(force(request(home=2), "a"), made).offers) == 1 + beside


def test_neither_consent_nor_dates_keep_it_back_and_it_has_a_whole_lifetime() -> None:
    ended = replace(action("old"), ends_at=NOW - timedelta(days=1))
    made = catalogue(ended)
    who = replace(customer(), consent=Consent(opted_out=True))
    asked = force(request(home=1), "old")

    decision = decide(asked, made, who, None, NOW, scorer({}), np.random.default_rng(1))

    assert [offer.expires_at for offer in decision.offers] == [NOW + timedelta(minutes=30)]


SPOKEN = catalogue(
    action(
        "a",
        treatments=[
            treatment("a-de", language="de"),
            treatment("a-en"),
            treatment("a-side", places=("side",)),
        ],
    )
)


@pytest.mark.parametrize(
    ("language", "named", "places", "expected"),
    [
        ("de-AT", None, ("home",), [["forced: a-de"]]),
        ("en", None, ("home",), [["forced: a-en"]]),
        ("en", "a-de", ("home",), [["forced: a-de"]]),
        ("en", "a-side", ("home", "side"), [[], ["forced: a-side"]]),
    ],
)
def test_a_named_treatment_goes_where_it_fits_else_the_customers_language_decides(
    language: str, named: str | None, places: Sequence[str], expected: list[list[str]]
) -> None:
    asked = force(request(**dict.fromkeys(places, 1)), "a", named)

    found = shown(decided(asked, SPOKEN, language=language))

    assert [[one for one in offers if one.startswith("forced")] for offers in found] == expected


@pytest.mark.parametrize(
    ("action_id", "treatment_id", "places", "code", "field", "hint"),
    [
        ("aa", None, ("home",), "unknown-action", "force.action", "did you mean `a`?"),
        ("a", "a-dee", ("home",), "unknown-treatment", "force.treatment", "did you mean `a-de`?"),
        ("a", "a-side", ("home",), "treatment-does-not-fit", "force.treatment", "`a-side`"),
        ("a", "zzz", ("home",), "unknown-treatment", "force.treatment", "one of a-de, a-en, a-side"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_a_way_out(  # noqa: PLR0917
    action_id: str, treatment_id: str | None, places: Sequence[str], code: str, field: str, hint: str
) -> None:
    asked = force(request(**dict.fromkeys(places, 1)), action_id, treatment_id)

    with pytest.raises(InvalidRequest) as refused:
        decided(asked, SPOKEN)

    assert (refused.value.code, refused.value.field) == (code, field)
    assert hint in str(refused.value)
