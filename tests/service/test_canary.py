"""No personal data in anything the service writes for others to read."""

from __future__ import annotations

import time
from collections import Counter

import httpx
import pytest

from tests.service.canary import FORMS, MAIL, PERSON, STREET, files_with_canary, forms, plant, seen_in
from tests.service.collector import Collector
from tests.service.conftest import Server

ABOUT_WORDS = (
    "unknown-channel",
    "unknown-placement",
    "duplicate-placement",
    "unknown-context",
    "invalid-slots",
)


@pytest.fixture(scope="module")
def planted(server: Server) -> list[httpx.Response]:
    """The answers to canaries in every place; and all output that was due to them has been written."""
    with server.client() as client:
        answers = plant(client)
        last = client.get("/livez").headers["x-request-id"]
    deadline = time.monotonic() + 20
    while last not in server.output:
        assert time.monotonic() < deadline, "the log does not tell of the last request"
        time.sleep(0.05)
    return answers


def test_the_canary_is_recognized_in_every_form() -> None:
    for text in (PERSON, MAIL, STREET):
        for form in forms(text):
            assert form in FORMS
            assert seen_in(b"..." + form + b"...")
    assert not seen_in(b'{"event":"request","route":"/v1/customers/{customer_id}","status":200}')


def test_canaries_come_through_the_door_and_to_every_call(
    planted: list[httpx.Response], server: Server
) -> None:
    statuses = Counter(answer.status_code for answer in planted)
    assert len(planted) > 100
    assert statuses[200] > 10
    assert statuses[422] > 20
    assert not [answer for answer in planted if answer.status_code >= 500], statuses
    assert {answer.request.url.path.split("/")[1] for answer in planted} >= {"v1", "livez", "readyz"}


def test_nothing_printed_names_a_customer(planted: list[httpx.Response], server: Server) -> None:
    assert '"event":"request"' in server.output
    assert seen_in(server.output.encode()) == []


def test_no_metric_names_a_customer(planted: list[httpx.Response], server: Server) -> None:
    answer = httpx.get(
        f"{server.admin_url}/metrics", headers={"authorization": f"Bearer {server.key}"}, trust_env=False
    )
    assert answer.status_code == 200
    assert seen_in(answer.content) == []


def test_nothing_that_everybody_may_read_names_a_customer(
    planted: list[httpx.Response], server: Server
) -> None:
    for path in ("/openapi.json", "/openapi.yaml", "/docs", "/readyz", "/livez"):
        assert seen_in(httpx.get(f"{server.url}{path}", trust_env=False).content) == [], path


def test_no_header_of_an_answer_names_a_customer(planted: list[httpx.Response]) -> None:
    for answer in planted:
        headers = b"\n".join(name + b": " + value for name, value in answer.headers.raw)
        assert seen_in(headers) == [], answer.request.method


def test_a_refusal_names_no_value_that_was_sent(planted: list[httpx.Response]) -> None:
    refused = [answer for answer in planted if answer.status_code >= 400]
    for answer in refused:
        if "json" not in answer.headers["content-type"]:
            # No HTTP at all to the server's parser, so that no app was asked
            assert (answer.status_code, seen_in(answer.content)) == (400, [])
            continue
        told = answer.json()
        # What names a word that is not in the catalogue, and a field, tells the sender and nobody else
        told.pop("field", None)
        if told["code"] in ABOUT_WORDS:
            told.pop("detail")
        assert seen_in(repr(told).encode()) == [], told["code"]


def test_what_workers_keep_beside_the_stores_names_nobody(
    planted: list[httpx.Response], server: Server
) -> None:
    for folder in ("bentoml", "metrics", "allowances", "keys"):
        assert files_with_canary(server.home.root / folder) == {}


def test_no_trace_names_a_customer(
    planted: list[httpx.Response], server: Server, collector: Collector
) -> None:
    for _ in range(100):
        if collector.bodies:
            break
        time.sleep(0.1)
    assert collector.bodies
    assert [seen_in(body) for body in collector.bodies if seen_in(body)] == []
