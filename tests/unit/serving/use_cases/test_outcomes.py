"""Taking outcomes: which are refused and why, and what the others do to the next decision."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from moment.errors import DependencyError
from serving.decision.values import ActionId, Forced
from serving.ports import Reporter
from serving.records import DecisionRecord, Mode
from serving.use_cases.access import Caller
from serving.use_cases.outcomes import OutcomeTaken, OutcomeVerdict, ReportedOutcome
from serving.use_cases.tracking import TrackedOffer, Tracking
from tests.service.kit import NOW, TRACKING, Shop, ask, caller

MINUTE = timedelta(minutes=1)
LIVE, TEST = caller(Mode.LIVE), caller(Mode.TEST)
SUPPRESSED = """
contact_policies:
  no-means-no: {suppress: 30d, after: {outcome: rejected}, per: action}
"""


def decided(shop: Shop, by: Caller = LIVE, **changes: object) -> tuple[DecisionRecord, str]:
    """Return a decision for anna and the tracking id of its first offer."""
    record = shop.decide(by, ask(**changes))  # type: ignore[arg-type]
    return record, record.placements[0].offers[0].tracking_id


def outcome(tracking_id: str, kind: str = "presented", **changes: object) -> ReportedOutcome:
    made = ReportedOutcome(tracking_id, kind, "e1", NOW + MINUTE)
    return replace(made, **changes)  # type: ignore[arg-type]


def take(shop: Shop, *reported: ReportedOutcome, by: Caller | None = LIVE) -> Sequence[OutcomeTaken]:
    return asyncio.run(shop.desk().take_outcomes(by, reported))


def told(taken: Sequence[OutcomeTaken]) -> list[str]:
    return [one.verdict if one.code is None else one.code for one in taken]


@pytest.fixture
def shop() -> Shop:
    made = Shop()
    made.clock.at = NOW
    return made


def later(shop: Shop, by: timedelta = MINUTE) -> Shop:
    shop.clock.at = NOW + by
    return shop


def test_what_was_shown_and_said_is_recorded_each_with_its_own_verdict(shop: Shop) -> None:
    record, tracking_id = decided(shop)
    shown = outcome(tracking_id)

    taken = take(
        later(shop),
        shown,
        outcome(tracking_id, "converted", event_id="e2", value=12.5),
        shown,
        outcome(tracking_id, "liked", event_id="e3"),
        outcome(tracking_id, "clicked", event_id="e2"),
    )

    assert told(taken) == ["recorded", "recorded", "duplicate", "unknown-kind", "conflict"]
    assert [one.event_id for one in taken] == ["e1", "e2", "e1", "e3", "e2"]
    assert taken[3].detail == "a kind is one of presented, clicked, accepted, rejected, converted"
    kept = shop.records.outcomes.of_decision(record.decision_id)
    assert [(one.kind, one.value, one.received_at) for one in kept] == [
        ("presented", None, NOW + MINUTE),
        ("converted", 12.5, NOW + MINUTE),
    ]


def test_an_offer_shown_after_its_reservation_counts_and_says_so(shop: Shop) -> None:
    _, tracking_id = decided(shop)

    assert told(take(later(shop, 41 * MINUTE), outcome(tracking_id))) == [OutcomeVerdict.RECORDED_LATE]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOW - 6 * MINUTE, "time-before-decision"),
        (NOW - 4 * MINUTE, "recorded"),
        (NOW + 5 * MINUTE, "recorded"),
        (NOW + 7 * MINUTE, "time-in-future"),
        (datetime(1900, 1, 1, tzinfo=UTC), "time-out-of-range"),
        (datetime(2200, 1, 1, tzinfo=UTC), "time-out-of-range"),
    ],
)
def test_a_time_must_be_after_the_decision_and_not_to_come(shop: Shop, at: datetime, expected: str) -> None:
    _, tracking_id = decided(shop)

    assert told(take(later(shop), outcome(tracking_id, "clicked", occurred_at=at))) == [expected]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "recorded"), (-5.0, "recorded"), (1e9, "recorded"), (1.1e9, "invalid-value")]
    + [(float(word), "invalid-value") for word in ("nan", "inf", "-inf")],
)
def test_a_value_is_a_number_of_sense(shop: Shop, value: float, expected: str) -> None:
    _, tracking_id = decided(shop)

    assert told(take(later(shop), outcome(tracking_id, "converted", value=value))) == [expected]


@pytest.mark.parametrize(
    ("whole", "part", "instead"),
    [
        (False, "$", "A"),
        (False, ".$", ""),
        (False, r"\.[^.]+$", ""),
        (False, r"\.1\.", ".2."),
        (False, r"\.1\.", ".01."),
        (False, r"\.1\.", ".\N{ARABIC-INDIC DIGIT ONE}."),
        (False, "decision-1", "decision-2"),
        (False, r"[^.]+$", base64.urlsafe_b64encode(bytes(16)).decode().rstrip("=")),
        (True, "", ""),
        (True, "", "decision-1.1"),
        (True, "", "\ud800.1.x"),
    ],
)
@pytest.mark.parametrize("by", [LIVE, None])
def test_a_forged_tracking_id_is_refused(
    shop: Shop, whole: bool, part: str, instead: str, by: Caller | None
) -> None:
    record, tracking_id = decided(shop)
    forged = instead if whole else re.sub(part, instead, tracking_id, count=1)
    assert forged != tracking_id

    assert told(take(later(shop), outcome(forged), by=by)) == ["tracking-id-invalid"]
    assert shop.records.outcomes.of_decision(record.decision_id) == ()


def test_ids_signed_under_another_secret_are_forged() -> None:
    mine = TRACKING.sign("decision-1", 3)

    assert TRACKING.read(mine) == TrackedOffer("decision-1", 3)
    assert Tracking(bytes(32)).read(mine) is None


def test_another_channels_offer_answers_like_a_forged_one(shop: Shop) -> None:
    _, tracking_id = decided(shop)

    foreign = take(later(shop), outcome(tracking_id), by=caller(Mode.LIVE, channel="app"))
    of_test = take(shop, outcome(tracking_id), by=TEST)
    forged = take(shop, outcome(tracking_id[:-1]))

    assert foreign == of_test == forged


def test_a_browser_reports_its_own_offers_without_a_key_or_a_value(shop: Shop) -> None:
    _, tracking_id = decided(shop)
    clicked = outcome(tracking_id, "clicked", event_id="e2")

    taken = take(
        later(shop),
        outcome(tracking_id),
        clicked,
        replace(clicked, event_id="e3"),
        outcome(tracking_id, "converted", event_id="e4", value=9.0),
        by=None,
    )

    assert told(taken) == ["recorded", "recorded", "duplicate", "value-not-allowed"]


def test_the_catalogues_own_outcomes_may_be_reported_with_a_key() -> None:
    shop = Shop(change=("label: Jam", "label: Jam\n            outcome: redeemed"))
    _, tracking_id = decided(shop)
    redeemed = outcome(tracking_id, "redeemed")

    assert told(take(later(shop), redeemed)) == ["recorded"]
    assert told(take(shop, redeemed, by=None)) == ["unknown-kind"]


def test_what_a_test_key_reports_is_reported_when_it_happened(shop: Shop) -> None:
    then = datetime(2018, 1, 2, 18, tzinfo=UTC)
    _, tracking_id = decided(shop, TEST, time=then)

    in_time = outcome(tracking_id, occurred_at=then + MINUTE)
    assert told(take(shop, in_time, by=TEST)) == ["recorded"]

    _, tracking_id = decided(shop, TEST, time=then, customer_id="ben")
    late = outcome(tracking_id, occurred_at=then + 41 * MINUTE)
    assert told(take(shop, late, by=TEST)) == ["recorded_late"]


def test_an_answer_suppresses_the_next_decision() -> None:
    shop = Shop(SUPPRESSED)
    first, tracking_id = decided(shop)
    shown = [offer.action for offer in first.placements[0].offers]

    assert told(take(later(shop), outcome(tracking_id, "rejected"))) == ["recorded"]

    after, _ = decided(shop)
    assert [offer.action for offer in after.placements[0].offers][:1] == shown[1:2]


def test_a_store_that_is_away_takes_nothing_and_says_so(shop: Shop) -> None:
    _, tracking_id = decided(shop)
    shop.records.outcomes.broken = True

    with pytest.raises(DependencyError):
        take(later(shop), outcome(tracking_id), outcome("forged"))


def test_a_request_of_refusals_alone_asks_no_store(shop: Shop) -> None:
    shop.records.outcomes.broken = True

    assert told(take(shop, outcome("forged"))) == ["tracking-id-invalid"]


def test_who_reported_is_known_and_a_browser_is_nobody() -> None:
    assert Reporter("key", Mode.LIVE, "web").was_given(mode=Mode.LIVE, channel="web")
    assert not Reporter("key", Mode.LIVE, "web").was_given(mode=Mode.LIVE, channel="app")
    assert not Reporter("key", Mode.LIVE).was_given(mode=Mode.TEST, channel="app")
    assert Reporter().was_given(mode=Mode.TEST, channel="app")


def test_a_forced_offer_may_be_reported_and_counts_for_nothing(shop: Shop) -> None:
    record, tracking_id = decided(shop, TEST, force=Forced(ActionId("coupon-soup")))
    assert record.placements[0].offers[0].action == "coupon-soup"
    assert record.force is not None
    assert record.placements[0].offers[0].reserved_until is None

    assert told(take(later(shop), outcome(tracking_id), by=TEST)) == ["recorded"]
