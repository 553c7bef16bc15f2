"""What the Admin service shows of two workers, and what the log tells."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.adapters.counting import SOON_SECONDS
from serving.api.problems import KINDS
from tests.service.conftest import Server
from tests.service.test_access import decide, is_refused, new_key, send

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def admin(server: Server, path: str = "/metrics", secret: str | None = None) -> httpx.Response:
    headers = {} if secret == "" else {"authorization": f"Bearer {secret or server.key}"}
    return httpx.get(f"{server.admin_url}{path}", headers=headers, trust_env=False)


def samples(server: Server) -> Samples:
    time.sleep(4 * SOON_SECONDS)
    answer = admin(server)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(value for (of, has), value in found.items() if of == name and wanted <= has)


def test_what_both_workers_did_is_added_up(server: Server) -> None:
    before = samples(server)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: decide(server, server.key, customer_id="5"), range(40)))
    assert {answer.status_code for answer in answers} == {200}
    after = samples(server)

    def more(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert more("moment_decisions_total", mode="test", profile="known") == 40
    assert more("moment_placements_total", mode="test") == 40
    offers = sum(len(answer.json()["placements"][0]["offers"]) for answer in answers)
    assert more("moment_offers_total", mode="test") == offers
    assert more("moment_requests_total", route="/v1/decisions", status="200", code="", method="POST") == 40
    assert more("moment_request_seconds_count", route="/v1/decisions") == 40
    for stage in ("features", "history", "shortlist", "score", "choose"):
        assert more("moment_decision_stage_seconds_count", stage=stage) == 40
        assert more("moment_decision_stage_seconds_sum", stage=stage) > 0
    assert more("moment_feature_age_seconds_count", view="spending") == 40
    assert total(after, "moment_workers") == 2


def test_a_request_answered_again_is_no_other_decision(server: Server) -> None:
    before = samples(server)
    for _ in range(3):
        decide(server, server.key, request_id="counted once")
    after = samples(server)
    made = [total(found, "moment_decisions_total") for found in (before, after)]
    assert made[1] - made[0] == 1


def test_refusals_are_counted_by_their_code(server: Server) -> None:
    before = samples(server)
    decide(server, "moment_live_wrong")
    decide(server, server.key, channel="wap")
    send(server, server.key, "GET", "/nowhere/at/all")
    send(server, server.key, "PUT", "/v1/decisions")
    after = samples(server)
    for code, labels in {
        "key-unknown": {"route": "/v1/decisions"},
        "unknown-channel": {"route": "/v1/decisions"},
        "not-found": {"route": ""},
        "method-not-allowed": {"method": "PUT"},
    }.items():
        counts = [total(found, "moment_requests_total", code=code, **labels) for found in (before, after)]
        assert counts[1] - counts[0] == 1, code


def test_a_limit_that_was_reached_is_counted_by_name(server: Server) -> None:
    asked: dict[str, Any] = {"customer_id": "6", "channel": "app", "placements": [{"name": "wallet"}]}
    before = samples(server)
    for _ in range(4):
        assert decide(server, server.key, **asked).status_code == 200
    after = samples(server)
    counts = [total(found, "moment_limit_reached_total", policy="twice") for found in (before, after)]
    assert counts[1] > counts[0]


def test_what_decides_is_shown(server: Server, client: httpx.Client) -> None:
    versions = client.get("/readyz").json()["versions"]
    (shown,) = [
        dict(has) for (name, has), value in samples(server).items() if name == "moment_info" and value
    ]
    shown["code"] = shown.pop("code_version")
    assert all(versions[name].startswith(shown[name]) for name in shown)
    assert shown.keys() == versions.keys()


def test_labels_are_few_and_known(server: Server, client: httpx.Client) -> None:
    for number in range(20):
        client.get(f"/v1/customers/somebody-{number}")
        client.get(f"/somewhere/{number}")
    described = client.get("/openapi.json").json()["paths"]
    routes = {*described, "", "/openapi.json", "/openapi.yaml", "/docs", "/"}
    found = samples(server)
    values: dict[str, set[str]] = {}
    for _, labels in found:
        for name, value in labels:
            values.setdefault(name, set()).add(value)
    assert values["route"] <= routes
    assert values["code"] <= {*KINDS, ""}
    assert values["mode"] <= {"live", "test"}
    assert values["method"] <= {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
    assert all(len(of) < 60 for of in values.values())
    assert all(name.startswith("moment_") for name, _ in found)


def test_metrics_need_a_key_with_their_scope(server: Server) -> None:
    assert is_refused(admin(server, secret=""), 401, "key-missing")
    assert is_refused(admin(server, secret="moment_live_wrong"), 401, "key-unknown")  # noqa: S106
    channel_only = new_key(server, scopes=("decisions:write",)).secret
    assert is_refused(admin(server, secret=channel_only), 403, "scope-missing")
    assert admin(server, "/livez", secret="").json() == {"status": "alive"}


@pytest.mark.parametrize("path", ["/v1/customers/1", "/openapi.json", "/docs", "/", "/metrics/x"])
def test_the_admin_service_serves_nothing_else(server: Server, path: str) -> None:
    assert is_refused(admin(server, path), 404, "not-found")


def lines_of(server: Server, request_id: str) -> list[dict[str, Any]]:
    """Wait for what the log says of a request."""
    deadline = time.monotonic() + 20
    while not (found := [line for line in server.lines if request_id in line]):
        assert time.monotonic() < deadline, f"the log says nothing of {request_id}"
        time.sleep(0.02)
    return [json.loads(line) for line in found]


def test_each_request_is_one_line_of_the_log(server: Server, client: httpx.Client) -> None:
    answer = decide(server, server.key)
    (line,) = lines_of(server, answer.headers["x-request-id"])
    assert (line["event"], line["level"], line["method"], line["status"]) == ("request", "info", "POST", 200)
    assert (line["route"], line["decision_id"]) == ("/v1/decisions", answer.json()["decision_id"])
    assert line["key_id"].startswith("key_")
    assert line["ms"] > 0
    refused = client.get("/v1/decisions/nonsense")
    (line,) = lines_of(server, refused.headers["x-request-id"])
    assert (line["status"], line["code"]) == (404, "not-found")
    assert line["route"] == "/v1/decisions/{decision_id}"


def test_the_id_of_a_request_is_made_here(client: httpx.Client) -> None:
    sent = {"x-request-id": "mine"}
    answers = [client.get("/livez", headers=sent).headers["x-request-id"] for _ in range(2)]
    assert "mine" not in answers
    assert answers[0] != answers[1]
