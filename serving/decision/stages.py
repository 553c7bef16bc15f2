"""What each stage before scoring says of the actions, in the order of the funnel.

Time, placement and language go before all of them; they are known of candidates, not of actions.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from serving.decision.contact_check import ContactCheck
from serving.decision.plan import Plan
from serving.decision.reasons import Reason
from serving.decision.rule_plan import Verdicts
from serving.decision.stops import Stops
from serving.decision.values import Customer, History

_NO_HISTORY = History()


def before_contact(
    plan: Plan, customer: Customer, history: History | None, verdicts: Verdicts
) -> Iterator[Stops]:
    """Yield budgets and volumes, consent, and the engagement policy.

    Without a history what is used up is not known: then what has a bound rests at the contact stage.
    """
    spent = None if history is None or not plan.budgets.bounded else plan.budgets.spent(history.used)
    if spent is not None and spent is not plan.budgets.room:
        yield Stops(spent[0], observed=spent[1])
    refused = plan.consents.stops(customer.consent)
    if refused is not None:
        yield Stops(refused)
    yield Stops(verdicts.reason, verdicts.rule)


def contact(plan: Plan, check: ContactCheck, *, held_out: bool, is_known: bool) -> Iterator[Stops]:
    """Yield holdout, what rests while contacts cannot be read, and the contact policies.

    What rests is marketing, and all that has a budget or a volume: nobody could say what is left of it.
    Mandatory messages go out.

    Parameters
    ----------
    plan
        Of the catalogue.
    check
        From ``contact_check``.
    held_out
        Whether the customer is in the no-marketing holdout.
    is_known
        Whether the customer's history could be read. What needs none, as quiet hours, holds without it.
    """
    marketing = plan.consents.marketing
    if held_out:
        yield Stops(np.where(marketing, np.int32(Reason.HELD_OUT), np.int32(0)))
    if not is_known:
        rests = marketing | plan.budgets.optional()
        yield Stops(np.where(rests, np.int32(Reason.CONTACT_STORE_GONE), np.int32(0)))
    resting = check.verdicts()
    if resting is not plan.contacts.silent:
        yield Stops(*resting)


def contact_check(
    plan: Plan, channel: str, history: History | None, now: datetime, zone: ZoneInfo
) -> ContactCheck:
    """Return the contact policies for a customer; of no history when the contact store is gone."""
    history = _NO_HISTORY if history is None else history
    return ContactCheck(plan.contacts, history, channel=channel, now=now, zone=zone)
