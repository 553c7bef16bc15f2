"""One story, told by commands: trained, judged, approved, served, stopped, resumed, gone back from.

It begins in a small home with features and no model. So few households leave gates open; Ada answers for it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import lake
from moment.home import Home
from tests.integration.training.conftest import build_what_is_asked, copy_some
from tests.service.conftest import PROJECT, environment, started

PEOPLE = {"ada": "risk_officer", "ben": "data_scientist", "cay": "operator"}
PROPENSITY = "propensity"
AT = "2018-01-02T18:00:00Z"
EVERYBODY_WHO_ANSWERED = """
    CREATE TEMP TABLE picked AS
    SELECT DISTINCT customer_id FROM presentations SEMI JOIN outcomes USING (presentation_id)
"""
QUICK = ("--trials", "1", "--budget", "2")
SPLIT = ("--split-on", "2017-09-01")
SWAP_SECONDS = 30
"""How long a worker may take to prove and open a bundle beside its requests, on a loaded machine."""


@dataclass
class Company:
    """Three people with their own keys, and one home."""

    home: Home
    keys: dict[str, Path] = field(default_factory=dict)

    def run(self, *arguments: str, by: str | None = None, fails: bool = False) -> str:
        """Run a command, in somebody's name if said; return what it said."""
        named = ["--key", str(self.keys[by])] if by else []
        # Only who trains has MLflow at hand; the others act without it, and it is told at the end
        mlruns = self.home.mlruns if by in (None, "ben") else self.home.root / "no-mlflow"
        done = subprocess.run(
            [sys.executable, "-m", "moment.cli", *arguments, *named],
            env=environment(Home(self.home.root, mlruns)),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if fails else done.stdout

    def version(self, which: str, model: str = PROPENSITY) -> dict[str, Any]:
        """Return all about a version, as scripts read it."""
        found: dict[str, Any] = json.loads(self.run("models", "show", model, which, "--json"))
        return found

    def versions(self, *states: str, model: str = PROPENSITY) -> list[str]:
        """Return the versions in some states, oldest first."""
        lines = json.loads(self.run("models", "list", "--json"))
        return [one["version"] for one in lines if one["model"] == model and one["state"] in states]

    def failing(self, version: str) -> dict[str, str]:
        """Return the gates a version failed, with what they said."""
        gates = self.version(version)["version"]["gates"]
        return {one["gate"]: one["title"] for one in gates if one["verdict"] == "fail"}

    def approve(self, version: str, model: str = PROPENSITY) -> None:
        """Let Ada answer for what so few households leave open, and approve."""
        gates = self.version(version, model)["version"]["gates"]
        still = [one["gate"] for one in gates if one["verdict"] != "pass"]
        named = [word for gate in still for word in ("--gate", gate)]
        if named:
            self.run("models", "accept", model, version, *named, "--reason", "a few households", by="ada")
        self.run("models", "approve", model, version, "--reason", "read the report", by="ada")


@dataclass
class Load:
    """Two clients who ask without a pause, and everything they were answered."""

    url: str
    key: str
    customers: list[str]
    answers: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._clients = [threading.Thread(target=self._ask, args=(number,)) for number in range(2)]
        for client in self._clients:
            client.start()

    def _ask(self, number: int) -> None:
        headers = {"authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=30) as http:
            while not self._stopping.is_set():
                customer = self.customers[number % len(self.customers)]
                body = {"customer_id": customer, "channel": "web", "placements": [{"name": "home"}]}
                answer = http.post("/v1/decisions", json=body | {"context": {"time": AT}})
                if answer.status_code == 200:
                    self.answers.append(answer.json())
                else:
                    self.failures.append(answer.text)
                number += 1
                time.sleep(0.005)

    def wait(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = SWAP_SECONDS) -> None:
        """Wait until twenty answers in a row are as wanted."""
        started, begin = time.monotonic(), len(self.answers)
        while time.monotonic() - started < seconds:
            late = self.answers[begin:]
            if len(late) >= 20 and all(wanted(answer) for answer in late[-20:]):
                return
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s; the last answer: {self.answers[-1:]}")

    def next(self, count: int) -> list[dict[str, Any]]:
        """Return so many answers to requests that are sent from now on."""
        begin = len(self.answers) + len(self._clients)
        while len(self.answers) < begin + count:
            time.sleep(0.02)
        return self.answers[begin : begin + count]

    def stops_of_newest(self) -> list[dict[str, Any]]:
        """Return what was off when the newest answer was made, as its record says."""
        (newest,) = self.next(1)
        found = httpx.get(
            f"{self.url}/v1/decisions/{newest['decision_id']}",
            headers={"authorization": f"Bearer {self.key}"},
            trust_env=False,
        )
        stops: list[dict[str, Any]] = found.json()["stops"]
        return stops

    def close(self) -> None:
        self._stopping.set()
        for client in self._clients:
            client.join()


@pytest.fixture(scope="module")
def company(lake_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """A home of everybody who ever answered, features online, personas, and keys of people's own."""
    root = tmp_path_factory.mktemp("story")
    home = Home(root / "home", root / "mlruns")
    copy_some(lake_home, home, EVERYBODY_WHO_ANSWERED)
    build_what_is_asked(home)
    made = Company(home)
    made.run("features", "apply")
    made.run("features", "materialize")
    made.run("keys", "create", "--mode", "test", "--scope", "all", "--out-file", "channel.key")
    for person, role in PEOPLE.items():
        made.keys[person] = home.keys / f"{person}.key"
        named = ("--person", person.title(), "--role", role)
        made.run("keys", "create", *named, "--out-file", str(made.keys[person]))
    made.run("train", "segmentation", by="ben")
    (personas,) = made.versions("candidate", "challenger", model="segmentation")
    made.approve(personas, "segmentation")
    made.run("models", "promote", "segmentation", personas, "--reason", "to begin with", by="cay")
    return made


@pytest.fixture
def load(company: Company) -> Iterator[Load]:
    """A service under load; what several workers make of swaps and stops is test_swaps' to show."""
    key = (company.home.keys / "channel.key").read_text().strip()
    with started(company.home, key, {"MOMENT_DEADLINE_MS": "10000"}, workers=1) as server:
        made = Load(server.url, key, some_customers(company.home))
        try:
            yield made
        finally:
            made.close()
    assert made.failures == []


def some_customers(home: Home) -> list[str]:
    with lake.connect(home) as connection:
        found = connection.execute(
            "SELECT DISTINCT customer_id FROM customers ORDER BY 1 LIMIT 20"
        ).fetchall()
    return [row[0] for row in found]


@pytest.mark.timeout(600)
def test_a_model_is_approved_by_another_than_who_made_it(company: Company) -> None:
    company.run("train", PROPENSITY, "--seed", "1", *QUICK, by="ben")
    (first,) = company.versions("candidate", "challenger")
    assert company.version(first)["version"]["made_by"]["person"] == "Ben"
    refused = company.run("models", "promote", PROPENSITY, first, "--reason", "mine", by="ben", fails=True)
    assert first in refused
    refused = company.run("models", "approve", PROPENSITY, first, "--reason", "mine", by="ben", fails=True)
    assert "risk_officer" in refused
    company.approve(first)
    company.run("models", "promote", PROPENSITY, first, "--reason", "first of ours", by="cay")
    assert company.versions("champion") == [first]
    assert company.version("champion")["approved"] == "approved"


@pytest.mark.timeout(600)
def test_damaged_data_makes_a_version_that_its_gates_refuse(company: Company) -> None:
    (presentations,) = company.home.lake.glob("presentations/*.parquet")
    sound = presentations.read_bytes()
    rows = pd.read_parquet(presentations)
    # A join upstream went wrong: within each campaign, what one household was shown is told of another
    rows["customer_id"] = rows.groupby("campaign_id")["customer_id"].transform(
        lambda names: names.sample(frac=1, random_state=5).to_numpy()
    )
    schema = pq.read_schema(presentations)
    pq.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False), presentations)
    try:
        company.run("retrain", "--model", PROPENSITY, "--anyway", "--reason", "drift", *SPLIT, by="ben")
    finally:
        presentations.write_bytes(sound)
    second = company.versions("candidate")[-1]
    failing = company.failing(second)
    assert "against_champion.auc" in failing, failing
    assert all(failing.values())
    refused = company.run(
        "models", "approve", PROPENSITY, second, "--reason", "why not", by="ada", fails=True
    )
    assert "candidate" in refused
    refused = company.run(
        "models", "promote", PROPENSITY, second, "--reason", "why not", by="cay", fails=True
    )
    assert "candidate" in refused
    assert "fail" in company.run("models", "report", PROPENSITY, second)


@pytest.mark.timeout(600)
def test_good_data_makes_a_challenger_that_scores_in_shadow(company: Company) -> None:
    company.run("train", PROPENSITY, "--seed", "3", *QUICK, by="ben")
    found = company.versions("candidate", "challenger")
    third = found[-1]
    assert "against_champion.auc" not in company.failing(third)
    company.approve(third)
    company.run("models", "challenge", PROPENSITY, third, "--shadow", "0.5", by="ben")
    assert company.version(third)["version"]["shadow"] == 0.5


@pytest.mark.timeout(600)
def test_under_load_it_is_promoted_stopped_resumed_and_rolled_back(company: Company, load: Load) -> None:
    (first,) = company.versions("champion")
    (third,) = company.versions("challenger")

    def decided_by(version: str) -> Callable[[dict[str, Any]], bool]:
        return lambda answer: answer["versions"]["propensity"].startswith(version)

    load.wait(decided_by(first))
    assert load.answers[-1]["approval"] == "none"  # nobody has submitted the catalogue yet
    company.run("models", "promote", PROPENSITY, third, "--reason", "newer", by="cay")
    load.wait(decided_by(third))

    def offered(answer: dict[str, Any]) -> set[str]:
        return {offer["action"] for offer in answer["placements"][0]["offers"]}

    wrong = min(offered(load.answers[-1]))
    told = company.run("stop", "--action", wrong, "--reason", "the price is wrong", by="cay")
    time.sleep(1)
    assert not [answer for answer in load.next(100) if wrong in offered(answer)]
    assert [stop["name"] for stop in load.stops_of_newest()] == [wrong]
    found = re.search(r"stop_\w+", told)
    assert found is not None
    company.run("resume", found[0], "--reason", "mended", by="cay")
    refused = company.run("resume", found[0], "--reason", "mended", by="cay", fails=True)
    assert "another person" in refused
    company.run("resume", found[0], "--reason", "I have looked", by="ada")
    time.sleep(1)
    assert load.stops_of_newest() == []

    company.run("models", "rollback", PROPENSITY, "--reason", "complaints", by="cay")
    load.wait(decided_by(first))
    versions = {answer["versions"]["propensity"][:12] for answer in load.answers}
    assert versions == {first, third}
    assert company.versions("champion") == [first]
    assert third in company.versions("former")


def test_every_act_is_signed_and_in_its_place(company: Company) -> None:
    assert "The ledger is sound" in company.run("models", "verify")


def test_mlflow_shows_what_the_ledger_says(company: Company) -> None:
    """In a process of its own: MLflow imported here would stay for all tests."""
    company.run("models", "mirror")
    script = (
        "import json, sys\n"
        "from moment.home import Home\n"
        "from training.tracking import connect\n"
        "client = connect(Home.find()).MlflowClient()\n"
        "found = client.get_model_version_by_alias('propensity', 'champion')\n"
        "print(json.dumps(dict(found.tags)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(company.home),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    tags = json.loads(done.stdout.splitlines()[-1])
    assert tags["bundle"] == company.versions("champion")[0]
    assert tags["state"] == "champion"
    assert tags["approval"] == "approved"
