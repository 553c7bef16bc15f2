"""``moment serve`` as a child process, for whoever asks it over HTTP and leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moment.errors import DependencyError
from moment.home import Home
from serving.launch import address_of, with_port
from serving.settings import Settings

DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses of this machine whatever proxy the environment names."""

_READY_SECONDS = 90
_STOP_SECONDS = 20


@contextmanager
def running_service(home: Home, *, log: Path, workers: int = 1) -> Iterator[str]:
    """Serve on a free port of this machine while the block runs; yield the URL once it is ready.

    Whatever happens in the block, the service is stopped after it. What it prints is in ``log``.

    Raises
    ------
    DependencyError
        It did not become ready; names its last words.
    """
    settings = with_port(Settings(port=0))
    environment = os.environ | {"MOMENT_HOME": str(home.root), "MOMENT_MLRUNS": str(home.mlruns)}
    command = [sys.executable, "-m", "moment.cli", "serve"]
    command += ["--host", settings.host, "--port", str(settings.port), "--workers", str(workers)]
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait(address_of(settings), process, log)
        yield address_of(settings)
    finally:
        _stop(process)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with DIRECTLY.open(f"{url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    last = (log.read_text().strip().splitlines() or ["it said nothing"])[-1]
    raise DependencyError(f"the service did not become ready: {last} (all of it: {log})")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
