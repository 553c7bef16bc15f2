"""SIGTERM with requests in flight: each is answered, none is reset, and what was acknowledged is there."""

from __future__ import annotations

import time
from pathlib import Path

from tests.reliability.channel import Channel
from tests.reliability.faults import FULL, Service, SmallService, small_home

ROUNDS = 20 if FULL else 1
CHANNELS = 8


def test_sigterm_under_load_resets_nobody(tmp_path: Path) -> None:
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        prepared = SmallService(small_home(folder))
        secret = prepared.key()
        prepared.agree(*(f"c{one}" for one in range(30)))
        prepared.close()
        service = Service(folder)
        channels = [Channel(service.address, secret, f"drain-{number}-{n}") for n in range(CHANNELS)]
        try:
            for channel in channels:
                channel.start()
            while sum(len(channel.decisions) for channel in channels) < 10 * CHANNELS:
                assert all(channel.is_alive() for channel in channels)
                time.sleep(0.01)
            assert service.stop() == 0
            for channel in channels:
                channel.done.set()
                channel.join(60)
        finally:
            service.kill()
        seen = {why for channel in channels for why in channel.seen}
        # Answered, or refused before anything was sent; never broken while it waited
        assert seen <= {"200", "503", "refused"}, [channel.seen for channel in channels]
        assert "refused" in seen
        office = SmallService(small_home(folder))
        try:
            decided = [one for channel in channels for one in channel.decisions.values()]
            assert all(office.records.find(one) is not None for one in decided)
        finally:
            office.close()
