"""The features read from a real-time state, and their contract.

They are for rules and templates, beside the models' contract and not in it: a model may name only what its
training rows hold, and those are made of the batch features' snapshots. `realtime_history.at_rows` gives
the same features for training rows, by the same fold over the canonical tables, so that a later contract can
take them in without a second definition.

A feature is of one purpose, and so is everything that goes into it: activity leaves locations and social
mentions out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from features.contract import DType, FeatureContract, FeatureSpec, FeatureValue, Purpose
from features.realtime import (
    DAYS,
    HOURS,
    MILLIONTHS,
    MINUTES,
    Counter,
    Memory,
    Resolution,
    State,
    age,
    total,
)

VIEW = "realtime"
"""The view they are in, and Feast's view that keeps the state."""

STATE = "state"
"""The one column of Feast's view."""

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RealtimeFeature:
    """One feature: its words, and how it is read from a state at a time."""

    spec: FeatureSpec
    value: Callable[[State, datetime], FeatureValue]


def values(state: State, now: datetime) -> dict[str, FeatureValue]:
    """Return every feature at a time, in the contract's order; events after it do not count."""
    return {feature.spec.name: feature.value(state, now) for feature in FEATURES}


def _spec(
    name: str, dtype: DType, unit: str, meaning: str, *, max_age: timedelta, purpose: Purpose
) -> FeatureSpec:
    return FeatureSpec(name, dtype, unit, purpose, meaning, "events", VIEW, max_age)


def _count(
    name: str,
    meaning: str,
    counter: Counter,
    resolution: Resolution,
    buckets: int,
    *,
    purpose: Purpose = Purpose.PROFILING,
) -> RealtimeFeature:
    window = timedelta(seconds=resolution.seconds * buckets)
    return RealtimeFeature(
        _spec(name, DType.INT64, "events", meaning, max_age=window, purpose=purpose),
        lambda state, now: total(state, counter, resolution, buckets, now),
    )


def _spend(name: str, meaning: str, resolution: Resolution, buckets: int) -> RealtimeFeature:
    def value(state: State, now: datetime) -> float | None:
        millionths = total(state, Counter.SPEND, resolution, buckets, now)
        return None if millionths is None else millionths / MILLIONTHS

    window = timedelta(seconds=resolution.seconds * buckets)
    return RealtimeFeature(
        _spec(name, DType.FLOAT64, "currency", meaning, max_age=window, purpose=Purpose.PROFILING), value
    )


def _told(name: str, meaning: str, memory: Memory, purpose: Purpose) -> RealtimeFeature:
    def value(state: State, now: datetime) -> str | None:
        passed = age(state, memory, now)
        return None if passed is None or passed > DAY else state.latest[memory].value

    return RealtimeFeature(_spec(name, DType.STRING, "name", meaning, max_age=DAY, purpose=purpose), value)


def _minutes_since_activity(state: State, now: datetime) -> float | None:
    passed = age(state, Memory.ACTIVITY, now)
    return None if passed is None or passed > 30 * DAY else passed / timedelta(minutes=1)


FEATURES = (
    _count("views_30m", "Page views in this minute and the 29 before", Counter.VIEWS, MINUTES, 30),
    _count("searches_30m", "Searches in this minute and the 29 before", Counter.SEARCHES, MINUTES, 30),
    _count("views_24h", "Page views in this hour and the 23 before", Counter.VIEWS, HOURS, 24),
    _count("searches_24h", "Searches in this hour and the 23 before", Counter.SEARCHES, HOURS, 24),
    _spend("reported_spend_24h", "Spent, as reported, in this hour and the 23 before", HOURS, 24),
    _spend("reported_spend_7d", "Spent, as reported, on this day (UTC) and the 6 before", DAYS, 7),
    _told(
        "last_search_topic",
        "Topic of the latest search, for a day",
        Memory.SEARCH_TOPIC,
        Purpose.PROFILING,
    ),
    RealtimeFeature(
        _spec(
            "minutes_since_activity",
            DType.FLOAT64,
            "minutes",
            "Since the latest page view, search, transaction or call, for 30 days",
            max_age=30 * DAY,
            purpose=Purpose.PROFILING,
        ),
        _minutes_since_activity,
    ),
    _count("calls_7d", "Calls on this day (UTC) and the 6 before", Counter.CALLS, DAYS, 7),
    _count(
        "unresolved_calls_7d",
        "Calls on this day (UTC) and the 6 before that ended without the matter settled",
        Counter.UNRESOLVED_CALLS,
        DAYS,
        7,
    ),
    _told(
        "last_location_id",
        "The place the customer was at last, for a day",
        Memory.LOCATION,
        Purpose.LOCATION,
    ),
    _count(
        "social_mentions_7d",
        "Posts that mention us on this day (UTC) and the 6 before",
        Counter.MENTIONS,
        DAYS,
        7,
        purpose=Purpose.SOCIAL,
    ),
)
"""Every real-time feature, in order."""

REALTIME_V1 = FeatureContract("realtime_v1", tuple(feature.spec for feature in FEATURES))
"""What rules and templates may name of a customer beside the models' contract."""
