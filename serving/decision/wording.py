"""Reasons in words, with the numbers behind them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from serving.decision.actions import Action, Allowance
from serving.decision.catalogue import Catalogue
from serving.decision.considered import Considered
from serving.decision.contact import CalendarWindow, ContactPolicy, CoolOff, Limit, Per, QuietHours, Window
from serving.decision.reasons import Reason
from serving.decision.stopped import stop_of
from serving.decision.values import Scalar

_WORDS = {
    Reason.NO_TREATMENT_FOR_CHANNEL: "no treatment for this channel",
    Reason.NO_TREATMENT_FOR_PLACEMENT: "no treatment for this placement",
    Reason.CONSENT_STORE_GONE: "consents cannot be read, so marketing rests",
    Reason.OPTED_OUT: "the customer wants nothing on this channel",
    Reason.HELD_OUT: "the customer is in the no-marketing holdout",
    Reason.CONTACT_STORE_GONE: "contacts cannot be read, so marketing and what has a budget rest",
    Reason.NOT_SCORED: "no score",
    Reason.UNDECIDED: "not decided yet",
    Reason.ACTION_TAKEN: "already in this answer",
    Reason.GROUP_TAKEN: "another of its group is in this placement",
    Reason.ISSUE_TAKEN: "another of its issue is in this placement",
    Reason.FORCED: "a test key forced it; no rule or limit was asked",
}
_UNITS = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}
_SHARED = {Per.ACTION: "of it", Per.GROUP: "of its group", Per.ISSUE: "of its issue", Per.ALL: "of anything"}


@dataclass(frozen=True, slots=True)
class StoppedBy:
    """A contact policy, exclusion, budget, volume or stop that held a candidate back.

    Parameters
    ----------
    kind
        ``limit``, ``suppression``, ``cool-off``, ``quiet hours``, ``exclusion``, ``budget``, ``volume`` or
        ``stop``.
    name
        What the catalogue calls it; of a budget or volume, ``total`` or ``today``; of a stop what is off, as
        in ``action cheese``.
    observed
        What was found, in ``unit``; None where there is no number to it.
    bound
        What that is measured by: most, how long it rests, how much there is; None likewise.
    unit
        ``contacts``, ``seconds left``, ``hour of the day``, ``offers``, or the currency; empty for a stop.
    """

    kind: str
    name: str
    observed: float | None
    bound: float | None
    unit: str


def stopped_by(considered: Considered, catalogue: Catalogue) -> StoppedBy | None:
    """Return what stopped a candidate, where it was a bound or a person and not a rule; else None."""
    action, observed = considered.candidate.action, considered.measured
    reason, index = considered.reason, considered.policy
    stop = stop_of(reason, considered.candidate)
    if stop is not None:
        return StoppedBy("stop", " ".join(stop), None, None, "")
    if reason in _BOUNDS:
        kind, name = _BOUNDS[reason]
        unit = catalogue.currency if kind == "budget" else "offers"
        return StoppedBy(kind, name, observed, _allowed(action, reason), unit)
    if index is None:
        return None
    if reason in {Reason.EXCLUDED, Reason.RECENTLY_EXCLUDED}:
        exclusion = catalogue.exclusions[index]
        rests = exclusion.rests.total_seconds() if reason is Reason.RECENTLY_EXCLUDED else None
        return StoppedBy("exclusion", exclusion.name, observed, rests, "seconds left")
    return _stopped_by_policy(catalogue.contact_policies[index], observed)


def words_for(considered: Considered, catalogue: Catalogue) -> str:
    """Return why a candidate stopped, where neither a rule nor its priority says so."""
    action, reason = considered.candidate.action, considered.reason
    match reason:
        case Reason.NOT_STARTED:
            words = f"starts at {action.starts_at:%Y-%m-%d %H:%M %Z}"
        case Reason.ENDED:
            words = f"ended at {action.ends_at:%Y-%m-%d %H:%M %Z}"
        case Reason.OTHER_LANGUAGE:
            written = considered.candidate.treatment.language
            words = f"written in `{written}`; another of its treatments is nearer to the customer's language"
        case Reason.NO_CONSENT:
            wanted = ", ".join(sorted(action.purposes))
            words = f"no consent to {'all of ' if len(action.purposes) > 1 else ''}{wanted}"
        case Reason.BELOW_FLOOR:
            floor = considered.ranked_by.propensity_floor
            words = f"propensity {considered.propensity:.4g} is under the floor {floor:.4g}"
        case Reason.NOT_RANKED:
            formula = considered.ranked_by.formula
            words = f"no priority: {f'`{formula.text}`' if formula else 'the product'} makes no number"
        case _ if (stop := stop_of(reason, considered.candidate)) is not None:
            words = _stop_words(*stop, considered.stop_id)
        case _ if (stopped := stopped_by(considered, catalogue)) is not None:
            words = _bound_words(stopped, considered, catalogue)
        case _:
            words = _WORDS[reason]
    return words


def _stop_words(kind: str, name: str, stop_id: str | None) -> str:
    rests = ", so marketing rests" if kind == "model" else ""
    return f"{kind} `{name}` is stopped{rests}{f' ({stop_id})' if stop_id else ''}"


def lasting(seconds: float) -> str:
    """Return a time in its largest unit, to a tenth.

    Examples
    --------
    >>> lasting(timedelta(days=30).total_seconds()), lasting(5400), lasting(1)
    ('30 days', '1.5 hours', '1 second')
    """
    for unit, size in _UNITS.items():
        if seconds >= size:
            count = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{count} {unit}{'' if count == '1' else 's'}"
    return f"{seconds:.1f} seconds"


def written(value: Scalar) -> str:
    """Return a value as explanations write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return "not known" if value is None else repr(value)


_BOUNDS = {
    Reason.BUDGET_SPENT: ("budget", "total"),
    Reason.BUDGET_SPENT_TODAY: ("budget", "today"),
    Reason.VOLUME_REACHED: ("volume", "total"),
    Reason.VOLUME_REACHED_TODAY: ("volume", "today"),
}


def _allowed(action: Action, reason: Reason) -> float | None:
    kind, name = _BOUNDS[reason]
    allowance = (action.budget if kind == "budget" else action.volume) or Allowance()
    return allowance.total if name == "total" else allowance.per_day


def _stopped_by_policy(policy: ContactPolicy, observed: float | None) -> StoppedBy:
    if isinstance(policy, Limit):
        return StoppedBy("limit", policy.name, observed, policy.most, "contacts")
    if isinstance(policy, QuietHours):
        return StoppedBy("quiet hours", policy.name, observed, None, "hour of the day")
    kind = "cool-off" if isinstance(policy, CoolOff) else "suppression"
    return StoppedBy(kind, policy.name, observed, policy.lasts.total_seconds(), "seconds left")


def _bound_words(stopped: StoppedBy, considered: Considered, catalogue: Catalogue) -> str:
    action, reason = considered.candidate.action, considered.reason
    if reason in _BOUNDS:
        used, most = _amount(stopped.observed), _amount(stopped.bound)
        cost = f", one offer costs {_amount(action.cost)}" if stopped.kind == "budget" else ""
        when = "" if stopped.name == "total" else " today"
        return f"{stopped.kind}: {used} of {most} {stopped.unit} used{when}{cost}"
    head = f"{stopped.kind} `{stopped.name}`"
    if reason is Reason.EXCLUDED:
        return f"{head}: another of it is in this answer"
    if reason is Reason.RECENTLY_EXCLUDED:
        return f"{head}: another of it was given, rests for {_rest(stopped)}"
    index = considered.policy
    if index is None:
        return head
    return f"{head}: {_policy_words(catalogue.contact_policies[index], stopped, reason)}"


def _policy_words(policy: ContactPolicy, stopped: StoppedBy, reason: Reason) -> str:
    if isinstance(policy, Limit):
        where = " on this channel" if policy.per_channel else ""
        own = ", with this answer's own" if reason is Reason.LIMIT_USED_UP else ""
        what = policy.counts.removesuffix("s") if stopped.observed == 1 else policy.counts
        counted = f"{_amount(stopped.observed)} {what} {_SHARED[policy.per]}{where}"
        return f"{counted} {_window(policy.window)}{own}, at most {policy.most}"
    if isinstance(policy, QuietHours):
        minutes = round((stopped.observed or 0.0) * 3600) // 60
        local = f"{minutes // 60:02d}:{minutes % 60:02d}"
        return f"{policy.starts:%H:%M} to {policy.ends:%H:%M}, it is {local}"
    if isinstance(policy, CoolOff):
        return f"something was given, rests for {_rest(stopped)}"
    times = "" if policy.after == 1 else f"{policy.after} times "
    return f"{times}`{policy.outcome}`, rests for {_rest(stopped)}"


def _rest(stopped: StoppedBy) -> str:
    return f"{lasting(stopped.bound or 0.0)}, {lasting(stopped.observed or 0.0)} to go"


def _window(window: Window) -> str:
    match window:
        case timedelta():
            return f"in {lasting(window.total_seconds())}"
        case CalendarWindow.DAY:
            return "today"
        case CalendarWindow.WEEK | CalendarWindow.MONTH:
            return f"this {window}"
    assert_never(window)


def _amount(value: float | None) -> str:
    return "?" if value is None else f"{value:.6g}"
