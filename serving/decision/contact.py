"""Contact policies: how often a customer may be given what, and what rests after an answer. Values only.

A policy governs the candidates in its scope and looks back on the contacts (or outcomes) in the same scope.
``per`` says what shares one count: each action, each group, each issue, or everything in the scope together;
``per_channel`` whether each channel counts for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from enum import StrEnum


class Per(StrEnum):
    """What shares one count."""

    ACTION = "action"
    GROUP = "group"
    ISSUE = "issue"
    ALL = "all"


class Counting(StrEnum):
    """What a limit counts."""

    DECISIONS = "decisions"
    PRESENTATIONS = "presentations"


class CalendarWindow(StrEnum):
    """A window that begins with the customer's day, week (Monday) or month."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


Window = timedelta | CalendarWindow
"""Rolling (the time up to now, its oldest instant excluded) or calendar, in the customer's zone."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which candidates a policy governs: those that match every entry; an empty entry matches all."""

    issues: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()

    def holds(self, *, issue: str, group: str, action: str, channel: str) -> bool:
        """Whether something offered is in the scope."""
        return (
            (not self.issues or issue in self.issues)
            and (not self.groups or group in self.groups)
            and (not self.actions or action in self.actions)
            and (not self.channels or channel in self.channels)
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``most`` within a window.

    Presentations are counted when they were shown, and every live reservation with them; decisions when they
    were made. Mandatory messages neither count nor are stopped.
    """

    name: str
    most: int
    window: Window
    counts: Counting = Counting.PRESENTATIONS
    per: Per = Per.ACTION
    per_channel: bool = False
    scope: Scope = Scope()


@dataclass(frozen=True, slots=True)
class Suppression:
    """After ``after`` outcomes of a kind ``within`` a time (None: ever), rest for ``lasts`` from the last."""

    name: str
    outcome: str
    lasts: timedelta
    after: int = 1
    within: timedelta | None = None
    per: Per = Per.ACTION
    per_channel: bool = False
    scope: Scope = Scope()


@dataclass(frozen=True, slots=True)
class CoolOff:
    """After anything was given (live, or shown; mandatory messages too), rest for ``lasts``."""

    name: str
    lasts: timedelta
    per: Per = Per.ALL
    per_channel: bool = False
    scope: Scope = Scope()


@dataclass(frozen=True, slots=True)
class QuietHours:
    """On outbound channels nothing from ``starts`` (inclusive) to ``ends`` (exclusive), customer's time.

    ``ends`` before ``starts`` runs over midnight.
    """

    name: str
    starts: time
    ends: time
    scope: Scope = Scope()


ContactPolicy = Limit | Suppression | CoolOff | QuietHours
"""What ``Catalogue.contact_policies`` holds, ordered by name; stored reasons name a policy by its index."""
