"""The ledger of models' lives in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from serving.adapters.identifiers import utc_now
from serving.adapters.life_chain import Believed, Head, check_chain, link
from serving.lifecycle import Book
from serving.lifecycle.acts import AnyAct
from serving.ports import Clock, Keys
from serving.ports.life import Signed, Signer


class MemoryLife:
    """The port `LifeLedger` in a list."""

    def __init__(self, machine: Signer, keys: Keys, clock: Clock = utc_now) -> None:
        self._machine = machine
        self._believed = Believed(machine, keys)
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: list[Signed] = []
        self._head = Head.first(machine)
        self._book = Book()

    def seq(self) -> int:
        """Return how many entries there are."""
        return self._head.seq

    def book(self) -> Book:
        """Return what all entries come to."""
        return self._book

    def entries(self, after: int = 0) -> tuple[Signed, ...]:
        """Return the entries after a number."""
        return tuple(self._entries[after:])

    def append(self, decide: Callable[[Book], Sequence[AnyAct]], by: Signer) -> Book:
        """Append what is decided, or nothing."""
        with self._lock:
            new = link(self._head, decide(self._book), self._clock(), by)
            if new:
                head = Head.signed(new[-1].entry.seq, new[-1].digest, self._machine)
                check_chain(new, self._believed, self._head, head)
                for one in new:
                    self._book = self._book.after(one.entry)
                self._entries.extend(new)
                self._head = head
            return self._book

    def verify(self) -> int:
        """Check the chain and every signature."""
        with self._lock:
            check_chain(self._entries, self._believed.fresh(), Head(), self._head)
            return len(self._entries)
