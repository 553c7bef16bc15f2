"""Contact policies mean what their definitions say, read word by word, action by action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.decision.actions import Action
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
from serving.decision.contact_check import ContactCheck
from serving.decision.contact_plan import ContactPlan, PolicyVerdicts, make_contact_plan
from serving.decision.reasons import Reason
from serving.decision.values import Contact, History, PastOutcome
from tests.unit.serving.decision.contact_strategies import HOUR, NOW, Case, cases, small_action

OUTBOUND = frozenset({"email"})
Verdict = tuple[int, int, float | None]
SILENT: Verdict = (0, -1, None)


def plan_of(case: Case) -> ContactPlan:
    return make_contact_plan(case.actions, case.policies, case.exclusions, OUTBOUND, "UTC")


def check_of(case: Case, history: History | None = None) -> ContactCheck:
    return ContactCheck(
        plan_of(case), history or case.history, channel=case.channel, now=NOW, zone=ZoneInfo(case.zone)
    )


def rows(found: PolicyVerdicts) -> list[Verdict]:
    return [
        (reason, policy, None if np.isnan(observed) else round(observed, 6))
        for reason, policy, observed in zip(*(column.tolist() for column in found), strict=True)
    ]


# The definitions, once more, as slow and as plain as can be


def holds(scope: Scope, one: Action | Contact | PastOutcome, channel: str) -> bool:
    return scope.holds(issue=one.issue, group=one.group, action=one.action_id, channel=channel)


def together(
    policy: Limit | Suppression | CoolOff, one: Action, past: Contact | PastOutcome, channel: str
) -> bool:
    units = {
        Per.ACTION: one.action_id == past.action_id,
        Per.GROUP: one.group == past.group,
        Per.ISSUE: one.issue == past.issue,
        Per.ALL: True,
    }
    return (
        holds(policy.scope, past, past.channel)
        and units[policy.per]
        and (not policy.per_channel or past.channel == channel)
    )


def within(window: Window, at: datetime, zone: str | None) -> bool:
    """Whether an instant lies in the window of now, or after now."""
    if isinstance(window, timedelta):
        return at > NOW - window
    here = ZoneInfo(zone or "UTC")
    then, today = at.astimezone(here), NOW.astimezone(here)
    if window is CalendarWindow.DAY:
        return then.date() >= today.date()
    if window is CalendarWindow.WEEK:
        return then.isocalendar()[:2] >= today.isocalendar()[:2]
    return (then.year, then.month) >= (today.year, today.month)


def counted(case: Case, policy: Limit, one: Action) -> int:
    relevant = [
        past
        for past in case.history.contacts
        if not past.mandatory and together(policy, one, past, case.channel)
    ]
    zones = {case.zone} | {
        past.timezone or "UTC"
        for past in case.history.contacts
        if past.is_live(NOW) or within(policy.window, past.presented_at or past.decided_at, past.timezone)
    }
    return max(sum(counts(policy, past, zone) for past in relevant) for zone in zones)


def counts(policy: Limit, past: Contact, zone: str) -> bool:
    if policy.counts is Counting.DECISIONS:
        return within(policy.window, past.decided_at, zone)
    if past.presented_at is not None:
        return within(policy.window, past.presented_at, zone)
    return past.is_live(NOW)


def given_at(past: Contact) -> datetime | None:
    if past.presented_at is not None:
        return past.presented_at
    return past.decided_at if past.is_live(NOW) else None


def longest_left(ends: Sequence[datetime]) -> float | None:
    left = max(((end - NOW).total_seconds() for end in ends), default=0.0)
    return left if left > 0 else None


def suppressed(case: Case, policy: Suppression, one: Action) -> float | None:
    times = [
        past.at
        for past in case.history.outcomes
        if past.kind == policy.outcome and together(policy, one, past, case.channel)
    ]
    enough = [
        last
        for last in times
        if sum(at <= last and (policy.within is None or at > last - policy.within) for at in times)
        >= policy.after
    ]
    return longest_left([last + policy.lasts for last in enough])


def cooling(case: Case, policy: CoolOff, one: Action) -> float | None:
    return longest_left(
        [
            at + policy.lasts
            for past in case.history.contacts
            if together(policy, one, past, case.channel) and (at := given_at(past)) is not None
        ]
    )


def quiet(case: Case, policy: QuietHours) -> float | None:
    local = NOW.astimezone(ZoneInfo(case.zone)).time()
    minutes = {policy.starts: 0}
    step = datetime.combine(NOW.date(), policy.starts)
    while step.time() != policy.ends:  # minute by minute from the start to the end
        minutes[step.time()] = 0
        step += timedelta(minutes=1)
    is_quiet = policy.starts != policy.ends and local.replace(second=0, microsecond=0) in minutes
    return local.hour + local.minute / 60 if case.channel in OUTBOUND and is_quiet else None


def verdict(case: Case, one: Action) -> Verdict:
    if one.mandatory:
        return SILENT
    for index, policy in enumerate(case.policies):
        if not holds(policy.scope, one, case.channel):
            continue
        found = stopped_by(case, policy, one)
        if found is not None:
            return (int(found[0]), index, round(found[1], 6))
    for index, exclusion in enumerate(case.exclusions):
        others = {o.action_id for o in case.actions if exclusion.name in o.exclusions} - {one.action_id}
        ends = [
            at + exclusion.rests
            for past in case.history.contacts
            if past.action_id in others and (at := given_at(past)) is not None
        ]
        left = longest_left(ends) if exclusion.name in one.exclusions and exclusion.rests else None
        if left is not None:
            return (int(Reason.RECENTLY_EXCLUDED), index, round(left, 6))
    return SILENT


def stopped_by(case: Case, policy: ContactPolicy, one: Action) -> tuple[Reason, float] | None:
    if isinstance(policy, Limit):
        count = counted(case, policy, one)
        return (Reason.LIMIT_REACHED, count) if count >= policy.most else None
    if isinstance(policy, Suppression):
        reason, left = Reason.SUPPRESSED, suppressed(case, policy, one)
    elif isinstance(policy, CoolOff):
        reason, left = Reason.COOLING_OFF, cooling(case, policy, one)
    else:
        reason, left = Reason.QUIET_HOURS, quiet(case, policy)
    return None if left is None else (reason, left)


def closed(case: Case, picks: Sequence[int], one: int) -> Verdict:
    """What closed an action, after the first pick that did."""
    action = case.actions[one]
    for upto in range(1, len(picks) + 1):
        taken = [case.actions[pick] for pick in picks[:upto]]
        for index, policy in enumerate(case.policies):
            if not isinstance(policy, Limit) or action.mandatory:
                continue
            if not holds(policy.scope, action, case.channel):
                continue
            mine = [
                pick
                for pick in taken
                if not pick.mandatory
                and holds(policy.scope, pick, case.channel)
                and name_of(policy.per, pick) == name_of(policy.per, action)
            ]
            if mine and counted(case, policy, action) + len(mine) >= policy.most:
                return (int(Reason.LIMIT_USED_UP), index, counted(case, policy, action) + len(mine))
        for index, exclusion in enumerate(case.exclusions):
            if exclusion.name in action.exclusions and any(exclusion.name in t.exclusions for t in taken):
                return (int(Reason.EXCLUDED), index, None)
    return SILENT


def name_of(per: Per, one: Action) -> str:
    return {Per.ACTION: one.action_id, Per.GROUP: one.group, Per.ISSUE: one.issue, Per.ALL: ""}[per]


# The laws


@given(cases())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_verdicts_are_the_definitions(case: Case) -> None:
    assert rows(check_of(case).verdicts()) == [verdict(case, one) for one in case.actions]


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_own_picks_close_what_they_use_up(case: Case, random: Random) -> None:
    check = check_of(case)
    before = check.verdicts().reason
    picks: list[int] = []
    for _ in case.actions:
        closed_now = check.used_up().reason
        open_now = [
            one
            for one in range(len(case.actions))
            if one not in picks and not before[one] and not closed_now[one]
        ]
        if not open_now:
            break
        picks.append(random.choice(open_now))
        check.take(picks[-1])
        expected = [SILENT if one in picks else closed(case, picks, one) for one in range(len(case.actions))]
        found = rows(check.used_up())
        # What rested before the answer stays where it was: nobody asks what else closes it
        assert [f for f, b in zip(found, before, strict=True) if not b] == [
            e for e, b in zip(expected, before, strict=True) if not b
        ]


@given(cases())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_decision_needs_no_more_of_the_past_than_it_asks_for(case: Case) -> None:
    back = plan_of(case).lookback(NOW)
    seen = History(
        contacts=tuple(
            past
            for past in case.history.contacts
            if back.contacts and (past.presented_at or past.reserved_until) >= back.contacts
        ),
        outcomes=tuple(past for past in case.history.outcomes if back.outcomes and past.at >= back.outcomes),
    )
    assert rows(check_of(case, seen).verdicts()) == rows(check_of(case).verdicts())


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_order_of_the_past_does_not_matter(case: Case, random: Random) -> None:
    contacts, outcomes = list(case.history.contacts), list(case.history.outcomes)
    random.shuffle(contacts)
    random.shuffle(outcomes)
    shuffled = History(tuple(contacts), tuple(outcomes))
    assert rows(check_of(case, shuffled).verdicts()) == rows(check_of(case).verdicts())


# Cases worth a name


def contact(name: str = "a", **changes: object) -> Contact:
    one = small_action(name)
    made = Contact("t", one.action_id, one.group, one.issue, "web", NOW - HOUR, NOW + HOUR)
    return replace(made, **changes)  # type: ignore[arg-type]


def reasons(*policies: ContactPolicy, history: History, zone: str = "UTC", channel: str = "web") -> list[int]:
    actions = tuple(small_action(name) for name in "abc")
    case = Case(actions, policies, (), history, channel, zone)
    return [reason for reason, _, _ in rows(check_of(case).verdicts())]


def test_a_reservation_of_yesterday_counts_to_today_while_it_lives() -> None:
    limit = Limit("one-a-day", 1, CalendarWindow.DAY)
    yesterday = contact(decided_at=NOW - 12 * HOUR)
    assert reasons(limit, history=History((yesterday,))) == [Reason.LIMIT_REACHED, 0, 0]
    shown = replace(yesterday, presented_at=NOW - 11 * HOUR)
    assert reasons(limit, history=History((shown,))) == [0, 0, 0]


def test_a_late_presentation_counts() -> None:
    limit = Limit("one", 1, 48 * HOUR)
    late = contact(reserved_until=NOW - HOUR / 2, presented_at=NOW - HOUR, recorded_late=True)
    assert reasons(limit, history=History((late,))) == [Reason.LIMIT_REACHED, 0, 0]
    unreported = contact(reserved_until=NOW - HOUR / 2)
    assert reasons(limit, history=History((unreported,))) == [0, 0, 0]


def test_who_flies_west_does_not_get_a_second_monday() -> None:
    limit = Limit("one-a-day", 1, CalendarWindow.DAY, per=Per.ALL)
    # 02:30 UTC: Monday in Berlin for 4.5 hours, still Sunday in New York
    in_berlin = contact(presented_at=NOW - HOUR, timezone="Europe/Berlin")
    assert reasons(limit, history=History((in_berlin,)), zone="America/New_York")[0] == Reason.LIMIT_REACHED
    # and east: the contact was made on Sunday in New York, where Sunday still lasts
    in_new_york = contact(presented_at=NOW - 6 * HOUR, timezone="America/New_York")
    assert reasons(limit, history=History((in_new_york,)), zone="Europe/Berlin")[0] == Reason.LIMIT_REACHED
    at_home = replace(in_new_york, timezone="Europe/Berlin")
    assert reasons(limit, history=History((at_home,)), zone="Europe/Berlin")[0] == 0


def test_one_more_no_does_not_end_a_rest_that_has_begun() -> None:
    policy = Suppression("thrice", "rejected", lasts=timedelta(days=90), after=3, within=timedelta(days=7))
    one = small_action("a")
    said = [
        PastOutcome("rejected", one.action_id, one.group, one.issue, "web", NOW - timedelta(days=day))
        for day in (40, 39, 38, 5)
    ]
    assert reasons(policy, history=History(outcomes=tuple(said)))[0] == Reason.SUPPRESSED
    assert reasons(policy, history=History(outcomes=tuple(said[1:])))[0] == 0


def test_quiet_hours_over_midnight_are_the_customers_and_for_outbound_only() -> None:
    night = QuietHours("night", time(21), time(8))
    assert (
        reasons(night, history=History(), channel="email", zone="America/New_York")
        == [Reason.QUIET_HOURS] * 3
    )
    assert reasons(night, history=History(), channel="web", zone="America/New_York") == [0, 0, 0]
    assert reasons(night, history=History(), channel="email", zone="Asia/Kathmandu") == [0, 0, 0]  # 08:15


def test_a_customer_without_a_history_costs_no_arrays() -> None:
    case = Case(
        (small_action("a"),), (Limit("one", 1, HOUR), CoolOff("c", HOUR)), (), History(), "web", "UTC"
    )
    plan = plan_of(case)
    check = ContactCheck(plan, History(), channel="web", now=NOW, zone=ZoneInfo("UTC"))
    assert check.verdicts() is plan.silent
    assert check.used_up() is plan.silent
    with pytest.raises(ValueError, match="read-only"):
        plan.silent.reason[0] = 1


def test_a_cool_off_is_between_answers_not_within_one() -> None:
    case = Case(
        tuple(small_action(name) for name in "ab"), (CoolOff("day", 24 * HOUR),), (), History(), "web", "UTC"
    )
    check = check_of(case)
    check.take(0)
    assert check.used_up().reason.tolist() == [0, 0]


def test_what_a_decision_asks_of_the_past() -> None:
    policies = (
        Limit("week", 3, CalendarWindow.WEEK),
        CoolOff("c", timedelta(days=2)),
        Suppression("s", "rejected", timedelta(days=30)),
    )
    back = plan_of(Case((small_action("a"),), policies, (), History(), "web", "UTC")).lookback(NOW)
    assert back.contacts == NOW - timedelta(days=8)
    assert back.outcomes == NOW - timedelta(days=30)
    ever = replace(policies[2], after=2)
    assert isinstance(ever, Suppression)
    back = plan_of(Case((small_action("a"),), (ever,), (), History(), "web", "UTC")).lookback(NOW)
    assert back.contacts is None
    assert back.outcomes == datetime.min.replace(tzinfo=UTC)
