"""How long one decision takes: in this process, stage by stage, and over HTTP from a client beside it.

``python -m benchmarks.decision [--requests 2000]`` on the features and models of ``moment demo``, and a
database of its own, so that limits begin where they began last time; every customer has consented to what the
demo's source assumes. Everything is on: features from Feast, every candidate scored, offers reserved and the
record on the disk before the answer. One request at a time.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import click
import numpy as np

from benchmarks import machine
from moment.home import Home
from moment.private import keep_private
from serving.adapters.group_commit import GroupCommit
from serving.adapters.identifiers import utc_now
from serving.adapters.sqlite_consents import SqliteConsents
from serving.adapters.vault import SECRET_VARIABLE, Vault
from serving.bootstrap import open_all, open_keys
from serving.bundles.signing import TRUST_FILE
from serving.child import running_service
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.values import Purpose
from serving.ports import Scope, Told
from serving.records import Mode, dump
from serving.settings import Settings
from serving.use_cases.access import Caller
from serving.use_cases.asking import Ask
from serving.use_cases.keys import create_key, revoke_key

MOST_CUSTOMERS = 2400
_WARM_UP = 50
_OLD_PREFIX = "benchmark-"
_PREFIX = f"{_OLD_PREFIX}{os.getpid()}-"


@dataclass(frozen=True, slots=True)
class Setting:
    """Whom to decide for, and when."""

    customers: tuple[str, ...]
    at: datetime


def main(argv: Sequence[str]) -> None:
    """Measure and print both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args(argv)
    keep_private()
    click.echo(f"{machine.facts()}; {arguments.requests} requests, one at a time")
    with fresh_home(Home.find()) as home:
        setting = in_process(home, arguments.requests)
    with fresh_home(Home.find()) as home:
        over_http(home, setting, arguments.requests, arguments.workers)


@contextmanager
def fresh_home(made: Home) -> Iterator[Home]:
    """Yield a home with the same features and models, consents, and no decision yet, on the same disk.

    Its customers are those of the home, whom no erasure finds here: what a run that was killed has left is
    removed first, and nobody can read what it sealed, for the secret was only in its memory.
    """
    _forget_killed(made)
    with TemporaryDirectory(dir=made.root, prefix=_PREFIX) as folder, _own_secret():
        home = Home(Path(folder), made.mlruns)
        for part in (made.bundles, made.feast, made.snapshots, made.lake):
            (home.root / part.name).symlink_to(part)
        # Whose bundles are opened; the secrets of the home stay where they are
        home.keys.mkdir(mode=0o700)
        shutil.copy(made.keys / TRUST_FILE, home.keys)
        _let_consent(home)
        yield home


@contextmanager
def _own_secret() -> Iterator[None]:
    """Let this process and those it starts seal under a secret that is written nowhere."""
    before = os.environ.get(SECRET_VARIABLE)
    os.environ[SECRET_VARIABLE] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    try:
        yield
    finally:
        del os.environ[SECRET_VARIABLE]
        if before is not None:
            os.environ[SECRET_VARIABLE] = before


def _forget_killed(made: Home) -> None:
    """Remove homes of benchmarks whose process is gone: what they link to stays, links are only removed."""
    for folder in made.root.glob(f"{_OLD_PREFIX}*"):
        process = folder.name.removeprefix(_OLD_PREFIX).partition("-")[0]
        if not (process.isdecimal() and _lives(int(process))):
            shutil.rmtree(folder)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _let_consent(home: Home) -> None:
    """Enter for every customer the consents that the demo's source assumes; without, features are masked."""
    vault = Vault.open(home)
    since = datetime(2000, 1, 1, tzinfo=UTC)
    with closing(GroupCommit(home.database)) as writer:
        consents = SqliteConsents(home.database, writer, vault)
        told = [
            Told(customer, ConsentEntry(purpose, None, ConsentStatus.GRANTED, since, None, since))
            for customer in customers_of(home, MOST_CUSTOMERS)
            for purpose in (Purpose.PROFILING, Purpose.MARKETING)
        ]
        consents.append(told, mode=Mode.LIVE)
        consents.close()


def in_process(home: Home, requests: int) -> Setting:
    """Measure the use case itself and its stages."""
    opened = open_all(home, Settings.read())
    setting = Setting(customers_of(home), opened.features.newest() + timedelta(days=1, hours=18))
    caller = Caller("benchmark", Mode.TEST, frozenset(Scope))
    whole: list[float] = []
    stages: dict[str, list[float]] = {}
    candidates = 0
    size = 0
    for number in range(-_WARM_UP, requests):
        ask = Ask(
            setting.customers[number % len(setting.customers)], "web", (("home", None),), time=setting.at
        )
        started = time.perf_counter()
        record = opened.desk.decide(caller, ask)
        elapsed = (time.perf_counter() - started) * 1000
        if number < 0:
            continue
        whole.append(elapsed)
        recording = elapsed - sum(record.latency_ms.values())
        for name, value in {**record.latency_ms, "record": recording}.items():
            stages.setdefault(name, []).append(value)
        candidates = len(record.scored.candidate)
        stored = dump(record)
        size = len(stored.open) + len(stored.personal or b"")
    opened.close()
    click.echo(f"\nin process: {_told(whole)}; last record: {candidates} scored, {size / 1024:.1f} KiB")
    for name, values in stages.items():
        click.echo(f"  {name:<10} {_told(values)}")
    return setting


def over_http(home: Home, setting: Setting, requests: int, workers: int) -> None:
    """Measure a channel's view: one connection kept alive, the answer read whole."""
    keys = open_keys(home)
    new = create_key(
        keys, mode=Mode.TEST, scopes=frozenset(Scope), channel=None, label="benchmark", now=utc_now()
    )
    try:
        with running_service(home, log=home.root / "benchmark-service.log", workers=workers) as url:
            times = list(_ask(urlsplit(url).netloc, new.secret, setting, requests))
    finally:
        revoke_key(keys, new.key.key_id, utc_now())
        keys.close()
    click.echo(
        f"\nover HTTP:  {_told(times)}; {1000 * len(times) / sum(times):.0f} decisions/s by one client"
    )


def _ask(address: str, secret: str, setting: Setting, requests: int) -> Iterator[float]:
    connection = http.client.HTTPConnection(address)
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    for number in range(-_WARM_UP, requests):
        body = json.dumps(
            {
                "customer_id": setting.customers[number % len(setting.customers)],
                "channel": "web",
                "placements": [{"name": "home"}],
                "context": {"time": setting.at.isoformat()},
            }
        )
        started = time.perf_counter()
        connection.request("POST", "/v1/decisions", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        elapsed = (time.perf_counter() - started) * 1000
        if answer.status != 200:
            raise SystemExit(f"the service answered {answer.status}: {content.decode()}")
        if number >= 0:
            yield elapsed
    connection.close()


def customers_of(home: Home, most: int = MOST_CUSTOMERS) -> tuple[str, ...]:
    """Return ids of so many customers of the lake."""
    import duckdb

    files = Path(home.lake / "customers" / "*.parquet")
    with duckdb.connect() as connection:
        query = f"SELECT DISTINCT customer_id FROM '{files}' ORDER BY 1 LIMIT {most}"  # noqa: S608
        return tuple(str(row[0]) for row in connection.execute(query).fetchall())


def _told(milliseconds: Sequence[float]) -> str:
    p50, p90, p99 = np.percentile(milliseconds, [50, 90, 99])
    return f"p50 {p50:6.2f} ms  p90 {p90:6.2f}  p99 {p99:6.2f}  max {max(milliseconds):7.2f}"


if __name__ == "__main__":
    main(sys.argv[1:])
