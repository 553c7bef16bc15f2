"""Decision records, and the catalogues and models they cite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Protocol

from features.contract import FeatureContract
from serving.decision.actions import Action
from serving.decision.catalogue import Catalogue
from serving.ports.contacts import Reservation
from serving.ports.customers import Scorer, Segmenter
from serving.records import DecisionRecord, Mode, Versions


@dataclass(frozen=True, slots=True)
class Entry:
    """A record on its way to the store, with what idempotency needs.

    Parameters
    ----------
    record
        The decision.
    request_sha256
        Digest of the request's body: tells the same request from another one under its id.
    """

    record: DecisionRecord
    request_sha256: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in a customer's history: records are ordered by this, newest first."""

    decided_at: datetime
    decision_id: str


@dataclass(frozen=True, slots=True)
class Past:
    """Which of a customer's records are wanted.

    Parameters
    ----------
    mode
        Test and live share nothing.
    limit
        How many at most.
    channel, action
        Only those of this channel, only those that offered this action; None for any.
    since, until
        Decided at or after the one, before the other; None for no bound.
    before
        Only what stands before this in time: a page goes on where another ended.
    """

    mode: Mode
    limit: int
    channel: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: Place | None = None


class DecisionRecords(Protocol):
    """The store of decision records. What it has acknowledged survives a crash."""

    def append(
        self, entry: Entry, reservation: Reservation | None = None, *, more: bool = False
    ) -> Future[Entry]:
        """Store a record durably, together with what its answer takes.

        The future holds the entry that stands for this request: the given one or, when the same key already
        has a record under this request id, that earlier one (the given one is then dropped, its reservation
        too). It raises StaleHistory, and nothing is stored, when the customer's version is no longer the
        reservation's or a budget or volume has run out.

        With `more` the caller is about to append another, and may have to wait a few milliseconds longer for
        both to be stored together.
        """
        ...

    def find(self, decision_id: str) -> DecisionRecord | None:
        """Return a record by its id."""
        ...

    def find_request(self, key_id: str, request_id: str) -> Entry | None:
        """Return what a key's request was answered with."""
        ...

    def find_requests(self, key_id: str, request_ids: Sequence[str]) -> dict[str, DecisionRecord]:
        """Return what several of a key's requests were answered with, by request id."""
        ...

    def history(self, customer_id: str, wanted: Past) -> tuple[DecisionRecord, ...]:
        """Return the records that fit of a customer and of the profiles linked with them, newest first.

        One who was erased has none.
        """
        ...


@dataclass(frozen=True, slots=True)
class Expiry:
    """Until when what was recorded is kept: what was received before each of these is due.

    Parameters
    ----------
    personal
        For the personal part of live records, events told in live mode, and reports of outcomes whose
        decision never turned up.
    records
        For live records as a whole, with the contacts and outcomes of their offers.
    test
        For records and events of test traffic.
    """

    personal: datetime
    records: datetime
    test: datetime


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much was removed, or is due.

    Personal parts, whole records, contacts, outcomes, keys of days, events, and reports of outcomes that wait
    no longer.
    """

    personal: int = 0
    records: int = 0
    contacts: int = 0
    outcomes: int = 0
    keys: int = 0
    events: int = 0
    reports: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Pruned(*(ours + theirs for ours, theirs in pairs))


class RetainedRecords(Protocol):
    """What a store forgets when its time has come."""

    def due(self, expiry: Expiry) -> Pruned:
        """Return how much is due, but for what hangs on whole records."""
        ...

    def prune(self, expiry: Expiry, limit: int) -> Pruned:
        """Remove at most so many of what is due, durably; nothing was left when nothing was removed."""
        ...

    def compact(self) -> bool:
        """Overwrite what was removed wherever it still lies; False when readers did not let it."""
        ...

    def cited(self) -> Mapping[Versions, int]:
        """Return by which versions how many of the records were decided."""
        ...


class CatalogueArchive(Protocol):
    """Every catalogue a record cites."""

    def find(self, digest: str) -> Catalogue | None:
        """Return the catalogue with this digest."""
        ...


class ModelArchive(Protocol):
    """Every model a record cites, as long as it is kept."""

    def scorer(self, digest: str, actions: Sequence[Action]) -> Scorer | None:
        """Return the propensity model with this digest, for actions; None when it is not kept.

        DependencyError when it is no longer what it was.
        """
        ...

    def segmenter(self, digest: str) -> Segmenter | None:
        """Return the segmentation model with this digest; None and DependencyError likewise."""
        ...

    def contract(self, propensity: str) -> FeatureContract | None:
        """Return the features a propensity model was trained on; None and DependencyError likewise."""
        ...
