"""Whether an answer may be given again: not after what it rests on was erased or withdrawn, or stopped."""

from __future__ import annotations

from serving.decision.catalogue import Catalogue
from serving.decision.decision import OfferKind
from serving.decision.stopped import NEXT_BEST_ACTION, taken_off
from serving.decision.values import ActionId, Consent, Purpose, Stopped
from serving.records import DecisionRecord, RecordedOffer

_ALWAYS = frozenset({Purpose.SERVICE})
_BY_POLICY = frozenset({OfferKind.ARBITRATED, OfferKind.FORCED})


def still_stands(record: DecisionRecord, consent: Consent | None) -> bool:
    """Whether the customer still allows all they allowed when it was decided.

    Parameters
    ----------
    record
        What was answered.
    consent
        What they allow now; None where nobody can say: then only what needs no consent stands.
    """
    told = record.personal
    if told is None:
        return False
    rested_on = frozenset(told.purposes or ())
    if consent is None:
        return rested_on <= _ALWAYS
    return rested_on <= consent.purposes and (told.opted_out or not consent.opted_out)


def is_stopped(record: DecisionRecord, stopped: Stopped, catalogue: Catalogue) -> bool:
    """Whether people have stopped anything that was answered.

    Parameters
    ----------
    record
        What was answered.
    stopped
        What is off now.
    catalogue
        Says of which issue an action is; one it has no more is known by its name and channel alone.
    """
    if stopped.is_empty:
        return False
    actions = {action.action_id: action for action in (*catalogue.actions, *catalogue.fallbacks)}

    def off(offer: RecordedOffer) -> bool:
        if NEXT_BEST_ACTION in stopped.models and offer.kind in _BY_POLICY:
            return True
        action = actions.get(ActionId(offer.action))
        if action is None:
            return offer.action in stopped.actions or record.channel in stopped.channels
        return taken_off(action, record.channel, stopped) is not None

    return any(off(offer) for placement in record.placements for offer in placement.offers)
