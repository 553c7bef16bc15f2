"""The real service over HTTP: BentoML, two workers, Feast, bundles, SQLite."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from serving.adapters.vault import Vault
from serving.api.openapi import document
from tests.service.conftest import CANARY, Server, moment
from tests.service.make_home import OF_THE_VIEW

TIME = "2018-01-01T18:00:00Z"
BODY: dict[str, Any] = {
    "customer_id": "1",
    "channel": "web",
    "placements": [{"name": "home"}],
    "context": {"time": TIME},
}


def decide(client: httpx.Client, **changes: object) -> dict[str, Any]:
    answer = client.post("/v1/decisions", json={**BODY, **changes})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def is_refused(answer: httpx.Response, status: int, code: str) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return True


def test_a_known_customer_gets_what_is_best_for_them(client: httpx.Client) -> None:
    answer = decide(client, include=["scores"])
    assert (answer["profile"], answer["segment"], answer["mode"]) == ("known", "Regulars", "test")
    offers = answer["placements"][0]["offers"]
    assert [offer["rank"] for offer in offers] == [1, 2, 3]
    priorities = [offer["scores"]["priority"] for offer in offers]
    assert priorities == sorted(priorities, reverse=True)
    assert all(0 < offer["scores"]["propensity"] < 1 for offer in offers)


def test_the_record_is_on_the_disk_when_the_answer_comes(client: httpx.Client, server: Server) -> None:
    decision_id = decide(client)["decision_id"]
    with closing(sqlite3.connect(server.home.database)) as database:
        found = database.execute("SELECT mode FROM decisions WHERE decision_id = ?", [decision_id]).fetchall()
    assert found == [("test",)]


def test_the_record_explains_every_candidate(client: httpx.Client) -> None:
    answer = decide(client)
    record = client.get(f"/v1/decisions/{answer['decision_id']}").json()
    assert record["decided_at"] == TIME
    assert len(record["considered"]) == record["funnel"]["considered"] == 158
    assert all(item["why"] for item in record["considered"])
    shown = {item["action"] for item in record["considered"] if item["stage"] == "shown"}
    assert shown == {offer["action"] for offer in answer["placements"][0]["offers"]}
    assert any(item["value"] is not None and item["as_of"] for item in record["features"])
    assert record["versions"] == answer["versions"] == client.get("/readyz").json()["versions"]


def test_a_customer_is_seen_with_features_and_decisions(client: httpx.Client) -> None:
    decision_id = decide(client, customer_id=OF_THE_VIEW)["decision_id"]
    view = client.get(f"/v1/customers/{OF_THE_VIEW}", params={"time": TIME}).json()
    assert (view["profile"], view["decisions"][0]["decision_id"]) == ("known", decision_id)
    features = {item["name"]: item for item in view["features"]}
    assert len(features) >= 45
    assert features["days_since_purchase"]["state"] == "present"
    assert features["days_since_purchase"]["age_seconds"] > 0
    assert features["days_since_purchase"]["unit"] == "days"
    nobody = client.get("/v1/customers/nobody").json()
    assert (nobody["profile"], nobody.keys()) == ("none", view.keys())


def test_features_expire_by_the_time_of_the_decision(client: httpx.Client) -> None:
    view = client.get("/v1/customers/1", params={"time": "2018-03-01T00:00:00Z"}).json()
    states = {item["name"]: (item["state"], item["value"]) for item in view["features"]}
    assert states["days_since_purchase"] == ("expired", None)
    late = decide(client, context={"time": "2018-03-01T15:00:00Z"})
    assert late["profile"] == "known"


@pytest.mark.parametrize("customer", [{"customer_id": CANARY}, {}])
def test_a_customer_nobody_knows_gets_a_decision(client: httpx.Client, customer: dict[str, str]) -> None:
    body = {name: value for name, value in BODY.items() if name != "customer_id"} | customer
    answer = client.post("/v1/decisions", json=body).json()
    assert answer["profile"] == "none"
    assert answer["placements"][0]["offers"]
    assert client.get(f"/v1/customers/{CANARY}").json()["profile"] == "none"


def test_one_request_asked_by_many_at_once_is_decided_once(server: Server) -> None:
    body = json.dumps({**BODY, "request_id": "many-at-once"}).encode()
    before = decisions_of(server)

    def ask(_: int) -> bytes:
        with server.client() as client:
            answer = client.post("/v1/decisions", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text
        return answer.content

    with ThreadPoolExecutor(16) as pool:
        answers = set(pool.map(ask, range(48)))
    assert len(answers) == 1
    assert decisions_of(server) == before + 1


def decisions_of(server: Server) -> int:
    with closing(sqlite3.connect(server.home.database)) as database:
        return int(database.execute("SELECT count(*) FROM decisions").fetchone()[0])


def test_many_clients_are_all_answered(server: Server) -> None:
    def ask(number: int) -> str:
        with server.client() as client:
            return str(decide(client, customer_id=str(number % 7 + 1))["decision_id"])

    with ThreadPoolExecutor(16) as pool:
        decisions = list(pool.map(ask, range(200)))
    assert len(set(decisions)) == 200


def test_two_workers_keep_one_limit_whoever_asks_at_once(server: Server) -> None:
    """Each coupon may reach a customer twice in the app; 24 requests at once want the same best two."""

    def ask(_: int) -> list[tuple[str, str]]:
        with server.client() as client:
            answer = decide(client, customer_id="3", channel="app")
        return [(offer["tracking_id"], offer["action"]) for offer in answer["placements"][0]["offers"]]

    with ThreadPoolExecutor(12) as pool:
        offered = {offer for offers in pool.map(ask, range(24)) for offer in offers}
    with closing(sqlite3.connect(server.home.database)) as database:
        query = "SELECT tracking_id, action_id FROM contacts WHERE customer_ref = ? AND channel = 'app'"
        kept = database.execute(query, (Vault.open(server.home).ref("3"),)).fetchall()
    assert set(kept) == {(name, action) for name, action in offered if action != "weekly-flyer"}
    assert max(Counter(action for _, action in kept).values()) == 2
    # Nobody falls back but after three others were decided
    assert len(kept) >= 6


def test_what_two_decisions_reserved_the_third_does_not_offer(client: httpx.Client) -> None:
    asked = {"customer_id": "4", "channel": "app", "placements": [{"name": "wallet"}]}
    answers = [decide(client, **asked) for _ in range(3)]
    first, second, third = (
        {offer["action"] for offer in answer["placements"][0]["offers"]} for answer in answers
    )
    assert first == second
    assert not first & third
    record = client.get(f"/v1/decisions/{answers[2]['decision_id']}").json()
    stopped = {item["action"]: item for item in record["considered"] if item["reason"] == "limit_reached"}
    assert first == set(stopped)
    assert {(item["policy"]["name"], item["policy"]["observed"]) for item in stopped.values()} == {
        ("twice", 2.0)
    }


def test_a_revoked_key_is_refused_by_every_worker_at_once(server: Server) -> None:
    made = json.loads(moment(server.home, "keys", "create", "--mode", "live", "--json").stdout)
    headers = {"authorization": f"Bearer {made['key']}"}
    live = {name: value for name, value in BODY.items() if name != "context"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        assert decide_live(client, live)["mode"] == "live"
        assert is_refused(client.post("/v1/decisions", json=BODY), 403, "test-only")
        assert moment(server.home, "keys", "revoke", made["key_id"]).returncode == 0
        for _ in range(8):
            assert is_refused(client.post("/v1/decisions", json=live), 401, "key-unknown")


def decide_live(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/v1/decisions", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_live_and_a_bound_key_see_only_their_own(server: Server, client: httpx.Client) -> None:
    decision_id = decide(client)["decision_id"]
    for options in (["--mode", "live"], ["--mode", "test", "--channel", "app"]):
        made = moment(server.home, "keys", "create", "--scope", "all", "--json", *options)
        headers = {"authorization": f"Bearer {json.loads(made.stdout)['key']}"}
        foreign = httpx.get(f"{server.url}/v1/decisions/{decision_id}", headers=headers, trust_env=False)
        assert is_refused(foreign, 404, "not-found")


@pytest.mark.parametrize("path", ["/metrics", "/schema.json", "/docs.json", "/healthz", "/static_content/x"])
def test_nothing_of_bentoml_itself_is_served(client: httpx.Client, path: str) -> None:
    assert is_refused(client.get(path), 404, "not-found")


def test_the_service_describes_itself(server: Server) -> None:
    answer = httpx.get(f"{server.url}/openapi.json", trust_env=False)
    assert answer.content == document().encode()
    assert httpx.get(f"{server.url}/livez", trust_env=False).json() == {"status": "alive"}


HOSTILE: list[tuple[str, bytes, dict[str, str], int, str]] = [
    ("nothing", b"", {}, 400, "malformed-json"),
    ("null", b"null", {}, 422, "invalid-value"),
    ("an array", b"[]", {}, 422, "invalid-value"),
    ("deep arrays", b"[" * 100_000, {}, 413, "body-too-large"),
    ("deep arrays that fit", b"[" * 60_000, {}, 422, "invalid-value"),
    ("deep arrays inside", b'{"context": {"a": ' + b"[" * 60_000, {}, 400, "malformed-json"),
    ("NaN", json.dumps({**BODY, "context": {"device": float("nan")}}).encode(), {}, 400, "malformed-json"),
    (
        "1e400",
        b'{"channel": "web", "placements": [{"name": "home", "slots": 1e400}]}',
        {},
        422,
        "invalid-value",
    ),
    ("a lone surrogate", json.dumps({**BODY, "customer_id": "\ud800"}).encode(), {}, 400, "malformed-json"),
    ("NUL", json.dumps({**BODY, "customer_id": "a\0"}).encode(), {}, 422, "invalid-value"),
    ("ten megabytes", b'"' + b"x" * 10_000_000 + b'"', {}, 413, "body-too-large"),
    ("text", b"hello", {"content-type": "text/plain"}, 415, "unsupported-media-type"),
    (
        "a pickle",
        b"\x80\x04N.",
        {"content-type": "application/vnd.bentoml+pickle"},
        415,
        "unsupported-media-type",
    ),
    ("gzip", b"\x1f\x8b\x08", {"content-encoding": "gzip"}, 415, "unsupported-media-type"),
    ("an unknown field", json.dumps({**BODY, "score": 1}).encode(), {}, 422, "unknown-field"),
    ("an unknown channel", json.dumps({**BODY, "channel": "wap"}).encode(), {}, 422, "unknown-channel"),
]


@pytest.mark.parametrize("case", HOSTILE, ids=[case[0] for case in HOSTILE])
def test_what_is_hostile_is_refused(
    client: httpx.Client, case: tuple[str, bytes, dict[str, str], int, str]
) -> None:
    _, sent, headers, status, code = case
    answer = client.post(
        "/v1/decisions", content=sent, headers={"content-type": "application/json"} | headers
    )
    assert is_refused(answer, status, code)


RAW = [
    (
        "two content types",
        "Content-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
        b"415",
    ),
    (
        "two keys",
        "Authorization: Bearer x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"401",
    ),
    (
        "a length that lies",
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}GARBAGE\r\n\r\n",
        b"4",
    ),
    (
        "two lengths",
        "Content-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"4",
    ),
    ("length and chunks", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"4"),
    ("a body that never comes", "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{", b"408"),
    ("no sense at all", "\x00\x01\x02\r\n\r\n", b"4"),
]


@pytest.mark.parametrize(("name", "sent", "status"), RAW, ids=[case[0] for case in RAW])
def test_a_malformed_message_gets_a_4xx_or_a_closed_connection(
    server: Server, client: httpx.Client, name: str, sent: str, status: bytes
) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=15) as connection:
        head = f"POST /v1/decisions HTTP/1.1\r\nHost: moment\r\nAuthorization: Bearer {server.key}\r\n"
        connection.sendall(head.encode() + sent.encode("latin-1"))
        answered = connection.recv(65536)
    assert answered == b"" or answered.startswith(b"HTTP/1.1 " + status), answered
    assert client.get("/livez").status_code == 200


def test_paths_may_hold_anything(client: httpx.Client) -> None:
    for path in (
        "/v1/customers/%00",
        "/v1/customers/%FF%FE",
        "/v1/decisions/%ED%A0%80",
        "/v1/customers/" + "x" * 5000,
    ):
        assert client.get(path).status_code in (200, 404, 422), path


def test_the_server_says_where_it_is(server: Server) -> None:
    assert f"docs  {server.url}/docs" in server.output
    assert f"key   {server.home.keys / 'tests.key'}" in server.output
    assert server.url.startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_said_so(server: Server) -> None:
    done = moment(server.home, "serve", "--port", str(urlsplit(server.url).port))
    assert done.returncode == 1
    assert done.stderr.startswith("moment: cannot listen on 127.0.0.1 port")
    assert len(done.stderr.splitlines()) == 1
