"""Who signs: people with the secret of their own key, the machine with the server's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.database import migrate
from serving.adapters.memory import MemoryKeys
from serving.adapters.personal_signing import MachineSigner, PersonalSigner
from serving.adapters.sqlite_keys import SqliteKeys
from serving.adapters.vault import Vault
from serving.lifecycle import Actor
from serving.ports import ApiKey, Keys, Role, Scope
from serving.records import Mode
from serving.use_cases.keys import (
    create_key,
    create_personal_key,
    digest,
    public_key_of,
    revoke_key,
    rotate_key,
)
from tests.unit.serving.life_kit import NOW

SECRET = "moment_live_" + "a" * 43
LATER = NOW + timedelta(hours=1)


@pytest.fixture(params=["memory", "sqlite"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Keys]:
    if request.param == "memory":
        yield MemoryKeys()
        return
    migrate(tmp_path / "moment.db")
    store = SqliteKeys(tmp_path / "moment.db")
    yield store
    store.close()


def signer(secret: str, keys: Keys) -> PersonalSigner:
    return PersonalSigner(secret, keys, lambda: LATER)


def refused(code: str, said: str, secret: str, keys: Keys) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        signer(secret, keys)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert secret not in str(caught.value)


def test_the_key_made_of_a_secret_stays_what_it_is() -> None:
    # A change here would leave people unable to be recognised by what they signed
    assert public_key_of(SECRET).hex() == "a950a777984c3a468cb7f943be9dcf35c178e2546521c07b8db27f2c0fbae603"


def test_a_person_signs_and_anybody_verifies(keys: Keys) -> None:
    new = create_personal_key(keys, person="Ada Byron", role=Role.RISK_OFFICER, now=NOW)
    ada = signer(new.secret, keys)
    assert ada.actor == Actor(new.key.key_id, "Ada Byron", "risk_officer")
    (kept,) = keys.secrets(new.key.key_id)
    assert kept.public_key == ada.public_key
    verifier = Ed25519PublicKey.from_public_bytes(kept.public_key)
    verifier.verify(ada.sign(b"approved"), b"approved")
    with pytest.raises(InvalidSignature):
        verifier.verify(ada.sign(b"approved"), b"rejected")


def test_a_rotated_key_has_a_public_key_a_secret(keys: Keys) -> None:
    new = create_personal_key(keys, person="Ada", role=Role.OPERATOR, now=NOW)
    again = rotate_key(keys, new.key.key_id, NOW, grace=timedelta(hours=2))
    kept = [secret.public_key for secret in keys.secrets(new.key.key_id)]
    assert kept == [public_key_of(new.secret), public_key_of(again.secret)]
    assert signer(again.secret, keys).actor == signer(new.secret, keys).actor


def test_a_key_from_before_there_were_signatures_gets_one_at_first_use(keys: Keys) -> None:
    key = ApiKey("key_1", "", Mode.LIVE, frozenset(Scope), None, NOW, person="Ada", role=Role.OPERATOR)
    keys.add(key, digest(SECRET))
    assert keys.secrets("key_1")[0].public_key is None
    ada = signer(SECRET, keys)
    assert keys.secrets("key_1")[0].public_key == ada.public_key


def test_a_public_key_is_never_exchanged(keys: Keys) -> None:
    new = create_personal_key(keys, person="Ada", role=Role.OPERATOR, now=NOW)
    keys.publish(digest(new.secret), bytes(32))
    assert keys.secrets(new.key.key_id)[0].public_key == public_key_of(new.secret)


def test_a_public_key_that_is_not_the_secrets_own_is_told(keys: Keys) -> None:
    key = ApiKey("key_1", "", Mode.LIVE, frozenset(Scope), None, NOW, person="Ada", role=Role.OPERATOR)
    keys.add(key, digest(SECRET), bytes(32))
    with pytest.raises(DependencyError, match="the public key kept of key_1 is not its own"):
        signer(SECRET, keys)


def test_a_channels_key_has_no_public_key_and_signs_nothing(keys: Keys) -> None:
    new = create_key(keys, mode=Mode.LIVE, scopes=frozenset(Scope), channel=None, label="shop", now=NOW)
    rotated = rotate_key(keys, new.key.key_id, NOW, grace=timedelta(hours=2))
    assert [one.public_key for one in keys.secrets(new.key.key_id)] == [None, None]
    for secret in (new.secret, rotated.secret):
        refused("role-missing", "channel's key", secret, keys)


def test_a_test_key_signs_nothing(keys: Keys) -> None:
    new = create_personal_key(keys, person="Ada", role=Role.RISK_OFFICER, now=NOW, mode=Mode.TEST)
    refused("live-only", "test key", new.secret, keys)


def test_what_opens_nothing_signs_nothing(keys: Keys) -> None:
    refused("key-unknown", "opens nothing", "moment_live_nothing", keys)
    ended = create_personal_key(keys, person="Ada", role=Role.OPERATOR, now=NOW, expires_at=LATER)
    refused("key-unknown", "opens nothing", ended.secret, keys)
    revoked = create_personal_key(keys, person="Ada", role=Role.OPERATOR, now=NOW)
    revoke_key(keys, revoked.key.key_id, NOW)
    refused("key-unknown", "opens nothing", revoked.secret, keys)
    replaced = create_personal_key(keys, person="Ada", role=Role.OPERATOR, now=NOW)
    rotate_key(keys, replaced.key.key_id, NOW, grace=timedelta(0))
    refused("key-unknown", "opens nothing", replaced.secret, keys)


def test_the_machine_signs_with_the_servers_secret() -> None:
    machine, other = MachineSigner(Vault(bytes(32))), MachineSigner(Vault(bytes(range(32))))
    assert machine.actor == Actor("machine")
    assert machine.public_key == MachineSigner(Vault(bytes(32))).public_key != other.public_key
    Ed25519PublicKey.from_public_bytes(machine.public_key).verify(machine.sign(b"x"), b"x")
