"""The ledger of what is done to models: append-only, signed, one for all workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from moment.errors import DependencyError
from serving.lifecycle import Actor, Book, Written
from serving.lifecycle.acts import AnyAct


class LedgerBroken(DependencyError):
    """The ledger is not what was signed, or lost what was read from it: nothing it says is believed."""


class Signer(Protocol):
    """Somebody who signs what they do: a person with their own key, or the machine."""

    @property
    def actor(self) -> Actor:
        """Who it is."""
        ...

    @property
    def public_key(self) -> bytes:
        """What their signatures are verified with: Ed25519, 32 bytes."""
        ...

    def sign(self, content: bytes) -> bytes:
        """Return the signature of some bytes: 64 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """An entry with what vouches for it.

    Parameters
    ----------
    entry
        The act, who, when.
    content
        The entry's text, as it is stored and signed.
    previous, digest
        Of the entry before it (zeros for the first), and SHA-256 of that and `content`.
    signature, public_key
        Ed25519, of `digest`.
    """

    entry: Written
    content: bytes
    previous: bytes
    digest: bytes
    signature: bytes
    public_key: bytes


class LifeLedger(Protocol):
    """The ledger. Nothing is ever changed or taken out of it."""

    def seq(self) -> int:
        """Return how many entries there are; asked several times a second, so it costs one small read."""
        ...

    def book(self) -> Book:
        """Return what all entries come to. What was read before is not read again.

        Raises
        ------
        LedgerBroken
            What is new is not what was signed, or what was read before is not there any more.
        DependencyError
            The ledger cannot be read.
        """
        ...

    def entries(self, after: int = 0) -> tuple[Signed, ...]:
        """Return the entries after a number, in order."""
        ...

    def append(self, decide: Callable[[Book], Sequence[AnyAct]], by: Signer) -> Book:
        """Ask what is to be done, given the newest book, and append it at once or not at all.

        Nobody else appends meanwhile; what `decide` raises is raised, and nothing is written. Returns the
        book with the new acts.
        """
        ...

    def verify(self) -> int:
        """Check the chain and every signature; return the number of entries.

        Raises
        ------
        LedgerBroken
            Names the first entry that is not what was signed.
        """
        ...
