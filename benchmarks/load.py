"""Moment under load beside a usual stack doing the same work, in one run on the same machine.

``python -m benchmarks.load [--requests 3000]`` on the home that ``moment demo`` made. Both are asked over
HTTP by one client beside them, with one worker and with two. Moment keeps all its promises: a key, every
candidate with its reason, limits reserved in the record's transaction, the record on the disk before the
answer. See `benchmarks.usual_stack` for what the other does.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click
import numpy as np
import yaml

from benchmarks import machine, usual_stack
from benchmarks.decision import customers_of, fresh_home
from benchmarks.load_client import Load, ask, post
from moment.home import Home
from serving.adapters.identifiers import utc_now
from serving.bootstrap import PACKAGED_CATALOGUE, open_keys
from serving.child import DIRECTLY, running_service
from serving.ports import Scope
from serving.records import Mode
from serving.use_cases.keys import create_key

_CONNECTIONS = (1, 8)
_WARM_UP = 200
_READY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    workers: int
    connections: int
    load: Load

    @property
    def rate(self) -> float:
        """Decisions per second."""
        return len(self.load.milliseconds) / self.load.seconds

    def told(self) -> str:
        """Return the line."""
        p50, p99 = np.percentile(self.load.milliseconds, [50, 99])
        where = f"{self.name:<12} {self.workers:>7} {self.connections:>11}"
        return f"{where} {p50:>9.2f} {p99:>9.2f} {self.rate:>12.0f}"


@click.command(help=(__doc__ or "").partition("\n\n")[0])
@click.option("--requests", default=3000, show_default=True, help="Questions to Moment in each setting.")
@click.option("--usual", default=600, show_default=True, help="Questions to the usual stack.")
def main(requests: int, usual: int) -> None:
    """Measure both and print one table and the ratios."""
    made = Home.find()
    click.echo(f"{machine.facts()}; client on the same cores")
    click.echo(f"{usual_stack.CANDIDATES} candidates for both; one placement of three slots")
    click.echo(f"\n{'':<12} workers connections    p50 ms    p99 ms  decisions/s")
    rows: list[Row] = []
    with fresh_home(made) as home:
        for workers in (1, 2):
            for row in (*_moment(home, workers, requests), *_usual(home, workers, usual)):
                click.echo(row.told())
                rows.append(row)
    click.echo("")
    for ours, theirs in _pairs(rows):
        p50 = np.median(theirs.load.milliseconds) / np.median(ours.load.milliseconds)
        click.echo(
            f"{ours.workers} worker{'s' * (ours.workers > 1)}, {ours.connections} in the air: "
            f"p50 {p50:.1f} times shorter, {ours.rate / theirs.rate:.1f} times as many decisions"
        )


def _pairs(rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    for ours in rows:
        for theirs in rows:
            same = (ours.workers, ours.connections) == (theirs.workers, theirs.connections)
            if same and ours.name < theirs.name:
                yield ours, theirs


def _moment(home: Home, workers: int, requests: int) -> Iterator[Row]:
    from features.store import FeatureStore

    keys = open_keys(home)
    new = create_key(
        keys, mode=Mode.TEST, scopes=frozenset({Scope.DECIDE}), channel=None, label="load", now=utc_now()
    )
    keys.close()
    at = (FeatureStore(home).newest_event_time() + timedelta(days=1, hours=18)).isoformat()
    os.environ["MOMENT_CATALOGUE"] = str(_catalogue(home))
    # Every question is answered however long it waits, as the usual stack does: the wait is in the figures
    os.environ["MOMENT_DEADLINE_MS"] = "10000"
    with running_service(home, log=home.root / "load.log", workers=workers) as url:
        address = _address(url)

        def question(customer: str) -> bytes:
            asked = {
                "customer_id": customer,
                "channel": "web",
                "placements": [{"name": "home", "slots": usual_stack.SLOTS}],
                "context": {"time": at},
            }
            secret = f"Authorization: Bearer {new.secret}"
            return post("/v1/decisions", address[0], json.dumps(asked).encode(), [secret])

        yield from _runs("Moment", workers, address, [question(one) for one in customers_of(home)], requests)


def _usual(home: Home, workers: int, requests: int) -> Iterator[Row]:
    with _usual_stack(home, workers) as address:

        def question(customer: str) -> bytes:
            asked = json.dumps({"customer_id": customer, "channel": "web"}).encode()
            return post("/v1/decisions", address[0], asked)

        questions = [question(one) for one in customers_of(home)]
        yield from _runs("usual stack", workers, address, questions, requests)


def _runs(
    name: str, workers: int, address: tuple[str, int], questions: Sequence[bytes], requests: int
) -> Iterator[Row]:
    ask(address, [questions[number % len(questions)] for number in range(_WARM_UP)], connections=4)
    for connections in _CONNECTIONS:
        asked = [questions[number % len(questions)] for number in range(requests)]
        yield Row(name, workers, connections, ask(address, asked, connections=connections))


def _catalogue(home: Home) -> Path:
    """Write the packaged groceries with as many actions as the usual stack has candidates.

    The added ones are copies under new names: they have rules, treatments and scores like any other.
    """
    content = yaml.safe_load(PACKAGED_CATALOGUE.read_text(encoding="utf-8"))
    groups = [group for issue in content["issues"].values() for group in issue["groups"].values()]
    originals = [(group, *item) for group in groups for item in list(group["actions"].items())]
    missing = usual_stack.CANDIDATES - len(originals)
    for group, name, action in originals[:missing]:
        group["actions"][f"{name}-again"] = {**action, "label": f"{action['label']} again"}
    file = home.root / "load.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


@contextmanager
def _usual_stack(home: Home, workers: int) -> Iterator[tuple[str, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = ("127.0.0.1", int(probe.getsockname()[1]))
    environment = os.environ | {
        "USUAL_HOME": str(home.root),
        "USUAL_DATABASE": str(home.root / "usual.db"),
        "MOMENT_HOME": str(home.root),
        "FEAST_USAGE": "False",
    }
    command = [sys.executable, "-m", "benchmarks.usual_stack"]
    command += ["--port", str(address[1]), "--workers", str(workers)]
    with (home.root / "usual.log").open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603
    try:
        _wait(address)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _wait(address: tuple[str, int]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with DIRECTLY.open(f"http://{address[0]}:{address[1]}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit("the usual stack did not become ready; its log is in the benchmark's home")


def _address(url: str) -> tuple[str, int]:
    host, _, port = urlsplit(url).netloc.partition(":")
    return host, int(port)


if __name__ == "__main__":
    main()
