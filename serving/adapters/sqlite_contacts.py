"""The ledger of contacts in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from moment.errors import DependencyError
from serving.adapters.database import PerThread
from serving.adapters.group_commit import GroupCommit
from serving.adapters.instants import from_microseconds, to_microseconds
from serving.adapters.sqlite_reporting import Answered, present, record_outcome
from serving.adapters.sqlite_reserving import (
    ALL_DAYS,
    expired_holds,
    identities,
    release,
    set_link,
)
from serving.adapters.vault import Vault
from serving.decision.budgets import MILLIONTHS
from serving.decision.contact_plan import Lookback
from serving.decision.values import ActionId, Contact, History, PastOutcome, Used
from serving.ports import Standing, Verdict
from serving.records import Mode

_CONTACTS = """
SELECT tracking_id, action_id, group_name, issue, channel, decided_at, reserved_until, presented_at,
       recorded_late, mandatory, timezone
FROM contacts WHERE customer_ref = ? AND mode = ? AND matters_until >= ?
ORDER BY decided_at, tracking_id
"""
_OUTCOMES = """
SELECT o.kind, c.action_id, c.group_name, c.issue, c.channel, o.occurred_at
FROM outcomes o JOIN contacts c USING (tracking_id)
WHERE o.customer_ref = ? AND o.mode = ? AND o.occurred_at >= ?
ORDER BY o.occurred_at, c.action_id
"""
_USED = "SELECT action_id, day, budget, volume FROM used_amounts WHERE mode = ? AND day IN (?, ?)"


class SqliteContacts:
    """The port `ContactLedger` on a database; it writes with the records' `writer`."""

    def __init__(self, database: Path | PerThread, writer: GroupCommit, vault: Vault) -> None:
        self._vault = vault
        self._readers = PerThread.of(database)
        self._writer = writer

    def read(self, customer_id: str | None, *, mode: Mode, now: datetime, back: Lookback) -> Standing:
        """Return what the customer was given and what is used up.

        The version is read first: should the rest change before it is read too, the version is the older one,
        and what was decided on it is refused.
        """
        try:
            connection = self._readers.get()
            used = _read_used(connection, mode, now, back) if back.budgets else {}
            if customer_id is None:
                return Standing(History(used=used), 0)
            members, version, _ = identities(connection, self._vault.ref(customer_id), mode)
            # A customer with a history or a link has a version; all others cost this one look
            if not version:
                return Standing(History(used=used), 0)
            history, *others = (_read_history(connection, member, mode, back, used) for member in members)
            for other in others:
                history = history.merged_with(other)
        except sqlite3.Error as error:
            raise DependencyError(f"the ledger of contacts does not answer ({error})") from error
        return Standing(history, version)

    def present(self, tracking_id: str, *, occurred_at: datetime, reported_at: datetime) -> Verdict:
        """Record durably that an offer was shown."""
        claimed, reported = to_microseconds(occurred_at), to_microseconds(reported_at)
        return self._writer.submit(lambda db: present(db, tracking_id, claimed, reported)).result()

    def record_outcome(
        self,
        tracking_id: str,
        kind: str,
        *,
        outcome_id: str,
        occurred_at: datetime,
        reported_at: datetime,
    ) -> Verdict:
        """Record durably what the customer answered."""
        claimed, reported = to_microseconds(occurred_at), to_microseconds(reported_at)
        hidden = self._vault.blind("outcome", outcome_id)
        answered = Answered(tracking_id, hidden, kind, claimed, reported)
        return self._writer.submit(lambda db: record_outcome(db, answered)).result()

    def release(self, now: datetime) -> int:
        """Give back what expired reservations hold of budgets and volumes."""
        instant = to_microseconds(now)
        return self._writer.submit(lambda db: sum(release(db, mode, instant) for mode in Mode)).result()

    def link(self, customer_id: str, other: str) -> None:
        """Let two ids be one customer from now on."""
        self._link(customer_id, other, linked=True)

    def unlink(self, customer_id: str, other: str) -> None:
        """Undo `link`."""
        self._link(customer_id, other, linked=False)

    def close(self) -> None:
        """Close what it reads with; the writer is closed by who opened it."""
        self._readers.close()

    def _link(self, *customer_ids: str, linked: bool) -> None:
        one, other = map(self._vault.ref, customer_ids)
        self._writer.submit(lambda db: set_link(db, one, other, linked=linked)).result()


def _read_history(
    connection: sqlite3.Connection, customer: str, mode: Mode, back: Lookback, used: Mapping[ActionId, Used]
) -> History:
    contacts: tuple[Contact, ...] = ()
    outcomes: tuple[PastOutcome, ...] = ()
    if back.contacts is not None:
        found = connection.execute(_CONTACTS, (customer, mode, to_microseconds(back.contacts)))
        contacts = tuple(map(_contact, found))
    if back.outcomes is not None:
        found = connection.execute(_OUTCOMES, (customer, mode, to_microseconds(back.outcomes)))
        outcomes = tuple(dict.fromkeys(map(_outcome, found)))
    return History(contacts, outcomes, used)


def _contact(row: tuple[Any, ...]) -> Contact:
    tracking_id, action_id, group, issue, channel, decided, until, presented, late, mandatory, timezone = row
    return Contact(
        tracking_id=tracking_id,
        action_id=ActionId(action_id),
        group=group,
        issue=issue,
        channel=channel,
        decided_at=from_microseconds(decided),
        reserved_until=from_microseconds(until),
        presented_at=None if presented is None else from_microseconds(presented),
        recorded_late=bool(late),
        mandatory=bool(mandatory),
        timezone=timezone,
    )


def _outcome(row: tuple[Any, ...]) -> PastOutcome:
    kind, action_id, group, issue, channel, at = row
    return PastOutcome(kind, ActionId(action_id), group, issue, channel, from_microseconds(at))


def _read_used(
    connection: sqlite3.Connection, mode: Mode, now: datetime, back: Lookback
) -> Mapping[ActionId, Used]:
    """Return what is used of the actions asked for; what expired reservations hold is free again."""
    today = back.day.toordinal()
    amounts = {
        (action_id, day): (budget, volume)
        for action_id, day, budget, volume in connection.execute(_USED, (mode, ALL_DAYS, today))
    }
    for action_id, charged_on, cost, count in expired_holds(connection, mode, to_microseconds(now)):
        for day in (ALL_DAYS, charged_on):
            budget, volume = amounts.get((action_id, day), (0, 0))
            amounts[action_id, day] = budget - cost, volume - count
    used = {}
    for action_id in back.budgets:
        total, of_today = (amounts.get((action_id, day), (0, 0)) for day in (ALL_DAYS, today))
        used[action_id] = Used(total[0] / MILLIONTHS, of_today[0] / MILLIONTHS, total[1], of_today[1])
    return used
