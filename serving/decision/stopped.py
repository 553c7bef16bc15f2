"""What people took off at once: which actions that leaves, and what it is called afterwards."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from serving.decision.actions import Action, Candidate
from serving.decision.plan import Plan
from serving.decision.reasons import Reason
from serving.decision.stops import Column
from serving.decision.values import Stopped

NEXT_BEST_ACTION = "next-best-action"
"""What ``Stopped.models`` calls the policy itself."""

_REMEMBERED = 32


def taken_off(action: Action, channel: str, stopped: Stopped) -> Reason | None:
    """Return what takes an action off a channel, whatever it is shown as; None where nothing does.

    Examples
    --------
    >>> from datetime import timedelta
    >>> tea = Action("tea", "Tea", "sell", "drinks", 1.0, timedelta(days=1), {}, (), ())
    >>> taken_off(tea, "web", Stopped(issues=frozenset({"sell"}))).name
    'ISSUE_STOPPED'
    >>> taken_off(tea, "web", Stopped(channels=frozenset({"app"})))
    """
    if action.action_id in stopped.actions:
        return Reason.ACTION_STOPPED
    if action.issue in stopped.issues:
        return Reason.ISSUE_STOPPED
    return Reason.CHANNEL_STOPPED if channel in stopped.channels else None


@lru_cache(maxsize=_REMEMBERED)
def stopped_actions(plan: Plan, stopped: Stopped, channel: str) -> Column | None:
    """Return per action why it is off, 0 where it is not; None where nothing of it is.

    Parameters
    ----------
    plan
        Of the catalogue. Remembered with its stops: these change a few times a year.
    stopped
        What is off. Of models the policy alone matters here: without it marketing rests.
    channel
        The channel that asks.
    """
    reason = np.zeros(len(plan.group), dtype=np.int32)
    if NEXT_BEST_ACTION in stopped.models:
        reason[plan.consents.marketing] = Reason.POLICY_STOPPED
    for candidate, row in zip(plan.candidates, plan.action.tolist(), strict=True):
        why = taken_off(candidate.action, channel, stopped)
        if why is not None:
            reason[row] = why
    if not reason.any():
        return None
    reason.flags.writeable = False
    return reason


def stop_of(reason: Reason, candidate: Candidate) -> tuple[str, str] | None:
    """Return what was stopped, ``(kind, name)`` as in the ledger of stops; None for any other reason."""
    match reason:
        case Reason.ACTION_STOPPED:
            return "action", candidate.action.action_id
        case Reason.ISSUE_STOPPED:
            return "issue", candidate.action.issue
        case Reason.CHANNEL_STOPPED:
            # Only what fits the channel that asks comes as far as this reason
            return "channel", candidate.treatment.channel
        case Reason.POLICY_STOPPED:
            return "model", NEXT_BEST_ACTION
        case _:
            return None
