"""Two processes on one home: what one has taken, been told or journalled, the other knows at once."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from serving.decision.consent_ledger import ConsentStatus
from tests.reliability.faults import Service, SmallService, small_home

CUSTOMERS = 6
MOST = 2


@dataclass
class Pair:
    """Two services of one home, one worker each, and the store they share."""

    services: tuple[Service, Service]
    prepared: SmallService
    secret: str

    def ask(self, which: int, path: str, body: dict[str, object]) -> dict[str, Any]:
        """Ask one of them."""
        connection = http.client.HTTPConnection(self.services[which].address, timeout=60)
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status == 200, content
        found: dict[str, Any] = json.loads(content)
        return found

    def decide(self, which: int, customer: str) -> list[str]:
        """Return what one of them offers."""
        body: dict[str, object] = {
            "customer_id": customer,
            "channel": "web",
            "placements": [{"name": "home", "slots": 1}],
        }
        answer = self.ask(which, "/v1/decisions", body)
        assert answer["degraded"] == []
        return [offer["action"] for offer in answer["placements"][0]["offers"]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    prepared = SmallService(small_home(folder))
    prepared.agree(*(f"c{number}" for number in range(CUSTOMERS)))
    services = (Service(folder, workers=1), Service(folder, workers=1))
    try:
        yield Pair(services, prepared, prepared.key())
        assert [service.stop() for service in services] == [0, 0]
    finally:
        for service in services:
            service.kill()
        prepared.close()


def test_a_limit_is_one_for_both_whoever_is_asked_at_once(pair: Pair) -> None:
    offered: list[str] = []

    def crowd(which: int) -> None:
        for _ in range(6):
            offered.extend(pair.decide(which, "c0"))

    threads = [threading.Thread(target=crowd, args=(which,)) for which in (0, 1, 0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([name for name in offered if name != "hello"]) == MOST
    assert offered.count("hello") == 24 - MOST


def test_a_withdrawal_told_elsewhere_holds_from_the_next_request_on_both(pair: Pair) -> None:
    assert pair.decide(0, "c1") == ["coupon-ham"]
    pair.prepared.agree("c1", status=ConsentStatus.DENIED)
    # Without profiling nobody knows what c1 spends: only what needs no feature is left
    assert {name for which in (0, 1) for name in pair.decide(which, "c1")} <= {"coupon-jam", "hello"}


def test_an_event_and_an_outcome_count_once_whichever_hears_of_it(pair: Pair) -> None:
    now = datetime.now(UTC).isoformat()
    event = {"event_id": "e1", "customer_id": "c2", "kind": "page_view", "occurred_at": now, "channel": "web"}
    told = [pair.ask(which, "/v1/events", {"events": [event]})["events"][0]["verdict"] for which in (0, 1)]
    assert told == ["recorded", "duplicate"]
    home = [{"name": "home", "slots": 1}]
    asked: dict[str, object] = {"customer_id": "c2", "channel": "web", "placements": home}
    offer = pair.ask(0, "/v1/decisions", asked)["placements"][0]["offers"][0]
    outcome = {
        "tracking_id": offer["tracking_id"],
        "kind": "presented",
        "event_id": "o1",
        "occurred_at": now,
    }
    reports: dict[str, object] = {"outcomes": [outcome]}
    told = [pair.ask(which, "/v1/outcomes", reports)["outcomes"][0]["verdict"] for which in (1, 0)]
    assert told == ["recorded", "duplicate"]


def test_a_request_id_stands_for_one_decision_whoever_is_asked(pair: Pair) -> None:
    asked: dict[str, object] = {
        "request_id": "r1",
        "customer_id": "c3",
        "channel": "web",
        "placements": [{"name": "home", "slots": 1}],
    }
    assert pair.ask(0, "/v1/decisions", asked) == pair.ask(1, "/v1/decisions", asked)


def test_one_that_is_killed_is_replaced_and_the_other_goes_on(pair: Pair) -> None:
    before = pair.services[0].pids()
    os.kill(before[-1], signal.SIGKILL)
    assert pair.decide(1, "c4")
    while pair.services[0].pids() == before:
        time.sleep(0.01)
    assert pair.decide(0, "c4")
