"""Erasing a customer, and telling one what is held."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from serving.decision.values import Scalar
from serving.records import Mode


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure on its way.

    Parameters
    ----------
    customer_id, tombstone_id, asked_at
        Who, what is left, and when it was asked for.
    online_refs
        Under which names the customer's real-time states are online.
    rows
        Rows taken out so far, by store.
    finished_at
        When all was done.
    """

    customer_id: str = field(repr=False)
    tombstone_id: str
    asked_at: datetime
    online_refs: tuple[str, ...]
    rows: Mapping[str, int]
    finished_at: datetime | None = None


class Erasures(Protocol):
    """Takes customers out of the operational database, and remembers how far an erasure came."""

    def begin(self, customer_id: str, at: datetime) -> Erasure:
        """Destroy the keys of a customer and their profiles, take everything out, leave a tombstone.

        Durable, all at once. Interrupted ones go on: the rows are then of the whole.
        """
        ...

    def step(self, erasure: Erasure, store: str, rows: int) -> None:
        """Note durably what was taken out of another store."""
        ...

    def finish(self, erasure: Erasure, at: datetime) -> None:
        """Note durably that all is done; DependencyError when a copy of the key may still be on the disk."""
        ...

    def receipt(self, customer_id: str) -> Erasure | None:
        """Return what was taken out of all stores since the first time; None for who was never erased."""
        ...

    def unfinished(self) -> tuple[str, ...]:
        """Return the customers whose erasure was interrupted."""
        ...


class CustomerStore(Protocol):
    """Another store that knows customers."""

    @property
    def name(self) -> str:
        """What receipts call it."""
        ...

    @property
    def erase(self) -> Callable[[Erasure], int]:
        """What takes a customer out of it, as often as it is called, and counts the rows there were."""
        ...


@dataclass(frozen=True, slots=True)
class HeldOutcome:
    """An outcome reported of one of a customer's offers."""

    tracking_id: str
    kind: str
    occurred_at: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """An event of a customer, as it was reported."""

    kind: str
    occurred_at: datetime
    channel: str
    attributes: Mapping[str, Scalar]


class HeldRows(Protocol):
    """Outcomes and events of one customer, linked profiles included, newest first."""

    def outcomes(self, customer_id: str, *, mode: Mode, limit: int) -> tuple[HeldOutcome, ...]:
        """Return what was reported of their offers."""
        ...

    def events(self, customer_id: str, *, mode: Mode, limit: int) -> tuple[HeldEvent, ...]:
        """Return what they did."""
        ...
