"""What people stopped: recorded, replayed, told to whoever asks why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec
import pytest

from moment.errors import InvalidRequest
from serving.adapters.memory_models import MemoryModels
from serving.adapters.memory_outcomes import MemoryOutcomes
from serving.case.page import page
from serving.decision.reasons import Reason
from serving.decision.values import ActionId, Forced, Stopped
from serving.lifecycle import Actor, Stop, StopKind
from serving.records import DecisionRecord, dump, load
from serving.use_cases.asking import Ask
from serving.use_cases.case import OpenCase
from serving.use_cases.deciding_again import ScoresFrom
from serving.use_cases.explain import Explain
from serving.use_cases.replay import Against, Present, Replay, ReplayVerdict
from serving.use_cases.standstill import NOTHING, Standstill
from tests.service.kit import CONTRACT, NOW, Shop, ask, caller

ADA = Actor("key_a", "Ada Byron", "risk_officer")
TEA = ("action", "coupon-tea")


def stop(kind: str, name: str) -> Stop:
    return Stop(f"stop_{name}", StopKind(kind), name, "the price was wrong", ADA, NOW)


def stopping(shop: Shop, *stopped: tuple[str, str]) -> Shop:
    standstill = Standstill.of(stop(kind, name) for kind, name in stopped)
    shop.live.swap(replace(shop.live.now, standstill=standstill))
    return shop


def decided(shop: Shop, asked: Ask | None = None) -> DecisionRecord:
    """Decide, and return the record as the store gives it back."""
    return load(dump(shop.decide(caller(), asked or ask())))


def replay_of(shop: Shop) -> Replay:
    champion = shop.live.now.champion
    models = MemoryModels((shop.scorer,), (champion.segmenter,), CONTRACT)
    present = Present(champion.catalogue, champion.scorer, champion.segmenter, champion.versions)
    return Replay(shop.recall, models, "test", present)


def shown(record: DecisionRecord) -> set[str]:
    return {offer.action for placement in record.placements for offer in placement.offers}


def test_stops_of_a_book_are_one_value_for_the_core_and_one_for_records() -> None:
    stops = [
        stop("issue", "sales"),
        stop("model", "propensity"),
        stop("action", "tea"),
        stop("action", "jam"),
    ]

    standstill = Standstill.of(stops)

    assert standstill.stopped == Stopped(
        actions=frozenset({"tea", "jam"}), issues=frozenset({"sales"}), models=frozenset({"propensity"})
    )
    assert [one.stop_id for one in standstill.recorded] == [
        "stop_jam",
        "stop_propensity",
        "stop_sales",
        "stop_tea",
    ]
    assert (standstill.has("propensity"), standstill.has("segmentation")) == (True, False)
    assert Standstill.of([]) is NOTHING


WAYS: tuple[tuple[tuple[str, str], ...], ...] = (
    (TEA,),
    (("issue", "sales"),),
    (("channel", "web"),),
    (("model", "propensity"),),
    (("model", "segmentation"),),
    (("model", "next-best-action"),),
    (TEA, ("action", "hello"), ("model", "segmentation")),
)


@pytest.mark.parametrize("stopped", WAYS, ids=lambda ways: "+".join(name for _, name in ways))
def test_a_record_cites_what_was_stopped_and_replays_identical(stopped: tuple[tuple[str, str], ...]) -> None:
    shop = stopping(Shop(), *stopped)
    record = decided(shop)
    stopping(shop)

    assert {(one.kind, one.name, one.stop_id) for one in record.stops} == {
        (kind, name, f"stop_{name}") for kind, name in stopped
    }
    replayed = replay_of(shop).of(record)
    assert (replayed.verdict, replayed.differences) == (ReplayVerdict.IDENTICAL, ())


def test_a_forced_offer_that_is_stopped_is_not_made_and_replays_so() -> None:
    shop = stopping(Shop(), TEA)
    record = decided(shop, ask(force=Forced(ActionId("coupon-tea"))))

    assert "coupon-tea" not in shown(record)
    assert replay_of(shop).of(record).verdict is ReplayVerdict.IDENTICAL


def test_a_stop_taken_out_of_a_record_comes_to_light() -> None:
    record = decided(stopping(Shop(), TEA))

    replayed = replay_of(Shop()).of(msgspec.structs.replace(record, stops=()))

    assert replayed.verdict is ReplayVerdict.DIFFERENT
    assert "home/coupon-tea-web" in {one.subject for one in replayed.differences}


def test_what_is_decided_today_is_decided_under_the_stops_of_then() -> None:
    shop = stopping(Shop(), TEA, ("model", "propensity"))
    record = decided(shop)

    replayed = replay_of(stopping(shop)).of(record, Against.CURRENT)

    assert (replayed.verdict, replayed.scores) == (ReplayVerdict.IDENTICAL, ScoresFrom.NONE)


def why(shop: Shop, record: DecisionRecord, action: str) -> Iterable[tuple[Reason, str]]:
    told = Explain(shop.recall)(caller(), record.decision_id, action).explanation
    return [(one.reason, one.text) for one in told.candidates]


def test_why_not_names_the_stop_and_its_entry() -> None:
    shop = stopping(Shop(), TEA)
    record = decided(shop)

    assert list(why(shop, record, "coupon-tea")) == [
        (Reason.ACTION_STOPPED, "availability: action `coupon-tea` is stopped (stop_coupon-tea)")
    ]


def test_a_fallback_that_was_stopped_says_so() -> None:
    shop = stopping(Shop(), ("issue", "sales"), ("action", "hello"))
    record = decided(shop)

    assert "hello" not in shown(record)
    remark = Explain(shop.recall)(caller(), record.decision_id, "hello").remark
    assert remark == "hello is a fallback, and action `hello` was stopped (stop_hello)"


def test_the_page_of_a_case_lists_stops_and_approvals() -> None:
    shop = stopping(Shop(), TEA)
    record = msgspec.structs.replace(
        decided(shop), approvals={"propensity": "expired", "next-best-action": "approved"}
    )
    outcomes = MemoryOutcomes(shop.contacts, shop.records.find)
    case = OpenCase(replay_of(shop), replay_of(shop).models, outcomes, shop.memory_keys, shop.clock)(record)

    written = page(case)

    assert "stop_coupon-tea" in written
    assert "action `coupon-tea` is stopped (stop_coupon-tea)" in written
    assert "had expired" in written


@pytest.mark.parametrize(
    "stopped", [TEA, ("issue", "sales"), ("channel", "web"), ("model", "next-best-action")]
)
def test_an_answer_of_which_part_was_stopped_is_not_given_again(stopped: tuple[str, str]) -> None:
    shop = Shop()
    asked = ask(request_id="r")
    first = shop.decide(caller(), asked)
    assert "coupon-tea" in shown(first)
    stopping(shop, ("action", "coupon-ham-of-yesterday"))
    assert shop.decide(caller(), asked) == first
    with pytest.raises(InvalidRequest) as refused:
        stopping(shop, stopped).decide(caller(), asked)
    assert refused.value.code == "answer-withdrawn"
    stopping(shop)
    assert shop.decide(caller(), asked) == first
