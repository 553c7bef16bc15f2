"""Keys: made from 256 random bits, kept as a digest, shown once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from moment.errors import DependencyError
from serving.ports import ApiKey, Keys, Scope
from serving.records import Mode

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. The secret is nowhere else: who loses it makes another key."""

    key: ApiKey
    secret: str


def digest(secret: str) -> bytes:
    """Return what is kept of a secret. It is random and long, so a plain SHA-256 cannot be searched."""
    return hashlib.sha256(secret.encode()).digest()


def create_key(
    keys: Keys, *, mode: Mode, scopes: frozenset[Scope], channel: str | None, label: str, now: datetime
) -> NewKey:
    """Make a key and store it."""
    key = ApiKey(
        key_id=f"key_{secrets.token_hex(6)}",
        label=label,
        mode=mode,
        scopes=scopes,
        channel=channel,
        created_at=now,
    )
    secret = f"moment_{mode}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    keys.add(key, digest(secret))
    return NewKey(key, secret)


def revoke_key(keys: Keys, key_id: str, now: datetime) -> ApiKey:
    """Revoke a key; every worker refuses it from its next request on."""
    key = keys.revoke(key_id, now)
    if key is None:
        raise DependencyError(f"there is no key {key_id}; `moment keys list` shows them")
    return key
