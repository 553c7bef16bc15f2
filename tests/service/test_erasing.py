"""Erasing over HTTP while others write the files, several at once, and after a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from features import kept_rows
from features.erasure import held_in_lake, held_in_snapshots, held_in_training_sets
from moment.home import Home
from moment.turns import turn, under_way
from serving.adapters.group_commit import GroupCommit
from serving.adapters.identifiers import utc_now
from serving.adapters.sqlite_erasures import SqliteErasures
from serving.adapters.vault import Vault
from serving.use_cases.erasing import ERASING_SECONDS
from tests.service.conftest import Server, moment, started

# What races may do to the files, tests/unit/features/test_erasing_files.py says in the short form
pytestmark = pytest.mark.long_form

TOGETHER = ("2", "3", "4", "5")
KILLED = "6"
INTERRUPTED = "8"
BENTO_SECONDS = 15
"""How long BentoML lets other requests take."""


@pytest.fixture(scope="module")
def own(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home of these tests' own, with kept rows."""
    root = tmp_path_factory.mktemp("erasing")
    made = Home(root / "home", root / "mlruns")
    shutil.copytree(home.root, made.root, ignore=shutil.ignore_patterns("*.db-shm", "*.lock"))
    kept_rows.keep(made, pa.table({"customer_id": [*TOGETHER, KILLED, INTERRUPTED, "7"]}))
    return made


@pytest.fixture(scope="module")
def secret(own: Home) -> str:
    scopes = [part for scope in ("customers:erase", "customers:read") for part in ("--scope", scope)]
    done = moment(own, "keys", "create", "--mode", "live", *scopes, "--out-file", "erasing.key")
    assert done.returncode == 0, done.stderr
    return (own.keys / "erasing.key").read_text().strip()


@pytest.fixture(scope="module")
def running(own: Home, secret: str) -> Iterator[Server]:
    """The service on it; one erasure was interrupted before it started."""
    with closing(GroupCommit(own.database)) as writer:
        SqliteErasures(own.database, writer, Vault.open(own)).begin(INTERRUPTED, utc_now())
    with started(own, secret, {}) as server:
        yield server


def erase(server: Server, customer: str) -> httpx.Response:
    # A connection for each, so that both workers answer
    with server.client() as client:
        return client.delete(f"/v1/customers/{customer}", timeout=2 * ERASING_SECONDS)


def profile(server: Server, customer: str) -> str:
    with server.client() as client:
        answer = client.get(f"/v1/customers/{customer}").raise_for_status().json()
    return str(answer["profile"])


def rows(receipt: dict[str, Any]) -> dict[str, int]:
    return {one["store"]: one["rows"] for one in receipt["stores"]}


def until(condition: Any, seconds: float = 30) -> None:  # noqa: ANN401 - whatever can be asked
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def left_behind(home: Home) -> list[Path]:
    folders = (home.lake, home.quarantine, home.snapshots, home.training_sets, home.root / "turns")
    found = [file for folder in folders for file in folder.rglob("*")]
    return [file for file in found if file.suffix in (".erasing", ".partial", ".doing")]


def expected(home: Home, customer: str) -> dict[str, int]:
    return {
        "lake": sum(held_in_lake(home, customer).values()),
        "snapshots": sum(held_in_snapshots(home, customer).values()),
        "training_sets": sum(held_in_training_sets(home, customer).values()),
    }


def test_four_at_once_are_gone_at_once_and_each_gets_a_true_receipt(running: Server, own: Home) -> None:
    held = {customer: expected(own, customer) for customer in TOGETHER}
    with ThreadPoolExecutor(4) as pool:
        with turn(own, "a build of feature snapshots"):
            began = time.monotonic()
            asked = {customer: pool.submit(erase, running, customer) for customer in TOGETHER}
            until(lambda: {profile(running, customer) for customer in TOGETHER} == {"none"})
            assert {customer: expected(own, customer) for customer in TOGETHER} == held
            # Longer than a store may take to be read, and than BentoML waits for other requests
            time.sleep(max(0.0, BENTO_SECONDS + 1 - (time.monotonic() - began)))
        receipts = {customer: one.result().raise_for_status().json() for customer, one in asked.items()}
    for customer, receipt in receipts.items():
        told = rows(receipt)
        assert {store: told[store] for store in held[customer]} == held[customer]
        assert min(told["online_features"], *held[customer].values()) > 0
        assert sum(expected(own, customer).values()) == 0
    again = [erase(running, TOGETHER[0]) for _ in range(2)]
    assert [answer.json() for answer in again] == [receipts[TOGETHER[0]]] * 2
    assert left_behind(own) == []


def test_one_that_was_interrupted_before_the_service_started_goes_on(running: Server, own: Home) -> None:
    until(lambda: set(expected(own, INTERRUPTED).values()) == {0})
    assert profile(running, INTERRUPTED) == "none"
    told = rows(erase(running, INTERRUPTED).raise_for_status().json())
    assert min(told["online_features"], told["lake"], told["snapshots"], told["training_sets"]) > 0


def test_one_whose_worker_is_killed_amid_the_files_is_gone_on_with(running: Server, own: Home) -> None:
    held = expected(own, KILLED)
    assert min(held.values()) > 0
    with ThreadPoolExecutor(1) as pool, (own.training_sets / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the last store cannot be cleared yet
        asked = pool.submit(erase, running, KILLED)
        until(lambda: not held_in_snapshots(own, KILLED))
        (doing,) = (own.root / "turns").glob("files.*.doing")
        os.kill(int(doing.name.split(".")[1].split("-")[0]), signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            asked.result()
        assert under_way(own) == ()
    done = erase(running, KILLED).raise_for_status().json()
    told = rows(done)
    assert {store: told[store] for store in held} == held
    assert told["online_features"] > 0
    assert left_behind(own) == []
    assert erase(running, KILLED).json() == done
