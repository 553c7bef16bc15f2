"""The ledger of models' lives in SQLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from serving.adapters.identifiers import utc_now
from serving.lifecycle import Book
from serving.lifecycle.acts import AnyAct
from serving.ports import Clock, Keys
from serving.ports.life import Signed, Signer


class SqliteLife:
    """The port `LifeLedger` on the operational database at `path`."""

    def __init__(self, path: Path, machine: Signer, keys: Keys, clock: Clock = utc_now) -> None:
        raise NotImplementedError

    def seq(self) -> int:
        """Return how many entries there are."""
        raise NotImplementedError

    def book(self) -> Book:
        """Return what all entries come to."""
        raise NotImplementedError

    def entries(self, after: int = 0) -> tuple[Signed, ...]:
        """Return the entries after a number."""
        raise NotImplementedError

    def append(self, decide: Callable[[Book], Sequence[AnyAct]], by: Signer) -> Book:
        """Append what is decided, or nothing."""
        raise NotImplementedError

    def verify(self) -> int:
        """Check the chain and every signature."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what it reads with."""
        raise NotImplementedError
