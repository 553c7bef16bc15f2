from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from serving.adapters.identifiers import named_id, time_ordered_id, utc_now
from serving.adapters.instants import from_microseconds, to_microseconds


def test_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    start = datetime(2026, 5, 1, tzinfo=UTC)
    made = [time_ordered_id(start + timedelta(milliseconds=step)) for step in range(200)]
    assert made == sorted(made)
    read = list(map(uuid.UUID, made))
    assert all(one.version == 7 and one.variant == uuid.RFC_4122 for one in read)
    assert list(map(str, read)) == made
    assert uuid.UUID(made[0]).int >> 80 == start.timestamp() * 1000


def test_ids_of_one_instant_differ() -> None:
    now = utc_now()
    assert len({time_ordered_id(now) for _ in range(1000)}) == 1000


def test_instants_survive_the_database_exactly() -> None:
    instant = datetime(2017, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert from_microseconds(to_microseconds(instant)) == instant
    assert from_microseconds(to_microseconds(datetime(1969, 1, 1, tzinfo=UTC))).year == 1969


def test_ids_of_a_name_are_the_same_for_ever_and_sort_by_time() -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    assert named_id(at, "batch/anna") == named_id(at, "batch/anna")
    assert uuid.UUID(named_id(at, "batch/anna")).version == 7
    assert len({named_id(at, str(number)) for number in range(1000)}) == 1000
    assert max(named_id(at, str(number)) for number in range(50)) < named_id(at + timedelta(seconds=1), "x")
