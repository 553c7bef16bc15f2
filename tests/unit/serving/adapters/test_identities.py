"""Identities in SQLite: hashed, shared, erased, and by one transaction with the history they bring."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moment.home import Home
from serving.adapters.database import connect
from serving.adapters.group_commit import GroupCommit
from serving.adapters.sqlite_erasures import SqliteErasures
from serving.adapters.sqlite_identities import SqliteIdentities
from serving.adapters.vault import Vault
from serving.ports import Identity, IdentityKind, Resolved
from serving.records import Mode

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DEVICE = Identity(IdentityKind.DEVICE, "the value in clear")


@dataclass
class World:
    home: Home
    vault: Vault
    identities: SqliteIdentities

    def link(self, customer: str, mode: Mode = Mode.LIVE) -> Resolved:
        return self.identities.link(DEVICE, customer, mode=mode, at=NOW)

    def unlink(self, customer: str) -> Resolved:
        return self.identities.unlink(DEVICE, customer, mode=Mode.LIVE)

    def same_as(self, customer: str) -> set[str]:
        """Return whose history is joined with a customer's."""
        connection = connect(self.home.database)
        found = connection.execute(
            "SELECT other_ref FROM identity_links WHERE customer_ref = ?", (self.vault.ref(customer),)
        ).fetchall()
        connection.close()
        return {ref for (ref,) in found}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    vault = Vault.open(home)
    writer = GroupCommit(home.database)
    identities = SqliteIdentities(home.database, writer, vault)
    yield World(home, vault, identities)
    writer.close()
    identities.close()


def test_a_link_joins_histories_and_a_second_customer_parts_them(world: World) -> None:
    profile = world.identities.resolve(DEVICE, mode=Mode.LIVE).profile
    assert world.link("anna") == Resolved(profile, "anna")
    assert world.same_as("anna") == {world.vault.ref(profile)}
    assert world.link("ben") == Resolved(profile, None, shared=True)
    assert world.same_as("anna") == world.same_as("ben") == set()
    assert world.unlink("anna") == Resolved(profile, "ben")
    assert world.same_as("ben") == {world.vault.ref(profile)}
    assert world.unlink("ben") == Resolved(profile, None)
    assert world.same_as("ben") == set()


def test_a_value_and_its_hash_are_the_same_identity_and_neither_is_kept(world: World) -> None:
    world.link("canary-customer")
    hashed = Identity(IdentityKind.DEVICE, hashlib.sha256(DEVICE.value.encode()).hexdigest())
    assert world.identities.resolve(hashed, mode=Mode.LIVE).customer_id == "canary-customer"
    cookie = Identity(IdentityKind.COOKIE, DEVICE.value)
    assert world.identities.resolve(cookie, mode=Mode.LIVE).customer_id is None
    kept = b"".join(file.read_bytes() for file in world.home.root.rglob("*") if file.is_file())
    for words in (b"canary-customer", DEVICE.value.encode(), hashed.value.encode()):
        assert words not in kept


def test_test_and_live_never_meet(world: World) -> None:
    test, live = world.link("anna", Mode.TEST), world.identities.resolve(DEVICE, mode=Mode.LIVE)
    assert (test.customer_id, live.customer_id) == ("anna", None)
    assert test.profile != live.profile
    assert [len(world.identities.of_customer("anna", mode=mode)) for mode in (Mode.LIVE, Mode.TEST)] == [0, 1]


def test_an_erased_customer_is_nobody_and_is_not_linked_again(world: World) -> None:
    world.link("anna")
    connection = connect(world.home.database)
    world.vault.destroy(connection, world.vault.ref("anna"), NOW)
    connection.close()
    assert world.identities.resolve(DEVICE, mode=Mode.LIVE).customer_id is None
    world.unlink("anna")
    assert world.link("anna").customer_id is None
    assert world.identities.of_customer("anna", mode=Mode.LIVE) == ()


def test_an_erasure_knows_the_identities_that_were_the_customers_alone(world: World) -> None:
    value_hash = hashlib.sha256(DEVICE.value.encode()).hexdigest()
    world.link("anna")
    writer = GroupCommit(world.home.database)
    erasures = SqliteErasures(world.home.database, writer, world.vault)
    try:
        of_ben, of_anna = (erasures.begin(one, NOW) for one in ("ben", "anna"))
        assert not of_ben.theirs("device", value_hash)
        assert of_anna.theirs("device", value_hash)
        assert of_anna.theirs("device", value_hash.upper())
        assert not of_anna.theirs("cookie", value_hash)
        # Gone on with after a crash, when the links are gone already
        assert erasures.begin("anna", NOW).theirs("device", value_hash)
    finally:
        erasures.close()
        writer.close()
