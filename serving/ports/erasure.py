"""Erasing a customer, and telling one what is held."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
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
        Rows taken out since the first time, by store.
    finished_at
        When all was done.
    theirs
        Whether an identity, by its kind and the SHA-256 of its value, was linked with the customer.
    """

    customer_id: str = field(repr=False)
    tombstone_id: str
    asked_at: datetime
    online_refs: tuple[str, ...]
    rows: Mapping[str, int]
    finished_at: datetime | None = None
    theirs: Callable[[str, str], bool] = field(default=lambda *_: False, repr=False, compare=False)


class Erasures(Protocol):
    """Takes customers out of the operational database, and remembers how far an erasure came."""

    def begin(self, customer_id: str, at: datetime) -> Erasure:
        """Destroy the keys of a customer and their profiles, take everything out, leave a tombstone.

        Durable, all at once. The rows are of the whole: since it was asked for the first time.
        """
        ...

    def note(self, erasure: Erasure, store: str, held: Mapping[str, int]) -> None:
        """Note durably what another store holds, part by part, before it is taken out; nothing when it is.

        So one that is killed in between has counted what it took: what a part holds counts as far as it has
        not been noted since the store was last told to hold nothing.
        """
        ...

    def finish(self, erasure: Erasure, at: datetime) -> Erasure:
        """Note durably that all is done, and return it; what found nothing new is as it was finished before.

        Raises
        ------
        DependencyError
            A copy of the key may still be on the disk.
        """
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
    def at_once(self) -> bool:
        """Whether decisions read it: then it is cleared before everything that takes long, and at the end."""
        ...

    @property
    def held(self) -> Callable[[Erasure], Mapping[str, int]]:
        """What tells how many rows of a customer each part of it holds."""
        ...

    @property
    def erase(self) -> Callable[[Erasure], object]:
        """What takes a customer out of it, as often as it is called."""
        ...


class ErasingTurns(Protocol):
    """Keeps erasures apart from each other, and from whoever else writes the files of a home."""

    def at_once(self) -> AbstractContextManager[None]:
        """Wait for the turn at what decisions read; it takes no time."""
        ...

    def files(self) -> AbstractContextManager[None]:
        """Wait for the turn at the files; DependencyError tells who has it all the time."""
        ...

    def under_way(self) -> tuple[str, ...]:
        """Return who has the turn at the files now, in words."""
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
