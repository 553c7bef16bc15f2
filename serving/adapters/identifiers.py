"""The clock and the ids of a running service."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime

from serving.adapters.instants import to_microseconds


def utc_now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def time_ordered_id(now: datetime) -> str:
    """Return a UUID of version 7 (RFC 9562): milliseconds since 1970, then 74 random bits."""
    return _uuid7(now, secrets.randbits(74))


def named_id(now: datetime, name: str) -> str:
    """Return a UUID of the same form whose bits come from a name: the same name has the same id for ever."""
    digest = hashlib.sha256(name.encode()).digest()
    return _uuid7(now, int.from_bytes(digest, "big") >> (256 - 74))


def _uuid7(now: datetime, random: int) -> str:
    milliseconds = to_microseconds(now) // 1000
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
