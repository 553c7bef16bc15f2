from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from moment.home import Home
from serving.bootstrap import PACKAGED_CATALOGUE
from tests.service.collector import Collector
from tests.service.issuer import Issuer

PROJECT = Path(__file__).parents[2]
READY_SECONDS = 120
CANARY = "canary-7f3c"
"""A customer id that may be nowhere in what the service prints."""


def environment(home: Home) -> dict[str, str]:
    return os.environ | {"MOMENT_HOME": str(home.root), "MOMENT_MLRUNS": str(home.mlruns), "TZ": "UTC"}


def moment(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the ``moment`` command on a home."""
    command = [sys.executable, "-m", "moment.cli", *arguments]
    return subprocess.run(
        command, env=environment(home), cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with features online and two models, made once a session."""
    root = tmp_path_factory.mktemp("service")
    made = Home(root / "home", root / "mlruns")
    command = [sys.executable, "-m", "tests.service.make_home", str(root)]
    subprocess.run(command, env=environment(made), cwd=PROJECT, check=True, timeout=240)
    return made


@pytest.fixture(scope="session")
def key(home: Home) -> str:
    """A test key with every scope, made and written by the command."""
    done = moment(home, "keys", "create", "--mode", "test", "--scope", "all", "--out-file", "tests.key")
    assert done.returncode == 0, done.stderr
    path = home.keys / "tests.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    return path.read_text().strip()


@pytest.fixture(scope="session")
def sure_catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The groceries without chance and with one limit, in the app: elsewhere tests may share customers."""
    text = PACKAGED_CATALOGUE.read_text("utf-8")
    text, explored = re.subn(r"^exploration: .*$", "exploration: greedy", text, flags=re.MULTILINE)
    limited = "contact_policies:\n  twice: {limit: 2, window: 7d, channels: [app]}\n"
    text, policies = re.subn(r"^contact_policies:\n(?:[ #].*\n)+", limited, text, flags=re.MULTILINE)
    assert (explored, policies) == (1, 1)
    path = tmp_path_factory.mktemp("catalogue") / "sure.yaml"
    path.write_text(text, "utf-8")
    return path


@dataclass
class Server:
    """A running ``moment serve`` with two workers."""

    process: subprocess.Popen[str]
    home: Home
    key: str
    url: str = ""
    admin_url: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        """All it has printed so far."""
        return "".join(self.lines)

    def client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.key}"}
        # Not to verify anything over plain HTTP saves reading all certificates for each client
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=30, verify=False)  # noqa: S501

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.match(r"Moment answers at (\S+)", line):
                self.url = found[1]
            if found := re.match(r"  admin (\S+)/metrics", line):
                self.admin_url = found[1]


@contextmanager
def started(home: Home, key: str, more: Mapping[str, str], *, workers: int = 2) -> Iterator[Server]:
    """Serve a home on a free port while the block runs; then stop it, where the block has not ended it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moment.cli", "serve", "--port", "0", "--workers", str(workers)],
        env=environment(home) | dict(more),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = Server(process, home, key)
    reader = threading.Thread(target=server.read, daemon=True)
    reader.start()
    deadline = time.monotonic() + READY_SECONDS
    while not server.admin_url and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        assert server.url, server.output
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        reader.join(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """An identity provider that the server trusts."""
    return Issuer.new(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """A collector that the server sends its traces to."""
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="session")
def server(
    home: Home, key: str, sure_catalogue: Path, issuer: Issuer, collector: Collector
) -> Iterator[Server]:
    """The real service on a free port. At the end it must stop cleanly, having told no secrets."""
    more = issuer.environment | {
        "MOMENT_CATALOGUE": str(sure_catalogue),
        "MOMENT_LOG": "json",
        "MOMENT_DEADLINE_MS": "10000",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
    }
    with started(home, key, more) as server:
        yield server
    assert server.process.returncode == 0
    assert json.loads(server.lines[-1])["message"] == "Stopped."
    # No worker is left that still listens
    for url in (server.url, server.admin_url):
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)
    assert CANARY not in server.output
    assert key not in server.output


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


DEMO = [sys.executable, "-m", "moment.cli", "demo"]


@dataclass(frozen=True)
class Told:
    """What the interrupted and the finished demo left and said."""

    home: Home
    interrupted: subprocess.CompletedProcess[str]
    finished: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def told(lake_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The demo for real; what comes after its own tests may go on in its home."""
    root = tmp_path_factory.mktemp("demo")
    home = Home(root / "home", root / "mlruns")
    shutil.copytree(lake_home.lake, home.lake, copy_function=os.link)
    return Told(home, interrupt_demo(home), run_demo(home))


def run_demo(home: Home) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        DEMO, env=environment(home), cwd=PROJECT, capture_output=True, text=True, check=False, timeout=500
    )


def interrupt_demo(home: Home) -> subprocess.CompletedProcess[str]:
    """Press Ctrl+C while the first features are being built."""
    process = subprocess.Popen(
        DEMO,
        env=environment(home),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not any(home.snapshots.glob("*/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(DEMO, process.returncode, out, errors)
