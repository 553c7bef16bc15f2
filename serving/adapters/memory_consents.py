"""Consents, identities and tombstones in memory: for tests, and for trying things out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from moment.errors import DependencyError
from serving.adapters.memory_contacts import MemoryContacts
from serving.decision.consent_ledger import ConsentEntry, resolve
from serving.decision.values import Consent
from serving.ports import Erasure, HeldEvent, HeldOutcome, Identity, LinkedIdentity, Resolved, Told
from serving.records import Mode


def alone(customer_id: str) -> Collection[str]:
    """Return the ids of a customer who is linked with nobody."""
    return (customer_id,)


@dataclass(slots=True)
class MemoryConsents:
    """A ledger of consents; `same` tells all ids of a customer; while `is_gone` it does not answer."""

    same: Callable[[str], Collection[str]] = alone
    is_gone: bool = False
    _told: dict[tuple[str, Mode], dict[ConsentEntry, None]] = field(default_factory=dict)

    def read(self, customer_id: str, *, mode: Mode, channel: str, now: datetime) -> Consent:
        """Return what the customer allows."""
        if self.is_gone:
            raise DependencyError("the ledger of consents is away")
        profiles = [self.entries(one, mode=mode) for one in self.same(customer_id)]
        return resolve(profiles, channel=channel, now=now)

    def entries(self, customer_id: str, *, mode: Mode) -> tuple[ConsentEntry, ...]:
        """Return the customer's own entries, oldest first."""
        found = [entry for known in {Mode.LIVE, mode} for entry in self._told.get((customer_id, known), {})]
        return tuple(sorted(found, key=lambda entry: (entry.known_at, entry.valid_from)))

    def append(self, told: Sequence[Told], *, mode: Mode) -> int:
        """Keep entries; what is there already is not kept again."""
        new = 0
        for one in told:
            kept = self._told.setdefault((one.customer_id, mode), {})
            new += one.entry not in kept
            kept[one.entry] = None
        return new


@dataclass(slots=True)
class MemoryIdentities:
    """Identities whose history is joined in `contacts`."""

    contacts: MemoryContacts
    _linked: dict[tuple[Mode, Identity], dict[str, datetime]] = field(default_factory=dict)
    _crossed: dict[str, tuple[str, str]] = field(default_factory=dict)

    def resolve(self, identity: Identity, *, mode: Mode) -> Resolved:
        """Return whose an identity is."""
        customers = self._customers(identity, mode)
        profile = f"identity:{mode}:{identity.kind}:{identity.value}"
        only = customers[0] if len(customers) == 1 else None
        return Resolved(profile, only, shared=len(customers) > 1)

    def link(self, identity: Identity, customer_id: str, *, mode: Mode, at: datetime) -> Resolved:
        """Link them."""
        before = self._customers(identity, mode)
        self._linked.setdefault((mode, identity), {}).setdefault(customer_id, at)
        return self._moved(identity, mode, before)

    def unlink(self, identity: Identity, customer_id: str, *, mode: Mode) -> Resolved:
        """Undo it."""
        before = self._customers(identity, mode)
        self._linked.get((mode, identity), {}).pop(customer_id, None)
        moved = self._moved(identity, mode, before)
        pair = (customer_id, moved.profile)
        self._crossed = {decision: of for decision, of in self._crossed.items() if of != pair}
        return moved

    def of_customer(self, customer_id: str, *, mode: Mode) -> tuple[LinkedIdentity, ...]:
        """Return a customer's identities, oldest first."""
        found = [
            LinkedIdentity(identity.kind, customers[customer_id], len(customers) > 1)
            for (known, identity), customers in self._linked.items()
            if known is mode and customer_id in customers
        ]
        return tuple(sorted(found, key=lambda one: one.linked_at))

    def mark_crossed(self, decision_ids: Sequence[str], customer_id: str, profile: str) -> None:
        """Note decisions."""
        self._crossed.update(dict.fromkeys(decision_ids, (customer_id, profile)))

    def crossed(self) -> frozenset[str]:
        """Return the decisions noted."""
        return frozenset(self._crossed)

    def _customers(self, identity: Identity, mode: Mode) -> list[str]:
        return list(self._linked.get((mode, identity), {}))

    def _moved(self, identity: Identity, mode: Mode, before: list[str]) -> Resolved:
        after, found = self._customers(identity, mode), self.resolve(identity, mode=mode)
        if before != after and len(before) == 1:
            self.contacts.unlink(before[0], found.profile)
        if before != after and len(after) == 1:
            self.contacts.link(after[0], found.profile)
        return found


@dataclass(slots=True)
class MemoryErasures:
    """Tombstones alone: nothing else is kept here."""

    _stones: dict[str, Erasure] = field(default_factory=dict)
    _finished: dict[str, Erasure] = field(default_factory=dict)
    _noted: dict[tuple[str, str], Mapping[str, int]] = field(default_factory=dict)

    def begin(self, customer_id: str, at: datetime) -> Erasure:
        """Leave a tombstone."""
        name = f"tomb_{len(self._stones) + 1}"
        stone = self._stones.get(customer_id) or Erasure(customer_id, name, at, (customer_id,), {})
        self._stones[customer_id] = replace(stone, finished_at=None)
        return self._stones[customer_id]

    def note(self, erasure: Erasure, store: str, held: Mapping[str, int]) -> None:
        """Note what another store holds."""
        before = self._noted.get((erasure.customer_id, store), {})
        new = sum(max(0, rows - before.get(part, 0)) for part, rows in held.items())
        self._noted[erasure.customer_id, store] = dict(held)
        stone = self._stones[erasure.customer_id]
        rows = {**stone.rows, store: stone.rows.get(store, 0) + new}
        self._stones[erasure.customer_id] = replace(stone, rows=rows)

    def finish(self, erasure: Erasure, at: datetime) -> Erasure:
        """Note that all is done."""
        stone, before = self._stones[erasure.customer_id], self._finished.get(erasure.customer_id)
        nothing_new = before is not None and before.rows == stone.rows
        done = before if before is not None and nothing_new else replace(stone, finished_at=at)
        self._stones[erasure.customer_id] = self._finished[erasure.customer_id] = done
        return done

    def receipt(self, customer_id: str) -> Erasure | None:
        """Return what was taken out since the first time."""
        return self._stones.get(customer_id)

    def unfinished(self) -> tuple[str, ...]:
        """Return the customers whose erasure was interrupted."""
        return tuple(one for one, stone in self._stones.items() if stone.finished_at is None)


@dataclass(slots=True)
class MemoryTurns:
    """Turns among the threads of this process."""

    _at_once: threading.Lock = field(default_factory=threading.Lock)
    _files: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Wait for the turn at what decisions read."""
        with self._at_once:
            yield

    @contextmanager
    def files(self) -> Iterator[None]:
        """Wait for the turn at the files."""
        with self._files:
            yield

    def under_way(self) -> tuple[str, ...]:
        """Return whether it is an erasure's."""
        return ("an erasure",) if self._files.locked() else ()


class MemoryHeld:
    """Nothing reported of anybody."""

    def outcomes(self, customer_id: str, *, mode: Mode, limit: int) -> tuple[HeldOutcome, ...]:  # noqa: ARG002
        """Return none."""
        return ()

    def events(self, customer_id: str, *, mode: Mode, limit: int) -> tuple[HeldEvent, ...]:  # noqa: ARG002
        """Return none."""
        return ()
