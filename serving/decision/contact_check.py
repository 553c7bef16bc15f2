"""Contact policies applied: which actions rest for one customer now, and which the answer itself uses up.

One check walks the customer's history, which is short, once per policy; actions are touched only where
something stops them, as arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from serving.decision.contact import CoolOff, Counting, Limit, QuietHours, Suppression
from serving.decision.contact_plan import ContactPlan, PolicyUse, PolicyVerdicts
from serving.decision.context import zone_of
from serving.decision.reasons import Reason
from serving.decision.values import Contact, History
from serving.decision.windows import first_instant

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_NOTHING: Mapping[int, float] = {}


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

    def counted(self) -> Mapping[int, Mapping[int, int]]:
        """Return how many contacts each limit counts to each of its units, by the limit's index."""
        return {
            use.index: dict(self._counted(use, use.policy))
            for use in self._plan.uses
            if isinstance(use.policy, Limit) and use.speaks_on(self._channel)
        }

    def again(self) -> ContactCheck:
        """Return one for another answer to the same question: what was counted is kept, own picks are not."""
        check = ContactCheck(self._plan, self._history, channel=self._channel, now=self._now, zone=self._zone)
        if not self._picks:
            check._counts = {policy: dict(counts) for policy, counts in self._counts.items()}
        return check

    def take(self, action_index: int) -> None:
        """Register an own pick of the answer: it counts as a live reservation from now on."""
        plan = self._plan
        self._picks.append(action_index)
        for use, limit, unit in plan.counted[action_index]:
            if use.speaks_on(self._channel):
                counts = self._counted(use, limit)
                counts[unit] = counts.get(unit, 0) + 1
                if counts[unit] >= limit.most:
                    self._close(use.rows(unit), Reason.LIMIT_USED_UP, use.index, counts[unit])
        for index in plan.excluding[action_index]:
            self._close(plan.members[index], Reason.EXCLUDED, index, np.nan)

    def used_up(self) -> PolicyVerdicts:
        """Return what the answer's own picks have closed so far, the picks themselves left out.

        Limits that are full now that were not (mandatory actions go on), and exclusion sets one of which was
        picked (mandatory actions too). Says nothing about what ``verdicts`` has stopped before. While nothing
        is closed, ``ContactPlan.silent``.
        """
        closed = self._used_up
        if closed is not self._plan.silent:
            closed.reason[self._picks], closed.policy[self._picks] = 0, -1
            closed.observed[self._picks] = np.nan
        return closed

    def _close(self, rows: NDArray[np.intp], reason: Reason, index: int, observed: float) -> None:
        """Close some actions, the one just picked among them; where it is alone, nothing is closed."""
        if len(rows) == 1:
            return
        if self._used_up is self._plan.silent:
            self._used_up = PolicyVerdicts.silent(len(self._plan.mandatory))
        self._used_up.stop(rows, reason, index, observed)

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


def _burst_end(times: Sequence[datetime], policy: Suppression) -> datetime | None:
    """Return when outcomes, oldest first, last were as many as it takes within the time it takes."""
    for last in range(len(times) - 1, policy.after - 2, -1):
        first = times[last - policy.after + 1]
        if policy.within is None or first > times[last] - policy.within:
            return times[last]
    return None
