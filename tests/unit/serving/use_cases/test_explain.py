"""Explaining a recorded decision: all of it, one action, one that was no candidate."""

from __future__ import annotations

import pytest

from moment.errors import InvalidRequest
from serving.decision.reasons import Reason
from serving.use_cases.explain import Explain
from tests.service.kit import Shop, ask, caller


def test_one_action_is_told_with_what_its_rule_read() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask("ben"))

    explained = Explain(shop.recall)(caller(), record.decision_id, "coupon-ham")

    (ham,) = explained.explanation.candidates
    assert (ham.reason, explained.remark) == (Reason.NOT_ELIGIBLE, None)
    assert ham.rule is not None
    assert ham.rule.observed == {"age": 17, "spend": 20.0}
    assert (
        explained.explanation.funnel == Explain(shop.recall)(caller(), record.decision_id).explanation.funnel
    )


def test_an_unknown_action_is_refused_with_the_nearest_name() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask())

    with pytest.raises(InvalidRequest, match="coupon-tea") as refused:
        Explain(shop.recall)(caller(), record.decision_id, "coupon-te")
    assert (refused.value.code, refused.value.field) == ("unknown-action", "action")


@pytest.mark.parametrize(
    ("customer", "words"), [("cleo", "hello is the fallback of home"), ("anna", "no slot was left")]
)
def test_a_fallback_does_not_compete_and_is_told_so(customer: str, words: str) -> None:
    shop = Shop(change=('eligible: "context.hour BETWEEN 6 AND 22"', 'eligible: "age < 50"'))
    record = shop.decide(caller(), ask(customer))

    explained = Explain(shop.recall)(caller(), record.decision_id, "hello")

    assert explained.explanation.candidates == ()
    assert words in (explained.remark or "")


def test_an_action_made_for_another_channel_is_told_so() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask(channel="app"))

    (jam,) = Explain(shop.recall)(caller(), record.decision_id, "coupon-jam").explanation.candidates
    assert jam.reason is Reason.NO_TREATMENT_FOR_CHANNEL


def test_a_decision_of_another_channel_is_not_explained() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask())

    with pytest.raises(InvalidRequest) as refused:
        Explain(shop.recall)(caller(channel="app"), record.decision_id)
    assert refused.value.code == "not-found"
