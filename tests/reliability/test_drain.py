"""SIGTERM with requests in flight: each is answered, none is reset, and what was acknowledged is there."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

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


def connect(service: Service, sent: bytes) -> socket.socket:
    """Return a connection on which something was sent, and nothing will be read for a while."""
    host, _, port = service.address.rpartition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect((host, int(port)))
    connection.sendall(sent)
    return connection
