"""Taking events: each is checked by itself, what makes sense counts, and decisions see it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from features.realtime import EventKind
from moment.errors import DependencyError
from serving.adapters.memory import FixedClock
from serving.ports import Journaled, Verdict
from serving.records import Mode
from serving.use_cases.access import EARLIEST, LATEST, Caller
from serving.use_cases.event_checks import ATTRIBUTES, MAX_ATTRIBUTES, MAX_WORD, AttributeType, ReportedEvent
from serving.use_cases.events import EventTaken, TakeEvents
from tests.service.kit import NOW, Shop, ask, caller

LIVE = caller(Mode.LIVE)
MINUTE = timedelta(minutes=1)


def reported(
    event_id: str = "e1",
    kind: str = "page_view",
    *,
    at: datetime = NOW,
    channel: str = "web",
    profile: str = "anna",
    **attributes: object,
) -> ReportedEvent:
    return ReportedEvent(event_id, profile, kind, at, channel, attributes)


def take(shop: Shop, *events: ReportedEvent, by: Caller = LIVE) -> list[tuple[str, str | None, str | None]]:
    taken = asyncio.run(TakeEvents(shop.events, shop.clock)(by, events))
    assert [one.event_id for one in taken] == [one.event_id for one in events]
    return [(one.verdict, one.code, one.attribute) for one in taken]


def views(shop: Shop, mode: Mode = Mode.LIVE) -> object:
    return shop.events.read("anna", mode=mode, now=shop.clock()).values["views_30m"]


TOO_MANY = {f"a{number}": 1 for number in range(MAX_ATTRIBUTES + 1)}
REJECTED: list[tuple[ReportedEvent, str, str | None]] = [
    (reported(kind="heart_beat"), "unknown-kind", None),
    (reported(kind="PAGE_VIEW"), "unknown-kind", None),
    (reported(at=NOW + 5 * MINUTE + timedelta(microseconds=1)), "time-in-future", None),
    (reported(at=NOW - timedelta(days=30, microseconds=1)), "time-too-old", None),
    (reported(channel="app"), "channel-not-allowed", None),
    (reported(score=1), "unknown-attribute", None),
    (reported(amount=1), "unknown-attribute", None),
    (replace(reported(), attributes=TOO_MANY), "too-many-attributes", None),
    (reported(topic=""), "invalid-attribute", "topic"),
    (reported(topic="x" * (MAX_WORD + 1)), "invalid-attribute", "topic"),
    (reported(topic="a\x00b"), "invalid-attribute", "topic"),
    (reported(topic="\ud800"), "invalid-attribute", "topic"),
    (reported(topic=7), "invalid-attribute", "topic"),
    (reported(topic=None), "invalid-attribute", "topic"),
    (reported(topic=["tea"]), "invalid-attribute", "topic"),
    (reported(topic=True), "invalid-attribute", "topic"),
    (reported(dwell_seconds=-1), "invalid-attribute", "dwell_seconds"),
    (reported(dwell_seconds="3"), "invalid-attribute", "dwell_seconds"),
    (reported(kind="transaction", amount=float("nan")), "invalid-attribute", "amount"),
    (reported(kind="transaction", amount=1e400), "invalid-attribute", "amount"),
    (reported(kind="transaction", amount=10**30), "invalid-attribute", "amount"),
    (reported(kind="transaction", amount=True), "invalid-attribute", "amount"),
    (reported(kind="transaction"), "missing-attribute", "amount"),
    (reported(kind="location", device="phone"), "missing-attribute", "location_id"),
    (reported(kind="call", resolved=1), "invalid-attribute", "resolved"),
    (reported(kind="call", resolved="no"), "invalid-attribute", "resolved"),
]


@pytest.mark.parametrize(("event", "code", "attribute"), REJECTED)
def test_what_makes_no_sense_is_rejected_by_itself(
    event: ReportedEvent, code: str, attribute: str | None
) -> None:
    shop = Shop()
    bound = replace(LIVE, channel="web")
    sound = reported("sound")
    assert take(shop, event, sound, by=bound) == [("rejected", code, attribute), ("recorded", None, None)]
    assert views(shop) == 1
    # What was rejected has not used its id up
    assert take(shop, reported(), by=bound) == [("recorded", None, None)]


_EXAMPLES: Mapping[AttributeType, object] = {
    AttributeType.WORD: "Käse 🧀",
    AttributeType.AMOUNT: -1e9,
    AttributeType.DURATION: 0,
    AttributeType.TRUTH: False,
}


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_every_attribute_of_every_kind_is_taken(kind: EventKind) -> None:
    told = {name: _EXAMPLES[wanted] for name, wanted in ATTRIBUTES[kind].items()}
    event = replace(reported(kind=kind), attributes=told)
    assert take(Shop(), event) == [("recorded", None, None)]


def test_the_edges_of_time() -> None:
    shop = Shop()
    edges = [reported("future", at=NOW + 5 * MINUTE), reported("past", at=NOW - timedelta(days=30))]
    assert take(shop, *edges) == [("recorded", None, None)] * 2
    # A channel's clock ahead of ours does not put what happened beyond the next decision
    assert views(shop) == 1
    by = caller(Mode.TEST)
    odd = [reported("first", at=EARLIEST), reported("late", at=LATEST - MINUTE), reported("never", at=LATEST)]
    assert [code for _, code, _ in take(shop, *odd, by=by)] == [None, None, "time-out-of-range"]
    assert take(shop, reported("older", at=EARLIEST - MINUTE), by=by)[0][1] == "time-out-of-range"


def test_an_event_of_a_test_key_keeps_its_time() -> None:
    shop = Shop(clock=FixedClock(NOW + timedelta(days=3000)))
    assert take(shop, reported(at=NOW), by=caller(Mode.TEST)) == [("recorded", None, None)]
    facts = shop.events.read("anna", mode=Mode.TEST, now=NOW + MINUTE)
    assert facts.values["views_30m"] == 1


def test_repeated_ids() -> None:
    shop = Shop()
    first, same = reported(topic="tea", device="phone"), reported(device="phone", topic="tea")
    other_offset = replace(same, occurred_at=NOW.astimezone())
    taken = take(shop, first, same, other_offset, reported(topic="jam"), replace(first, channel="app"))
    assert [verdict for verdict, _, _ in taken] == [
        "recorded",
        "duplicate",
        "duplicate",
        "conflict",
        "conflict",
    ]
    assert views(shop) == 1


def test_nothing_sound_asks_nothing_of_the_journal() -> None:
    shop = Shop()
    shop.events.broken = True
    assert take(shop, reported(kind="?"))[0][0] == "rejected"
    with pytest.raises(DependencyError, match="journal does not answer"):
        take(shop, reported(kind="?"), reported("sound"))


class _Slow:
    """A journal whose online store takes nothing, now or ever."""

    def append(self, *_: object, **__: object) -> Future[Journaled]:
        done: Future[Journaled] = Future()
        done.set_result(Journaled((Verdict.RECORDED,), Future()))
        return done


def test_an_acknowledgement_does_not_wait_for_the_online_store_for_long() -> None:
    taken = asyncio.run(TakeEvents(_Slow(), lambda: NOW)(LIVE, [reported()]))
    assert taken == (EventTaken("e1", taken[0].verdict),)
    assert taken[0].verdict == "recorded"


RULE = ('eligible: "spend >= 10"', 'eligible: "views_30m >= 3"')


def offers(shop: Shop, mode: Mode = Mode.TEST) -> set[str]:
    record = shop.decide(caller(mode), ask())
    return {offer.action for placement in record.placements for offer in placement.offers}


def test_the_next_decision_sees_what_happened() -> None:
    shop = Shop(change=RULE)
    assert "coupon-tea" not in offers(shop)
    take(shop, *(reported(f"e{number}") for number in range(3)), by=caller(Mode.TEST))
    assert "coupon-tea" in offers(shop)
    shop.clock.at = NOW + 30 * MINUTE
    assert "coupon-tea" not in offers(shop)


def test_a_record_keeps_real_time_features_and_their_time() -> None:
    shop = Shop(change=RULE)
    take(shop, reported(at=NOW - MINUTE), by=caller(Mode.TEST))
    personal = shop.decide(caller(), ask()).personal
    assert personal is not None
    assert personal.features["views_30m"] == 1
    assert personal.states["last_search_topic"] == "missing"
    assert personal.event_times["realtime"] == NOW - MINUTE
    view = shop.view_customer(caller(), "anna")
    assert view.facts.values["views_30m"] == 1
    assert "views_30m" in {spec.name for spec in view.specs}


def test_without_the_store_a_decision_goes_on_and_says_so() -> None:
    shop = Shop(change=RULE)
    take(shop, *(reported(f"e{number}") for number in range(3)), by=caller(Mode.TEST))
    shop.events.broken = True
    record = shop.decide(caller(), ask())
    assert record.degraded == ("realtime",)
    found = {offer.action for placement in record.placements for offer in placement.offers}
    assert "coupon-tea" not in found
    assert "coupon-ham" in found
