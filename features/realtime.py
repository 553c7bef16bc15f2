"""What a customer does right now: a pure fold over events, and the features read from its state.

The state is time-stamped counts and latest values; the windows are computed when it is read, so that a
30-minute count decays without anybody writing. Two states merge into one: whoever folds parts of the same
events in any order, on any worker, or replays them from history, ends with the same state. Counting an event
once is the journal's part: the fold adds what it is given.

Counts are kept in buckets of a minute, an hour and a day (`RESOLUTIONS`), each over twice the longest window
read from it; what is older than that, measured from the newest event, is dropped. That bounds the state
however much happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

Attribute = bool | int | float | str
"""One attribute of an event."""


class EventKind(StrEnum):
    """What happened."""

    PAGE_VIEW = "page_view"
    SEARCH = "search"
    TRANSACTION = "transaction"
    LOCATION = "location"
    CALL = "call"
    SOCIAL_MENTION = "social_mention"


class Counter(StrEnum):
    """What is counted; money in millionths, so that no order of adding changes the sum."""

    VIEWS = "views"
    SEARCHES = "searches"
    SPEND = "spend"
    CALLS = "calls"
    UNRESOLVED_CALLS = "unresolved_calls"
    MENTIONS = "mentions"


class Memory(StrEnum):
    """What is remembered of the latest event that told it."""

    SEARCH_TOPIC = "search_topic"
    LOCATION = "location"
    ACTIVITY = "activity"


@dataclass(frozen=True, slots=True)
class Resolution:
    """A size of bucket: its code in a stored state, its seconds, how many are kept."""

    code: str
    seconds: int
    kept: int


MINUTES = Resolution("m", 60, 60)
HOURS = Resolution("h", 3_600, 48)
DAYS = Resolution("d", 86_400, 60)
RESOLUTIONS = (MINUTES, HOURS, DAYS)

LONGEST = timedelta(days=30)
"""The longest window any feature is read over; no older event needs to be taken."""

MILLIONTHS = 1_000_000
LARGEST_AMOUNT = 1e9

_COUNTED = {
    EventKind.PAGE_VIEW: Counter.VIEWS,
    EventKind.SEARCH: Counter.SEARCHES,
    EventKind.CALL: Counter.CALLS,
    EventKind.SOCIAL_MENTION: Counter.MENTIONS,
}
_ACTIVITIES = frozenset({EventKind.PAGE_VIEW, EventKind.SEARCH, EventKind.TRANSACTION, EventKind.CALL})
"""Kinds that tell of activity: those that need no other consent than profiling."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a customer did.

    Parameters
    ----------
    event_id
        Breaks the tie between two events of one instant.
    kind
        What happened.
    occurred_at
        When, UTC.
    attributes
        What is known of it; those the fold does not read are of no matter here.
    """

    event_id: str
    kind: EventKind
    occurred_at: datetime
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Latest:
    """A value and the event that told it; the later one is the greater.

    Parameters
    ----------
    at
        Microseconds since 1970.
    event_id
        Breaks a tie.
    value
        What it told.
    """

    at: int
    event_id: str
    value: str


Bucket = tuple[str, int, Counter]
"""Code of the resolution, number of the bucket since 1970, what is counted."""


@dataclass(frozen=True, slots=True)
class State:
    """What is kept of all events so far.

    Parameters
    ----------
    newest
        Time of the newest event, microseconds since 1970; None before the first.
    counts
        By bucket; none is zero.
    latest
        The latest value of each kind that has one.
    """

    newest: int | None = None
    counts: Mapping[Bucket, int] = field(default_factory=dict)
    latest: Mapping[Memory, Latest] = field(default_factory=dict)


EMPTY = State()
"""Before any event."""


def fold(state: State, events: Iterable[Event]) -> State:
    """Return the state after some more events.

    Examples
    --------
    >>> noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    >>> one, two = (Event(name, EventKind.PAGE_VIEW, noon) for name in "ab")
    >>> fold(EMPTY, [one, two]) == merge(fold(EMPTY, [two]), fold(EMPTY, [one]))
    True
    """
    return merge(state, *map(of, events))


def replay(events: Iterable[Event]) -> State:
    """Return the state after all events of a history, in any order."""
    return fold(EMPTY, events)


def of(event: Event) -> State:
    """Return the state after one event alone."""
    at = (event.occurred_at - _EPOCH) // _MICROSECOND
    counts = {
        (resolution.code, at // (resolution.seconds * MILLIONTHS), counter): amount
        for counter, amount in _amounts(event)
        if amount
        for resolution in RESOLUTIONS
    }
    latest = {memory: Latest(at, event.event_id, value) for memory, value in _memories(event)}
    return State(at, counts, latest)


def merge(*states: State) -> State:
    """Return the state after the events of all; it does not matter which comes first.

    No two may have an event in common.
    """
    newest = max((state.newest for state in states if state.newest is not None), default=None)
    if newest is None:
        return EMPTY
    since = {each.code: _oldest_kept(each, newest) for each in RESOLUTIONS}
    counts: dict[Bucket, int] = {}
    latest: dict[Memory, Latest] = {}
    for state in states:
        for bucket, count in state.counts.items():
            if bucket[1] >= since[bucket[0]]:
                counts[bucket] = counts.get(bucket, 0) + count
        for memory, told in state.latest.items():
            latest[memory] = max(told, latest.get(memory, told))
    return State(newest, {bucket: count for bucket, count in counts.items() if count}, latest)


def total(state: State, counter: Counter, resolution: Resolution, buckets: int, now: datetime) -> int | None:
    """Return the sum over the bucket ``now`` is in and those before it, ``buckets`` in all.

    None when the state is of so much later than ``now`` that buckets of that time have been dropped.
    """
    at = (now - _EPOCH) // _MICROSECOND // (resolution.seconds * MILLIONTHS)
    first = at - buckets + 1
    if state.newest is not None and first < _oldest_kept(resolution, state.newest):
        return None
    code, counts = resolution.code, state.counts
    return sum(counts.get((code, number, counter), 0) for number in range(first, at + 1))


def age(state: State, memory: Memory, now: datetime) -> timedelta | None:
    """Return how long ago the latest event told this; None when none did by ``now``."""
    told = state.latest.get(memory)
    if told is None:
        return None
    passed = now - _EPOCH - told.at * _MICROSECOND
    return passed if passed >= timedelta(0) else None


def newest_at(state: State) -> datetime | None:
    """Return the time of the newest event, UTC."""
    return None if state.newest is None else _EPOCH + state.newest * _MICROSECOND


def _oldest_kept(resolution: Resolution, newest: int) -> int:
    return newest // (resolution.seconds * MILLIONTHS) - resolution.kept + 1


def _amounts(event: Event) -> Iterable[tuple[Counter, int]]:
    counter = _COUNTED.get(event.kind)
    if counter is not None:
        yield counter, 1
    if event.kind is EventKind.TRANSACTION:
        yield Counter.SPEND, _millionths(event.attributes.get("amount"))
    if event.kind is EventKind.CALL and event.attributes.get("resolved") is False:
        yield Counter.UNRESOLVED_CALLS, 1


def _memories(event: Event) -> Iterable[tuple[Memory, str]]:
    if event.kind in _ACTIVITIES:
        yield Memory.ACTIVITY, ""
    topic, location = event.attributes.get("topic"), event.attributes.get("location_id")
    if event.kind is EventKind.SEARCH and isinstance(topic, str):
        yield Memory.SEARCH_TOPIC, topic
    if isinstance(location, str):
        yield Memory.LOCATION, location


def _millionths(amount: Attribute | None) -> int:
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        return 0
    return round(amount * MILLIONTHS) if abs(amount) <= LARGEST_AMOUNT else 0
