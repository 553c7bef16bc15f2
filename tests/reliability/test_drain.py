"""SIGTERM with requests in flight: each is answered, none is reset, and what was acknowledged is there.

A worker that is told to go alone leaves the address to the others; without their supervisor all go.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from serving.leaving import drop_knocks
from tests.reliability.channel import Channel
from tests.reliability.faults import FULL, Service, SmallService, small_home

ROUNDS = 20 if FULL else 1
CHANNELS = 8

UPGRADE = (
    b"POST /v1/outcomes HTTP/1.1\r\nHost: moment\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)
DEAF = b"GET /openapi.json HTTP/1.1\r\nHost: moment\r\n\r\n" * 40


def test_sigterm_under_load_resets_nobody(tmp_path: Path) -> None:
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        prepared = SmallService(small_home(folder))
        secret = prepared.key()
        prepared.agree(*(f"c{one}" for one in range(30)))
        prepared.close()
        service = Service(folder)
        channels = [Channel(service.address, secret, f"drain-{number}-{n}") for n in range(CHANNELS)]
        held = ExitStack()
        try:
            for channel in channels:
                channel.start()
            while sum(len(channel.decisions) for channel in channels) < 10 * CHANNELS:
                assert all(channel.is_alive() for channel in channels)
                time.sleep(0.01)
            clients = [held.enter_context(connect(service, sent)) for sent in (UPGRADE, DEAF) * 4]
            begun = time.monotonic()
            assert service.stop() == 0
            # Nobody had to be given up on because the time to stop was over
            assert time.monotonic() - begun < 10
            assert all(client.recv(12) == b"HTTP/1.1 401" for client in clients[::2])
            for channel in channels:
                channel.done.set()
                channel.join(60)
        finally:
            service.kill()
            held.close()
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


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_told_to_go_alone_is_not_missed(tmp_path: Path, number: signal.Signals) -> None:
    prepared = SmallService(small_home(tmp_path))
    secret = prepared.key()
    prepared.close()
    service = Service(tmp_path)
    channels = [Channel(service.address, secret, f"alone-{n}") for n in range(CHANNELS)]
    try:
        for channel in channels:
            channel.start()
        until(lambda: sum(len(channel.decisions) for channel in channels) > 5 * CHANNELS)
        first, second = service.pids()
        for replaced, pid in enumerate((first, second), start=1):
            os.kill(pid, number)
            until(lambda pid=pid: not is_there(pid))  # type: ignore[misc]
            until(lambda count=replaced: len(service.pids()) == 2 + count)  # type: ignore[misc]
        before = sum(len(channel.decisions) for channel in channels)
        until(lambda: sum(len(channel.decisions) for channel in channels) > before + 5 * CHANNELS)
        for channel in channels:
            channel.done.set()
        for channel in channels:
            channel.join(60)
        assert service.stop() == 0
    finally:
        service.kill()
    seen = {why for channel in channels for why in channel.seen}
    assert seen <= {"200", "503"}, [channel.seen for channel in channels]


def test_workers_end_in_order_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    prepared = SmallService(small_home(tmp_path))
    secret = prepared.key()
    prepared.close()
    service = Service(tmp_path)
    channels = [Channel(service.address, secret, f"orphan-{n}") for n in range(CHANNELS)]
    try:
        for channel in channels:
            channel.start()
        until(lambda: sum(len(channel.decisions) for channel in channels) > 5 * CHANNELS)
        service.listening.close()
        os.kill(service.process.pid, signal.SIGKILL)
        until(lambda: not any(map(is_there, service.pids())))
        for channel in channels:
            channel.done.set()
            channel.join(60)
    finally:
        service.kill()
    seen = {why for channel in channels for why in channel.seen}
    assert seen <= {"200", "503", "refused"}, [channel.seen for channel in channels]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has the filter")
def test_a_filter_that_was_left_at_an_address_goes_with_the_next_worker(tmp_path: Path) -> None:
    prepared = SmallService(small_home(tmp_path))
    secret = prepared.key()
    prepared.close()
    with socket.create_server(("127.0.0.1", 0)) as left:
        drop_knocks(left)
        service = Service(tmp_path, listening=left)
        channel = Channel(service.address, secret, "left")
        try:
            channel.start()
            until(lambda: len(channel.decisions) > 0)
            channel.done.set()
            channel.join(60)
            assert service.stop() == 0
        finally:
            service.kill()


def connect(service: Service, sent: bytes) -> socket.socket:
    """Return a connection on which something was sent, and nothing will be read for a while."""
    host, _, port = service.address.rpartition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect((host, int(port)))
    connection.sendall(sent)
    return connection
