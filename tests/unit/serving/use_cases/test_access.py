from __future__ import annotations

import base64

import pytest

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.memory import MemoryKeys
from serving.ports import Scope
from serving.records import Mode
from serving.use_cases.access import authenticate
from serving.use_cases.keys import NewKey, create_key, digest, revoke_key
from tests.service.kit import NOW, caller


def new_key(keys: MemoryKeys, *, channel: str | None = None) -> NewKey:
    scopes = frozenset({Scope.DECIDE})
    return create_key(keys, mode=Mode.LIVE, scopes=scopes, channel=channel, label="shop", now=NOW)


def test_a_key_is_256_random_bits_and_only_its_digest_is_kept() -> None:
    keys = MemoryKeys()
    first, second = new_key(keys), new_key(keys)
    assert first.secret != second.secret
    assert first.secret.startswith("moment_live_")
    assert len(base64.urlsafe_b64decode(first.secret.removeprefix("moment_live_") + "=")) == 32
    assert keys.find(digest(first.secret)) == first.key
    assert first.secret not in repr(keys.all())


def test_a_caller_is_who_the_key_says() -> None:
    keys = MemoryKeys()
    made = new_key(keys, channel="web")
    found = authenticate(keys, made.secret)
    assert (found.key_id, found.mode, found.channel) == (made.key.key_id, Mode.LIVE, "web")
    found.require(Scope.DECIDE)
    with pytest.raises(InvalidRequest) as refused:
        found.require(Scope.READ_SCORES)
    assert refused.value.code == "scope-missing"


def test_a_wrong_and_a_revoked_key_open_nothing() -> None:
    keys = MemoryKeys()
    made = new_key(keys)
    revoke_key(keys, made.key.key_id, NOW)
    messages = set()
    for secret in (made.secret, "moment_live_wrong", ""):
        with pytest.raises(InvalidRequest) as refused:
            authenticate(keys, secret)
        assert refused.value.code == "key-unknown"
        messages.add(str(refused.value))
    assert len(messages) == 1


def test_revoking_what_is_not_there_says_so() -> None:
    with pytest.raises(DependencyError, match="no key key_x"):
        revoke_key(MemoryKeys(), "key_x", NOW)


@pytest.mark.parametrize(
    ("mode", "channel", "may"),
    [(Mode.TEST, "web", True), (Mode.TEST, "app", False), (Mode.LIVE, "web", False)],
)
def test_a_bound_key_sees_its_own_channel_and_mode(mode: Mode, channel: str, *, may: bool) -> None:
    assert caller(Mode.TEST, channel="web").may_see(mode=mode, channel=channel) is may
