"""Windows of time: rolling ones, and days, ISO weeks and months as they are where the customer is.

A local day begins with the first instant whose local date is that day, and lasts to the first instant of the
next. So days meet without gap or overlap whatever the clocks do at midnight: a day may last 23, 25 or other
hours, midnight may be missing, or come twice (then the first one counts).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from serving.decision.contact import CalendarWindow, Window

_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)

_LONGEST = {
    CalendarWindow.DAY: timedelta(days=2),
    CalendarWindow.WEEK: timedelta(days=8),
    CalendarWindow.MONTH: timedelta(days=32),
}


def first_instant(window: Window, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the earliest instant that lies in a window which holds ``now``.

    Parameters
    ----------
    window
        Rolling: ``now - window`` itself lies outside, one microsecond later inside. Calendar: the day, ISO
        week or month of ``now``.
    now
        With a time zone.
    zone
        Where days are told. Of no meaning to a rolling window.

    Returns
    -------
    datetime
        In UTC.

    Examples
    --------
    >>> berlin, now = ZoneInfo("Europe/Berlin"), datetime(2026, 3, 29, 12, tzinfo=UTC)
    >>> first_instant(CalendarWindow.DAY, now, berlin).isoformat()
    '2026-03-28T23:00:00+00:00'
    >>> first_instant(CalendarWindow.MONTH, now, berlin).isoformat()
    '2026-02-28T23:00:00+00:00'
    >>> first_instant(timedelta(days=7), now, berlin).isoformat()
    '2026-03-22T12:00:00.000001+00:00'
    """
    if isinstance(window, timedelta):
        return now.astimezone(UTC) - window + _TICK
    day = local_day(now, zone)
    if window is CalendarWindow.WEEK:
        day -= timedelta(days=day.weekday())
    elif window is CalendarWindow.MONTH:
        day = day.replace(day=1)
    return day_start(day, zone)


def longest(window: Window) -> timedelta:
    """Return how long a window can be, whatever the zone and its clocks."""
    return window if isinstance(window, timedelta) else _LONGEST[window]


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """Return the local day an instant lies in.

    It is the local date, but for the minutes after clocks went back over midnight: those belong to the day
    that had already begun.
    """
    day = instant.astimezone(zone).date()
    return day + _DAY if day_start(day + _DAY, zone) <= instant else day


@lru_cache(maxsize=4096)
def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant, in UTC, whose local date is ``day``, or later where that day was left out."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    instant = midnight.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return instant
    return _end_of_gap(day, zone, midnight)


def _end_of_gap(day: date, zone: ZoneInfo, midnight: datetime) -> datetime:
    """Return when clocks went forward over ``midnight``, which they never showed; on a whole second."""
    before = midnight.replace(fold=1).astimezone(UTC)
    after = midnight.astimezone(UTC)
    while after - before > _SECOND:
        middle = before + ((after - before) // 2 // _SECOND) * _SECOND
        if middle.astimezone(zone).date() < day:
            before = middle
        else:
            after = middle
    return after
