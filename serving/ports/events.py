"""The journal of events, and features in real time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from features.contract import FeatureContract
from features.realtime import Event
from serving.ports.contacts import Verdict
from serving.ports.customers import CustomerFacts
from serving.records import Mode


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An event on its way to the journal.

    Parameters
    ----------
    profile
        Whose it is: a customer id, or the key of an identity nobody has linked yet.
    event
        What is folded. Its time is no later than it was reported.
    body
        The event as reported: tells the same report under an id from another one.
    """

    profile: str
    event: Event
    body: bytes


@dataclass(frozen=True, slots=True)
class Journaled:
    """What became of events on the disk.

    Parameters
    ----------
    verdicts
        Of each in turn: recorded, duplicate or conflict.
    visible
        Done when every later decision, on every worker, sees what was recorded; False when the online store
        does not take it now. It will be tried again, after a restart too.
    """

    verdicts: tuple[Verdict, ...]
    visible: Future[bool]


class EventJournal(Protocol):
    """Every event taken, each once. What it has acknowledged survives a crash, and is folded once."""

    def append(
        self, entries: Sequence[JournalEntry], *, mode: Mode, key_id: str, received_at: datetime
    ) -> Future[Journaled]:
        """Store events together with the states they are folded into; done when all is on the disk.

        An event id stands for one event of its mode: the first report of it.
        """
        ...


class RealtimeFeatures(Protocol):
    """What customers do right now, as a decision sees it."""

    @property
    def contract(self) -> FeatureContract:
        """The features; rules and templates may name them, models do not."""
        ...

    def read(self, profile: str, *, mode: Mode, now: datetime) -> CustomerFacts:
        """Return the features of a profile at ``now``, those it is linked with included.

        `found` tells whether any event was ever taken. Test and live events never meet. DependencyError when
        the store cannot say.
        """
        ...
