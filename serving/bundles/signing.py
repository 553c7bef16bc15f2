"""Who vouches for a bundle: an Ed25519 signature beside its manifest, and the list of keys that are believed.

The signature lies outside the digest, so the same data and seed give the same version whoever signs it. It
covers the digest and what is told about the bundle: a changed figure or note is no longer what was signed.

Private key and list of trusted keys lie among the home's keys, not among the bundles: a folder of bundles may
come from elsewhere, and what is believed must not travel with what asks to be believed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from moment.errors import ConfigurationError
from serving.bundles.manifest import (
    SIGNATURE,
    BundleRefused,
    Manifest,
    Refusal,
    canonical_json,
    read_manifest,
    read_plain,
    write_durably,
)

KEY_FILE = "bundles.key"
"""The private key of this machine, in the home's folder of keys."""

TRUST_FILE = "bundles.trusted.json"
"""The public keys this machine believes, in the home's folder of keys: ``[{"name": …, "public_key": …}]``."""

TRUST_VARIABLE = "MOMENT_BUNDLE_KEYS"
"""Names another list of trusted keys, which then holds instead of the home's own."""

_DOMAIN = b"moment bundle 1"
_KEY_BYTES = 32
_OWN = "this machine"
_MAX_SIGNATURE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Trust:
    """The public keys whose bundles may be opened.

    Parameters
    ----------
    names
        What each key is called, by the 32 bytes of the key.
    """

    names: Mapping[bytes, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a list of trusted keys; a file that is not there trusts nobody.

        Raises
        ------
        ConfigurationError
            The file is no such list.
        """
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))
            return cls({_raw(str(one["public_key"])): str(one["name"]) for one in listed})
        except FileNotFoundError:
            return cls({})
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigurationError(
                f"{path.name} is not a list of trusted keys ({type(error).__name__}); write "
                '[{"name": "trainer", "public_key": "<32 bytes in base64>"}]'
            ) from error

    @classmethod
    def of_home(cls, keys: Path, environment: Mapping[str, str] | None = None) -> Self:
        """Read the list a home trusts: the one that `TRUST_VARIABLE` names, or the one among its keys."""
        given = (os.environ if environment is None else environment).get(TRUST_VARIABLE, "")
        if given and not Path(given).is_file():
            raise ConfigurationError(f"{TRUST_VARIABLE} names {given}, and there is no such file")
        return cls.read(Path(given) if given else keys / TRUST_FILE)

    @classmethod
    def of_home_if_any(cls, keys: Path, environment: Mapping[str, str] | None = None) -> Self | None:
        """Read the list a home trusts; None where there is none, so that no bundle of it was ever signed.

        For what was decided before bundles were signed; what serves asks `of_home`, which then trusts nobody.
        """
        named = bool((os.environ if environment is None else environment).get(TRUST_VARIABLE, ""))
        return cls.of_home(keys, environment) if named or (keys / TRUST_FILE).exists() else None

    def dumps(self) -> bytes:
        """Return the text of the list."""
        listed = [{"name": name, "public_key": _text(key)} for key, name in self.names.items()]
        return (json.dumps(listed, indent=1) + "\n").encode()

    def including(self, public_key: bytes, name: str) -> Trust:
        """Return the list with one key more."""
        return Trust({**self.names, public_key: name})


class BundleKey:
    """The key this machine signs bundles with."""

    __slots__ = ("_private",)

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)

    @classmethod
    def new(cls) -> Self:
        """Return a new key that no file holds."""
        return cls(secrets.token_bytes(_KEY_BYTES))

    @classmethod
    def of_home(cls, keys: Path) -> Self:
        """Return the key of a home, made and trusted by the home at its first need.

        Raises
        ------
        ConfigurationError
            The file cannot be read or made, or holds no key.
        """
        path = keys / KEY_FILE
        try:
            made = _make(path)
            key = cls(_raw(path.read_text(encoding="ascii").strip()))
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"keys/{path.name} cannot be read or made ({type(error).__name__}); let Moment's user own "
                "it, or move it away and sign the bundles anew with `moment models sign`"
            ) from error
        if made:
            trusted = Trust.read(keys / TRUST_FILE).including(key.public_key, _OWN)
            write_durably(keys / f".{TRUST_FILE}", trusted.dumps())
            (keys / f".{TRUST_FILE}").replace(keys / TRUST_FILE)
        return key

    @property
    def public_key(self) -> bytes:
        """What its signatures are verified with: 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    def sign(self, content: bytes) -> bytes:
        """Return the signature of some bytes: 64 bytes."""
        return self._private.sign(content)


def sign_bundle(folder: Path, key: BundleKey, *, manifest: Manifest | None = None) -> None:
    """Sign a bundle, at once or not at all; a signature that was there before is replaced.

    Parameters
    ----------
    folder, key
        Which bundle, and who signs.
    manifest
        What is signed, where it was read and looked at before; None reads the folder's.

    Raises
    ------
    BundleRefused
        Its manifest cannot be read.
    """
    signature = key.sign(_message(manifest or read_manifest(folder)))
    signed = {"public_key": _text(key.public_key), "signature": _text(signature)}
    scratch = folder / f".{SIGNATURE}-{os.getpid()}"
    write_durably(scratch, canonical_json(signed) + b"\n")
    scratch.replace(folder / SIGNATURE)


def verify_signature(folder: Path, manifest: Manifest, trusted: Trust) -> str:
    """Return the name of the trusted key that signed this manifest.

    Raises
    ------
    BundleRefused
        ``unsigned``, ``signature`` (it is not of this bundle) or ``untrusted`` (it is of a key not listed).
    """
    if not (folder / SIGNATURE).exists():
        sign = f"`moment models sign {manifest.model} {manifest.version}`"
        raise BundleRefused(
            folder, Refusal.UNSIGNED, "nobody vouches for it", way_out=f"if you know it, run {sign}"
        )
    content = read_plain(folder, SIGNATURE, most=_MAX_SIGNATURE_BYTES)
    try:
        stated = json.loads(content)
        key, signature = _raw(str(stated["public_key"])), base64.b64decode(stated["signature"], validate=True)
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _message(manifest))
    except (ValueError, KeyError, TypeError, RecursionError, InvalidSignature) as error:
        raise BundleRefused(folder, Refusal.SIGNATURE, f"{SIGNATURE} is not a signature of it") from error
    if key not in trusted.names:
        raise BundleRefused(
            folder,
            Refusal.UNTRUSTED,
            f"it is signed by {_text(key)}, a key that is not among the trusted",
            way_out=f"list it in keys/{TRUST_FILE} if you know whose it is",
        )
    return trusted.names[key]


def _message(manifest: Manifest) -> bytes:
    """Return what is signed: the model's name, the digest, and what is told about the bundle."""
    about = hashlib.sha256(canonical_json(asdict(manifest.about))).hexdigest()
    return b"\0".join([_DOMAIN, manifest.model.encode(), manifest.digest.encode(), about.encode()])


def _make(path: Path) -> bool:
    """Write a new key, whole or not at all; whoever comes first of many has made it."""
    if path.exists():
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(_text(secrets.token_bytes(_KEY_BYTES)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(part)
        except FileExistsError:
            return False
        return True
    finally:
        part.unlink()


def _raw(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if len(key) != _KEY_BYTES:
        raise ValueError(f"not {_KEY_BYTES} bytes")
    return key


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
