"""Workers killed at random moments under load: what was acknowledged is there, once, and limits hold.

The moments are random, the seed of who asks for what is not: ``SEED``.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from serving.adapters.vault import Vault
from serving.records import Mode
from tests.reliability.channel import Channel
from tests.reliability.faults import FULL, Service, SmallService, everybody, small_home

SEED = "kills-1"
KILLS = 200 if FULL else 5
CHANNELS = 4
CUSTOMERS = 8
MOST = 2

pytestmark = pytest.mark.timeout(3600 if FULL else 300)


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Channel], int]:
    """The folder of a service whose workers were killed again and again, and the channels that asked it."""
    folder = tmp_path_factory.mktemp("kills")
    prepared = SmallService(small_home(folder))
    secret = prepared.key()
    prepared.agree(*(f"c{number}" for number in range(CUSTOMERS)))
    prepared.close()
    service = Service(folder)
    channels = [Channel(service.address, secret, f"{SEED}-{n}", CUSTOMERS) for n in range(CHANNELS)]
    for channel in channels:
        channel.start()
    try:
        killed = kill_often(service, channels)
        for channel in channels:
            channel.done.set()
            channel.join(120)
        assert service.stop() == 0
    finally:
        service.kill()
    return folder, channels, killed


def kill_often(service: Service, channels: list[Channel]) -> int:
    """Kill the oldest worker at random moments, each after some answers since the last; return how often."""
    moments = random.Random(SEED)  # noqa: S311
    for kill in range(KILLS):
        answered = sum(len(channel.decisions) for channel in channels)
        while sum(len(channel.decisions) for channel in channels) < answered + 5 or (
            len(service.pids()) < kill + 2
        ):
            assert service.process.poll() is None
            assert all(channel.is_alive() for channel in channels)
            time.sleep(0.01)
        time.sleep(moments.random() * 0.1)
        os.kill(service.pids()[kill], signal.SIGKILL)
    return KILLS


def test_every_acknowledged_outcome_and_event_is_there_exactly_once(
    aftermath: tuple[Path, list[Channel], int],
) -> None:
    folder, channels, killed = aftermath
    home = small_home(folder)
    vault = Vault.open(home)
    outcomes = {one for channel in channels for one in channel.outcomes}
    events = {one for channel in channels for one in channel.events}
    with closing(sqlite3.connect(home.database)) as database:
        kept = Counter(database.execute("SELECT tracking_id, event_ref FROM outcome_reports"))
        seen = Counter(row[0] for row in database.execute("SELECT event_ref FROM events"))
    assert killed == KILLS
    assert sum(any("broken" in why for why in channel.seen) for channel in channels) > 0
    assert {kept[name, vault.blind("outcome", event)] for name, event in outcomes} == {1}
    assert {seen[vault.blind("event", Mode.LIVE, event)] for event in events} == {1}
    # What was on its way may be there besides: one report and one event per channel and broken connection
    broken = sum(count for channel in channels for why, count in channel.seen.items() if "broken" in why)
    assert len(outcomes) <= len(kept) <= len(outcomes) + broken + CHANNELS
    assert len(events) <= len(seen) <= len(events) + broken + CHANNELS
    assert set(kept.values()) == set(seen.values()) == {1}


def test_every_acknowledged_decision_is_recorded_and_no_limit_was_exceeded(
    aftermath: tuple[Path, list[Channel], int],
) -> None:
    folder, channels, _ = aftermath
    office = SmallService(small_home(folder), features=everybody(CUSTOMERS))
    try:
        decided = [one for channel in channels for one in channel.decisions.values()]
        records = [office.records.find(one) for one in decided]
        assert len(decided) == len(set(decided)) > KILLS
        assert all(record is not None for record in records)
        assert not {why for record in records if record is not None for why in record.degraded}
    finally:
        office.close()
    with closing(sqlite3.connect(small_home(folder).database)) as database:
        given = database.execute("SELECT customer_ref, COUNT(*) FROM contacts GROUP BY 1").fetchall()
        versions = dict(database.execute("SELECT customer_ref, version FROM contact_versions"))
    assert max(count for _, count in given) == MOST
    assert all(versions[customer] >= count for customer, count in given)
