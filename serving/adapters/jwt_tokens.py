"""Tokens that an identity provider has signed (JWT, RFC 7519), verified against a file of its public keys.

Nothing in a token chooses how it is verified: the key is found by `kid` in our file, and the key says which
algorithm it is for. What would have a verifier fetch or take keys from elsewhere is refused before anything
else is read. A token cannot be revoked; taking its key out of the file ends it on every worker at once. A
file that is there rules, whatever else is wrong in it; only one that cannot be read leaves its keys a while.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import jwt

from moment.errors import ConfigurationError, Fault
from serving.ports import Scope, TokenClaims
from serving.records import Mode
from serving.settings import ALGORITHMS

LONGEST = 4096
"""Characters of the longest token that is read."""

LEEWAY_SECONDS = 10.0
"""How far the clock of who signs may be from ours."""

PATIENCE = timedelta(minutes=5)
"""How long the keys of a file that is gone, or is none, still open."""

_REMEMBERED = 4096
_SMALLEST_RSA = 2048
_LAST = 2.0**40
_ELSEWHERE = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "zip", "b64"})
_FITTING = {"EC P-256": "ES256", "OKP Ed25519": "EdDSA", "RSA ": "RS256"}
_TYPES = ("jwt", "at+jwt", "application/at+jwt")
_REQUIRED = ("iss", "aud", "exp", "nbf", "sub")
_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")

_log = logging.getLogger("moment.access")


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose tokens are accepted.

    Parameters
    ----------
    jwks
        A file of the issuer's public keys (RFC 7517). Read again when it changes; replace it, do not edit it.
        From then on only the keys it names open; one of no use is passed over.
    issuer, audience
        What `iss` and `aud` must say.
    algorithms
        Which of `ALGORITHMS` are accepted.
    """

    jwks: Path
    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ALGORITHMS


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A token found valid: what it says, and from when until when that holds."""

    claims: TokenClaims
    starts: float
    ends: float


class JwtTokens:
    """The port `Tokens`.

    Verifying a signature takes about as long as a decision's rules, so valid tokens are remembered by their
    digest for as long as they and the file of keys last.
    """

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._keys = read_keys(trust)
        self._stamp = _stamp(trust.jwks)
        self._unreadable_since: datetime | None = None
        self._lock = threading.Lock()
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    def read(self, token: str, now: datetime) -> TokenClaims | None:
        """Return what a token says, or None when it is not valid now, for whatever reason."""
        if len(token) > LONGEST or not token.isascii() or token.count(".") != 2:
            return None
        self._read_keys_again(now)
        shown, instant = hashlib.sha256(token.encode()).digest(), now.timestamp()
        with self._lock:
            known = self._remembered.get(shown)
        if known is None:
            known = self._verify(token, now)
            if known is None:
                return None
            self._remember(shown, known)
        return (
            known.claims if known.starts - LEEWAY_SECONDS <= instant < known.ends + LEEWAY_SECONDS else None
        )

    def _verify(self, token: str, now: datetime) -> _Remembered | None:
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            key = self._keys.get(kid) if isinstance(kid, str) else None
            if key is None or not _is_plain(header) or header.get("alg") != key.algorithm_name:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._trust.issuer,
                audience=self._trust.audience,
                # The times are looked at here, by our own clock, each time a token is shown
                options={
                    "require": list(_REQUIRED),
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            starts, ends = _instant(claims["nbf"]), _instant(claims["exp"])
            said = _claims(claims)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            return None
        return None if now.timestamp() >= ends + LEEWAY_SECONDS else _Remembered(said, starts, ends)

    def _remember(self, shown: bytes, known: _Remembered) -> None:
        with self._lock:
            self._remembered[shown] = known
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)

    def _read_keys_again(self, now: datetime) -> None:
        """Read the file of keys when it has changed."""
        stamp = _stamp(self._trust.jwks)
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    keys, faults = _usable(self._trust)
                except ConfigurationError as error:
                    self._unreadable_since = self._unreadable_since or now
                    _log.warning("the keys of tokens stay as they were for %s: %s", PATIENCE, error)
                else:
                    self._unreadable_since = None
                    self._take(keys)
                    for fault in faults:
                        _log.warning("a key of tokens is passed over: %s", fault)
            elif self._unreadable_since is not None and now - self._unreadable_since > PATIENCE:
                self._unreadable_since = None
                self._take({})
                _log.error("the file of the keys of tokens is gone: no token opens any more")

    def _take(self, keys: Mapping[str, jwt.PyJWK]) -> None:
        self._keys = keys
        self._remembered.clear()


def read_keys(trust: Trust) -> Mapping[str, jwt.PyJWK]:
    """Read the public keys of who signs, by `kid`, to begin with: nothing may be wrong.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or a key in it is of no use; every fault is listed.
    """
    keys, faults = _usable(trust)
    if not keys and not faults:
        faults = [Fault("keys", "there is none, so no token would be valid")]
    if faults:
        raise ConfigurationError(f"{trust.jwks.name} holds keys that cannot be used", faults=faults)
    return keys


def _usable(trust: Trust) -> tuple[Mapping[str, jwt.PyJWK], list[Fault]]:
    """Return the keys of the file that are of use, and what is wrong with the others.

    Raises
    ------
    ConfigurationError
        It is no file of keys.
    """
    try:
        found = json.loads(trust.jwks.read_text(encoding="utf-8"))["keys"]
        entries = [cast("dict[str, Any]", dict(entry)) for entry in found]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigurationError(
            f"{trust.jwks.name} is no file of keys ({type(error).__name__}); MOMENT_JWKS names a JSON file "
            'like {"keys": [{"kid": …}]}'
        ) from None
    keys: dict[str, jwt.PyJWK] = {}
    faults: list[Fault] = []
    for number, entry in enumerate(entries):
        try:
            keys[_name(entry, keys)] = _key(entry, trust.algorithms)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            faults.append(Fault(f"keys[{number}]", str(error)))
    return keys, faults


def _name(entry: Mapping[str, Any], taken: Mapping[str, object]) -> str:
    name = entry.get("kid")
    if not isinstance(name, str) or not name or name in taken:
        raise ValueError("each key needs a kid of its own")
    return name


def _key(entry: dict[str, Any], algorithms: tuple[str, ...]) -> jwt.PyJWK:
    """Return a public key bound to its one algorithm."""
    fitting = _FITTING.get(f"{entry.get('kty')} {entry.get('crv', '')}")
    if fitting is None or fitting not in algorithms:
        raise ValueError(f"only keys for {', '.join(algorithms)} are accepted")
    if entry.get("alg", fitting) != fitting or entry.get("use", "sig") != "sig":
        raise ValueError(f"its alg must be {fitting} and its use sig, or left out")
    if "d" in entry:
        raise ValueError("it is a private key; keep that where tokens are signed and put the public one here")
    key = jwt.PyJWK(entry, algorithm=fitting)
    if fitting == "RS256" and key.key.key_size < _SMALLEST_RSA:
        raise ValueError(f"an RSA key needs {_SMALLEST_RSA} bits")
    return key


def _is_plain(header: Mapping[str, object]) -> bool:
    """Whether a header asks for nothing but to be verified with a key of ours."""
    kind = header.get("typ", "JWT")
    return not _ELSEWHERE & header.keys() and isinstance(kind, str) and kind.lower() in _TYPES


def _claims(claims: Mapping[str, Any]) -> TokenClaims:
    """Return who sent a verified token; ValueError when it does not say what it must."""
    subject, scope, channel = claims["sub"], claims.get("scope", ""), claims.get("moment_channel")
    if not isinstance(subject, str) or not subject or not isinstance(scope, str):
        raise ValueError("sub and scope must be words")
    if channel is not None and (not isinstance(channel, str) or not _WORD.fullmatch(channel)):
        raise ValueError("moment_channel must be the name of a channel")
    mode = Mode(str(claims.get("moment_mode")))
    # What stands under a request id is of one mode and channel, as with a key
    named = json.dumps([claims["iss"], subject, mode, channel]).encode()
    known = {str(one) for one in Scope}
    return TokenClaims(
        key_id=f"jwt_{hashlib.sha256(named).hexdigest()[:16]}",
        mode=mode,
        scopes=frozenset(Scope(one) for one in scope.split(" ") if one in known),
        channel=channel,
    )


def _instant(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST:
        raise ValueError("a time must be a number of seconds")
    return float(value)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
