"""Contact policies applied: which actions rest for one customer now, and which the answer itself uses up.

The catalogue's side is prepared once (``make_contact_plan``). One check walks the customer's history, which
is short, once per policy; actions are touched only where something stops them, as arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Action, Exclusion
from serving.decision.budgets import BudgetPlan
from serving.decision.contact import (
    ContactPolicy,
    CoolOff,
    Counting,
    Limit,
    Per,
    QuietHours,
    Scope,
    Suppression,
)
from serving.decision.context import zone_of
from serving.decision.reasons import Reason
from serving.decision.values import ActionId, Contact, History, PastOutcome
from serving.decision.windows import first_instant, local_day, longest

_FOREVER = timedelta.max
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_NOTHING: Mapping[int, float] = {}


class PolicyVerdicts(NamedTuple):
    """What contact policies say of each action, in the catalogue's order.

    The columns may be shared with other callers and then are read-only: copy before writing.

    Attributes
    ----------
    reason
        Shape (n_actions,): code of ``Reason``, 0 where nothing stops the action.
    policy
        Shape (n_actions,): index into ``Catalogue.contact_policies``, for exclusions into
        ``Catalogue.exclusions``; -1 where nothing stops the action.
    observed
        Shape (n_actions,): how many were counted (limits); how many seconds are left to rest (suppressions,
        cool-offs, exclusions); the local hour with its fraction (quiet hours); NaN for none.
    """

    reason: NDArray[np.int32]
    policy: NDArray[np.int32]
    observed: NDArray[np.float64]

    @classmethod
    def silent(cls, size: int) -> PolicyVerdicts:
        """Return verdicts that stop nothing."""
        return cls(np.zeros(size, np.int32), np.full(size, -1, np.int32), np.full(size, np.nan))

    def stop(self, rows: NDArray[np.intp], reason: Reason, policy: int, observed: float) -> None:
        """Stop those of ``rows`` that nothing has stopped so far."""
        fresh = rows[self.reason[rows] == 0]
        self.reason[fresh], self.policy[fresh], self.observed[fresh] = reason, policy, observed


@dataclass(frozen=True, slots=True)
class Lookback:
    """What a decision must see of the past: how far a ledger is asked to look.

    Parameters
    ----------
    contacts
        Contacts that were decided, presented or live at this instant or later; None when nothing looks at
        contacts.
    outcomes
        Outcomes of this instant or later; None when nothing looks at them.
    day
        Today, in the catalogue's zone: what ``Used`` calls today.
    budgets
        Actions whose budget or volume matters.
    """

    contacts: datetime | None
    outcomes: datetime | None
    day: date
    budgets: tuple[ActionId, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PolicyUse:
    """One contact policy over the actions of a catalogue.

    Attributes
    ----------
    index
        Of the policy, in ``Catalogue.contact_policies``.
    policy
        The policy.
    unit
        Shape (n_actions,): what each action shares a count with; -1 where the policy does not govern it on
        any channel, or it is mandatory.
    units
        The number of each named unit.
    order, bounds
        The governed actions sorted by unit, and where each unit begins in them.
    """

    index: int
    policy: ContactPolicy
    unit: NDArray[np.intp]
    units: Mapping[str, int]
    order: NDArray[np.intp]
    bounds: NDArray[np.intp]

    @classmethod
    def of(cls, index: int, policy: ContactPolicy, actions: Sequence[Action]) -> PolicyUse:
        """Return the policy over actions in the catalogue's order."""
        per = _per(policy)
        names = [_name_of(per, action) for action in actions]
        units = {name: number for number, name in enumerate(dict.fromkeys(names))}
        numbers = [
            units[name] if action.mandatory is None and _governs(policy.scope, action) else -1
            for name, action in zip(names, actions, strict=True)
        ]
        unit = np.array(numbers, dtype=np.intp)
        order = np.argsort(unit, kind="stable")
        order = order[unit[order] >= 0]
        return cls(index, policy, unit, units, order, np.searchsorted(unit[order], np.arange(len(units) + 1)))

    def speaks_on(self, channel: str) -> bool:
        """Whether it governs anything offered on the channel."""
        return not self.policy.scope.channels or channel in self.policy.scope.channels

    def rows(self, unit: int) -> NDArray[np.intp]:
        """Return the actions it governs that share a unit."""
        return self.order[self.bounds[unit] : self.bounds[unit + 1]]

    def unit_of(self, past: Contact | PastOutcome, channel: str) -> int:
        """Return the unit something past counts to for who asks on ``channel``; -1 where to none."""
        policy = self.policy
        if not isinstance(policy, QuietHours) and policy.per_channel and past.channel != channel:
            return -1
        scope = policy.scope
        if scope != _EVERYTHING and not scope.holds(
            issue=past.issue, group=past.group, action=past.action_id, channel=past.channel
        ):
            return -1
        return self.units.get(_name_of(_per(policy), past), -1)


@dataclass(frozen=True, slots=True, eq=False)
class ContactPlan:
    """What contact policies need of a catalogue, prepared once.

    Attributes
    ----------
    action_index
        The catalogue's place of each action.
    uses
        Contact policies in order of index, without those that govern no action.
    exclusions, members
        The exclusion sets, and the actions of each, by index.
    mandatory
        Shape (n_actions,): whether an action is mandatory: contact policies leave it alone.
    outbound
        Channels on which quiet hours apply.
    timezone
        IANA name of the catalogue's zone.
    budgets
        The actions that have a budget or a volume.
    contact_reach, outcome_reach
        How far back contacts and outcomes matter; None where they do not.
    silent
        Verdicts that stop nothing; read-only.
    """

    action_index: Mapping[str, int]
    uses: tuple[PolicyUse, ...]
    exclusions: tuple[Exclusion, ...]
    members: tuple[NDArray[np.intp], ...]
    mandatory: NDArray[np.bool_]
    outbound: frozenset[str]
    timezone: str
    budgets: BudgetPlan
    contact_reach: timedelta | None
    outcome_reach: timedelta | None
    silent: PolicyVerdicts

    def lookback(self, now: datetime) -> Lookback:
        """Return what a ledger must be asked to decide at ``now``."""
        return Lookback(
            contacts=_before(now, self.contact_reach),
            outcomes=_before(now, self.outcome_reach),
            day=local_day(now, zone_of(None, self.timezone)),
            budgets=self.budgets.action_ids,
        )

    def may_stop_newcomers(self, channel: str) -> bool:
        """Whether a customer without any history can be stopped: by quiet hours or a limit of none."""
        return any(
            (isinstance(use.policy, QuietHours) and channel in self.outbound)
            or (isinstance(use.policy, Limit) and use.policy.most <= 0)
            for use in self.uses
        )


def make_contact_plan(
    actions: Sequence[Action],
    policies: Sequence[ContactPolicy],
    exclusions: Sequence[Exclusion],
    outbound: frozenset[str],
    timezone: str,
) -> ContactPlan:
    """Return the plan for the parts of a catalogue, each in the catalogue's order."""
    uses = [PolicyUse.of(index, policy, actions) for index, policy in enumerate(policies)]
    silent = PolicyVerdicts.silent(len(actions))
    for column in silent:
        column.setflags(write=False)
    return ContactPlan(
        action_index={action.action_id: index for index, action in enumerate(actions)},
        uses=tuple(use for use in uses if len(use.order)),
        exclusions=tuple(exclusions),
        members=tuple(
            np.array([i for i, action in enumerate(actions) if one.name in action.exclusions], dtype=np.intp)
            for one in exclusions
        ),
        mandatory=np.array([action.mandatory is not None for action in actions], dtype=np.bool_),
        outbound=outbound,
        timezone=timezone,
        budgets=BudgetPlan.of(actions),
        contact_reach=_contact_reach(policies, exclusions),
        outcome_reach=max(
            (_burst_reach(policy) for policy in policies if isinstance(policy, Suppression)), default=None
        ),
        silent=silent,
    )


class ContactCheck:
    """The contact policies for one customer at one time. Mutable, local to one decision, used once.

    Parameters
    ----------
    plan
        Of the catalogue.
    history
        What the customer was given and answered, at least as far back as ``ContactPlan.lookback`` says.
    channel
        Where the customer is to be offered something.
    now
        Time of the decision, with a time zone.
    zone
        Where the customer is.
    """

    def __init__(
        self, plan: ContactPlan, history: History, *, channel: str, now: datetime, zone: ZoneInfo
    ) -> None:
        self._plan = plan
        self._history = history
        self._channel = channel
        self._now = now
        self._zone = zone
        self._counts: dict[int, dict[int, int]] = {}
        self._picks: list[int] = []
        self._used_up = plan.silent

    def verdicts(self) -> PolicyVerdicts:
        """Return what rests: per action the first contact policy against it, by index; then exclusions."""
        plan, history = self._plan, self._history
        if not history.contacts and not history.outcomes and not plan.may_stop_newcomers(self._channel):
            return plan.silent
        found = PolicyVerdicts.silent(len(plan.mandatory))
        for use in plan.uses:
            if use.speaks_on(self._channel):
                reason, stopped = self._stopped(use)
                for unit, observed in stopped.items():
                    found.stop(use.rows(unit), reason, use.index, observed)
        for index, rows, seconds in self._excluded():
            found.stop(rows, Reason.RECENTLY_EXCLUDED, index, seconds)
        return found

    def take(self, action_index: int) -> None:
        """Register an own pick of the answer: it counts as a live reservation from now on."""
        plan = self._plan
        if not self._picks:
            self._used_up = PolicyVerdicts.silent(len(plan.mandatory))
        self._picks.append(action_index)
        for use in plan.uses:
            unit = int(use.unit[action_index])
            if isinstance(use.policy, Limit) and unit >= 0 and use.speaks_on(self._channel):
                counts = self._counted(use, use.policy)
                counts[unit] = counts.get(unit, 0) + 1
                if counts[unit] >= use.policy.most:
                    self._used_up.stop(use.rows(unit), Reason.LIMIT_USED_UP, use.index, counts[unit])
        for index, members in enumerate(plan.members):
            if action_index in members:
                self._used_up.stop(members, Reason.EXCLUDED, index, np.nan)

    def used_up(self) -> PolicyVerdicts:
        """Return what the answer's own picks have closed so far, the picks themselves left out.

        Limits that are full now that were not (mandatory actions go on), and exclusion sets one of which was
        picked (mandatory actions too). Says nothing about what ``verdicts`` has stopped before.
        """
        closed = self._used_up
        if self._picks:
            closed.reason[self._picks], closed.policy[self._picks] = 0, -1
            closed.observed[self._picks] = np.nan
        return closed

    def _stopped(self, use: PolicyUse) -> tuple[Reason, Mapping[int, float]]:
        """Return the units a policy stops, each with the observed number, and the reason."""
        policy = use.policy
        if isinstance(policy, Limit):
            return Reason.LIMIT_REACHED, self._full(use, policy)
        if isinstance(policy, Suppression):
            return Reason.SUPPRESSED, self._suppressed(use, policy)
        if isinstance(policy, CoolOff):
            return Reason.COOLING_OFF, self._cooling(use, policy)
        return Reason.QUIET_HOURS, self._quiet(policy)

    def _full(self, use: PolicyUse, policy: Limit) -> Mapping[int, float]:
        counts = self._counted(use, policy)
        if policy.most <= 0:
            return {unit: counts.get(unit, 0) for unit in use.units.values()}
        return {unit: count for unit, count in counts.items() if count >= policy.most}

    def _counted(self, use: PolicyUse, policy: Limit) -> dict[int, int]:
        """Return how many contacts count to each unit of a limit; own picks are added to it."""
        known = self._counts.get(use.index)
        if known is not None:
            return known
        counts: dict[int, int] = {}
        if self._history.contacts:
            since = self._since(policy)
            for contact in self._history.contacts:
                if not contact.mandatory and self._is_counted(contact, policy, since):
                    unit = use.unit_of(contact, self._channel)
                    counts[unit] = counts.get(unit, 0) + 1
            counts.pop(-1, None)
        self._counts[use.index] = counts
        return counts

    def _is_counted(self, contact: Contact, policy: Limit, since: datetime) -> bool:
        if policy.counts is Counting.DECISIONS:
            return contact.decided_at >= since
        # Not only inside the window: a reservation of today may be shown tomorrow, in tomorrow's window
        return contact.presented_at >= since if contact.presented_at else contact.is_live(self._now)

    def _since(self, policy: Limit) -> datetime:
        """Return where a limit's window begins: the earliest of the zones in which it may not be exceeded.

        Those are the customer's, and each under which a contact was made that lies in the present window
        there: who travels does not begin a new day. Nothing bounds the window above: a contact that another
        process's clock puts a little later than now counts.
        """
        since = first_instant(policy.window, self._now, self._zone)
        if isinstance(policy.window, timedelta):
            return since
        for name in {contact.timezone for contact in self._history.contacts}:
            opened = first_instant(policy.window, self._now, zone_of(name, self._plan.timezone))
            if opened < since and any(
                contact.is_live(self._now) or (contact.presented_at or contact.decided_at) >= opened
                for contact in self._history.contacts
                if contact.timezone == name
            ):
                since = opened
        return since

    def _suppressed(self, use: PolicyUse, policy: Suppression) -> Mapping[int, float]:
        times: dict[int, list[datetime]] = {}
        for outcome in self._history.outcomes:
            if outcome.kind == policy.outcome:
                times.setdefault(use.unit_of(outcome, self._channel), []).append(outcome.at)
        times.pop(-1, None)
        rests = {unit: _burst_end(sorted(found), policy) for unit, found in times.items()}
        return self._remaining({unit: end + policy.lasts for unit, end in rests.items() if end})

    def _cooling(self, use: PolicyUse, policy: CoolOff) -> Mapping[int, float]:
        ends: dict[int, datetime] = {}
        for contact, given_at in self._given():
            unit = use.unit_of(contact, self._channel)
            ends[unit] = max(given_at + policy.lasts, ends.get(unit, _BEGINNING))
        ends.pop(-1, None)
        return self._remaining(ends)

    def _quiet(self, policy: QuietHours) -> Mapping[int, float]:
        if self._channel not in self._plan.outbound:
            return _NOTHING
        local = self._now.astimezone(self._zone).time()
        if policy.starts <= policy.ends:
            is_quiet = policy.starts <= local < policy.ends
        else:
            is_quiet = local >= policy.starts or local < policy.ends
        return {0: local.hour + local.minute / 60 + local.second / 3600} if is_quiet else _NOTHING

    def _excluded(self) -> Iterator[tuple[int, NDArray[np.intp], float]]:
        """Yield per exclusion set what rests because another of the set was given, and for how long."""
        for index, exclusion in enumerate(self._plan.exclusions):
            members = self._plan.members[index]
            members = members[~self._plan.mandatory[members]]
            if not exclusion.rests or not len(members):
                continue
            ends: dict[int, datetime] = {}
            for contact, given_at in self._given():
                action = self._plan.action_index.get(contact.action_id, -1)
                ends[action] = max(given_at + exclusion.rests, ends.get(action, _BEGINNING))
            # The longest rest first: what is stopped is not stopped again
            left = self._remaining(ends)
            for action in sorted(left, key=left.__getitem__, reverse=True):
                if action in self._plan.members[index]:
                    yield index, members[members != action], left[action]

    def _given(self) -> Iterator[tuple[Contact, datetime]]:
        """Yield what was given, and when: shown, or still live."""
        for contact in self._history.contacts:
            if contact.presented_at:
                yield contact, contact.presented_at
            elif contact.is_live(self._now):
                yield contact, contact.decided_at

    def _remaining(self, ends: Mapping[int, datetime]) -> Mapping[int, float]:
        """Return how many seconds each rest still lasts, without those that are over."""
        return {one: (end - self._now).total_seconds() for one, end in ends.items() if end > self._now}


_EVERYTHING = Scope()


def _per(policy: ContactPolicy) -> Per:
    return Per.ALL if isinstance(policy, QuietHours) else policy.per


def _name_of(per: Per, one: Action | Contact | PastOutcome) -> str:
    """Return the name of the unit something counts to."""
    match per:
        case Per.ACTION:
            return one.action_id
        case Per.GROUP:
            return one.group
        case Per.ISSUE:
            return one.issue
        case Per.ALL:
            return ""


def _governs(scope: Scope, action: Action) -> bool:
    """Whether a scope holds an action, on one of its channels at least."""
    return (
        (not scope.issues or action.issue in scope.issues)
        and (not scope.groups or action.group in scope.groups)
        and (not scope.actions or action.action_id in scope.actions)
    )


def _burst_end(times: Sequence[datetime], policy: Suppression) -> datetime | None:
    """Return when outcomes, oldest first, last were as many as it takes within the time it takes."""
    for last in range(len(times) - 1, policy.after - 2, -1):
        first = times[last - policy.after + 1]
        if policy.within is None or first > times[last] - policy.within:
            return times[last]
    return None


def _burst_reach(policy: Suppression) -> timedelta:
    if policy.after <= 1:
        return policy.lasts
    return _FOREVER if policy.within is None else policy.lasts + policy.within


def _contact_reach(policies: Sequence[ContactPolicy], exclusions: Sequence[Exclusion]) -> timedelta | None:
    reaches = [longest(policy.window) for policy in policies if isinstance(policy, Limit)]
    reaches += [policy.lasts for policy in policies if isinstance(policy, CoolOff)]
    reaches += [exclusion.rests for exclusion in exclusions if exclusion.rests]
    return max(reaches, default=None)


def _before(now: datetime, reach: timedelta | None) -> datetime | None:
    if reach is None:
        return None
    try:
        return now - reach
    except OverflowError:
        return _BEGINNING
