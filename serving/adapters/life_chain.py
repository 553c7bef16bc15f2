"""How entries of the ledger hang together: each holds the digest of the one before it, signed by who acted.

What is signed is the text that is stored: a later Moment, whose acts have more fields, verifies it still.

Whoever writes to the database by other means and has neither people's secrets nor the server's can change,
take out, move or add nothing unseen: the machine signs where the ledger ends from before the first act on. An
older copy of the whole database is as good as it was: who must see that, too, keeps the digest of the last
entry somewhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from moment.errors import DependencyError, InvariantViolation
from serving.lifecycle import Actor, Written
from serving.lifecycle.acts import AnyAct
from serving.ports import ApiKey, Keys
from serving.ports.life import LedgerBroken, Signed, Signer

FIRST = bytes(32)
"""What the first entry has for a predecessor."""

_ENTRY = b"moment life entry 1\0"
_HEAD = b"moment life head 1\0"
_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Written)


@dataclass(frozen=True, slots=True)
class Head:
    """Where the ledger ends: without it, nobody would see that its last entries were taken off.

    Parameters
    ----------
    seq, digest
        Of the last entry; 0 and zeros for an empty ledger.
    signature
        The machine's.
    """

    seq: int = 0
    digest: bytes = FIRST
    signature: bytes = b""

    @classmethod
    def signed(cls, seq: int, digest: bytes, machine: Signer) -> Head:
        """Return the head after an entry."""
        return cls(seq, digest, machine.sign(_head(seq, digest)))

    @classmethod
    def first(cls, machine: Signer) -> Head:
        """Return the head of a ledger that has begun, and has no entry yet."""
        return cls.signed(0, FIRST, machine)

    def check(self, machine: Signer) -> None:
        """Refuse a head the machine has not signed."""
        if not _verifies(machine.public_key, self.signature, _head(self.seq, self.digest)):
            raise broken("the end of the ledger of models is not signed by this server")


@dataclass(slots=True)
class Believed:
    """Whose signatures are believed: the machine's, and those of people's keys as the store of keys has them.

    Ask the store once a key; `fresh` forgets what it said.
    """

    machine: Signer
    keys: Keys
    _known: dict[str, tuple[ApiKey, frozenset[bytes]]] = field(default_factory=dict)

    def fresh(self) -> Believed:
        """Return one that has asked nothing yet."""
        return Believed(self.machine, self.keys)

    def signs(self, actor: Actor, public_key: bytes) -> bool:
        """Whether this public key is one of the key, person and role that acted."""
        if actor == self.machine.actor:
            return public_key == self.machine.public_key
        if not self._has(actor, public_key):
            self._ask(actor.key_id)  # the key may have a new secret since
        return self._has(actor, public_key)

    def _has(self, actor: Actor, public_key: bytes) -> bool:
        if actor.key_id not in self._known:
            return False
        key, public_keys = self._known[actor.key_id]
        return (key.person, key.role) == (actor.person, actor.role) and public_key in public_keys

    def _ask(self, key_id: str) -> None:
        for key in self.keys.all():
            if key.key_id == key_id and key.person is not None:
                secrets = self.keys.secrets(key_id)
                self._known[key_id] = key, frozenset(one.public_key for one in secrets if one.public_key)


def link(after: Head, acts: Sequence[AnyAct], at: datetime, by: Signer) -> tuple[Signed, ...]:
    """Return acts as the entries that come after a head, signed."""
    entries: list[Signed] = []
    previous = after.digest
    for seq, act in enumerate(acts, after.seq + 1):
        content = encoded(Written(seq=seq, at=at, by=by.actor, act=act))
        digest = _digest(previous, content)
        entries.append(
            Signed(_decoder.decode(content), content, previous, digest, by.sign(digest), by.public_key)
        )
        previous = digest
    return tuple(entries)


def encoded(entry: Written) -> bytes:
    """Return an entry's text: the same for what was written and for what is read back from it."""
    content = _encoder.encode(entry)
    try:
        return _encoder.encode(_decoder.decode(content))
    except msgspec.ValidationError as error:
        raise InvariantViolation(
            f"an act that could not be read again was to be written ({error})"
        ) from error


def decoded(seq: int, content: bytes) -> Written:
    """Read an entry's text."""
    try:
        return _decoder.decode(content)
    except msgspec.ValidationError as error:
        raise DependencyError(
            f"entry {seq} of the ledger of models says what this Moment does not know; upgrade Moment if a "
            "newer one wrote it, else restore moment.db from a backup"
        ) from error
    except msgspec.MsgspecError as error:
        raise broken(f"entry {seq} of the ledger of models cannot be read") from error


def check_chain(entries: Sequence[Signed], believed: Believed, after: Head, end: Head) -> None:
    """Refuse entries that do not lead from one head to the other, or that nobody believed has signed.

    Raises
    ------
    LedgerBroken
        Names the first entry that is not what was signed.
    """
    end.check(believed.machine)
    seq, previous = after.seq, after.digest
    for one in entries:
        seq += 1
        if (one.entry.seq, one.previous) != (seq, previous):
            raise broken(
                f"before entry {one.entry.seq} of the ledger of models something is missing or moved"
            )
        if one.digest != _digest(previous, one.content):
            raise broken(f"entry {seq} of the ledger of models was changed")
        if not _verifies(one.public_key, one.signature, one.digest):
            raise broken(f"entry {seq} of the ledger of models bears no signature of its own")
        if not believed.signs(one.entry.by, one.public_key):
            raise broken(
                f"entry {seq} of the ledger of models is signed by another key than {one.entry.by.key_id}"
            )
        previous = one.digest
    if (seq, previous) != (end.seq, end.digest):
        raise broken(f"the ledger of models ends after entry {seq}, and had {end.seq}")


def check_kept(seen: Head, now: Head) -> None:
    """Refuse a ledger that lost what was seen in it: it is not the one that was followed."""
    if now.seq < seen.seq or (now.seq == seen.seq and now.digest != seen.digest):
        raise broken(
            f"the ledger of models ends otherwise than after entry {seen.seq}, which was read from it "
            f"(it has {now.seq} now)",
            "restore moment.db from a backup, then restart what runs",
        )


def broken(what: str, mend: str = "restore moment.db from a backup") -> LedgerBroken:
    """Return the error of a ledger that is not what was signed."""
    return LedgerBroken(f"{what}; {mend}")


def _digest(previous: bytes, content: bytes) -> bytes:
    return hashlib.sha256(_ENTRY + previous + content).digest()


def _head(seq: int, digest: bytes) -> bytes:
    return _HEAD + seq.to_bytes(8) + digest


def _verifies(public_key: bytes, signature: bytes, content: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True
