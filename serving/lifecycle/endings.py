"""Approvals that end soon, have ended or are missing, in lines for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from serving.lifecycle.acts import Model
from serving.lifecycle.book import Book, Version
from serving.lifecycle.naming import named

ALERT_AHEAD = timedelta(days=30)
"""How long before an approval ends it is said."""

_DAY = timedelta(days=1)


def warnings(book: Book, now: datetime) -> tuple[str, ...]:
    """Return one line for every champion whose approval ends within 30 days, has ended, or is missing."""
    champions = [one for model in Model if (one := book.champion(model)) is not None]
    told = ((one, ending(book, one, now)) for one in champions)
    return tuple(f"{named(one)}: {line}" for one, line in told if line is not None)


def ending(book: Book, champion: Version, now: datetime) -> str | None:
    """Return what is to be said of a champion's approval, to stand after its name; None for nothing.

    Where no person is in charge of a model, nobody is told that nobody approved it.
    """
    approve = f"`moment models approve {named(champion)}`"
    if champion.approval is None:
        in_charge = champion.model in book.claimed
        return f"it serves without an approval; {approve}" if in_charge else None
    ends = champion.approval.expires_at
    if champion.approval.holds(now + ALERT_AHEAD):
        return None
    if champion.approval.holds(now):
        days = -((now - ends) // _DAY)
        span = "a day" if days == 1 else f"{days} days"
        return f"its approval ends within {span}, on {ends:%Y-%m-%d}; {approve}"
    return f"its approval ended on {ends:%Y-%m-%d}, it serves on; {approve} or replace it"
