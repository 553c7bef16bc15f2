"""Fixtures every test may use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from moment.home import Home

PROJECT = Path(__file__).parents[1]

# As the command does, before anything loads OpenMP: waiting threads that spin take the cores from the others
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Two processes share the cores already, and threads of linear algebra wait by spinning
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

# A shell that starts pytest in the background has its children ignore the signal, and theirs would too
signal.signal(signal.SIGINT, signal.default_int_handler)

FULL = os.environ.get("MOMENT_RELIABILITY") == "full"
"""Whether the long form is asked for (`make reliability`)."""

settings.register_profile("short", max_examples=20)
settings.load_profile("default" if FULL else "short")


ALONE = ("data", "integration", "model", "reliability", "service")
"""Folders whose tests share what is dear to make, or count on a core: one process runs them in turn."""

LONG = ("test_demo.py", "test_story.py")
"""What takes minutes has the other process for itself first; then it shares what is left."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long form to who asks for it, and put what takes longest first."""
    items[:] = [item for item in items if FULL or item.get_closest_marker("long_form") is None]
    first = {"long": 0, "alone": 1}
    items.sort(key=lambda item: first.get(_together(item.nodeid), 2))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:  # noqa: ANN401 - its producer
    """Share the tests between processes by what belongs together, where they are shared at all."""
    from xdist.scheduler import LoadScopeScheduling

    scheduler: Any = LoadScopeScheduling(config, log)
    scheduler._split_scope = _together
    return scheduler


def _together(nodeid: str) -> str:
    """Return the name of what a test must run in one process with."""
    path = nodeid.partition("::")[0].removeprefix("tests/")
    if path.endswith(LONG):
        return "long"
    return "alone" if path.startswith(ALONE) else path


@dataclass(frozen=True)
class Ingested:
    """What ``moment ingest complete-journey`` left: a home, its report, and its peak memory in bytes."""

    home: Home
    report: dict[str, Any]
    peak: int


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """The Complete Journey, ingested once a session by the command in a process of its own."""
    root = tmp_path_factory.mktemp("lake_home")
    home = Home(root=root / "home", mlruns=root / "mlruns")
    environment = os.environ | {"MOMENT_HOME": str(home.root), "MOMENT_MLRUNS": str(home.mlruns)}
    command = [sys.executable, "-m", "moment.cli", "ingest", "complete-journey", "--json"]
    with (
        (root / "report.json").open("wb") as out,
        subprocess.Popen(command, stdout=out, env=environment, cwd=PROJECT) as process,
    ):
        # Not wait(): only this tells the memory of this one child
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    unit = 1 if sys.platform == "darwin" else 1024
    return Ingested(home, json.loads((root / "report.json").read_text()), usage.ru_maxrss * unit)


@pytest.fixture(scope="session")
def lake_home(ingested: Ingested) -> Home:
    """A home whose lake holds the whole of The Complete Journey. Read it only."""
    return ingested.home
