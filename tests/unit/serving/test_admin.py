"""The Admin service's process: it comes and goes with the one that started it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import httpx

STARTER = """
from serving.admin_process import AdminProcess

with AdminProcess():
    print("started", flush=True)
    input()
"""

UPGRADE = b"GET /livez HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def wait_until(port: int, *, up: bool) -> None:
    deadline = time.monotonic() + 60
    while answers(port) is not up:
        assert time.monotonic() < deadline, f"the Admin service is {'not up' if up else 'still up'}"
        time.sleep(0.05)


def test_it_answers_alone_and_ends_with_who_started_it_however_that_ends(tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {
        "MOMENT_HOME": str(tmp_path / "home"),
        "MOMENT_ADMIN_PORT": str(port),
        "MOMENT_LOG": "json",
        "MOMENT_BODY_SECONDS": "0.5",
    }
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        wait_until(port, up=True)
        # Neither stores nor workers are there, yet nobody gets in without a key
        assert httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).status_code == 401
        with ExitStack() as opened:
            silent = [
                opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                for _ in range(40)
            ]
            assert answers(port)
            # Nor does anybody stay who says nothing, or wants another protocol
            silent[0].sendall(UPGRADE)
            assert silent[0].recv(12) == b"HTTP/1.1 200"
            assert all(one.recv(1) == b"" for one in silent[1:])
        starter.kill()
    wait_until(port, up=False)
