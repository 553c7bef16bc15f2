"""The ledger of consents in SQLite, beside the one in memory."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moment.errors import DependencyError, InvariantViolation
from moment.home import Home
from serving.adapters.group_commit import GroupCommit
from serving.adapters.memory_consents import MemoryConsents
from serving.adapters.sqlite_consents import SqliteConsents
from serving.adapters.sqlite_reserving import set_link
from serving.adapters.vault import Vault
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.values import Consent, Purpose
from serving.ports import Consents, Told
from serving.records import Mode

NOW = datetime(2026, 5, 1, tzinfo=UTC)
GRANTED, DENIED = ConsentStatus.GRANTED, ConsentStatus.DENIED


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "mlruns")


@pytest.fixture(params=["sqlite", "memory"])
def ledger(home: Home, request: pytest.FixtureRequest) -> Iterator[Consents]:
    if request.param == "memory":
        yield MemoryConsents()
        return
    vault = Vault.open(home)
    writer = GroupCommit(home.database)
    opened = SqliteConsents(home.database, writer, vault)
    yield opened
    writer.close()
    opened.close()


def entry(
    status: ConsentStatus, hours: int, *, purpose: Purpose = Purpose.MARKETING, channel: str | None = None
) -> ConsentEntry:
    at = NOW + timedelta(hours=hours)
    until = None if channel else NOW + timedelta(days=30)
    return ConsentEntry(purpose, channel, status, at, until, at, "form")


def read(ledger: Consents, mode: Mode = Mode.LIVE, *, channel: str = "web", hours: int = 9) -> Consent:
    return ledger.read("anna", mode=mode, channel=channel, now=NOW + timedelta(hours=hours))


def test_what_was_told_is_read_and_the_newest_holds(ledger: Consents) -> None:
    entries = [entry(GRANTED, 0), entry(DENIED, 1, channel="web"), entry(GRANTED, 2, purpose=Purpose.SOCIAL)]
    assert ledger.append([Told("anna", one) for one in entries], mode=Mode.LIVE) == 3
    assert ledger.entries("anna", mode=Mode.LIVE) == tuple(entries)
    assert read(ledger).purposes == {Purpose.SERVICE, Purpose.SOCIAL}
    assert read(ledger, channel="app").purposes == {Purpose.SERVICE, Purpose.SOCIAL, Purpose.MARKETING}
    assert read(ledger, hours=0).purposes == {Purpose.SERVICE, Purpose.MARKETING}
    assert ledger.read("ben", mode=Mode.LIVE, channel="web", now=NOW) == Consent()


def test_what_is_told_again_is_kept_once(ledger: Consents) -> None:
    told = [Told("anna", entry(GRANTED, 0))]
    assert [ledger.append(told, mode=Mode.LIVE) for _ in range(2)] == [1, 0]


def test_test_traffic_sees_both_and_live_traffic_its_own(ledger: Consents) -> None:
    ledger.append([Told("anna", entry(GRANTED, 0))], mode=Mode.LIVE)
    ledger.append([Told("anna", entry(DENIED, 1))], mode=Mode.TEST)
    assert [Purpose.MARKETING in read(ledger, mode).purposes for mode in Mode] == [True, False]


def test_whoever_is_linked_with_others_is_bound_by_what_they_told(home: Home) -> None:
    vault = Vault.open(home)
    writer = GroupCommit(home.database)
    ledger = SqliteConsents(home.database, writer, vault)
    anna, ben, carl = map(vault.ref, ("anna", "ben", "carl"))
    writer.submit(lambda db: set_link(db, anna, ben, linked=True)).result()
    writer.submit(lambda db: set_link(db, ben, carl, linked=True)).result()
    assert read(ledger) == Consent()
    ledger.append([Told("carl", entry(GRANTED, 0))], mode=Mode.LIVE)
    assert read(ledger).purposes == {Purpose.SERVICE, Purpose.MARKETING}
    ledger.append([Told("anna", entry(GRANTED, 1)), Told("ben", entry(DENIED, 0))], mode=Mode.LIVE)
    assert read(ledger) == Consent()
    writer.submit(lambda db: set_link(db, anna, ben, linked=False)).result()
    assert read(ledger).purposes == {Purpose.SERVICE, Purpose.MARKETING}
    writer.close()
    ledger.close()


def test_what_is_read_is_what_the_entries_themselves_amount_to(home: Home) -> None:
    vault, draw = Vault.open(home), random.Random(7)  # noqa: S311 - a test
    writer = GroupCommit(home.database)
    ledger, plain = SqliteConsents(home.database, writer, vault), MemoryConsents()

    def hour(latest: int) -> datetime:
        return NOW + timedelta(hours=draw.randint(0, latest))

    def any_entry() -> ConsentEntry:
        until = draw.choice([None, hour(6)])
        purpose, status = draw.choice(list(Purpose)[:3]), draw.choice(list(ConsentStatus))
        return ConsentEntry(purpose, draw.choice([None, "web", "app"]), status, hour(4), until, hour(4))

    for customer in map(str, range(60)):
        entries = [any_entry() for _ in range(draw.randint(0, 6))]
        told = {(one.purpose, one.channel, one.status, one.valid_from, one.valid_to): one for one in entries}
        for kept in (ledger, plain):
            kept.append([Told(customer, one) for one in told.values()], mode=Mode.LIVE)
        for channel, hours in itertools.product(("web", "app"), range(8)):
            now = NOW + timedelta(hours=hours)
            asked = [one.read(customer, mode=Mode.TEST, channel=channel, now=now) for one in (ledger, plain)]
            assert asked[0] == asked[1]
    writer.close()
    ledger.close()


def test_no_customer_stands_in_clear(home: Home) -> None:
    writer = GroupCommit(home.database) if home.database.exists() else None
    vault = Vault.open(home)
    writer = writer or GroupCommit(home.database)
    ledger = SqliteConsents(home.database, writer, vault)
    ledger.append([Told("canary-customer", entry(DENIED, 0))], mode=Mode.LIVE)
    writer.close()
    ledger.close()
    files = [file for file in home.root.rglob("*") if file.is_file()]
    assert not any(b"canary-customer" in file.read_bytes() for file in files)


def test_a_database_that_is_gone_is_told_and_reading_alone_writes_nothing(home: Home) -> None:
    vault = Vault.open(home)
    reading = SqliteConsents(home.database, None, vault)
    with pytest.raises(InvariantViolation):
        reading.append([Told("anna", entry(GRANTED, 0))], mode=Mode.LIVE)
    reading.close()
    broken = SqliteConsents(home.root, None, vault)
    with pytest.raises(DependencyError):
        read(broken)
