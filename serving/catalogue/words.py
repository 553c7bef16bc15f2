"""Policies in words, for people who read a catalogue or a difference between two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from serving.decision.actions import Allowance, Exclusion
from serving.decision.contact import (
    CalendarWindow,
    ContactPolicy,
    CoolOff,
    Counting,
    Limit,
    Per,
    QuietHours,
    Scope,
    Suppression,
    Window,
)

_UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("m", timedelta(minutes=1)),
)
_PER = {
    Per.ACTION: "of each action",
    Per.GROUP: "of each group",
    Per.ISSUE: "of each issue",
    Per.ALL: "in all",
}
_OF_SAME = {
    Per.ACTION: "the same action",
    Per.GROUP: "the same group",
    Per.ISSUE: "the same issue",
    Per.ALL: "anything",
}


def span(duration: timedelta) -> str:
    """Return a time span as the file writes it: ``30m``, ``48h``, ``7d``; the largest unit that is whole.

    Examples
    --------
    >>> span(timedelta(hours=48)), span(timedelta(minutes=90)), span(timedelta(0))
    ('2d', '90m', '0s')
    """
    for unit, length in _UNITS:
        if duration and not duration % length:
            return f"{duration // length}{unit}"
    return f"{duration.total_seconds():g}s"


def policy_in_words(policy: ContactPolicy) -> str:
    """Return what a contact policy does, in one line."""
    match policy:
        case Limit():
            what = "decisions" if policy.counts is Counting.DECISIONS else "presentations"
            said = f"at most {policy.most} {what} {_PER[policy.per]} {_within(policy.window)}"
            said += _apart(per_channel=policy.per_channel)
        case Suppression():
            often = f"{policy.outcome} x {policy.after}" if policy.after > 1 else policy.outcome
            within = f" within {span(policy.within)}" if policy.within is not None else ""
            said = f"{_OF_SAME[policy.per]} rests for {span(policy.lasts)} after {often}{within}"
            said += _apart(per_channel=policy.per_channel)
        case CoolOff():
            said = f"{_OF_SAME[policy.per]} rests for {span(policy.lasts)} after it was given"
            said += _apart(per_channel=policy.per_channel)
        case QuietHours():
            said = f"nothing outbound from {policy.starts:%H:%M} to {policy.ends:%H:%M}"
    return said + _scope_in_words(policy.scope)


def exclusion_in_words(exclusion: Exclusion, members: Iterable[str]) -> str:
    """Return what an exclusion does, in one line."""
    rests = f", the others rest for {span(exclusion.rests)}" if exclusion.rests else ""
    return f"one at most in an answer{rests}: {', '.join(members)}"


def allowance_in_words(allowance: Allowance) -> str:
    """Return a budget or a volume: ``10000 in total, 500 a day``."""
    parts = ((allowance.total, "in total"), (allowance.per_day, "a day"))
    return ", ".join(f"{amount:g} {word}" for amount, word in parts if amount is not None)


def _within(window: Window) -> str:
    return f"a {window}" if isinstance(window, CalendarWindow) else f"in any {span(window)}"


def _apart(*, per_channel: bool) -> str:
    return ", each channel for itself" if per_channel else ""


def _scope_in_words(scope: Scope) -> str:
    parts = list(_named(scope))
    return f" ({'; '.join(parts)})" if parts else ""


def _named(scope: Scope) -> Iterator[str]:
    for kind in ("issues", "groups", "actions", "channels"):
        names = getattr(scope, kind)
        if names:
            yield f"{kind} {', '.join(sorted(names))}"
