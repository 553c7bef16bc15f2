"""Days, weeks and months where clocks do what they like at midnight."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.decision.contact import CalendarWindow
from serving.decision.windows import day_start, first_instant, local_day, longest

DAY = timedelta(days=1)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia")

STRANGE = {
    "midnight is missing": ("America/Sao_Paulo", date(2018, 11, 4)),
    "midnight comes twice": ("America/Havana", date(2025, 11, 2)),
    "the day before comes again": ("America/Sao_Paulo", date(2018, 2, 18)),
    "a minute of the day, then the day before again": ("America/St_Johns", date(2006, 10, 29)),
    "clocks go forward over midnight": ("America/St_Johns", date(2006, 4, 2)),
    "a day is left out": ("Pacific/Apia", date(2011, 12, 30)),
    "half an hour of summer time": ("Australia/Lord_Howe", date(2026, 4, 5)),
}


@pytest.mark.parametrize("case", STRANGE)
def test_days_meet_without_gap_or_overlap(case: str) -> None:
    name, about = STRANGE[case]
    zone = ZoneInfo(name)
    instant = datetime(about.year, about.month, about.day, tzinfo=UTC) - 2 * DAY
    furthest = date.min
    for _ in range(4 * 24 * 60):
        furthest = max(furthest, instant.astimezone(zone).date())
        assert local_day(instant, zone) == furthest, instant
        assert day_start(furthest, zone) <= instant < day_start(furthest + DAY, zone)
        instant += timedelta(minutes=1)


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00:00"),  # local 01:00, the first there is
        ("America/Havana", date(2025, 11, 2), "2025-11-02T04:00:00"),  # the first of two midnights
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00:00"),  # left out: begins with the next
        ("Pacific/Apia", date(2011, 12, 31), "2011-12-30T10:00:00"),
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-28T23:00:00"),
        ("Europe/Berlin", date(2026, 3, 30), "2026-03-29T22:00:00"),  # after 23 hours
    ],
)
def test_a_day_begins_when_its_date_first_shows(zone: str, day: date, start: str) -> None:
    assert day_start(day, ZoneInfo(zone)) == datetime.fromisoformat(start).replace(tzinfo=UTC)


def test_a_day_begins_where_clocks_jump_over_its_midnight() -> None:
    # In Toronto they went from 23:30 to 00:30 on 30 March 1919
    toronto = ZoneInfo("America/Toronto")
    start = day_start(date(1919, 3, 31), toronto)
    assert start.astimezone(toronto).time().isoformat() == "00:30:00"
    assert (start - timedelta(seconds=1)).astimezone(toronto).time().isoformat() == "23:29:59"


@given(
    st.integers(0, 37 * 366 * 24 * 60).map(lambda m: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(minutes=m)),
    st.sampled_from(ZONES),
    st.sampled_from(CalendarWindow),
)
def test_a_window_holds_now_and_is_no_longer_than_it_can_be(
    now: datetime, name: str, window: CalendarWindow
) -> None:
    zone = ZoneInfo(name)
    start = first_instant(window, now, zone)
    assert start <= now < start + longest(window)
    day = local_day(start, zone)
    assert day_start(day, zone) == start
    if name != "Pacific/Apia":  # where a month began with the day after the one that was left out
        assert window is not CalendarWindow.MONTH or day.day == 1
        assert window is not CalendarWindow.WEEK or day.isoweekday() == 1


def test_a_rolling_window_leaves_its_oldest_instant_out() -> None:
    now = datetime(2026, 3, 3, tzinfo=UTC)
    assert first_instant(7 * DAY, now, ZoneInfo("UTC")) == now - 7 * DAY + timedelta(microseconds=1)
