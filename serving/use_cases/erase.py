"""Erasing a customer, everywhere, for good.

What matters at once comes first: the key is destroyed and nothing of the customer is online any more,
whatever becomes of the rest. The files are written anew after that, one erasure at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from moment.errors import InvalidRequest, InvariantViolation
from serving.ports import Clock, CustomerStore, ErasingTurns, Erasure, Erasures, Scope
from serving.records import Mode
from serving.use_cases.access import Caller


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased since the first time: rows by store, when it was asked for and done, the tombstone."""

    tombstone_id: str
    asked_at: datetime
    finished_at: datetime
    rows: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, erasure: Erasure) -> Self:
        """Return the receipt of an erasure that is done."""
        if erasure.finished_at is None:
            raise InvariantViolation("an erasure that is under way has no receipt yet")
        rows = tuple(sorted(erasure.rows.items()))
        return cls(erasure.tombstone_id, erasure.asked_at, erasure.finished_at, rows)


@dataclass(frozen=True, slots=True)
class EraseCustomer:
    """The use case.

    Parameters
    ----------
    erasures
        The operational database; it goes first, so that from then on nobody is decided for by what was known.
    stores
        The others, in their order.
    turns
        Keep erasures apart.
    clock
        Tells when.
    """

    erasures: Erasures
    stores: Sequence[CustomerStore]
    turns: ErasingTurns
    clock: Clock

    def __call__(self, caller: Caller, customer_id: str) -> Receipt:
        """Erase a customer; it takes as long as writing the files anew takes.

        Repeating it looks everywhere again, and the receipt stays the same unless more was found. One that
        was interrupted is gone on with; one that somebody else is at is waited for. Somebody nobody knows
        gets a receipt of no rows, and may not come later either.

        Raises
        ------
        InvalidRequest
            A test key: it may not change what live traffic knows. Or about too many customers was asked.
        DependencyError
            A store does not answer or is being written; erase again.
        """
        return self.finish(self.begin(caller, customer_id))

    def begin(self, caller: Caller, customer_id: str) -> Erasure:
        """Do what matters at once: nobody can read or decide by what was known. `finish` does the rest."""
        caller.require(Scope.ERASE_CUSTOMERS)
        if caller.mode is not Mode.LIVE:
            raise InvalidRequest(
                "only a live key may erase: there is one of each customer, for live and test alike",
                code="live-only",
            )
        caller.ask_about(customer_id)
        return self.start(customer_id)

    def finish(self, erasure: Erasure) -> Receipt:
        """Take the customer out of the files, as soon as nobody else writes them."""
        with self.turns.files():
            known = self.erasures.receipt(erasure.customer_id)
            if known is not None and known.finished_at is not None:
                return Receipt.of(known)
            for store in self.stores:
                if not store.at_once:
                    self._clear(store, erasure)
            # Once more: it may have been loaded from the files before they were cleared
            self._clear_at_once(erasure)
            return Receipt.of(self.erasures.finish(erasure, self.clock()))

    def resume(self) -> tuple[Receipt, ...]:
        """Go on with what was interrupted."""
        return tuple(self.erase(customer_id) for customer_id in self.erasures.unfinished())

    def erase(self, customer_id: str) -> Receipt:
        """Erase for whoever runs Moment."""
        return self.finish(self.start(customer_id))

    def start(self, customer_id: str) -> Erasure:
        """Begin for whoever runs Moment."""
        erasure = self.erasures.begin(customer_id, self.clock())
        self._clear_at_once(erasure)
        return erasure

    def _clear_at_once(self, erasure: Erasure) -> None:
        with self.turns.at_once():
            for store in self.stores:
                if store.at_once:
                    self._clear(store, erasure)

    def _clear(self, store: CustomerStore, erasure: Erasure) -> None:
        """Take the customer out of a store; it is counted before, for nobody can afterwards."""
        self.erasures.note(erasure, store.name, store.held(erasure))
        store.erase(erasure)
        self.erasures.note(erasure, store.name, {})
