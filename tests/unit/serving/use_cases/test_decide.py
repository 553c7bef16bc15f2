from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from moment.errors import InvalidRequest
from serving.decision.actions import Candidate
from serving.decision.decision import Scores
from serving.decision.values import FeatureState, ProfileKind, Scalar
from serving.ports import CustomerFacts
from serving.records import Mode, Personal, dump, load
from serving.use_cases.decide import seed_of
from serving.use_cases.tracking import TrackedOffer
from tests.service.kit import CONTRACT, NOW, SNAPSHOT, Shop, ask, caller, catalogue


def personal(shop: Shop, decision_id: str) -> Personal:
    record = shop.records.find(decision_id)
    assert record is not None
    assert record.personal is not None
    return record.personal


def test_the_answer_is_recorded_before_it_is_given() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask())
    assert shop.records.find(record.decision_id) == record
    offers = record.placements[0].offers
    assert [offer.action for offer in offers] == ["coupon-tea", "coupon-ham"]
    assert [offer.rank for offer in offers] == [1, 2]
    assert [shop.tracking.read(offer.tracking_id) for offer in offers] == [
        TrackedOffer("decision-1", 1),
        TrackedOffer("decision-1", 2),
    ]
    assert {offer.expires_at for offer in offers} == {NOW + timedelta(minutes=30)}


def test_a_record_holds_everything_and_reads_back_the_same() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask(request_id="r1", context={"weather": "rain"}, include=("scores",)))
    assert load(dump(record)) == record
    assert record.profile is ProfileKind.KNOWN
    assert record.segment == "Families"
    assert record.versions.catalogue == catalogue().digest
    assert record.versions.contract == CONTRACT.digest()
    assert set(record.latency_ms) == {
        "consent",
        "features",
        "segment",
        "history",
        "shortlist",
        "score",
        "choose",
    }
    told = record.personal
    assert told is not None
    assert told.customer_id == "anna"
    assert told.context == {"hour": 18, "weather": "rain", "basket_value": None}
    assert told.features["category_names"] == ("TEA", "HAM")
    assert told.event_times == {"profile": SNAPSHOT}
    assert told.content[1] == {
        "title": "Ham for large &amp; loud",
        "link": "/offers?for=large%20%26%20loud&weather=rain",
    }


def test_missing_features_are_recorded_as_missing() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask("cleo"))
    told = personal(shop, record.decision_id)
    assert told.features["spend"] is None
    assert told.states["spend"] is FeatureState.MISSING
    assert "age" not in told.states


def test_same_inputs_and_seed_give_the_same_decision() -> None:
    first, second = (Shop().decide(caller(), ask()) for _ in range(2))
    assert first.seed == second.seed == seed_of("decision-1")
    assert first.seed == int.from_bytes(hashlib.sha256(b"decision-1").digest()[:8], "big")
    assert first.placements == second.placements
    assert first.considered == second.considered


@pytest.mark.parametrize("customer_id", ["nobody", None])
def test_a_customer_nobody_knows_gets_a_decision_from_context_and_fallback(customer_id: str | None) -> None:
    shop = Shop()
    record = shop.decide(caller(), ask(customer_id))
    assert record.profile is ProfileKind.NONE
    assert record.segment is None
    # Only the rule on context.hour can hold without features; the second slot is the fallback's
    assert [offer.action for offer in record.placements[0].offers] == ["coupon-jam", "hello"]
    fallback = record.placements[0].offers[1]
    assert (fallback.propensity, fallback.priority, fallback.action_probability) == (None, None, 1.0)


def test_several_placements_never_show_an_action_twice() -> None:
    record = Shop().decide(caller(), ask(placements=(("home", 2), ("checkout", 1))))
    shown = [offer.action for placement in record.placements for offer in placement.offers]
    assert len(set(shown)) == len(shown) == 3


@dataclass
class CountingScorer:
    version: str = "counting"
    calls: list[list[str]] = field(default_factory=list)

    def score(
        self,
        customer: CustomerFacts,  # noqa: ARG002
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],  # noqa: ARG002
        slots: int,
    ) -> Scores:
        names = [str(item.action.action_id) for item in contenders]
        self.calls.append([*names, str(slots)])
        return Scores(np.full(len(names), 0.5), np.full(len(names), 0.5))


def test_all_contenders_of_all_placements_are_scored_in_one_call() -> None:
    scorer = CountingScorer()
    Shop(scorer=scorer).decide(
        caller(), ask(placements=(("home", 2), ("checkout", 1)), context={"weather": "rain"})
    )
    assert scorer.calls == [["coupon-ham", "coupon-jam", "coupon-soup", "coupon-tea", "3"]]


def test_the_same_request_id_gives_the_same_decision() -> None:
    shop = Shop()
    first = shop.decide(caller(), ask(request_id="r1"))
    again = shop.decide(caller(), ask(request_id="r1"))
    assert again == first
    assert shop.decide(caller(key_id="key_2"), ask(request_id="r1")).decision_id != first.decision_id


def test_a_request_id_used_for_another_request_is_refused() -> None:
    shop = Shop()
    shop.decide(caller(), ask(request_id="r1"))
    with pytest.raises(InvalidRequest) as refused:
        shop.decide(caller(), ask(request_id="r1", body_sha256=b"another"))
    assert (refused.value.code, refused.value.field) == ("request-id-reused", "request_id")


def test_a_test_key_may_set_the_time_and_rules_see_it() -> None:
    night = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
    record = Shop().decide(caller(), ask(None, time=night))
    assert (record.decided_at, record.received_at) == (night, NOW)
    assert [offer.action for offer in record.placements[0].offers] == ["hello"]


@pytest.mark.parametrize(
    ("mode", "time", "code"),
    [
        (Mode.LIVE, NOW, "test-only"),
        (Mode.TEST, datetime(1900, 1, 1, tzinfo=UTC), "time-out-of-range"),
        (Mode.TEST, datetime(2200, 1, 1, tzinfo=UTC), "time-out-of-range"),
    ],
)
def test_a_time_that_may_not_be_set_is_refused(mode: Mode, time: datetime, code: str) -> None:
    shop = Shop()
    with pytest.raises(InvalidRequest) as refused:
        shop.decide(caller(mode), ask(time=time))
    assert (refused.value.code, refused.value.field) == (code, "context.time")


def test_a_key_bound_to_a_channel_speaks_for_no_other() -> None:
    with pytest.raises(InvalidRequest) as refused:
        Shop().decide(caller(channel="app"), ask())
    assert refused.value.code == "channel-not-allowed"


def test_without_features_the_customer_is_one_nobody_knows_and_the_answer_says_so() -> None:
    shop = Shop()
    shop.features.broken = True
    record = shop.decide(caller(), ask())
    assert (record.profile, record.degraded) == (ProfileKind.NONE, ("features", "realtime"))
    assert [offer.action for offer in record.placements[0].offers] == ["coupon-jam", "hello"]
    assert shop.records.find(record.decision_id) == record
