"""Keys and tokens: who may ask, what, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from serving.records import Mode


class Scope(StrEnum):
    """What a key may do."""

    DECIDE = "decisions:write"
    READ_DECISIONS = "decisions:read"
    READ_CUSTOMERS = "customers:read"
    READ_SCORES = "scores:read"
    ASSERT_CONTEXT = "context:assert"
    WRITE_EVENTS = "events:write"
    WRITE_OUTCOMES = "outcomes:write"
    LINK_IDENTITIES = "identities:write"
    WRITE_CONSENTS = "consents:write"
    ERASE_CUSTOMERS = "customers:erase"
    EXPORT_CUSTOMERS = "customers:export"
    READ_METRICS = "metrics:read"
    READ_MODELS = "models:read"
    APPROVE_MODELS = "models:approve"
    STOP = "stops:write"


class Role(StrEnum):
    """What a person works as; it says what their key may do."""

    RISK_OFFICER = "risk_officer"
    DATA_SCIENTIST = "data_scientist"
    OPERATOR = "operator"
    SUPPORT = "support"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a key may ask; None is as much as it likes.

    Parameters
    ----------
    per_second, burst
        Requests a second in the long run, and how many at once after a rest. Both or neither.
    customers_per_hour
        Different customers it may ask about in one hour of the clock.
    """

    per_second: float | None = None
    burst: int | None = None
    customers_per_hour: int | None = None


UNBOUNDED = Bounds()


class Allowance(Protocol):
    """Counts what each key has asked lately, for all workers together."""

    def take(self, key_id: str, bounds: Bounds, now: datetime) -> float:
        """Count one request; return 0, or the seconds to wait when it is one too many."""
        ...

    def ask_about(self, key_id: str, customer_id: str, bounds: Bounds, now: datetime) -> float:
        """Count a customer asked about; return 0, or the seconds to wait when it is one too many."""
        ...


@dataclass(frozen=True, slots=True)
class Secret:
    """One of a key's secrets, told apart by when it was made; rotating a key gives it another.

    Parameters
    ----------
    created_at, expires_at
        UTC; None: it does not end by itself.
    last_used_on
        The day it last opened something, UTC; None: never.
    public_key
        What verifies the signatures made with it (Ed25519, 32 bytes); None for a channel's, and for a
        person's that has signed nothing yet.
    """

    created_at: datetime
    expires_at: datetime | None = None
    last_used_on: date | None = None
    public_key: bytes | None = None


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
    expires_at
        UTC; from then on it opens nothing. None: it does not end by itself.
    bounds
        How much it may ask; None where the deployment's bounds hold.
    person, role
        Whose own key it is, and what they work as; None for a channel's.
    """

    key_id: str
    label: str
    mode: Mode
    scopes: frozenset[Scope]
    channel: str | None
    created_at: datetime
    revoked_at: datetime | None = None
    expires_at: datetime | None = None
    bounds: Bounds | None = None
    person: str | None = None
    role: Role | None = None

    def opens(self, now: datetime) -> bool:
        """Whether it still opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key, and the secret of it that was shown."""

    key: ApiKey
    secret: Secret

    def opens(self, now: datetime) -> bool:
        """Whether it still opens anything."""
        ends = self.secret.expires_at
        return self.key.opens(now) and (ends is None or now < ends)


class Keys(Protocol):
    """The store of keys. It sees digests of secrets, never a secret."""

    def add(self, key: ApiKey, secret_sha256: bytes, public_key: bytes | None = None) -> None:
        """Store a new key with its first secret, and what verifies that secret's signatures."""
        ...

    def find(self, secret_sha256: bytes) -> FoundKey | None:
        """Return the key of this secret, whether or not it still opens anything."""
        ...

    def secrets(self, key_id: str) -> tuple[Secret, ...]:
        """Return a key's secrets, oldest first."""
        ...

    def publish(self, secret_sha256: bytes, public_key: bytes) -> None:
        """Store what verifies a secret's signatures, where nothing is stored yet."""
        ...

    def rotate(
        self,
        key_id: str,
        secret_sha256: bytes,
        *,
        at: datetime,
        until: datetime,
        public_key: bytes | None = None,
    ) -> ApiKey | None:
        """Give a key another secret and end the earlier ones at `until`, those that end sooner excepted.

        None when there is no such key, or it is revoked.
        """
        ...

    def used(self, secret_sha256: bytes, on: date) -> None:
        """Remember the day a secret opened something. Costs nothing when that day is known already."""
        ...

    def all(self) -> tuple[ApiKey, ...]:
        """Return all keys, oldest first."""
        ...

    def revoke(self, key_id: str, at: datetime) -> ApiKey | None:
        """Revoke a key and return it; None when there is none. Revoking again changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a verified token says of who sent it.

    Parameters
    ----------
    key_id
        Made of issuer and subject, so that it names nobody in records and logs.
    mode, scopes, channel
        As a key's.
    """

    key_id: str
    mode: Mode
    scopes: frozenset[Scope]
    channel: str | None


class Tokens(Protocol):
    """Verifies tokens that somebody else has signed (JWT)."""

    def read(self, token: str, now: datetime) -> TokenClaims | None:
        """Return what it says, or None when it is not valid for Moment now, for whatever reason."""
        ...
