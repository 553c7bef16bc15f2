"""Events over HTTP: the next decision sees them, and what was acknowledged counts once through a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from moment.home import Home
from serving.adapters.counting import SOON_SECONDS
from serving.adapters.group_commit import GroupCommit
from serving.adapters.sqlite_consents import SqliteConsents
from serving.adapters.vault import Vault
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.values import Purpose
from serving.ports import Told
from serving.records import Mode
from tests.service.conftest import Server, started

CUSTOMER = "7"
KINDS_SAID = "a kind is one of page_view, search, transaction, location, call, social_mention"
SECONDS = 20
"""Within which what happens in another process must have happened."""

CATALOGUE = """
catalogue: corner shop
currency: EUR
timezone: UTC
exploration: greedy
placements:
  web:
    home: {slots: 1, fallback: hello}
defaults:
  window_days: 14
  purposes: []
fallbacks:
  hello:
    label: Hello
    treatments:
      web: {channel: web, placements: [home], content: {title: Welcome}}
issues:
  help:
    groups:
      advice:
        actions:
          call-back:
            label: We call you back
            value: 1.0
            eligible: "views_30m >= 3"
            treatments:
              web:
                channel: web
                placements: [home]
                content: {title: "Still looking for {{ customer.last_search_topic }}?"}
"""


def grant(home: Home, *customers: str) -> None:
    """Let customers agree to everything, through the real ledger."""
    writer = GroupCommit(home.database)
    ledger = SqliteConsents(home.database, writer, Vault.open(home))
    since = datetime(2020, 1, 1, tzinfo=UTC)
    ledger.append(
        [
            Told(customer, ConsentEntry(purpose, None, ConsentStatus.GRANTED, since, None, since))
            for customer in customers
            for purpose in Purpose
        ],
        mode=Mode.LIVE,
    )
    ledger.close()
    writer.close()


@pytest.fixture(scope="module")
def looking(
    server: Server, home: Home, key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A second service of two workers on the same home, with a catalogue that asks what happens right now."""
    catalogue = tmp_path_factory.mktemp("events") / "shop.yaml"
    catalogue.write_text(CATALOGUE, "utf-8")
    grant(home, CUSTOMER)
    more = {"MOMENT_CATALOGUE": str(catalogue), "MOMENT_DEADLINE_MS": "20000"}
    with started(home, key, more) as second:
        try:
            yield second
        finally:
            kill(second)


def kill(server: Server) -> None:
    """End all its processes at once, without a word to them; first the one that would start others."""
    if server.process.poll() is None:
        for process in (server.process.pid, *_below(server.process.pid)):
            os.kill(process, signal.SIGKILL)
        server.process.wait(30)


def _below(parent: int) -> list[int]:
    """Return every process a process has started, and those these have."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    children = [pid for pid, ppid in pairs if ppid == parent]
    return [*children, *(each for child in children for each in _below(child))]


def event(event_id: str, kind: str = "page_view", **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    told = {
        "event_id": event_id,
        "customer_id": CUSTOMER,
        "kind": kind,
        "occurred_at": datetime.now(UTC).isoformat(),
        "channel": "web",
    }
    return told | changes


def report(client: httpx.Client, *events: dict[str, Any]) -> list[str]:
    answer = client.post("/v1/events", json={"events": events})
    assert answer.status_code == 200, answer.text
    return [each["verdict"] for each in answer.json()["events"]]


def decided(client: httpx.Client) -> dict[str, Any]:
    body = {"customer_id": CUSTOMER, "channel": "web", "placements": [{"name": "home"}]}
    answer = client.post("/v1/decisions", json=body)
    assert answer.status_code == 200, answer.text
    offer: dict[str, Any] = answer.json()["placements"][0]["offers"][0]
    return offer


def known(client: httpx.Client, feature: str, customer: str = CUSTOMER) -> Any:  # noqa: ANN401 - JSON
    features = client.get(f"/v1/customers/{customer}").json()["features"]
    return {each["name"]: each["value"] for each in features}[feature]


def test_a_second_service_leaves_what_the_first_has_counted(server: Server, looking: Server) -> None:
    def counted() -> float:
        time.sleep(4 * SOON_SECONDS)
        answer = httpx.get(
            f"{server.admin_url}/metrics", headers={"authorization": f"Bearer {server.key}"}, trust_env=False
        )
        lines = (line for line in answer.text.splitlines() if line.startswith("moment_decisions_total{"))
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    before = counted()
    with server.client() as client:
        decided = client.post("/v1/decisions", json={"channel": "web", "placements": [{"name": "home"}]})
    assert decided.status_code == 200
    assert counted() == before + 1


def test_the_next_decision_sees_events_and_a_kill_loses_none(looking: Server, server: Server) -> None:
    with looking.client() as client:
        assert decided(client)["action"] == "hello"
        topic = event("s1", "search", attributes={"topic": "green tea"})
        assert report(client, event("v1"), topic, event("v2")) == ["recorded"] * 3
        assert decided(client)["action"] == "hello"
        assert report(client, event("v3"), event("v1")) == ["recorded", "conflict"]
        deadline = time.monotonic() + SECONDS
        while decided(client)["action"] != "call-back":
            assert time.monotonic() < deadline
    # A connection of its own each time: both workers answer
    for _ in range(8):
        with looking.client() as client:
            offer = decided(client)
            assert offer["action"] == "call-back"
            assert offer["content"]["title"] == "Still looking for green tea?"
    fourth = event("v4")
    with looking.client() as client:
        assert report(client, fourth) == ["recorded"]
    kill(looking)
    with server.client() as client:
        assert report(client, fourth) == ["duplicate"]
        deadline = time.monotonic() + SECONDS
        while known(client, "views_24h") != 4:
            assert time.monotonic() < deadline
        assert report(client, event("v5")) == ["recorded"]
        deadline = time.monotonic() + SECONDS
        while known(client, "views_24h") != 5:
            assert time.monotonic() < deadline


def test_each_event_has_its_own_verdict(client: httpx.Client) -> None:
    old = (datetime.now(UTC) - timedelta(days=31)).isoformat()
    events = [
        event("own-1", customer_id="nobody-yet", attributes={"topic": "tea", "dwell_seconds": 3}),
        event("own-2", "heart_beat"),
        event("own-3", attributes={"score": 1}),
        event("own-4", occurred_at="2200-01-01T00:00:00Z"),
        event("own-5", "transaction", attributes={"currency": "EUR"}),
    ]
    cookie = {"kind": "cookie", "value": "9b74c989"}
    visitor = {name: value for name, value in event("own-6").items() if name != "customer_id"}
    answer = client.post("/v1/events", json={"events": [*events, visitor | {"identity": cookie}]})
    assert answer.status_code == 200
    told = answer.json()["events"]
    details = [one.pop("detail", None) for one in told]
    assert details[1] == KINDS_SAID
    assert all(details[place] for place in (2, 3, 4))
    assert told == [
        {"event_id": "own-1", "verdict": "recorded"},
        {"event_id": "own-2", "verdict": "rejected", "code": "unknown-kind"},
        {"event_id": "own-3", "verdict": "rejected", "code": "unknown-attribute"},
        {"event_id": "own-4", "verdict": "rejected", "code": "time-out-of-range"},
        {"event_id": "own-5", "verdict": "rejected", "code": "missing-attribute", "attribute": "amount"},
        {"event_id": "own-6", "verdict": "recorded"},
    ]
    # Test keys may report the past, as they may decide for it
    assert report(client, event("own-7", occurred_at=old, customer_id="nobody-yet")) == ["recorded"]
