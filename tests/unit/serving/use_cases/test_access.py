from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.memory import FixedClock, MemoryKeys
from serving.ports import Role, Scope
from serving.records import Mode
from serving.use_cases.access import Access
from serving.use_cases.keys import (
    PERSONAL_BOUNDS,
    ROLES,
    NewKey,
    create_key,
    create_personal_key,
    digest,
    revoke_key,
    rotate_key,
)
from tests.service.kit import NOW, caller

HOUR = timedelta(hours=1)


class Door:
    """The door over keys in memory, and a clock to set."""

    def __init__(self) -> None:
        self.keys = MemoryKeys()
        self.clock = FixedClock(NOW)
        self.enter = Access(self.keys, self.clock)

    def new(self, *, channel: str | None = None, ends_after: timedelta | None = None) -> NewKey:
        return create_key(
            self.keys,
            mode=Mode.LIVE,
            scopes=frozenset({Scope.DECIDE}),
            channel=channel,
            label="shop",
            now=NOW,
            expires_at=None if ends_after is None else NOW + ends_after,
        )

    def opens(self, secret: str) -> bool:
        try:
            self.enter(secret)
        except InvalidRequest as refused:
            return refused.code != "key-unknown"
        return True


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_key_is_256_random_bits_and_only_its_digest_is_kept(door: Door) -> None:
    first, second = door.new(), door.new()
    assert first.secret != second.secret
    assert first.secret.startswith("moment_live_")
    assert len(base64.urlsafe_b64decode(first.secret.removeprefix("moment_live_") + "=")) == 32
    found = door.keys.find(digest(first.secret))
    assert found is not None
    assert found.key == first.key
    assert first.secret not in repr(door.keys.all())


def test_a_caller_is_who_the_key_says(door: Door) -> None:
    made = door.new(channel="web")
    found = door.enter(made.secret)
    assert (found.key_id, found.mode, found.channel) == (made.key.key_id, Mode.LIVE, "web")
    assert (found.person, found.role) == (None, None)
    found.require(Scope.DECIDE)
    with pytest.raises(InvalidRequest) as refused:
        found.require(Scope.READ_SCORES)
    assert refused.value.code == "scope-missing"


def test_whatever_opens_nothing_is_refused_in_the_same_words(door: Door) -> None:
    revoked, ended, rotated = door.new(), door.new(ends_after=HOUR), door.new()
    revoke_key(door.keys, revoked.key.key_id, NOW)
    rotate_key(door.keys, rotated.key.key_id, NOW, grace=HOUR)
    door.clock.at = NOW + HOUR
    messages = set()
    for secret in (
        revoked.secret,
        ended.secret,
        rotated.secret,
        "moment_live_wrong",
        "eyJ.e30.",
        "\ud800",
        "",
    ):
        with pytest.raises(InvalidRequest) as refused:
            door.enter(secret)
        assert refused.value.code == "key-unknown"
        messages.add(str(refused.value))
    assert len(messages) == 1


def test_a_key_ends_when_it_says(door: Door) -> None:
    made = door.new(ends_after=HOUR)
    assert door.opens(made.secret)
    door.clock.at = NOW + HOUR
    assert not door.opens(made.secret)


def test_a_rotated_key_is_the_same_caller_with_either_secret(door: Door) -> None:
    old = door.new(channel="web")
    new = rotate_key(door.keys, old.key.key_id, NOW, grace=24 * HOUR)
    assert door.enter(old.secret) == door.enter(new.secret)
    door.clock.at = NOW + 24 * HOUR
    assert (door.opens(old.secret), door.opens(new.secret)) == (False, True)


def test_without_grace_the_old_secret_ends_at_once(door: Door) -> None:
    old = door.new()
    new = rotate_key(door.keys, old.key.key_id, NOW, grace=timedelta(0))
    assert (door.opens(old.secret), door.opens(new.secret)) == (False, True)


def test_rotating_or_revoking_what_is_not_there_says_so(door: Door) -> None:
    with pytest.raises(DependencyError, match="no key key_x"):
        revoke_key(door.keys, "key_x", NOW)
    with pytest.raises(DependencyError, match="no key key_x"):
        rotate_key(door.keys, "key_x", NOW, grace=HOUR)
    made = door.new()
    revoke_key(door.keys, made.key.key_id, NOW)
    with pytest.raises(DependencyError, match="is revoked"):
        rotate_key(door.keys, made.key.key_id, NOW, grace=HOUR)


def test_the_day_of_use_is_remembered_not_the_time(door: Door) -> None:
    made = door.new()
    door.enter(made.secret)
    (secret,) = door.keys.secrets(made.key.key_id)
    assert secret.last_used_on == NOW.date()


@pytest.mark.parametrize("role", list(Role))
def test_a_personal_key_is_its_persons_and_may_what_their_role_may(door: Door, role: Role) -> None:
    made = create_personal_key(door.keys, person="Ada Byron", role=role, now=NOW)
    found = door.enter(made.secret)
    assert (found.person, found.role, found.scopes) == ("Ada Byron", role, ROLES[role])
    assert made.key.bounds == PERSONAL_BOUNDS


def test_no_role_decides_or_reports_for_a_channel() -> None:
    of_channels = {Scope.DECIDE, Scope.WRITE_OUTCOMES, Scope.WRITE_EVENTS, Scope.ASSERT_CONTEXT}
    assert all(not scopes & of_channels for scopes in ROLES.values())
    assert set(ROLES) == set(Role)


@pytest.mark.parametrize(
    ("mode", "channel", "may"),
    [(Mode.TEST, "web", True), (Mode.TEST, "app", False), (Mode.LIVE, "web", False)],
)
def test_a_bound_key_sees_its_own_channel_and_mode(mode: Mode, channel: str, *, may: bool) -> None:
    assert caller(Mode.TEST, channel="web").may_see(mode=mode, channel=channel) is may
