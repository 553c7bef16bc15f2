"""Every port in memory: for tests, examples and trying things out. Nothing outlives the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np

from features.contract import FeatureContract
from moment.errors import DependencyError, MomentError, StepMissing
from serving.adapters.memory_contacts import MemoryContacts
from serving.adapters.memory_outcomes import MemoryOutcomes
from serving.decision.actions import Candidate
from serving.decision.catalogue import Catalogue
from serving.decision.decision import Scores
from serving.decision.values import Scalar
from serving.ports import NOBODY, ApiKey, CustomerFacts, Entry, FoundKey, Past, Reservation, Secret
from serving.records import DecisionRecord


@dataclass(slots=True)
class MemoryFeatures:
    """Customers held in a dictionary. With `broken` set, reading fails as a store that is away does."""

    contract: FeatureContract
    customers: Mapping[str, CustomerFacts] = field(default_factory=dict)
    broken: bool = False

    def read(self, customer_id: str, now: datetime) -> CustomerFacts:  # noqa: ARG002 - facts here do not age
        """Return the customer's facts."""
        if self.broken:
            raise DependencyError("the feature store does not answer; try again later")
        return self.customers.get(customer_id, NOBODY)

    def newest(self) -> datetime:
        """Return the newest event time of all customers."""
        times = [time for facts in self.customers.values() for time in facts.event_times.values()]
        if not times:
            raise StepMissing("no features are online", run="moment features materialize")
        return max(times)


@dataclass(frozen=True, slots=True)
class TableScorer:
    """Propensities by action from a table, `default` for those it does not name; raw scores are the same."""

    propensities: Mapping[str, float] = field(default_factory=dict)
    default: float = 0.1
    version: str = "table"

    def score(
        self,
        customer: CustomerFacts,  # noqa: ARG002 - the table knows no customers
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],  # noqa: ARG002 - nor any context
        slots: int,  # noqa: ARG002
    ) -> Scores:
        """Look every contender up."""
        found = [self.propensities.get(item.action.action_id, self.default) for item in contenders]
        return Scores(raw=np.array(found), propensity=np.array(found))


@dataclass(frozen=True, slots=True)
class RuleSegmenter:
    """Personas by a function of the features."""

    rule: Callable[[CustomerFacts], str | None]
    version: str = "rule"

    def assign(self, customer: CustomerFacts) -> str | None:
        """Apply the function."""
        return self.rule(customer)


class MemoryRecords:
    """Records in a list, under one lock; `contacts` has what their answers take, `outcomes` the reports."""

    def __init__(self, contacts: MemoryContacts | None = None) -> None:
        self.contacts = contacts or MemoryContacts()
        self.outcomes = MemoryOutcomes(self.contacts, self.find)
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def append(
        self,
        entry: Entry,
        reservation: Reservation | None = None,
        *,
        more: bool = False,  # noqa: ARG002 - nothing is gained by waiting
    ) -> Future[Entry]:
        """Keep the record and what its answer takes, unless the key's request has a record."""
        future: Future[Entry] = Future()
        try:
            future.set_result(self._append(entry, reservation))
        except MomentError as error:
            future.set_exception(error)
        return future

    def _append(self, entry: Entry, reservation: Reservation | None) -> Entry:
        record = entry.record
        with self._lock:
            earlier = record.request_id and self._request(record.key_id, record.request_id)
            if earlier:
                return earlier
            if reservation is not None:
                self.contacts.reserve(reservation)
            self._entries.append(entry)
            self.outcomes.count_waiting(record)
            return entry

    def find(self, decision_id: str) -> DecisionRecord | None:
        """Return a record by its id."""
        return next((e.record for e in self._entries if e.record.decision_id == decision_id), None)

    def find_request(self, key_id: str, request_id: str) -> Entry | None:
        """Return what a key's request was answered with."""
        with self._lock:
            return self._request(key_id, request_id)

    def find_requests(self, key_id: str, request_ids: Sequence[str]) -> dict[str, DecisionRecord]:
        """Return what several of a key's requests were answered with, by request id."""
        found = ((request_id, self.find_request(key_id, request_id)) for request_id in request_ids)
        return {request_id: entry.record for request_id, entry in found if entry is not None}

    def history(self, customer_id: str, wanted: Past) -> tuple[DecisionRecord, ...]:
        """Return the records that fit of a customer and of who they are linked with, newest first.

        Of one instant, the one recorded last comes first.
        """
        members = self.contacts.members(customer_id)
        with self._lock:
            records = [entry.record for entry in self._entries]
        order = {record.decision_id: (record.decided_at, place) for place, record in enumerate(records)}
        end = None if wanted.before is None else order.get(wanted.before.decision_id)
        found = [
            record
            for record in records
            if record.personal is not None
            and record.personal.customer_id in members
            and _fits(record, wanted)
            and (end is None or order[record.decision_id] < end)
        ]
        found.sort(key=lambda record: order[record.decision_id], reverse=True)
        return tuple(found[: wanted.limit])

    def _request(self, key_id: str, request_id: str) -> Entry | None:
        wanted = (key_id, request_id)
        return next((e for e in self._entries if (e.record.key_id, e.record.request_id) == wanted), None)


def _fits(record: DecisionRecord, wanted: Past) -> bool:
    actions = {offer.action for placement in record.placements for offer in placement.offers}
    return (
        record.mode is wanted.mode
        and wanted.channel in (None, record.channel)
        and (wanted.action is None or wanted.action in actions)
        and (wanted.since is None or record.decided_at >= wanted.since)
        and (wanted.until is None or record.decided_at < wanted.until)
    )


class MemoryKeys:
    """Keys in a dictionary by their id, and their secrets by digest."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}
        self._secrets: dict[bytes, tuple[str, Secret]] = {}

    def add(self, key: ApiKey, secret_sha256: bytes, public_key: bytes | None = None) -> None:
        """Keep a new key."""
        self._keys[key.key_id] = key
        self._secrets[secret_sha256] = key.key_id, Secret(key.created_at, public_key=public_key)

    def find(self, secret_sha256: bytes) -> FoundKey | None:
        """Return the key of this secret."""
        key_id, secret = self._secrets.get(secret_sha256, ("", None))
        return None if secret is None else FoundKey(self._keys[key_id], secret)

    def all(self) -> tuple[ApiKey, ...]:
        """Return all keys, oldest first."""
        return tuple(sorted(self._keys.values(), key=lambda key: (key.created_at, key.key_id)))

    def secrets(self, key_id: str) -> tuple[Secret, ...]:
        """Return a key's secrets, oldest first."""
        found = [secret for of, secret in self._secrets.values() if of == key_id]
        return tuple(sorted(found, key=lambda secret: secret.created_at))

    def publish(self, secret_sha256: bytes, public_key: bytes) -> None:
        """Keep what verifies a secret's signatures."""
        key_id, secret = self._secrets[secret_sha256]
        self._secrets[secret_sha256] = key_id, replace(secret, public_key=secret.public_key or public_key)

    def rotate(
        self,
        key_id: str,
        secret_sha256: bytes,
        *,
        at: datetime,
        until: datetime,
        public_key: bytes | None = None,
    ) -> ApiKey | None:
        """Give a key another secret and end the earlier ones at `until`."""
        key = self._keys.get(key_id)
        if key is None or key.revoked_at is not None:
            return None
        for shown, (of, secret) in list(self._secrets.items()):
            if of == key_id:
                end = min(until, secret.expires_at or until)
                self._secrets[shown] = of, replace(secret, expires_at=end)
        self._secrets[secret_sha256] = key_id, Secret(at, public_key=public_key)
        return key

    def used(self, secret_sha256: bytes, on: date) -> None:
        """Remember the day a secret opened something."""
        key_id, secret = self._secrets[secret_sha256]
        self._secrets[secret_sha256] = key_id, replace(secret, last_used_on=on)

    def revoke(self, key_id: str, at: datetime) -> ApiKey | None:
        """Revoke a key."""
        key = self._keys.get(key_id)
        if key is not None:
            key = self._keys[key_id] = replace(key, revoked_at=key.revoked_at or at)
        return key


@dataclass(frozen=True, slots=True)
class MemoryCatalogues:
    """An archive of the catalogues given to it."""

    catalogues: tuple[Catalogue, ...]

    def find(self, digest: str) -> Catalogue | None:
        """Return the catalogue with this digest."""
        return next((item for item in self.catalogues if item.digest == digest), None)


@dataclass(slots=True)
class FixedClock:
    """A clock that stands still until it is set."""

    at: datetime

    def __call__(self) -> datetime:
        """Return the set instant."""
        return self.at


@dataclass(slots=True)
class CountingIds:
    """Ids that count: `decision-1`, `decision-2` and so on."""

    count: int = 0

    def __call__(self, now: datetime) -> str:  # noqa: ARG002 - these ids sort by count
        """Return the next id."""
        self.count += 1
        return f"decision-{self.count}"
