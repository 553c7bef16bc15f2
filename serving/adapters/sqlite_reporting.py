"""Reports on contacts in SQLite: an offer was shown, the customer answered. Within a transaction.

Nothing here begins or ends a transaction; `group_commit` does.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from serving.adapters.sqlite_reserving import GIVEN_BACK, KEPT, add_used, advance, identities
from serving.ports import Verdict
from serving.records import Mode

_OFFER = """
SELECT mode, customer_ref, action_id, decided_at, reserved_until, presented_at, claimed_at,
       charge_day, charge_cost, charge_state
FROM contacts WHERE tracking_id = ?
"""
_PRESENT = """
UPDATE contacts SET presented_at = ?, claimed_at = ?, recorded_late = ?, matters_until = ?,
                    charge_state = ?
WHERE tracking_id = ?
"""
_OUTCOME = "SELECT kind, claimed_at FROM outcomes WHERE tracking_id = ? AND outcome_id = ?"
_INSERT_OUTCOME = """
INSERT INTO outcomes (tracking_id, outcome_id, mode, customer_ref, kind, occurred_at, claimed_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class _Offer:
    """One row of contacts, as a report needs it."""

    mode: Mode
    customer_ref: str | None
    action_id: str
    decided_at: int
    reserved_until: int
    presented_at: int | None
    claimed_at: int | None
    charge_day: int | None
    charge_cost: int | None
    charge_state: str | None

    @classmethod
    def find(cls, connection: sqlite3.Connection, tracking_id: str) -> _Offer | None:
        row = connection.execute(_OFFER, (tracking_id,)).fetchone()
        return None if row is None else cls(Mode(row[0]), *row[1:])

    def clamped(self, claimed: int, reported: int) -> int:
        """Return when something happened: not before the decision, not after the report."""
        return max(self.decided_at, min(claimed, reported))


def present(connection: sqlite3.Connection, tracking_id: str, claimed: int, reported: int) -> Verdict:
    """Record that an offer was shown; instants in microseconds, as the database keeps them."""
    offer = _Offer.find(connection, tracking_id)
    if offer is None:
        return Verdict.UNKNOWN
    if offer.presented_at is not None:
        return Verdict.DUPLICATE if claimed == offer.claimed_at else Verdict.CONFLICT
    late = _is_late(connection, offer, reported)
    presented = offer.clamped(claimed, reported)
    state = None if offer.charge_state is None else KEPT
    connection.execute(_PRESENT, (presented, claimed, late, presented, state, tracking_id))
    if offer.charge_state == GIVEN_BACK and offer.charge_day is not None and offer.charge_cost is not None:
        add_used(connection, offer.mode, offer.action_id, offer.charge_day, cost=offer.charge_cost, count=1)
    if offer.customer_ref is not None:
        advance(connection, offer.customer_ref, offer.mode)
    return Verdict.RECORDED_LATE if late else Verdict.RECORDED


def _is_late(connection: sqlite3.Connection, offer: _Offer, reported: int) -> bool:
    """Whether the reservation had ended when the report came.

    It has also ended when somebody has decided on its end already: the customer's next decision, or whoever
    got its budget. Their clock may be ahead of the one that took the report; what they gave cannot be taken
    back.
    """
    if offer.charge_state == GIVEN_BACK or offer.reserved_until <= reported:
        return True
    if offer.customer_ref is None:
        return False
    _, _, latest_at = identities(connection, offer.customer_ref, offer.mode)
    return offer.reserved_until <= latest_at


@dataclass(frozen=True, slots=True)
class Answered:
    """An outcome as it was reported."""

    tracking_id: str
    outcome_id: str
    kind: str
    claimed: int
    reported: int


def record_outcome(connection: sqlite3.Connection, answered: Answered) -> Verdict:
    """Record what the customer answered to an offer."""
    tracking_id, outcome_id, kind = answered.tracking_id, answered.outcome_id, answered.kind
    offer = _Offer.find(connection, tracking_id)
    if offer is None:
        return Verdict.UNKNOWN
    earlier = connection.execute(_OUTCOME, (tracking_id, outcome_id)).fetchone()
    if earlier is not None:
        return Verdict.DUPLICATE if earlier == (kind, answered.claimed) else Verdict.CONFLICT
    at = offer.clamped(answered.claimed, answered.reported)
    connection.execute(
        _INSERT_OUTCOME,
        (tracking_id, outcome_id, offer.mode, offer.customer_ref, kind, at, answered.claimed),
    )
    if offer.customer_ref is not None:
        advance(connection, offer.customer_ref, offer.mode)
    return Verdict.RECORDED
