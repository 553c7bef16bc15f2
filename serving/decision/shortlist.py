"""Which candidates may be shown: availability, then the engagement policy. All that comes before a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from moment.errors import InvalidRequest, InvariantViolation
from serving.decision.actions import Candidate
from serving.decision.catalogue import Catalogue
from serving.decision.considered import ConsideredTable
from serving.decision.context import CONTEXT_PREFIX, complete_context, zone_of
from serving.decision.parsing import nearest
from serving.decision.plan import Plan, Slate
from serving.decision.reasons import Reason
from serving.decision.rule_plan import Verdicts
from serving.decision.values import Customer, History, Request, Scalar


@dataclass(frozen=True, slots=True, eq=False)
class Shortlist:
    """What is left before scoring, with the reason for everything that is not.

    Parameters
    ----------
    catalogue, customer, request, now
        As given.
    context
        The complete context rules saw: what the channel sent and what the core derived (``hour``,
        ``weekday``, …); declared values that were not sent are None.
    slates
        Per requested placement, its candidates.
    contenders
        The candidates left in at least one placement, each once, ordered by action and treatment id. Scores
        are aligned to them: **one** model call for all.
    contender_index
        Shape (n_contenders,): their indices in ``catalogue.candidates``.
    considered
        Every candidate of every requested placement; those left are still ``UNDECIDED``.
    """

    catalogue: Catalogue
    customer: Customer
    request: Request
    now: datetime
    context: Mapping[str, Scalar]
    slates: tuple[Slate, ...]
    contenders: tuple[Candidate, ...]
    contender_index: NDArray[np.intp]
    considered: ConsideredTable


def shortlist(  # noqa: PLR0917  # the design's signature
    request: Request,
    catalogue: Catalogue,
    customer: Customer,
    history: History | None,  # noqa: ARG001
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
    slates = _requested_slates(request, catalogue)
    zone = zone_of(customer.timezone, catalogue.timezone)
    context = complete_context(request, catalogue.context, now, zone)
    row = {**customer.features, **{CONTEXT_PREFIX + name: value for name, value in context.items()}}
    plan = catalogue.plan
    considered = _consider(catalogue, slates, row, now, verdicts or catalogue.plan.rules.ask(row))
    left = np.zeros(len(plan.candidates), dtype=np.bool_)
    left[considered.candidate[considered.reason == Reason.UNDECIDED]] = True
    index = np.flatnonzero(left)
    return Shortlist(
        catalogue=catalogue,
        customer=customer,
        request=request,
        now=now,
        context=context,
        slates=slates,
        contenders=tuple([plan.candidates[position] for position in index.tolist()]),
        contender_index=index,
        considered=considered,
    )


def _consider(
    catalogue: Catalogue,
    slates: tuple[Slate, ...],
    row: Mapping[str, Scalar],
    now: datetime,
    verdicts: Verdicts,
) -> ConsideredTable:
    action_reason, action_rule = _action_reasons(catalogue.plan, verdicts, now)
    candidate = np.concatenate([slate.candidate for slate in slates])
    action = np.concatenate([slate.action for slate in slates])
    unfit = np.concatenate([slate.unfit for slate in slates])
    reason = np.where(unfit > 0, unfit, action_reason[action])
    rule = np.where(unfit > 0, np.int32(-1), action_rule[action])
    reason[reason == 0] = Reason.UNDECIDED
    unscored = np.full(len(candidate), np.nan)
    return ConsideredTable(
        catalogue=catalogue,
        row=row,
        placements=tuple(slate.placement.name for slate in slates),
        placement=np.repeat(np.arange(len(slates)), [len(slate.candidate) for slate in slates]),
        candidate=candidate,
        reason=reason,
        rule=rule,
        observed=unscored,
        propensity=unscored,
        priority=unscored,
    )


def _action_reasons(
    plan: Plan, verdicts: Verdicts, now: datetime
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return per action the first reason against it, 0 for none, and the rule behind it, or -1."""
    reason, rule = verdicts.reason.copy(), verdicts.rule.copy()
    if plan.opening is not None:
        starts, ends = plan.opening
        instant = now.timestamp()
        early, late = instant < starts, instant >= ends
        reason[early], reason[late] = Reason.NOT_STARTED, Reason.ENDED
        rule[early | late] = -1
    return reason, rule


def _requested_slates(request: Request, catalogue: Catalogue) -> tuple[Slate, ...]:
    """Return the slates asked for, or say which field of the request is wrong."""
    if request.channel not in catalogue.channels:
        hint = nearest(request.channel, catalogue.channels) or f"; one of {', '.join(catalogue.channels)}"
        raise InvalidRequest(f"no channel `{request.channel}`{hint}", code="unknown-channel", field="channel")
    if not request.placements:
        raise InvalidRequest("ask for at least one placement", code="invalid-placements", field="placements")
    slates: dict[str, Slate] = {}
    for position, asked in enumerate(request.placements):
        field = f"placements[{position}]"
        slate = catalogue.plan.slates.get((request.channel, asked.name))
        if slate is None:
            names = [name for channel, name in catalogue.plan.slates if channel == request.channel]
            hint = nearest(asked.name, names) or f"; one of {', '.join(names)}"
            raise InvalidRequest(
                f"channel `{request.channel}` has no placement `{asked.name}`{hint}",
                code="unknown-placement",
                field=f"{field}.name",
            )
        if asked.name in slates:
            raise InvalidRequest(
                f"placement `{asked.name}` is asked for twice; ask once with more slots",
                code="duplicate-placement",
                field=f"{field}.name",
            )
        if not 1 <= asked.slots <= slate.placement.slots:
            raise InvalidRequest(
                f"placement `{asked.name}` has 1 to {slate.placement.slots} slots, not {asked.slots}",
                code="invalid-slots",
                field=f"{field}.slots",
            )
        slates[asked.name] = slate
    return tuple(slates.values())
