"""Who signs acts: a person with the secret of their own key, the machine with the server's secret."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.identifiers import utc_now
from serving.adapters.vault import Vault
from serving.lifecycle import Actor
from serving.lifecycle.acts import MACHINE
from serving.ports import Clock, FoundKey, Keys
from serving.records import Mode
from serving.use_cases.keys import digest, signing_key

MACHINE_LABEL = "signatures of the machine"
"""What the server's secret derives the machine's key under."""

_CREATE = "`moment keys create --person NAME --role ROLE` makes one"


class PersonalSigner:
    """The port `Signer` for the person whose own key has this secret.

    Raises
    ------
    InvalidRequest
        ``key-unknown``: the secret opens nothing, or nothing any more; ``role-missing``: it is a channel's;
        ``live-only``: it is a test key's.
    DependencyError
        The store of keys has another public key for it than it makes: somebody changed the store.
    """

    def __init__(self, secret: str, keys: Keys, clock: Clock = utc_now) -> None:
        found = keys.find(digest(secret))
        if found is None or not found.opens(clock()):
            raise InvalidRequest(
                f"this key opens nothing, or nothing any more; a personal key is wanted: {_CREATE}",
                code="key-unknown",
            )
        self._actor = _actor(found)
        self._key = signing_key(secret)
        self._public = self._key.public_key().public_bytes_raw()
        if found.secret.public_key is None:
            keys.publish(digest(secret), self._public)
        elif found.secret.public_key != self._public:
            raise DependencyError(
                f"the public key kept of {found.key.key_id} is not its own: the database was changed by "
                "other means; restore a backup"
            )

    @property
    def actor(self) -> Actor:
        """Whose key it is."""
        return self._actor

    @property
    def public_key(self) -> bytes:
        """What the person's signatures are verified with."""
        return self._public

    def sign(self, content: bytes) -> bytes:
        """Return the person's signature."""
        return self._key.sign(content)


class MachineSigner:
    """The port `Signer` for what nobody does by name; its key comes from the server's secret."""

    def __init__(self, vault: Vault) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(vault.derived_key(MACHINE_LABEL))
        self._public = self._key.public_key().public_bytes_raw()

    @property
    def actor(self) -> Actor:
        """The machine."""
        return MACHINE

    @property
    def public_key(self) -> bytes:
        """What the machine's signatures are verified with."""
        return self._public

    def sign(self, content: bytes) -> bytes:
        """Return the machine's signature."""
        return self._key.sign(content)


def _actor(found: FoundKey) -> Actor:
    """Return who signs with a key, or refuse a key nobody signs with."""
    key = found.key
    if key.person is None or key.role is None:
        raise InvalidRequest(
            f"{key.key_id} is a channel's key, and nobody signs with it; {_CREATE}", code="role-missing"
        )
    if key.mode is not Mode.LIVE:
        raise InvalidRequest(
            f"{key.key_id} is a test key, and what is done to models counts; take a live one",
            code="live-only",
        )
    return Actor(key.key_id, key.person, key.role.value)
