"""Who signs acts: a person with the secret of their own key, the machine with the server's secret."""

from __future__ import annotations

from serving.adapters.identifiers import utc_now
from serving.adapters.vault import Vault
from serving.lifecycle import Actor
from serving.ports import Clock, Keys


class PersonalSigner:
    """The port `Signer` for the person whose own key has this secret.

    Raises
    ------
    InvalidRequest
        With code ``unknown-key``: the secret opens nothing (any more), is a channel's, or a test key's.
    """

    def __init__(self, secret: str, keys: Keys, clock: Clock = utc_now) -> None:
        raise NotImplementedError

    @property
    def actor(self) -> Actor:
        """Whose key it is."""
        raise NotImplementedError

    @property
    def public_key(self) -> bytes:
        """What the person's signatures are verified with."""
        raise NotImplementedError

    def sign(self, content: bytes) -> bytes:
        """Return the person's signature."""
        raise NotImplementedError


class MachineSigner:
    """The port `Signer` for what nobody does by name; its key comes from the server's secret."""

    def __init__(self, vault: Vault) -> None:
        raise NotImplementedError

    @property
    def actor(self) -> Actor:
        """The machine."""
        raise NotImplementedError

    @property
    def public_key(self) -> bytes:
        """What the machine's signatures are verified with."""
        raise NotImplementedError

    def sign(self, content: bytes) -> bytes:
        """Return the machine's signature."""
        raise NotImplementedError
