"""Closing the address of a process: who has connected is let in, who comes later is refused."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

_SERVER = """
import socket, sys
from serving.leaving import ignore_connections, refuse_connections

family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listening = socket.create_server((sys.argv[1], 0), family=family)
tell = lambda what: print(what, flush=True)
tell(listening.getsockname()[1])
for step in sys.stdin:
    if step == "ignore\\n":
        tell(ignore_connections())
    if step == "refuse\\n":
        tell(refuse_connections())
    if step == "answer\\n":
        served, _ = listening.accept()
        tell(served.recv(5).decode())
        served.sendall(b"yours")
"""
"""In a process of its own: it closes whatever its process listens on."""


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who waits")
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        pytest.param("::1", marks=pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")),
    ],
)
def test_whoever_has_connected_is_served_before_anybody_is_refused(host: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, host], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def said() -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def do(step: str) -> str:
        assert process.stdin is not None
        process.stdin.write(f"{step}\n")
        process.stdin.flush()
        return said()

    with process:
        address = (host, int(said()))
        with socket.create_connection(address) as early:
            assert do("ignore") == "None"
            with pytest.raises(TimeoutError):
                socket.create_connection(address, timeout=0.2)
            assert do("refuse") == "False"  # somebody is at the door
            early.sendall(b"mine?")
            assert do("answer") == "mine?"
            assert early.recv(5) == b"yours"
            assert do("refuse") == "True"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            process.stdin.close()
    assert process.returncode == 0
