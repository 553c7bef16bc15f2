"""Who is asking, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from moment.errors import InvalidRequest
from serving.ports import Keys, Scope
from serving.records import Mode
from serving.use_cases.keys import digest

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks, as their key says.

    Parameters
    ----------
    key_id
        Recorded with everything they ask for.
    mode
        ``test`` may set the time and counts nowhere.
    scopes
        What they may do.
    channel
        The only channel they may speak for; None for any.
    """

    key_id: str
    mode: Mode
    scopes: frozenset[Scope]
    channel: str | None = None

    def require(self, scope: Scope) -> None:
        """Refuse a caller without this scope."""
        if scope not in self.scopes:
            raise InvalidRequest(
                f"this key has no scope {scope}; ask for one that has", code="scope-missing", field=None
            )

    def speak_for(self, channel: str) -> None:
        """Refuse a caller whose key is bound to another channel."""
        if self.channel not in (None, channel):
            raise InvalidRequest(
                "this key speaks for another channel", code="channel-not-allowed", field="channel"
            )

    def set_time(self, instant: datetime | None, *, field: str) -> None:
        """Refuse a time from a live key, or one no decision is made for."""
        if instant is None:
            return
        if self.mode is not Mode.TEST:
            raise InvalidRequest(
                "only a test key may set the time; leave it out", code="test-only", field=field
            )
        if not EARLIEST <= instant < LATEST:
            raise InvalidRequest(
                f"the time must be from {EARLIEST:%Y} to {LATEST:%Y}", code="time-out-of-range", field=field
            )

    def may_see(self, *, mode: Mode, channel: str) -> bool:
        """Whether a record of this mode and channel is the caller's to see."""
        return self.mode is mode and self.channel in (None, channel)


def authenticate(keys: Keys, secret: str) -> Caller:
    """Return who holds this secret; InvalidRequest ``key-unknown`` for a wrong or revoked one."""
    key = keys.find(digest(secret))
    if key is None or key.revoked_at is not None:
        raise InvalidRequest(
            "this API key is unknown or revoked; `moment keys create` makes one", code="key-unknown"
        )
    return Caller(key.key_id, key.mode, key.scopes, key.channel)
