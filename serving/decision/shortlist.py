"""Which candidates may be shown: availability, consent, rules, contact policies. All before a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from moment.errors import InvariantViolation
from serving.decision.allotment import Allotment, allot
from serving.decision.catalogue import Catalogue
from serving.decision.considered import ConsideredTable
from serving.decision.contact_check import ContactCheck
from serving.decision.contenders import Contenders
from serving.decision.context import CONTEXT_PREFIX, complete_context, zone_of
from serving.decision.forced import ForcedSeat, forced_seat
from serving.decision.plan import Plan
from serving.decision.policy import Policy, effective
from serving.decision.reasons import Reason
from serving.decision.requested import requested_slates
from serving.decision.rule_plan import Verdicts
from serving.decision.slates import Lineup, Slate, lined_up
from serving.decision.stages import before_contact, contact, contact_check
from serving.decision.stopped import stopped_actions
from serving.decision.stops import Column, Stops, first_of
from serving.decision.values import Customer, History, Request, Scalar

_UNDECIDED = int(Reason.UNDECIDED)
"""Bare: numpy compares with a member of an enumeration five times slower."""


@dataclass(frozen=True, slots=True, eq=False)
class Shortlist:
    """What is left before scoring, with the reason for everything that is not.

    Parameters
    ----------
    catalogue, customer, history, request, now
        As given.
    context
        The complete context rules saw: what the channel sent and what the core derived (``hour``,
        ``weekday``, …); declared values that were not sent are None.
    zone
        Where the customer is.
    allotment
        Holdout, control, or the arms the customer is in.
    policy
        How candidates are ranked and picked for this customer.
    context_weight
        Shape (n_actions,): a factor of the priority, as the moment has it.
    check
        The contact policies as they stand before the answer, of no history when the contact store is gone.
    slates
        Per requested placement, its candidates.
    contenders
        The candidates that compete in at least one placement, each once, ordered by action and treatment id.
        Scores are aligned to them: **one** model call for all. Mandatory messages are not among them.
    competing
        Rows of ``considered`` that compete, ascending.
    contender
        Which contender each of them is.
    considered
        Every candidate of every requested placement; those left are still ``UNDECIDED``.
    forced
        Where what the request forces goes; None when it forces nothing, or something that is stopped.
    """

    catalogue: Catalogue
    customer: Customer
    history: History | None
    request: Request
    now: datetime
    context: Mapping[str, Scalar]
    zone: ZoneInfo
    allotment: Allotment
    policy: Policy
    context_weight: NDArray[np.float64]
    check: ContactCheck
    slates: tuple[Slate, ...]
    contenders: Contenders
    competing: NDArray[np.intp]
    contender: NDArray[np.intp]
    considered: ConsideredTable
    forced: ForcedSeat | None = None

    @property
    def contender_index(self) -> NDArray[np.intp]:
        """Shape (n_contenders,): their indices in ``catalogue.candidates``."""
        return self.contenders.which


def shortlist(  # noqa: PLR0917  # the design's signature
    request: Request,
    catalogue: Catalogue,
    customer: Customer,
    history: History | None,
    now: datetime,
    verdicts: Verdicts | None = None,
) -> Shortlist:
    """Return every candidate with its reason and those left to score.

    Parameters
    ----------
    request
        Channel, placements and slots, context. Checked here.
    catalogue
        Everything that can be offered.
    customer
        Features as rules see them; NaN and None are unknown. Profile ``none`` has no features.
    history
        What contact policies look back on; None when the contact store is gone.
    now
        Time of the decision, with a time zone.
    verdicts
        What the rules say of each action, each of shape (n_actions,), where a batch has asked them already
        (``RulePlan.settle``); else they are asked here.

    Raises
    ------
    InvalidRequest
        Unknown channel, placement or context field, wrong type, slots out of range; ``code`` and ``field``
        are set.
    """
    if now.tzinfo is None:
        raise InvariantViolation("the time of a decision needs a time zone; pass it in UTC")
    slates = tuple(
        slate.spoken(customer.language, catalogue.language) for slate in requested_slates(request, catalogue)
    )
    stopped = request.stopped
    off = None if stopped.is_empty else stopped_actions(catalogue.plan, stopped, request.channel)
    forced = _standing(forced_seat(request, slates, catalogue), slates, off)
    zone = zone_of(customer.timezone, catalogue.timezone)
    context = complete_context(request, catalogue.context, now, zone)
    row = {**customer.features, **{CONTEXT_PREFIX + name: value for name, value in context.items()}}
    allotment = allot(catalogue, customer.unit)
    arms = allotment.assignments
    policy = effective(catalogue, arms) if arms else catalogue.policy
    plan = catalogue.plan
    verdicts = plan.rules.ask(row) if verdicts is None else verdicts
    check = contact_check(plan, request.channel, history, now, zone)
    stages = (
        *(() if off is None else (Stops(off),)),
        *before_contact(plan, customer, history, verdicts),
        *contact(plan, check, held_out=allotment.held_out, is_known=history is not None),
    )
    lineup = lined_up(slates)
    considered = _considered(lineup, catalogue, policy, row, now, verdicts.weight, stages)
    competing = _competing(plan, lineup, considered)
    index, contender = _contenders(plan, lineup, competing)
    return Shortlist(
        catalogue=catalogue,
        customer=customer,
        history=history,
        request=request,
        now=now,
        context=context,
        zone=zone,
        allotment=allotment,
        policy=policy,
        context_weight=verdicts.weight,
        check=check,
        slates=slates,
        contenders=Contenders(plan.candidates, index),
        competing=competing,
        contender=contender,
        considered=considered,
        forced=forced,
    )


def _standing(seat: ForcedSeat | None, slates: tuple[Slate, ...], off: Column | None) -> ForcedSeat | None:
    """Return where the forced offer goes; None where it is stopped: no key goes past that."""
    if seat is None or off is None or not off[slates[seat.position].action[seat.row]]:
        return seat
    return None


def _considered(  # noqa: PLR0917  # columns of one table
    lineup: Lineup,
    catalogue: Catalogue,
    policy: Policy,
    row: Mapping[str, Scalar],
    now: datetime,
    weight: NDArray[np.float64],
    stages: tuple[Stops, ...],
) -> ConsideredTable:
    """Return every candidate with its reason: time first, then placement and language, then the stages."""
    action = lineup.action
    first, number, observed = first_of(len(catalogue.actions), stages)
    reason, rule = first.take(action), number.take(action)
    seen = lineup.unscored if observed is None else observed.take(action)
    closed = _closed(catalogue.plan, now)
    for stop in (lineup.unfit, None if closed is None else closed.take(action)):
        if stop is not None:
            earlier = stop > 0
            reason, rule = np.where(earlier, stop, reason), np.where(earlier, np.int32(-1), rule)
            seen = seen if observed is None else np.where(earlier, np.nan, seen)
    reason[reason == 0] = _UNDECIDED
    return ConsideredTable(
        catalogue=catalogue,
        policy=policy,
        row=row,
        placements=lineup.placements,
        placement=lineup.placement,
        candidate=lineup.candidate,
        reason=reason,
        rule=rule,
        observed=seen,
        propensity=lineup.unscored,
        context_weight=weight.take(action),
        priority=lineup.unscored,
    )


def _closed(plan: Plan, now: datetime) -> NDArray[np.int32] | None:
    """Return per action whether it has not started or has ended; None when none is ever closed."""
    if plan.opening is None:
        return None
    starts, ends = plan.opening
    instant = now.timestamp()
    closed = np.zeros(len(starts), dtype=np.int32)
    closed[instant < starts] = Reason.NOT_STARTED
    closed[instant >= ends] = Reason.ENDED
    return closed


def _competing(plan: Plan, lineup: Lineup, considered: ConsideredTable) -> NDArray[np.intp]:
    """Return the rows that compete."""
    left = considered.reason == _UNDECIDED
    if plan.mandatory is not None:
        left &= ~plan.mandatory[lineup.action]
    rows: NDArray[np.intp] = left.nonzero()[0]
    return rows


def _contenders(
    plan: Plan, lineup: Lineup, competing: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the candidates that compete somewhere, by index, and which of them stands in each row."""
    candidate = lineup.candidate.take(competing)
    if len(lineup.placements) == 1:
        return candidate, np.arange(len(candidate))
    left = np.zeros(len(plan.candidates), dtype=np.bool_)
    left[candidate] = True
    index = left.nonzero()[0]
    return index, index.searchsorted(candidate)
