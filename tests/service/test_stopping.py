from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from moment.home import Home
from serving.launch import address_of, with_port
from serving.settings import Settings
from tests.reliability.channel import Channel
from tests.service.conftest import PROJECT, READY_SECONDS, environment


def children(pid: int) -> set[int]:
    """Return the workers of a supervisor."""
    found = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", "worker.service"], capture_output=True, text=True, check=True
    )
    return set(map(int, found.stdout.split()))


def test_sighup_and_a_lone_worker_end_nothing_and_sigterm_resets_nobody(
    home: Home, key: str, tmp_path: Path
) -> None:
    """The service as it is served, supervisor and two workers; what is in flight is answered."""
    settings = with_port(Settings(port=0))
    command = [sys.executable, "-m", "moment.cli", "serve", "--workers", "2", "--port", str(settings.port)]
    with (tmp_path / "service.log").open("w") as log:
        process = subprocess.Popen(
            command,
            env=environment(home) | {"MOMENT_DEADLINE_MS": "5000"},
            cwd=PROJECT,
            stdout=log,
            stderr=log,
        )
    channels = [Channel(address_of(settings).removeprefix("http://"), key, f"stop-{n}") for n in range(4)]
    try:
        until = time.monotonic() + READY_SECONDS
        while "Moment answers" not in (tmp_path / "service.log").read_text():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        for channel in channels:
            channel.start()
        while sum(len(channel.decisions) for channel in channels) < 40:
            assert all(channel.is_alive() for channel in channels)
            time.sleep(0.01)
        process.send_signal(signal.SIGHUP)
        first = children(process.pid)
        os.kill(min(first), signal.SIGTERM)
        until = time.monotonic() + READY_SECONDS
        while "another takes its place" not in (tmp_path / "service.log").read_text():
            assert time.monotonic() < until
            time.sleep(0.1)
        assert len(first & children(process.pid)) == 1
        assert "SIGHUP: nothing is read anew" in (tmp_path / "service.log").read_text()
        assert {why for channel in channels for why in channel.seen} <= {"200", "503"}
        assert all(channel.is_alive() for channel in channels)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        for channel in channels:
            channel.done.set()
        process.kill()
        process.wait()
    for channel in channels:
        channel.join(60)
    seen = {why for channel in channels for why in channel.seen}
    assert seen <= {"200", "503", "refused"}, [channel.seen for channel in channels]
    assert "refused" in seen
    assert "Not ready: this worker" not in (tmp_path / "service.log").read_text()
