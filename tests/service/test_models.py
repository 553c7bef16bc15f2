"""The life of models by the running service and by commands, on one ledger."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from moment.home import Home
from serving.life_room import open_life
from serving.lifecycle import Model, Version
from tests.service.conftest import Server, moment
from tests.unit.serving.life_kit import PASSED, bundle

AT = "2018-01-02T18:00:00Z"


@pytest.fixture(scope="module")
def people(home: Home) -> dict[str, str]:
    """The secrets of two people's own keys."""
    return {name: person(home, name, role) for name, role in (("Ada", "risk_officer"), ("Olga", "operator"))}


def person(home: Home, name: str, role: str) -> str:
    done = moment(home, "keys", "create", "--person", name, "--role", role, "--out-file", f"{name}.key")
    assert done.returncode == 0, done.stderr
    return (home.keys / f"{name}.key").read_text().strip()


@pytest.fixture(scope="module")
def version(home: Home) -> Version:
    """A challenger of the machine's that is asked for nothing."""
    with open_life(home) as life:
        return life.enter(bundle(home.bundles, "of the service's tests"), PASSED)


def ask(server: Server, method: str, path: str, secret: str, body: object = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {secret}"}
    return httpx.request(
        method,
        f"{server.url}{path}",
        json=body,
        headers=headers,
        trust_env=False,
        timeout=30,
        verify=False,  # noqa: S501
    )


def offered(server: Server, customer: str) -> set[str]:
    body = {
        "customer_id": customer,
        "channel": "web",
        "placements": [{"name": "home"}],
        "context": {"time": AT},
    }
    answer: Any = ask(server, "POST", "/v1/decisions", server.key, body).json()
    return {offer["action"] for placement in answer["placements"] for offer in placement["offers"]}


def test_an_approval_over_http_is_in_the_ledger_that_commands_read(
    server: Server, people: dict[str, str], version: Version
) -> None:
    body = {"digest": version.digest, "reason": "read over HTTP", "days": 90}
    path = f"/v1/models/propensity/{version.version}/approvals"
    answer = ask(server, "POST", path, people["Ada"], body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["approval"] == "approved"
    shown = json.loads(moment(server.home, "models", "show", "propensity", version.version, "--json").stdout)
    assert (shown["approved"], shown["version"]["approval"]["by"]["person"]) == ("approved", "Ada")
    assert "sound" in moment(server.home, "models", "verify").stdout
    read = ask(server, "GET", "/v1/models/propensity", people["Olga"]).json()
    assert version.digest in {one["digest"] for one in read["versions"]}
    for secret in people.values():
        assert secret not in server.output


def test_a_stop_by_command_holds_in_every_worker_and_over_http(
    server: Server, people: dict[str, str], tmp_path: Path
) -> None:
    before = offered(server, "5")
    stopped = min(before)
    key = str(server.home.keys / "Ada.key")
    done = moment(server.home, "stop", "--action", stopped, "--reason", "test", "--key", key, "--json")
    assert done.returncode == 0, done.stderr
    stop_id = json.loads(done.stdout)["stop_id"]
    try:
        time.sleep(1.0)
        assert all(stopped not in offered(server, "5") for _ in range(10))
        (listed,) = ask(server, "GET", "/v1/stops", people["Olga"]).json()["stops"]
        assert (listed["stop_id"], listed["name"]) == (stop_id, stopped)
    finally:
        for name, secret in people.items():
            lifted = ask(server, "POST", f"/v1/stops/{stop_id}/resume", secret, {"reason": name}).json()
    assert lifted == {"stop_id": stop_id, "lifted": True, "missing": None}
    with open_life(server.home) as life:
        assert not life.book().stops
        assert life.book().champion(Model.PROPENSITY) is None
