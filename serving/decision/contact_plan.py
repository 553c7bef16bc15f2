"""Contact policies, prepared once for a catalogue: what each governs, and how far back they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Action, Exclusion
from serving.decision.budgets import BudgetPlan
from serving.decision.contact import ContactPolicy, CoolOff, Limit, Per, QuietHours, Scope, Suppression
from serving.decision.context import zone_of
from serving.decision.reasons import Reason
from serving.decision.values import ActionId, Contact, PastOutcome
from serving.decision.windows import local_day, longest

_FOREVER = timedelta.max
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_EVERYTHING = Scope()


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
    counted
        By action: the limits that count it, and its unit in each.
    excluding
        By action: the exclusion sets it is in, by index.
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
    has_quiet_hours, has_limit_of_none
        Whether some policy needs no history to stop something.
    silent
        Verdicts that stop nothing; read-only.
    """

    action_index: Mapping[str, int]
    uses: tuple[PolicyUse, ...]
    exclusions: tuple[Exclusion, ...]
    members: tuple[NDArray[np.intp], ...]
    counted: tuple[tuple[tuple[PolicyUse, Limit, int], ...], ...]
    excluding: tuple[tuple[int, ...], ...]
    mandatory: NDArray[np.bool_]
    outbound: frozenset[str]
    timezone: str
    budgets: BudgetPlan
    contact_reach: timedelta | None
    outcome_reach: timedelta | None
    has_quiet_hours: bool
    has_limit_of_none: bool
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
        return self.has_limit_of_none or (self.has_quiet_hours and channel in self.outbound)


def make_contact_plan(
    actions: Sequence[Action],
    policies: Sequence[ContactPolicy],
    exclusions: Sequence[Exclusion],
    outbound: frozenset[str],
    timezone: str,
) -> ContactPlan:
    """Return the plan for the parts of a catalogue, each in the catalogue's order."""
    every = [PolicyUse.of(index, policy, actions) for index, policy in enumerate(policies)]
    uses = [use for use in every if len(use.order)]
    limits = [(use, use.policy, use.unit.tolist()) for use in uses if isinstance(use.policy, Limit)]
    silent = PolicyVerdicts.silent(len(actions))
    for column in silent:
        column.setflags(write=False)
    return ContactPlan(
        action_index={action.action_id: index for index, action in enumerate(actions)},
        uses=tuple(uses),
        exclusions=tuple(exclusions),
        members=tuple(
            np.array([i for i, action in enumerate(actions) if one.name in action.exclusions], dtype=np.intp)
            for one in exclusions
        ),
        counted=tuple(
            tuple((use, limit, units[row]) for use, limit, units in limits if units[row] >= 0)
            for row in range(len(actions))
        ),
        excluding=tuple(
            tuple(index for index, one in enumerate(exclusions) if one.name in action.exclusions)
            for action in actions
        ),
        mandatory=np.array([action.mandatory is not None for action in actions], dtype=np.bool_),
        outbound=outbound,
        timezone=timezone,
        budgets=BudgetPlan.of(actions),
        contact_reach=_contact_reach(policies, exclusions),
        outcome_reach=max(
            (_burst_reach(policy) for policy in policies if isinstance(policy, Suppression)), default=None
        ),
        has_quiet_hours=any(isinstance(use.policy, QuietHours) for use in uses),
        has_limit_of_none=any(limit.most <= 0 for _, limit, _ in limits),
        silent=silent,
    )


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
