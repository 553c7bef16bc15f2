"""How a case's page writes values, instants and policies."""

from __future__ import annotations

from datetime import datetime, timedelta

from serving.case.markup import Html, tag
from serving.decision.contact import (
    CalendarWindow,
    ContactPolicy,
    CoolOff,
    Limit,
    Per,
    QuietHours,
    Suppression,
)
from serving.decision.wording import lasting
from serving.records import RecordedValue

_SHARED = {
    Per.ACTION: "each action",
    Per.GROUP: "each group",
    Per.ISSUE: "each issue",
    Per.ALL: "all together",
}


def value_of(value: RecordedValue) -> str:
    """Return a value as people read it; nothing is `not known`."""
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(value_of, value)) or "none"
    return number(value) if isinstance(value, int | float) else value


def number(value: float | None) -> str:
    """Return a number with the digits that matter."""
    return "-" if value is None else f"{value:,.6g}"


def instant(at: datetime | None) -> str:
    """Return an instant to the second, UTC."""
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def age_of(age: timedelta | float | None) -> str:
    """Return how old something is, in its largest unit."""
    if age is None:
        return "-"
    seconds = age.total_seconds() if isinstance(age, timedelta) else age
    return lasting(seconds) if seconds >= 0 else f"{lasting(-seconds)} in the future"


def checked(holds: bool | None) -> Html:
    """Return the verdict of a rule, in words and in colour."""
    if holds is None:
        return verdict_word("unknown", "warn")
    return verdict_word("true", "good") if holds else verdict_word("false", "bad")


def verdict_word(word: str, state: str) -> Html:
    """Return a word that stands out."""
    return tag("span", word, class_=f"word {state}")


def policy_words(policy: ContactPolicy) -> str:
    """Return what a contact policy says, in a sentence."""
    scope = policy.scope
    parts = [
        f"{name} {', '.join(sorted(found))}"
        for name, found in (
            ("issues", scope.issues),
            ("groups", scope.groups),
            ("actions", scope.actions),
            ("channels", scope.channels),
        )
        if found
    ]
    where = f" Holds for {'; '.join(parts)}." if parts else " Holds for everything."
    match policy:
        case Limit():
            window = (
                f"the calendar {policy.window}"
                if isinstance(policy.window, CalendarWindow)
                else lasting(policy.window.total_seconds())
            )
            alone = ", each channel for itself" if policy.per_channel else ""
            said = f"At most {policy.most} {policy.counts} in {window} of {_SHARED[policy.per]}{alone}."
        case Suppression():
            times = "" if policy.after == 1 else f"{policy.after} x "
            within = "" if policy.within is None else f" within {lasting(policy.within.total_seconds())}"
            rests = lasting(policy.lasts.total_seconds())
            said = f"After {times}“{policy.outcome}”{within}, {_SHARED[policy.per]} rests for {rests}."
        case CoolOff():
            said = (
                f"After any contact, {_SHARED[policy.per]} rests for {lasting(policy.lasts.total_seconds())}."
            )
        case QuietHours():
            said = f"Nothing from {policy.starts:%H:%M} to {policy.ends:%H:%M}, the customer's time."
    return said + where
