"""Who is asking, what they may do, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from moment.errors import InvalidRequest
from serving.decision.values import Forced
from serving.ports import UNBOUNDED, Bounds, Clock, Keys, Role, Scope, Tokens
from serving.records import Mode
from serving.use_cases.allowance import BOUNDLESS, PersonalAllowance, Rates
from serving.use_cases.keys import PREFIX, digest

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
    person, role
        Who it is and what they work as, where the key is a person's own.
    allowance
        How much they may still ask.
    """

    key_id: str
    mode: Mode
    scopes: frozenset[Scope]
    channel: str | None = None
    person: str | None = None
    role: Role | None = None
    allowance: PersonalAllowance = field(default=BOUNDLESS, compare=False, repr=False)

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

    def force(self, force: Forced | None) -> None:
        """Refuse something forced from a live key: customers who count get what the rules let them."""
        if force is not None and self.mode is not Mode.TEST:
            raise InvalidRequest(
                "only a test key may force an action; leave it out", code="test-only", field="force"
            )

    def ask_about(self, customer_id: str | None) -> None:
        """Refuse a caller who has asked about as many different customers as they may in an hour.

        Whatever tells something of a customer asks this first, whether or not anybody knows the customer.
        """
        if customer_id is not None:
            self.allowance.ask_about(customer_id)

    def may_see(self, *, mode: Mode, channel: str) -> bool:
        """Whether a record of this mode and channel is the caller's to see."""
        return self.mode is mode and self.channel in (None, channel)


@dataclass(frozen=True, slots=True)
class Access:
    """The door: tells who asks, by their key or by a token, and refuses who asks too often.

    Parameters
    ----------
    keys
        The store of keys.
    clock
        For what ends, and what counts by the hour.
    tokens
        Verifies tokens; None where none are accepted.
    rates
        Counts what each has asked.
    """

    keys: Keys
    clock: Clock
    tokens: Tokens | None = None
    rates: Rates = field(default_factory=Rates)

    def __call__(self, secret: str) -> Caller:
        """Return who sent this key or token.

        Raises
        ------
        InvalidRequest
            ``key-unknown``: it opens nothing, and the message does not say why. ``rate-limited``.
        DependencyError
            The store of keys does not answer.
        """
        now = self.clock()
        caller = self._by_key(secret, now) if secret.startswith(PREFIX) else self._by_token(secret, now)
        if caller is None:
            raise InvalidRequest(
                "this key or token is unknown, ended or revoked; `moment keys create` makes a key",
                code="key-unknown",
            )
        caller.allowance.take()
        return caller

    def _by_key(self, secret: str, now: datetime) -> Caller | None:
        shown = digest(secret)
        found = self.keys.find(shown)
        if found is None or not found.opens(now):
            return None
        if found.secret.last_used_on != now.date():
            self.keys.used(shown, now.date())
        key = found.key
        bounds = self.rates.default if key.bounds is None else key.bounds
        return Caller(
            key_id=key.key_id,
            mode=key.mode,
            scopes=key.scopes,
            channel=key.channel,
            person=key.person,
            role=key.role,
            allowance=self._allowance(key.key_id, bounds),
        )

    def _by_token(self, token: str, now: datetime) -> Caller | None:
        claims = None if self.tokens is None else self.tokens.read(token, now)
        if claims is None:
            return None
        allowance = self._allowance(claims.key_id, self.rates.default)
        return Caller(claims.key_id, claims.mode, claims.scopes, claims.channel, allowance=allowance)

    def _allowance(self, key_id: str, bounds: Bounds) -> PersonalAllowance:
        if bounds == UNBOUNDED:
            return BOUNDLESS
        return PersonalAllowance(key_id, bounds, self.rates.allowance, self.clock)
