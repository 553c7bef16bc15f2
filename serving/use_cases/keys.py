"""Keys: made from 256 random bits, kept as a digest, shown once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from moment.errors import DependencyError
from serving.ports import ApiKey, Bounds, Keys, Role, Scope
from serving.records import Mode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX = "moment_"
"""How every secret begins, so that one that was left lying about is found by searching."""

_EVERYBODY = frozenset({Scope.READ_MODELS, Scope.STOP})
"""Whoever sees a wrong offer stops it, and asks nobody first."""

ROLES: Mapping[Role, frozenset[Scope]] = MappingProxyType(
    {
        Role.RISK_OFFICER: _EVERYBODY
        | {Scope.READ_DECISIONS, Scope.READ_CUSTOMERS, Scope.READ_SCORES, Scope.APPROVE_MODELS},
        Role.DATA_SCIENTIST: _EVERYBODY | {Scope.READ_DECISIONS, Scope.READ_SCORES, Scope.READ_METRICS},
        Role.OPERATOR: _EVERYBODY | {Scope.READ_METRICS},
        Role.SUPPORT: _EVERYBODY
        | {Scope.READ_DECISIONS, Scope.READ_CUSTOMERS, Scope.WRITE_CONSENTS, Scope.ERASE_CUSTOMERS},
    }
)
"""What a person may do with their own key, by what they work as."""

PERSONAL_BOUNDS = Bounds(per_second=10, burst=30, customers_per_hour=200)
"""How much a person may ask where their key says nothing else: as much as anybody can read."""

_SECRET_BYTES = 32
_SIGNING = b"moment life v1"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with a secret just made. The secret is nowhere else: who loses it rotates the key."""

    key: ApiKey
    secret: str


def digest(secret: str) -> bytes:
    """Return what is kept of a secret. It is random and long, so a plain SHA-256 cannot be searched."""
    return hashlib.sha256(secret.encode()).digest()


def signing_key(secret: str) -> Ed25519PrivateKey:
    """Return what a person signs with: made of the secret of their own key, which nobody else has."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derive = HKDF(algorithm=SHA256(), length=_SECRET_BYTES, salt=None, info=_SIGNING)
    return Ed25519PrivateKey.from_private_bytes(derive.derive(secret.encode()))


def public_key_of(secret: str) -> bytes:
    """Return what verifies the signatures made with a secret: 32 bytes that tell nothing of it."""
    return signing_key(secret).public_key().public_bytes_raw()


def create_key(
    keys: Keys,
    *,
    mode: Mode,
    scopes: frozenset[Scope],
    channel: str | None,
    label: str,
    now: datetime,
    expires_at: datetime | None = None,
    bounds: Bounds | None = None,
) -> NewKey:
    """Make a channel's key and store it."""
    return _add(
        keys,
        ApiKey(
            key_id=_new_id(),
            label=label,
            mode=mode,
            scopes=scopes,
            channel=channel,
            created_at=now,
            expires_at=expires_at,
            bounds=bounds,
        ),
    )


def create_personal_key(
    keys: Keys,
    *,
    person: str,
    role: Role,
    now: datetime,
    mode: Mode = Mode.LIVE,
    expires_at: datetime | None = None,
    bounds: Bounds | None = None,
) -> NewKey:
    """Make a person's own key and store it: whatever it is used for counts as done by that person."""
    return _add(
        keys,
        ApiKey(
            key_id=_new_id(),
            label="",
            mode=mode,
            scopes=ROLES[role],
            channel=None,
            created_at=now,
            expires_at=expires_at,
            bounds=PERSONAL_BOUNDS if bounds is None else bounds,
            person=person,
            role=role,
        ),
    )


def rotate_key(keys: Keys, key_id: str, now: datetime, *, grace: timedelta) -> NewKey:
    """Give a key a new secret; the earlier ones go on opening it for `grace`, then no more."""
    known = next((key for key in keys.all() if key.key_id == key_id), None)
    if known is None:
        raise _nothing(key_id)
    secret = _new_secret(known.mode)
    public_key = None if known.person is None else public_key_of(secret)
    rotated = keys.rotate(key_id, digest(secret), at=now, until=now + grace, public_key=public_key)
    if rotated is None:
        raise DependencyError(f"{key_id} is revoked, a new secret would open nothing; create another key")
    return NewKey(rotated, secret)


def revoke_key(keys: Keys, key_id: str, now: datetime) -> ApiKey:
    """Revoke a key; every worker refuses it from its next request on."""
    key = keys.revoke(key_id, now)
    if key is None:
        raise _nothing(key_id)
    return key


def _add(keys: Keys, key: ApiKey) -> NewKey:
    secret = _new_secret(key.mode)
    keys.add(key, digest(secret), None if key.person is None else public_key_of(secret))
    return NewKey(key, secret)


def _new_id() -> str:
    return f"key_{secrets.token_hex(6)}"


def _new_secret(mode: Mode) -> str:
    return f"{PREFIX}{mode}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def _nothing(key_id: str) -> DependencyError:
    return DependencyError(f"there is no key {key_id}; `moment keys list` shows them")
