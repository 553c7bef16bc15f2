"""Outcomes over HTTP: durable before the answer, once whoever asks, and nothing false on a full disk."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.service.conftest import Server
from tests.service.make_home import OF_OUTCOMES
from tests.service.test_service import TIME, decide, is_refused

SHOWN_AT = "2018-01-01T18:00:05Z"
SECONDS = 20
"""Within which a service on its feet again must answer."""


def outcome(tracking_id: str, kind: str = "presented", **changes: object) -> dict[str, Any]:
    made = {"tracking_id": tracking_id, "kind": kind, "event_id": str(uuid4()), "occurred_at": SHOWN_AT}
    return {**made, **changes}


def send(client: httpx.Client, *outcomes: dict[str, Any]) -> httpx.Response:
    return client.post("/v1/outcomes", json={"outcomes": outcomes})


def verdicts(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one.get("code", one["verdict"]) for one in answer.json()["outcomes"]]


def tracked(client: httpx.Client, customer: str = OF_OUTCOMES) -> list[str]:
    answer = decide(client, customer_id=customer)
    return [offer["tracking_id"] for offer in answer["placements"][0]["offers"]]


def kept(server: Server, *tracking_ids: str) -> list[tuple[str, str]]:
    """Return tracking id and kind of what is on the disk of some offers."""
    marks = ", ".join("?" for _ in tracking_ids)
    with closing(sqlite3.connect(server.home.database)) as database:
        query = f"SELECT tracking_id, kind FROM outcome_reports WHERE tracking_id IN ({marks})"
        return database.execute(query, tracking_ids).fetchall()


def test_what_is_acknowledged_is_on_the_disk_and_counts(client: httpx.Client, server: Server) -> None:
    first, second, _ = tracked(client)
    bought = outcome(first, "converted", value=12.4, occurred_at="2018-01-01T19:10:00+01:00")

    answer = send(client, outcome(first), bought, bought, outcome(second[:-2] + "AA"))

    assert verdicts(answer) == ["recorded", "recorded", "duplicate", "tracking-id-invalid"]
    assert Counter(kept(server, first, second)) == Counter([(first, "presented"), (first, "converted")])
    with closing(sqlite3.connect(server.home.database)) as database:
        query = (
            "SELECT presented_at IS NOT NULL FROM contacts WHERE tracking_id IN (?, ?) ORDER BY tracking_id"
        )
        assert database.execute(query, (first, second)).fetchall() == [(1,), (0,)]


def test_of_many_reports_at_once_on_two_workers_each_counts_once(
    client: httpx.Client, server: Server
) -> None:
    offers = tracked(client)
    reports = [outcome(offer, kind) for offer in offers for kind in ("presented", "clicked")]

    def report(number: int) -> list[str]:
        with server.client() as one:
            return verdicts(send(one, *reports[number % 3 :], *reports[: number % 3]))

    with ThreadPoolExecutor(8) as pool:
        told = Counter(verdict for one in pool.map(report, range(24)) for verdict in one)

    assert told == Counter({"recorded": len(reports), "duplicate": 23 * len(reports)})
    assert Counter(kind for _, kind in kept(server, *offers)) == Counter({"presented": 3, "clicked": 3})


def test_of_different_requests_under_one_id_at_once_one_is_answered(server: Server) -> None:
    request_id = str(uuid4())

    def ask(number: int) -> httpx.Response:
        body = {
            "customer_id": str(number % 4 + 1),
            "channel": "web",
            "placements": [{"name": "home"}],
            "context": {"time": TIME},
            "request_id": request_id,
        }
        with server.client() as client:
            return client.post("/v1/decisions", json=body)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(24)))

    told = Counter(answer.status_code for answer in answers)
    assert told == Counter({200: 6, 409: 18})
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"request-id-reused"}
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1


def test_a_test_key_may_force_an_action_and_nothing_counts(client: httpx.Client, server: Server) -> None:
    wanted = decide(client, customer_id="6")["placements"][0]["offers"][1]["action"]
    forced = decide(client, customer_id="6", force={"action": wanted}, language="de-AT")

    offers = forced["placements"][0]["offers"]
    assert offers[0]["action"] == wanted
    assert Counter(offer["action"] for offer in offers)[wanted] == 1
    record = client.get(f"/v1/decisions/{forced['decision_id']}").json()
    assert [offer["kind"] for offer in record["placements"][0]["offers"]][:2] == ["forced", "arbitrated"]
    with closing(sqlite3.connect(server.home.database)) as database:
        query = "SELECT count(*) FROM contacts WHERE tracking_id = ?"
        assert database.execute(query, (offers[0]["tracking_id"],)).fetchone() == (0,)
    unknown = client.post("/v1/decisions", json=_forcing(wanted[:-1]))
    assert is_refused(unknown, 422, "unknown-action")
    assert f"did you mean `{wanted}`?" in unknown.json()["detail"]


def test_on_a_full_disk_nothing_is_acknowledged_and_nothing_false_is_found(
    client: httpx.Client, server: Server
) -> None:
    offer, *_ = tracked(client)
    refused: list[dict[str, Any]] = []
    with full_disk(server):
        for kind in ("presented", "clicked", "converted"):
            refused.append(outcome(offer, kind))
            assert is_refused(send(client, refused[-1]), 503, "dependency-unavailable")
        answer = client.post("/v1/decisions", json=_forcing(None) | {"request_id": "on-a-full-disk"})
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) >= 1
        assert client.get("/livez").status_code == 200
    assert kept(server, offer) == []

    answer = _once_it_answers(client, refused)

    assert verdicts(answer) == ["recorded"] * 3
    assert Counter(kind for _, kind in kept(server, offer)) == Counter(one["kind"] for one in refused)
    assert tracked(client)


def _forcing(action: str | None) -> dict[str, Any]:
    body = {"customer_id": "6", "channel": "web", "placements": [{"name": "home"}], "context": {"time": TIME}}
    return body if action is None else {**body, "force": {"action": action}}


def _once_it_answers(client: httpx.Client, outcomes: list[dict[str, Any]]) -> httpx.Response:
    deadline = time.monotonic() + SECONDS
    while (answer := send(client, *outcomes)).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


@contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """Let no process of the service write anything more to any file."""
    processes = list(_family(server.process.pid))
    assert len(processes) > 2
    for process in processes:
        _limit(process, 1)
    try:
        yield
    finally:
        for process in processes:
            _limit(process, resource.RLIM_INFINITY)


def _limit(process: int, soft: int) -> None:
    resource.prlimit(process, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))


def _family(process: int) -> Iterator[int]:
    """Yield a process and all it has started."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))
