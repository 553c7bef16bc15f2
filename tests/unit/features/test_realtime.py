"""The real-time fold: any order and any grouping of events end in the same state, which stays small."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contract import FeatureValue, Purpose
from features.definitions import BUILT_IN, contract_of
from features.realtime import (
    EMPTY,
    RESOLUTIONS,
    Attribute,
    Counter,
    Event,
    EventKind,
    State,
    fold,
    merge,
    newest_at,
    replay,
)
from features.realtime_features import FEATURES, REALTIME_V1, values
from features.realtime_state import dumps, loads
from moment.errors import ConfigurationError, DependencyError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def event(
    kind: EventKind = EventKind.PAGE_VIEW,
    ago: timedelta = timedelta(0),
    name: str = "e",
    **attributes: Attribute,
) -> Event:
    return Event(name, kind, NOON - ago, attributes)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Events of every kind over 90 days, many of them at once."""
    size = draw(st.integers(0, 30))
    agos = st.one_of(st.integers(0, 3), st.integers(0, 90 * 24 * 60)).map(lambda minutes: minutes * MINUTE)
    told = st.fixed_dictionaries(
        {},
        optional={
            "amount": st.one_of(st.integers(-500, 500), st.floats(-1e4, 1e4)),
            "topic": st.sampled_from(["tea", "jam", "Käse 🧀"]),
            "location_id": st.sampled_from(["1", "2"]),
            "resolved": st.booleans(),
        },
    )
    return [
        Event(f"e{number}", draw(st.sampled_from(EventKind)), NOON - draw(agos), draw(told))
        for number in range(size)
    ]


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_any_order_in_any_parts_ends_in_the_same_state(events: list[Event], random: object) -> None:
    whole = replay(events)
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one_by_one = EMPTY
    for each in shuffled:
        one_by_one = fold(one_by_one, [each])
    half = len(shuffled) // 2
    parts = merge(replay(shuffled[half:]), replay(shuffled[:half]))
    assert one_by_one == parts == whole
    assert dumps(one_by_one) == dumps(whole)
    assert loads(dumps(whole)) == whole
    assert merge(whole, EMPTY) == whole


@given(histories(), st.integers(0, 45 * 24 * 60))
@settings(max_examples=100, deadline=None)
def test_a_window_counts_what_happened_in_it_alone(events: list[Event], minutes: int) -> None:
    now = NOON + minutes * MINUTE
    found = values(replay(events), now)
    views = [one.occurred_at for one in events if one.kind is EventKind.PAGE_VIEW]
    assert found["views_30m"] == sum(now - 30 * MINUTE < at <= now for at in views)
    paid = [
        one
        for one in events
        if one.kind is EventKind.TRANSACTION and now.date() - one.occurred_at.date() < 7 * DAY
    ]
    expected = sum(round(float(one.attributes.get("amount", 0)) * 1_000_000) for one in paid) / 1_000_000
    assert found["reported_spend_7d"] == pytest.approx(expected)


def test_counts_decay_while_nobody_writes() -> None:
    state = replay([event(ago=age * MINUTE, name=str(age)) for age in (0, 10, 29)])
    after = {0: 3, 1: 2, 19: 2, 20: 1, 29: 1, 30: 0}
    for minutes, count in after.items():
        assert values(state, NOON + minutes * MINUTE)["views_30m"] == count, minutes
    assert values(state, NOON + 23 * HOUR)["views_24h"] == 1
    assert values(state, NOON + 24 * HOUR)["views_24h"] == 0


def test_what_happens_later_does_not_count_yet() -> None:
    state = replay([event(), event(EventKind.SEARCH, name="s", topic="tea")])
    before = values(state, NOON - MINUTE)
    assert before["views_30m"] == 0
    assert before["last_search_topic"] is None
    assert before["minutes_since_activity"] is None


def test_a_time_whose_buckets_are_gone_is_unknown_not_zero() -> None:
    state = replay([event()])
    assert values(state, NOON - 31 * MINUTE)["views_30m"] is None
    assert values(state, NOON - 31 * MINUTE)["views_24h"] == 0
    assert values(state, NOON - 60 * DAY)["calls_7d"] is None
    assert values(EMPTY, NOON - 60 * DAY)["calls_7d"] == 0


READ: list[tuple[Event, str, FeatureValue]] = [
    (event(), "views_30m", 1),
    (event(), "views_24h", 1),
    (event(EventKind.SEARCH), "searches_30m", 1),
    (event(EventKind.SEARCH), "searches_24h", 1),
    (event(EventKind.SEARCH, 23 * HOUR, topic="tea"), "last_search_topic", "tea"),
    (event(EventKind.SEARCH, 25 * HOUR, topic="tea"), "last_search_topic", None),
    (event(topic="tea"), "last_search_topic", None),
    (event(EventKind.TRANSACTION, amount=12.4), "reported_spend_24h", 12.4),
    (event(EventKind.TRANSACTION, 6 * DAY, amount=-3), "reported_spend_7d", -3.0),
    (event(EventKind.TRANSACTION, 7 * DAY, amount=5), "reported_spend_7d", 0.0),
    (event(EventKind.TRANSACTION, amount=True), "reported_spend_24h", 0.0),
    (event(EventKind.TRANSACTION, amount=2e9), "reported_spend_24h", 0.0),
    (event(EventKind.CALL), "calls_7d", 1),
    (event(EventKind.CALL), "unresolved_calls_7d", 0),
    (event(EventKind.CALL, resolved=True), "unresolved_calls_7d", 0),
    (event(EventKind.CALL, resolved=False), "unresolved_calls_7d", 1),
    (event(EventKind.LOCATION, location_id="367"), "last_location_id", "367"),
    (event(location_id="9"), "last_location_id", "9"),
    (event(EventKind.SOCIAL_MENTION), "social_mentions_7d", 1),
    (event(EventKind.CALL, 90 * MINUTE), "minutes_since_activity", 90.0),
    (event(EventKind.CALL, 31 * DAY), "minutes_since_activity", None),
]


@pytest.mark.parametrize(("happened", "feature", "value"), READ)
def test_what_each_kind_tells(happened: Event, feature: str, value: FeatureValue) -> None:
    assert values(replay([happened]), NOON)[feature] == value


def test_every_feature_is_told_by_some_event() -> None:
    told = {name for _, name, value in READ if value}
    assert told == set(REALTIME_V1.names)


def test_locations_and_mentions_tell_nothing_that_needs_no_consent_to_them() -> None:
    private = replay([event(EventKind.LOCATION, location_id="1"), event(EventKind.SOCIAL_MENTION, name="m")])
    open_to_profiling = [one.spec.name for one in FEATURES if one.spec.purpose is Purpose.PROFILING]
    nothing = values(EMPTY, NOON)
    found = values(private, NOON)
    assert {name: found[name] for name in open_to_profiling} == {
        name: nothing[name] for name in open_to_profiling
    }


def test_the_later_event_tells_and_a_tie_goes_to_the_greater_id() -> None:
    def search(name: str, topic: str, ago: timedelta) -> Event:
        return event(EventKind.SEARCH, ago, name, topic=topic)

    events = [search("b", "jam", MINUTE), search("a", "tea", MINUTE), search("c", "ham", HOUR)]
    assert values(replay(events), NOON)["last_search_topic"] == "jam"


def test_money_adds_up_whatever_the_order() -> None:
    amounts = [0.1, 0.2, 0.3, 1e9, -1e9]
    events = [
        event(EventKind.TRANSACTION, name=str(place), amount=amount) for place, amount in enumerate(amounts)
    ]
    assert values(replay(events), NOON)["reported_spend_24h"] == 0.6
    assert replay(events) == replay(events[::-1])


def test_a_state_stays_small_however_much_happens() -> None:
    state = State()
    kinds = list(EventKind)
    for hour in range(24 * 120):
        at = NOON + hour * HOUR
        state = fold(state, [Event(f"{hour}", kinds[hour % 6], at, {"amount": 1.5, "resolved": False})])
    busy = [Event(f"b{n}", kinds[n % 6], at + n * timedelta(seconds=7), {"amount": 1}) for n in range(3_000)]
    state = fold(state, busy)
    assert len(state.counts) <= len(Counter) * sum(each.kept for each in RESOLUTIONS)
    assert len(dumps(state).encode()) < 16_000
    assert newest_at(state) == busy[-1].occurred_at
    assert values(state, busy[-1].occurred_at)["views_24h"] == 500 + 3


def test_a_state_of_a_newer_moment_is_not_guessed_at() -> None:
    text = dumps(replay([event()])).replace('"format":1', '"format":2')
    with pytest.raises(DependencyError, match="format 2"):
        loads(text)


def test_no_feature_of_the_models_has_the_name_of_a_real_time_one() -> None:
    (view, *_) = BUILT_IN
    named = replace(view, name="own", features=(replace(view.features[0], name="views_30m"),))
    for mistaken, name in ((named, "views_30m"), (replace(view, name="realtime", features=()), "realtime")):
        with pytest.raises(ConfigurationError, match=f"{name}: another"):
            contract_of((mistaken,))
    assert not set(contract_of(BUILT_IN).names) & set(REALTIME_V1.names)
