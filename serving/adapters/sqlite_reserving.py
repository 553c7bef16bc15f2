"""What changes a customer's standing in SQLite: reserving, versions, links, budgets. Within a transaction.

Customers are references here. Nothing here begins or ends a transaction;
`group_commit` does.
"""

from __future__ import annotations

import sqlite3

from serving.adapters.instants import to_microseconds
from serving.adapters.same_customer import SAME
from serving.decision.budgets import MILLIONTHS, Charge, first_full, to_millionths
from serving.decision.values import Contact, Used
from serving.ports import Reservation, StaleHistory
from serving.records import Mode

ALL_DAYS = 0
"""The `day` under which a total is kept."""

HELD, KEPT, GIVEN_BACK = "held", "kept", "given_back"
"""What became of an offer's charge: its reservation holds it, it was presented, it expired."""

_ALONE = """
SELECT version, latest_at, EXISTS (SELECT 1 FROM identity_links AS link WHERE link.customer_ref = ?1)
FROM contact_versions WHERE customer_ref = ?1 AND mode = ?2
"""
_SAME = f"""
{SAME}SELECT ref, COALESCE(version, 0), COALESCE(latest_at, 0)
FROM same LEFT JOIN contact_versions ON customer_ref = ref AND mode = ?
"""  # noqa: S608 - a constant
_FIRST_VERSION = """
INSERT INTO contact_versions (customer_ref, mode, version, latest_at) VALUES (?, ?, 1, ?)
ON CONFLICT DO NOTHING
"""
_NEXT_VERSION = """
UPDATE contact_versions SET version = version + 1, latest_at = MAX(latest_at, ?3)
WHERE customer_ref = ?1 AND mode = ?2 AND version = ?4
  AND NOT EXISTS (SELECT 1 FROM identity_links AS link WHERE link.customer_ref = ?1)
"""
_SET_VERSION = """
INSERT INTO contact_versions (customer_ref, mode, version, latest_at) VALUES (?, ?, ?, ?)
ON CONFLICT (customer_ref, mode) DO UPDATE SET version = excluded.version, latest_at = excluded.latest_at
"""
_INSERT_CONTACT = """
INSERT INTO contacts (tracking_id, mode, customer_ref, action_id, group_name, issue, channel, timezone,
                      mandatory, decided_at, reserved_until, matters_until,
                      charge_day, charge_cost, charge_state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ADD_USED = """
INSERT INTO used_amounts (mode, day, action_id, budget, volume) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (mode, day, action_id)
DO UPDATE SET budget = budget + excluded.budget, volume = volume + excluded.volume
"""
_USED = "SELECT budget, volume FROM used_amounts WHERE mode = ? AND day = ? AND action_id = ?"
_EXPIRED = """
SELECT action_id, charge_day, SUM(charge_cost), COUNT(*) FROM contacts
WHERE charge_state = 'held' AND mode = ? AND reserved_until <= ? GROUP BY action_id, charge_day
"""
_GIVE_BACK = """
UPDATE contacts SET charge_state = 'given_back'
WHERE charge_state = 'held' AND mode = ? AND reserved_until <= ?
"""


def reserve(connection: sqlite3.Connection, taken: Reservation, customer_ref: str | None) -> None:
    """Store what an answer takes; StaleHistory when its customer or a budget has changed meanwhile.

    `customer_ref` is who it is held for, None for somebody nobody knows (any more).
    """
    if not taken.contacts:
        return
    now = to_microseconds(max(contact.decided_at for contact in taken.contacts))
    if customer_ref is not None:
        advance(connection, customer_ref, taken.mode, now=now, expected=taken.version)
    if taken.charges:
        release(connection, taken.mode, now)
    for charge in taken.charges:
        _charge(connection, taken, charge)
    charges = {charge.tracking_id: charge for charge in taken.charges}
    connection.executemany(
        _INSERT_CONTACT,
        [_row(taken.mode, customer_ref, one, charges.get(one.tracking_id)) for one in taken.contacts],
    )


def advance(
    connection: sqlite3.Connection,
    customer_ref: str,
    mode: Mode,
    *,
    now: int = 0,
    expected: int | None = None,
) -> None:
    """Raise a customer's version; StaleHistory when it is not the expected one."""
    if expected is not None and _raised(connection, customer_ref, mode, now, expected):
        return
    _, version, latest_at = identities(connection, customer_ref, mode)
    if expected not in (None, version):
        raise StaleHistory("the customer's contacts changed while this was decided; decide again")
    connection.execute(_SET_VERSION, (customer_ref, mode, version + 1, max(latest_at, now)))


def _raised(connection: sqlite3.Connection, customer_ref: str, mode: Mode, now: int, expected: int) -> bool:
    """Raise the expected version by one statement, as does for most; False when it takes a closer look.

    That is, when the version is another one, or the customer is linked. Who has none is not linked.
    """
    if not expected:
        return connection.execute(_FIRST_VERSION, (customer_ref, mode, now)).rowcount == 1
    return connection.execute(_NEXT_VERSION, (customer_ref, mode, now, expected)).rowcount == 1


def identities(connection: sqlite3.Connection, customer_ref: str, mode: Mode) -> tuple[list[str], int, int]:
    """Return every id the customer has, their version, and the time of their latest decision.

    Linking gives both a version: who has none is alone, and most who have one are.
    """
    known = connection.execute(_ALONE, (customer_ref, mode)).fetchone()
    if known is None:
        return [customer_ref], 0, 0
    version, latest_at, linked = known
    if not linked:
        return [customer_ref], version, latest_at
    rows = connection.execute(_SAME, (customer_ref, mode)).fetchall()
    return [row[0] for row in rows], max(row[1] for row in rows), max(row[2] for row in rows)


def set_link(connection: sqlite3.Connection, customer_ref: str, other: str, *, linked: bool) -> None:
    """Make two ids one customer, or no longer.

    Both get a version beyond all that either has seen, so that whatever was decided on the history of before
    is stale.
    """
    pairs = [(customer_ref, other), (other, customer_ref)]
    for mode in Mode:
        ours, theirs = (identities(connection, one, mode) for one in (customer_ref, other))
        version, latest_at = max(ours[1], theirs[1]) + 1, max(ours[2], theirs[2])
        for one in (customer_ref, other):
            connection.execute(_SET_VERSION, (one, mode, version, latest_at))
    if linked:
        connection.executemany("INSERT OR IGNORE INTO identity_links VALUES (?, ?)", pairs)
    else:
        connection.executemany("DELETE FROM identity_links WHERE customer_ref = ? AND other_ref = ?", pairs)


def expired_holds(connection: sqlite3.Connection, mode: Mode, now: int) -> list[tuple[str, int, int, int]]:
    """Return what expired reservations still hold: action, day, cost, count."""
    return connection.execute(_EXPIRED, (mode, now)).fetchall()


def release(connection: sqlite3.Connection, mode: Mode, now: int) -> int:
    """Give back what expired reservations hold of budgets; return how many there were."""
    expired = expired_holds(connection, mode, now)
    if not expired:
        return 0
    for action_id, day, cost, count in expired:
        add_used(connection, mode, action_id, day, cost=-cost, count=-count)
    return connection.execute(_GIVE_BACK, (mode, now)).rowcount


def add_used(
    connection: sqlite3.Connection, mode: Mode, action_id: str, day: int, *, cost: int, count: int
) -> None:
    """Add to what is used of an action, in total and on a day; the cost in millionths."""
    connection.executemany(_ADD_USED, [(mode, each, action_id, cost, count) for each in (ALL_DAYS, day)])


def _charge(connection: sqlite3.Connection, taken: Reservation, charge: Charge) -> None:
    mode, day = taken.mode, charge.day.toordinal()
    if taken.version is not None:
        total, today = (_used(connection, mode, charge.action_id, each) for each in (ALL_DAYS, day))
        used = Used(total[0] / MILLIONTHS, today[0] / MILLIONTHS, total[1], today[1])
        if first_full(charge.cost, charge.budget, charge.volume, used):
            raise StaleHistory(f"a budget or volume of `{charge.action_id}` ran out meanwhile; decide again")
    add_used(connection, mode, charge.action_id, day, cost=to_millionths(charge.cost), count=1)


def _used(connection: sqlite3.Connection, mode: Mode, action_id: str, day: int) -> tuple[int, int]:
    row = connection.execute(_USED, (mode, day, action_id)).fetchone()
    return (0, 0) if row is None else (row[0], row[1])


def _row(mode: Mode, customer_ref: str | None, contact: Contact, charge: Charge | None) -> tuple[object, ...]:
    """Return the row of a new contact; until it is presented it matters as long as it is reserved."""
    reserved_until = to_microseconds(contact.reserved_until)
    return (
        contact.tracking_id,
        mode,
        customer_ref,
        contact.action_id,
        contact.group,
        contact.issue,
        contact.channel,
        contact.timezone,
        contact.mandatory,
        to_microseconds(contact.decided_at),
        reserved_until,
        reserved_until,
        *(
            (None, None, None)
            if charge is None
            else (charge.day.toordinal(), to_millionths(charge.cost), HELD)
        ),
    )
