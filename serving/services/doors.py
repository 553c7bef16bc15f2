"""Who may ask a model: the keys of a home, or a key named by its digest. Without either nothing starts."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from moment.errors import ConfigurationError, Fault, InvalidRequest
from moment.home import Home
from serving.adapters.database import migrate
from serving.adapters.file_rates import SharedAllowance
from serving.adapters.identifiers import utc_now
from serving.adapters.sqlite_keys import SqliteKeys
from serving.adapters.vault import Vault
from serving.ports import Scope
from serving.records import Mode
from serving.settings import Settings
from serving.use_cases.access import Access, Caller
from serving.use_cases.allowance import Rates

VARIABLE = "MOMENT_SCORING_KEY_SHA256"
"""Names the SHA-256 of a key that opens the models, in hexadecimal digits; several with commas between."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Door:
    """Tells who asks, by their key; what it holds open is closed with it."""

    caller: Callable[[str], Caller]
    close: Callable[[], None]

    def __call__(self, secret: str) -> Caller:
        """Return who sent this key; InvalidRequest (``key-unknown``) for one that opens nothing."""
        return self.caller(secret)


def open_door(home: Home, settings: Settings, environment: Mapping[str, str] | None = None) -> Door:
    """Open the door of a model.

    Raises
    ------
    ConfigurationError
        No key opens it: then it does not start; or the variable holds no digests.
    """
    named = _named(os.environ if environment is None else environment)
    if named:
        return Door(_ByDigest(named), _nothing)
    if home.database.is_file():
        migrate(home.database)
        keys = SqliteKeys(home.database)
        if any(Scope.READ_SCORES in key.scopes and key.opens(utc_now()) for key in keys.all()):
            allowance = SharedAllowance(home.root / "allowances", Vault.open(home).ref)
            return Door(Access(keys, utc_now, rates=Rates(settings.bounds, allowance)), keys.close)
        keys.close()
    raise ConfigurationError(
        "no key opens this model, and it never starts open: make one of the home's with `moment keys create "
        f"--mode live --scope scores:read --out-file`, or set {VARIABLE} to the SHA-256 of another"
    )


def _named(environment: Mapping[str, str]) -> tuple[bytes, ...]:
    text = environment.get(VARIABLE, "")
    digests = [digest.strip().lower() for digest in text.split(",")] if text.strip() else []
    if not all(_DIGEST.fullmatch(digest) for digest in digests):
        fault = Fault(VARIABLE, "is no SHA-256 in 64 hexadecimal digits, nor several with commas between")
        raise ConfigurationError("the environment is wrong", faults=(fault,))
    return tuple(bytes.fromhex(digest) for digest in digests)


@dataclass(frozen=True, slots=True)
class _ByDigest:
    """The keys whose digests the environment names. They may read scores, and nothing else is here."""

    digests: tuple[bytes, ...]

    def __call__(self, secret: str) -> Caller:
        shown = hashlib.sha256(secret.encode()).digest()
        if not any(hmac.compare_digest(shown, known) for known in self.digests):
            raise InvalidRequest(f"this key is not one that {VARIABLE} names", code="key-unknown")
        return Caller(f"sha256-{shown.hex()[:8]}", Mode.LIVE, frozenset({Scope.READ_SCORES}))


def _nothing() -> None:
    """Close nothing."""
