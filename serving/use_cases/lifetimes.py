"""How long the offers of a batch live: as long as they were reserved for, whatever their catalogue says."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import timedelta

import msgspec

from serving.decision.catalogue import Catalogue
from serving.records import Asked, DecisionRecord

BATCH_KEY = "moment-batch"
"""Who asks, in the records of a batch."""

_TOLD = 6
"""From which format on a record says it itself."""


def living(catalogue: Catalogue, channel: str, placement: str, lifetime: timedelta) -> Catalogue:
    """Return the same version of a catalogue whose offers of this placement live so long."""
    slates = catalogue.plan.slates
    slate = slates[channel, placement]
    changed = replace(slate, placement=replace(slate.placement, lifetime=lifetime))
    new = copy(catalogue)
    plan = replace(catalogue.plan, slates={**slates, (channel, placement): changed})
    object.__setattr__(new, "plan", plan)
    return new


def lasting(record: DecisionRecord, lifetime: timedelta) -> DecisionRecord:
    """Return the record of a batch's decision, which says how long its offers live."""
    seconds = lifetime.total_seconds()
    asked = tuple(msgspec.structs.replace(one, lifetime_seconds=seconds) for one in record.asked)
    return msgspec.structs.replace(record, asked=asked)


def living_as_recorded(record: DecisionRecord, catalogue: Catalogue) -> Catalogue:
    """Return a catalogue whose offers live as long as those of a record."""
    for asked in record.asked:
        lifetime = _lifetime(record, asked)
        if lifetime is not None and (record.channel, asked.name) in catalogue.plan.slates:
            catalogue = living(catalogue, record.channel, asked.name, lifetime)
    return catalogue


def _lifetime(record: DecisionRecord, asked: Asked) -> timedelta | None:
    """Return how long a batch had offers live; None where the catalogue said it.

    Records of before do not hold it: then it is what the offer lived that lived longest, which comes to
    the same.
    """
    if asked.lifetime_seconds is not None:
        return timedelta(seconds=asked.lifetime_seconds)
    if record.format >= _TOLD or record.key_id != BATCH_KEY:
        return None
    places = (one for one in record.placements if one.name == asked.name)
    lived = (offer.expires_at - record.decided_at for place in places for offer in place.offers)
    return max(lived, default=None)
