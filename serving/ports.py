"""What deciding needs from outside, as Protocols, and the values that cross the border.

Adapters implement these; only bootstrap chooses which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from features.contract import FeatureContract, FeatureValue
from serving.decision.actions import Candidate
from serving.decision.catalogue import Catalogue
from serving.decision.decision import Scores
from serving.decision.values import FeatureState, Scalar
from serving.records import DecisionRecord, Mode


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """What the feature store knows of one customer at a time.

    Parameters
    ----------
    found
        Whether it knows the customer at all.
    values
        Every feature of the contract by name; None where missing, expired or masked. Empty when not found.
    states
        Why each value is as it is.
    event_times
        Per feature view, the time its values are as of, UTC.
    """

    found: bool
    values: Mapping[str, FeatureValue]
    states: Mapping[str, FeatureState]
    event_times: Mapping[str, datetime]


NOBODY = CustomerFacts(found=False, values={}, states={}, event_times={})
"""What is known of a customer nobody knows."""


class CustomerFeatures(Protocol):
    """The feature store as a decision sees it."""

    @property
    def contract(self) -> FeatureContract:
        """The features it serves."""
        ...

    def read(self, customer_id: str, now: datetime) -> CustomerFacts:
        """Return what is known of the customer at ``now``; DependencyError when the store cannot say."""
        ...

    def newest(self) -> datetime:
        """Return the time of the newest features; StepMissing when there are none."""
        ...


class Scorer(Protocol):
    """The propensity model."""

    @property
    def version(self) -> str:
        """Digest of the bundle."""
        ...

    def score(
        self,
        customer: CustomerFacts,
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],
        slots: int,
    ) -> Scores:
        """Score all contenders in one call; ``slots`` is how many offers are asked for together."""
        ...


class Segmenter(Protocol):
    """The segmentation model."""

    @property
    def version(self) -> str:
        """Digest of the bundle."""
        ...

    def assign(self, customer: CustomerFacts) -> str | None:
        """Return the name of the customer's persona, or None when too little is known."""
        ...


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


class DecisionRecords(Protocol):
    """The store of decision records. What it has acknowledged survives a crash."""

    def append(self, entry: Entry) -> Future[Entry]:
        """Store a record durably.

        The future holds the entry that stands for this request: the given one or, when the same key already
        has a record under this request id, that earlier one (the given one is then dropped).
        """
        ...

    def find(self, decision_id: str) -> DecisionRecord | None:
        """Return a record by its id."""
        ...

    def find_request(self, key_id: str, request_id: str) -> Entry | None:
        """Return what a key's request was answered with."""
        ...

    def recent(
        self, customer_id: str, *, mode: Mode, channel: str | None, limit: int
    ) -> tuple[DecisionRecord, ...]:
        """Return a customer's newest records of one mode, newest first; of one channel unless None."""
        ...


class CatalogueArchive(Protocol):
    """Every catalogue a record cites."""

    def find(self, digest: str) -> Catalogue | None:
        """Return the catalogue with this digest."""
        ...


class Scope(StrEnum):
    """What a key may do."""

    DECIDE = "decisions:write"
    READ_DECISIONS = "decisions:read"
    READ_CUSTOMERS = "customers:read"
    READ_SCORES = "scores:read"
    ASSERT_CONTEXT = "context:assert"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: everything but the secret.

    Parameters
    ----------
    key_id
        Names it in records, logs and commands. Tells nothing of the secret.
    label
        What people call it.
    mode
        ``live`` or ``test``.
    scopes
        What it may do.
    channel
        The only channel it may speak for; None for any.
    created_at, revoked_at
        UTC. A revoked key opens nothing.
    """

    key_id: str
    label: str
    mode: Mode
    scopes: frozenset[Scope]
    channel: str | None
    created_at: datetime
    revoked_at: datetime | None = None


class Keys(Protocol):
    """The store of keys. It sees digests of secrets, never a secret."""

    def add(self, key: ApiKey, secret_sha256: bytes) -> None:
        """Store a new key."""
        ...

    def find(self, secret_sha256: bytes) -> ApiKey | None:
        """Return the key of this secret, revoked or not."""
        ...

    def all(self) -> tuple[ApiKey, ...]:
        """Return all keys, oldest first."""
        ...

    def revoke(self, key_id: str, at: datetime) -> ApiKey | None:
        """Revoke a key and return it; None when there is none. Revoking again changes nothing."""
        ...


Clock = Callable[[], datetime]
"""Returns the present instant, UTC."""

Ids = Callable[[datetime], str]
"""Returns a new decision id for a decision recorded at that instant; ids sort by it."""
