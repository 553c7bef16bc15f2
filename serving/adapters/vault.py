"""Sealing what is about a person, with a key of their own; destroying that key erases it, in every copy.

Keys lie in the operational database, wrapped by the server's secret, which lies outside it. Whoever has the
database alone reads nothing; whoever has both reads whom nobody has erased. Every sealing and opening looks
at the key's row within its caller's transaction, so that a key destroyed by one worker is gone for all.

Customers stand in tables under a reference: a keyed hash of their id, of the same secret.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
import sqlite3
import threading
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from moment.errors import ConfigurationError, DependencyError
from moment.home import Home
from serving.adapters.database import connect, migrate
from serving.adapters.identifiers import utc_now
from serving.adapters.instants import to_microseconds

SECRET_FILE = "vault.key"  # noqa: S105 - the name of the file, not what is in it
"""Where the server's secret lies, in the home's folder of keys."""

SECRET_VARIABLE = "MOMENT_VAULT_KEY"  # noqa: S105 - a name, too
"""What holds the secret instead, where a deployment keeps its secrets elsewhere."""

_KEY_BYTES = 32
_NONCE_BYTES = 12
_REFERENCE_BYTES = 16
_CACHED_KEYS = 20_000
_LATEST_CUSTOMERS = 64

_KEY = "SELECT wrapped_key FROM customer_keys WHERE customer_ref = ?"
_ADD_KEY = "INSERT INTO customer_keys (customer_ref, wrapped_key, created_at) VALUES (?, ?, ?)"
_DESTROY = """
INSERT INTO customer_keys (customer_ref, wrapped_key, created_at, destroyed_at) VALUES (?, NULL, ?, ?)
ON CONFLICT (customer_ref) DO UPDATE SET wrapped_key = NULL, destroyed_at = excluded.destroyed_at
WHERE destroyed_at IS NULL
"""


class Vault:
    """The server's secret, and the customers' keys as far as they were used lately.

    Every method that takes a connection works within its transaction, or reads what was last committed.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        # To take a key in costs more than all else: each reference begins with a copy
        self._referring = hmac.new(self.derived_key("customer reference"), digestmod="sha256")
        self._marking = hmac.new(self.derived_key("marks of records"), digestmod="sha256")
        # A decision asks four times about its customer; remembered is only who may be decided for now
        self._latest = lru_cache(_LATEST_CUSTOMERS)(self._refer)
        self._blinding_key = self.derived_key("blinding")
        self._wrapping = AESGCM(self.derived_key("wrapping of customers' keys"))
        self._unwrapped: dict[str, tuple[bytes, AESGCM]] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, home: Home, environment: Mapping[str, str] | None = None) -> Vault:
        """Open the vault of a home, making its secret and its database at the first start.

        Raises
        ------
        ConfigurationError
            The secret cannot be read, is gone, or is not the one this home's database is sealed under.
        DependencyError
            The database cannot be opened.
        """
        migrate(home.database)
        connection = connect(home.database)
        try:
            sealed_under = _check_of(connection)
            given = (os.environ if environment is None else environment).get(SECRET_VARIABLE, "")
            path = home.keys / SECRET_FILE
            vault = cls(_read(given, SECRET_VARIABLE) if given else _of_file(path, new=sealed_under is None))
            vault._agree(connection, SECRET_VARIABLE if given else f"keys/{SECRET_FILE}")
        except sqlite3.Error as error:
            raise DependencyError(f"the vault's keys cannot be read ({error}); try again later") from error
        finally:
            connection.close()
        return vault

    @classmethod
    def for_names(cls, home: Home, environment: Mapping[str, str] | None = None) -> Vault:
        """Return the vault of a home, for names alone where there is no database: none is made.

        Raises
        ------
        ConfigurationError, DependencyError
            As `open` does.
        """
        if home.database.exists():
            return cls.open(home, environment)
        given = (os.environ if environment is None else environment).get(SECRET_VARIABLE, "")
        return cls(_read(given, SECRET_VARIABLE) if given else _of_file(home.keys / SECRET_FILE, new=True))

    def derived_key(self, label: str) -> bytes:
        """Return 256 bits of the server's secret for one purpose; labels share nothing (HKDF, RFC 5869)."""
        derive = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=f"moment {label}".encode())
        return derive.derive(self._secret)

    def ref(self, customer_id: str) -> str:
        """Return the reference a customer stands under: 22 letters that tell nothing without the secret."""
        return self._latest(customer_id)

    def _refer(self, customer_id: str) -> str:
        keyed = self._referring.copy()
        keyed.update(_bytes(customer_id))
        return _name(keyed.digest())

    def blind(self, kind: str, *parts: str) -> str:
        """Return a keyed hash of an identifier somebody else has chosen, to find it again by."""
        named = "\0".join([kind, *(str(len(part)) for part in parts), *parts])
        return _name(hmac.digest(self._blinding_key, _bytes(named), "sha256"))

    def mark(self, about: str, content: bytes) -> bytes:
        """Return 32 bytes that only the secret makes of what stands in clear and the id of what holds it."""
        keyed = self._marking.copy()
        keyed.update(_bytes(f"{len(about)}\0{about}"))
        keyed.update(content)
        return keyed.digest()

    def seal(self, connection: sqlite3.Connection, ref: str, plain: bytes, *, about: str) -> bytes | None:
        """Return bytes sealed with the customer's key, made at its first use; None when they were erased.

        What was sealed opens for the same ``ref`` and ``about`` alone: the id of what holds it and, behind a
        zero, whatever else it is bound to.
        """
        row = connection.execute(_KEY, (ref,)).fetchone()
        key = self._new_key(connection, ref) if row is None else self._held(ref, row[0])
        if key is None:
            return None
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + key.encrypt(nonce, plain, _bound(ref, about))

    def open_sealed(
        self, connection: sqlite3.Connection, ref: str, sealed: bytes, *, about: str
    ) -> bytes | None:
        """Return what was sealed, or None when the customer was erased.

        Raises
        ------
        DependencyError
            It was sealed for somebody or something else, or changed since.
        """
        key = self._key(connection, ref)
        if key is None:
            return None
        try:
            return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound(ref, about))
        except (InvalidTag, TypeError, ValueError):  # too short, or no bytes at all
            raise DependencyError(
                f"what is sealed for {about.partition(chr(0))[0]} cannot be opened: the database was changed "
                "by other means; restore a backup"
            ) from None

    def is_erased(self, connection: sqlite3.Connection, ref: str) -> bool:
        """Whether the customer's key was destroyed."""
        row = connection.execute(_KEY, (ref,)).fetchone()
        return row is not None and row[0] is None

    def destroy(self, connection: sqlite3.Connection, ref: str, at: datetime) -> bool:
        """Destroy a customer's key for good, whether they had one or not; False when it was done before."""
        self._forget(ref)
        instant = to_microseconds(at)
        return connection.execute(_DESTROY, (ref, instant, instant)).rowcount == 1

    def _key(self, connection: sqlite3.Connection, ref: str) -> AESGCM | None:
        """Return the key that stands now; None when there is none, or none any more."""
        row = connection.execute(_KEY, (ref,)).fetchone()
        return self._held(ref, None if row is None else row[0])

    def _held(self, ref: str, wrapped: bytes | None) -> AESGCM | None:
        """Return the key of what stands in a customer's row; None when nothing does."""
        if wrapped is None:
            self._forget(ref)
            return None
        known = self._unwrapped.get(ref)
        if known is not None and known[0] == wrapped:
            return known[1]
        return self._remember(ref, wrapped, self._unwrap(ref, wrapped))

    def _new_key(self, connection: sqlite3.Connection, ref: str) -> AESGCM:
        """Make the key of a customer who has no row yet."""
        plain, nonce = secrets.token_bytes(_KEY_BYTES), secrets.token_bytes(_NONCE_BYTES)
        wrapped = nonce + self._wrapping.encrypt(nonce, plain, _bytes(ref))
        connection.execute(_ADD_KEY, (ref, wrapped, to_microseconds(utc_now())))
        return self._remember(ref, wrapped, AESGCM(plain))

    def _unwrap(self, ref: str, wrapped: bytes) -> AESGCM:
        try:
            plain = self._wrapping.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _bytes(ref))
        except InvalidTag:
            raise DependencyError(
                "a customer's key does not open with the server's secret: the database was changed by other "
                "means; restore a backup"
            ) from None
        return AESGCM(plain)

    def _remember(self, ref: str, wrapped: bytes, key: AESGCM) -> AESGCM:
        with self._lock:
            if len(self._unwrapped) >= _CACHED_KEYS:
                del self._unwrapped[next(iter(self._unwrapped))]
            self._unwrapped[ref] = wrapped, key
        return key

    def _forget(self, ref: str) -> None:
        self._latest.cache_clear()
        with self._lock:
            self._unwrapped.pop(ref, None)

    def _agree(self, connection: sqlite3.Connection, source: str) -> None:
        """Note in a new database what it is sealed under; refuse one sealed under another secret."""
        check = self.derived_key("check of the secret")
        connection.execute(
            "INSERT INTO vault_checks (id, secret_check) VALUES (1, ?) ON CONFLICT DO NOTHING", (check,)
        )
        if _check_of(connection) != check:
            raise ConfigurationError(
                f"moment.db is sealed under another secret than {source} holds; put back the secret it was "
                "made with, or name another MOMENT_HOME"
            )


def anonymous_ref(day: date) -> str:
    """Return under which reference the decisions of a day about nobody known are sealed, all together."""
    return f"anon:{day.isoformat()}"


def _check_of(connection: sqlite3.Connection) -> bytes | None:
    row = connection.execute("SELECT secret_check FROM vault_checks").fetchone()
    return None if row is None else bytes(row[0])


def _of_file(path: Path, *, new: bool) -> bytes:
    """Return the secret of a file; where there is none, a new one, if nothing was sealed yet."""
    try:
        if new:
            _make(path)
        return _read(path.read_text(encoding="ascii"), f"keys/{path.name}")
    except FileNotFoundError:
        raise ConfigurationError(
            f"keys/{path.name} is gone, and moment.db is sealed under it; put it back from a backup or set "
            f"{SECRET_VARIABLE}, or start anew with another MOMENT_HOME: without it nobody can be read"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"keys/{path.name} cannot be read or made ({type(error).__name__}); let the service's user own it"
        ) from error


def _make(path: Path) -> None:
    """Write a new secret, whole or not at all; whoever comes first at a first start of many has made it."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(part)
        except FileExistsError:
            return
    finally:
        part.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(text: str, source: str) -> bytes:
    """Read 32 bytes in base64, as `openssl rand -base64 32` prints them, too."""
    try:
        secret = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != _KEY_BYTES:
        raise ConfigurationError(
            f"{source} holds no vault secret: 32 random bytes in base64; put back the one that was there"
        )
    return secret


def _bound(ref: str, about: str) -> bytes:
    """Return what a sealed text is bound to."""
    return f"{ref}\0{about}".encode()


def _name(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest[:_REFERENCE_BYTES]).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    # What a caller sends may hold half of a character; it is hashed like any other
    return text.encode("utf-8", "surrogatepass")
