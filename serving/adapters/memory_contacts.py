"""The ledger of contacts in memory. What is used of budgets is counted anew at each look: slow, and plain."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from serving.decision.budgets import MILLIONTHS, Charge, first_full, to_millionths
from serving.decision.contact_plan import Lookback
from serving.decision.values import ActionId, Contact, History, PastOutcome, Used
from serving.ports import Reservation, StaleHistory, Standing, Verdict
from serving.records import Mode

_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Offer:
    """A contact with what else a report needs: what was claimed before, what became of its charge."""

    contact: Contact
    customer_id: str | None
    mode: Mode
    charge: Charge | None
    given_back: bool = False
    claimed_at: datetime | None = None
    outcomes: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def clamped(self, claimed: datetime, reported: datetime) -> datetime:
        """Return when something happened: not before the decision, not after the report."""
        return max(self.contact.decided_at, min(claimed, reported))


class MemoryContacts:
    """The port `ContactLedger` in dictionaries, under one lock."""

    def __init__(self) -> None:
        self._offers: dict[str, _Offer] = {}
        self._outcomes: list[tuple[str | None, Mode, PastOutcome]] = []
        self._versions: dict[tuple[str, Mode], tuple[int, datetime]] = {}
        self._links: dict[str, set[str]] = {}
        self._lock = threading.RLock()

    def read(self, customer_id: str | None, *, mode: Mode, now: datetime, back: Lookback) -> Standing:
        """Return what the customer was given and what is used up."""
        with self._lock:
            used = {action_id: self._used(action_id, mode, now, back.day) for action_id in back.budgets}
            if customer_id is None:
                return Standing(History(used=used), 0)
            members, version, _ = self._identities(customer_id, mode)
            contacts = (
                offer.contact
                for offer in self._offers.values()
                if offer.customer_id in members and offer.mode is mode and _matters(offer.contact, back)
            )
            outcomes = (
                outcome
                for owner, kept_in, outcome in self._outcomes
                if owner in members and kept_in is mode and back.outcomes and outcome.at >= back.outcomes
            )
            found = History(tuple(contacts), tuple(outcomes), used)
            return Standing(found.merged_with(History()), version)

    def present(self, tracking_id: str, *, occurred_at: datetime, reported_at: datetime) -> Verdict:
        """Record that an offer was shown."""
        with self._lock:
            offer = self._offers.get(tracking_id)
            if offer is None:
                return Verdict.UNKNOWN
            if offer.claimed_at is not None:
                return Verdict.DUPLICATE if offer.claimed_at == occurred_at else Verdict.CONFLICT
            late = self._is_late(offer, reported_at)
            offer.claimed_at = occurred_at
            offer.contact = replace(
                offer.contact,
                presented_at=offer.clamped(occurred_at, reported_at),
                recorded_late=late,
            )
            self._advance(offer.customer_id, offer.mode)
            return Verdict.RECORDED_LATE if late else Verdict.RECORDED

    def record_outcome(
        self,
        tracking_id: str,
        kind: str,
        *,
        outcome_id: str,
        occurred_at: datetime,
        reported_at: datetime,
    ) -> Verdict:
        """Record what the customer answered."""
        with self._lock:
            offer = self._offers.get(tracking_id)
            if offer is None:
                return Verdict.UNKNOWN
            if outcome_id in offer.outcomes:
                same = offer.outcomes[outcome_id] == (kind, occurred_at)
                return Verdict.DUPLICATE if same else Verdict.CONFLICT
            offer.outcomes[outcome_id] = kind, occurred_at
            given = offer.contact
            at = offer.clamped(occurred_at, reported_at)
            outcome = PastOutcome(kind, given.action_id, given.group, given.issue, given.channel, at)
            self._outcomes.append((offer.customer_id, offer.mode, outcome))
            self._advance(offer.customer_id, offer.mode)
            return Verdict.RECORDED

    def release(self, now: datetime) -> int:
        """Give back what expired reservations hold of budgets and volumes."""
        with self._lock:
            return sum(self._release(mode, now) for mode in Mode)

    def link(self, customer_id: str, other: str) -> None:
        """Let two ids be one customer from now on."""
        with self._lock:
            self._outdate(customer_id, other)
            self._links.setdefault(customer_id, set()).add(other)
            self._links.setdefault(other, set()).add(customer_id)

    def unlink(self, customer_id: str, other: str) -> None:
        """Undo `link`."""
        with self._lock:
            self._outdate(customer_id, other)
            self._links.get(customer_id, set()).discard(other)
            self._links.get(other, set()).discard(customer_id)

    def reserve(self, taken: Reservation) -> None:
        """Keep what an answer takes; StaleHistory, and nothing kept, when what it rests on changed."""
        if not taken.contacts:
            return
        now = max(contact.decided_at for contact in taken.contacts)
        charges = {charge.tracking_id: charge for charge in taken.charges}
        with self._lock:
            if taken.version is not None:
                self._check(taken, now)
            if charges:
                self._release(taken.mode, now)
            for contact in taken.contacts:
                charge = charges.get(contact.tracking_id)
                self._offers[contact.tracking_id] = _Offer(contact, taken.customer_id, taken.mode, charge)
            self._advance(taken.customer_id, taken.mode, now)

    def _check(self, taken: Reservation, now: datetime) -> None:
        if taken.customer_id and self._identities(taken.customer_id, taken.mode)[1] != taken.version:
            raise StaleHistory("the customer's contacts changed while this was decided; decide again")
        for charge in taken.charges:
            used = self._used(charge.action_id, taken.mode, now, charge.day)
            if first_full(charge.cost, charge.budget, charge.volume, used):
                raise StaleHistory(
                    f"a budget or volume of `{charge.action_id}` ran out meanwhile; decide again"
                )

    def _used(self, action_id: ActionId, mode: Mode, now: datetime, day: date) -> Used:
        charges = [
            offer.charge
            for offer in self._offers.values()
            if offer.charge is not None
            and offer.charge.action_id == action_id
            and offer.mode is mode
            and (offer.claimed_at or (offer.contact.is_live(now) and not offer.given_back))
        ]
        today = [charge for charge in charges if charge.day == day]
        return Used(_cost(charges), _cost(today), len(charges), len(today))

    def _release(self, mode: Mode, now: datetime) -> int:
        expired = [
            offer
            for offer in self._offers.values()
            if offer.charge is not None
            and offer.mode is mode
            and not (offer.given_back or offer.claimed_at or offer.contact.is_live(now))
        ]
        for offer in expired:
            offer.given_back = True
        return len(expired)

    def _is_late(self, offer: _Offer, reported_at: datetime) -> bool:
        """Whether the reservation had ended, by the clock or because somebody has decided on its end."""
        latest_at = _BEGINNING
        if offer.customer_id is not None:
            latest_at = self._identities(offer.customer_id, offer.mode)[2]
        return offer.given_back or offer.contact.reserved_until <= max(reported_at, latest_at)

    def members(self, customer_id: str) -> set[str]:
        """Return every id the customer has."""
        return self._identities(customer_id, Mode.LIVE)[0]

    def _identities(self, customer_id: str, mode: Mode) -> tuple[set[str], int, datetime]:
        """Return every id the customer has, their version, and the time of their latest decision."""
        members, waiting = {customer_id}, [customer_id]
        while waiting:
            fresh = self._links.get(waiting.pop(), set()) - members
            members |= fresh
            waiting += fresh
        known = [self._versions.get((member, mode), (0, _BEGINNING)) for member in members]
        return members, max(version for version, _ in known), max(latest_at for _, latest_at in known)

    def _advance(self, customer_id: str | None, mode: Mode, now: datetime = _BEGINNING) -> None:
        if customer_id is not None:
            _, version, latest_at = self._identities(customer_id, mode)
            self._versions[customer_id, mode] = version + 1, max(latest_at, now)

    def _outdate(self, *customers: str) -> None:
        """Give customers a version beyond all that any of them has seen."""
        for mode in Mode:
            known = [self._identities(one, mode) for one in customers]
            version = max(version for _, version, _ in known) + 1
            for one in customers:
                self._versions[one, mode] = version, max(latest_at for *_, latest_at in known)


def _matters(contact: Contact, back: Lookback) -> bool:
    return back.contacts is not None and (contact.presented_at or contact.reserved_until) >= back.contacts


def _cost(charges: list[Charge]) -> float:
    return sum(to_millionths(charge.cost) for charge in charges) / MILLIONTHS
