"""The customer and the history that ``given`` of a golden decision describes, all names checked before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from serving.decision.catalogue import Catalogue
from serving.decision.values import (
    ActionId,
    Consent,
    Contact,
    Customer,
    CustomerId,
    History,
    PastOutcome,
    ProfileKind,
    Purpose,
    Used,
)

GONE = "gone"
RESERVED_FOR = timedelta(minutes=40)
"""How long a contact is reserved when its case does not say: what the placements have by default."""

CONTACT = frozenset({"id", "action", "at", "channel", "shown", "reserved_until", "late", "mandatory", "zone"})
OUTCOME = frozenset({"action", "at", "channel", "kind"})


def customer_of(given: Mapping[str, Any]) -> Customer:
    """Return the customer: known when the case gives features, known or not with consents and a unit."""
    known = given.get("customer")
    consents = given.get("consents", [Purpose.SERVICE.value])
    return Customer(
        None if known is None else CustomerId("c-1"),
        ProfileKind.NONE if known is None else ProfileKind.KNOWN,
        known or {},
        timezone=given.get("zone"),
        language=given.get("language"),
        consent=None
        if consents == GONE
        else Consent(frozenset(Purpose(name) for name in consents), given.get("opted_out", False)),
        unit=given.get("unit"),
    )


def history_of(given: Mapping[str, Any], catalogue: Catalogue, channel: str) -> History | None:
    """Return what the decision looks back on; None when the contact store is gone."""
    if given.get("contacts") == GONE:
        return None
    used = {ActionId(name): Used(**balance) for name, balance in (given.get("used") or {}).items()}
    own = _history(given, catalogue, channel, "own", used)
    other = given.get("merged")
    return own if other is None else own.merged_with(_history(other, catalogue, channel, "other", {}))


def _history(
    part: Mapping[str, Any], catalogue: Catalogue, channel: str, whose: str, used: Mapping[ActionId, Used]
) -> History:
    return History(
        contacts=tuple(
            _contact(one, catalogue, channel, f"{whose}-{number}")
            for number, one in enumerate(part.get("contacts") or ())
        ),
        outcomes=tuple(_outcome(one, catalogue, channel) for one in part.get("outcomes") or ()),
        used=used,
    )


def _contact(one: Mapping[str, Any], catalogue: Catalogue, channel: str, tracking_id: str) -> Contact:
    action = catalogue.action(one["action"])
    return Contact(
        tracking_id=one.get("id", tracking_id),
        action_id=action.action_id,
        group=action.group,
        issue=action.issue,
        channel=one.get("channel", channel),
        decided_at=one["at"],
        reserved_until=one.get("reserved_until", one["at"] + RESERVED_FOR),
        presented_at=one.get("shown"),
        recorded_late=one.get("late", False),
        mandatory=one.get("mandatory", False),
        timezone=one.get("zone"),
    )


def _outcome(one: Mapping[str, Any], catalogue: Catalogue, channel: str) -> PastOutcome:
    action = catalogue.action(one["action"])
    return PastOutcome(
        one["kind"], action.action_id, action.group, action.issue, one.get("channel", channel), one["at"]
    )
