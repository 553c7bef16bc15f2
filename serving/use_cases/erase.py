"""Erasing a customer, everywhere, for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from moment.errors import InvalidRequest
from serving.ports import Clock, CustomerStore, Erasures, Scope
from serving.records import Mode
from serving.use_cases.access import Caller


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased: rows by store, when it was asked for and done, and the tombstone that is left."""

    tombstone_id: str
    asked_at: datetime
    finished_at: datetime
    rows: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class EraseCustomer:
    """The use case.

    Parameters
    ----------
    erasures
        The operational database; it goes first, so that from then on nobody is decided for by what was known.
    stores
        The others, in their order.
    clock
        Tells when.
    """

    erasures: Erasures
    stores: Sequence[CustomerStore]
    clock: Clock

    def __call__(self, caller: Caller, customer_id: str) -> Receipt:
        """Erase a customer; it takes as long as writing the files anew takes.

        Repeating it finds nothing more. One that was interrupted is gone on with, and its receipt is of the
        whole. Somebody nobody knows gets the same answer, and may not come later either.

        Raises
        ------
        InvalidRequest
            A test key: it may not change what live traffic knows. Or about too many customers was asked.
        DependencyError
            A store does not answer or is being written; erase again.
        """
        caller.require(Scope.ERASE_CUSTOMERS)
        if caller.mode is not Mode.LIVE:
            raise InvalidRequest(
                "only a live key may erase: there is one of each customer, for live and test alike",
                code="live-only",
            )
        caller.ask_about(customer_id)
        return self.erase(customer_id)

    def resume(self) -> tuple[Receipt, ...]:
        """Go on with what was interrupted."""
        return tuple(self.erase(customer_id) for customer_id in self.erasures.unfinished())

    def erase(self, customer_id: str) -> Receipt:
        """Erase for whoever runs Moment."""
        erasure = self.erasures.begin(customer_id, self.clock())
        rows = dict(erasure.rows)
        for store in self.stores:
            found = store.erase(erasure)
            self.erasures.step(erasure, store.name, found)
            rows[store.name] = rows.get(store.name, 0) + found
        finished_at = self.clock()
        self.erasures.finish(erasure, finished_at)
        return Receipt(erasure.tombstone_id, erasure.asked_at, finished_at, tuple(sorted(rows.items())))
