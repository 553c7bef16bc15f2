"""Approvals that end soon, have ended or are missing, in lines for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from serving.lifecycle.acts import Model
from serving.lifecycle.book import ALERT_AHEAD, Book, Version
from serving.lifecycle.refusing import named

_DAY = timedelta(days=1)


def warnings(book: Book, now: datetime) -> tuple[str, ...]:
    """Return one line for every champion whose approval ends within 30 days, has ended, or is missing.

    Where no person is in charge of a model, nobody is told that nobody approved it.
    """
    champions = (book.champion(model) for model in Model)
    lines = (_line(one, now, in_charge=one.model in book.claimed) for one in champions if one is not None)
    return tuple(line for line in lines if line is not None)


def _line(champion: Version, now: datetime, *, in_charge: bool) -> str | None:
    approve = f"`moment models approve {named(champion)}`"
    if champion.approval is None:
        return f"{named(champion)} serves without an approval; {approve}" if in_charge else None
    ends = champion.approval.expires_at
    if champion.approval.holds(now + ALERT_AHEAD):
        return None
    if champion.approval.holds(now):
        days = -((now - ends) // _DAY)
        span = "a day" if days == 1 else f"{days} days"
        return f"the approval of {named(champion)} ends within {span}, on {ends:%Y-%m-%d}; {approve}"
    return (
        f"the approval of {named(champion)} ended on {ends:%Y-%m-%d}, it serves on; {approve} or replace it"
    )
