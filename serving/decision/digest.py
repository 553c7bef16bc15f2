"""One text for one content: the canonical JSON a version's digest is taken of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, time, timedelta


def digest_of(content: object) -> str:
    """Return the SHA-256 of a value made of frozen dataclasses, collections, times and scalars."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def canonical(content: object) -> str:
    """Return the canonical JSON: keys sorted, no white space, instants in UTC, durations in seconds."""
    return json.dumps(
        _plain(content), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def _plain(value: object) -> object:
    match value:
        case datetime():
            plain: object = value.astimezone(UTC).isoformat()
        case time():
            plain = value.isoformat()
        case timedelta():
            plain = value.total_seconds()
        case Mapping():
            plain = {str(key): _plain(item) for key, item in value.items()}
        case frozenset():
            plain = sorted(str(word) for word in value)
        case list() | tuple():
            plain = [_plain(item) for item in value]
        case _ if is_dataclass(value):
            plain = {one.name: _plain(getattr(value, one.name)) for one in fields(value) if one.compare}
        case _:
            plain = value
    return plain
