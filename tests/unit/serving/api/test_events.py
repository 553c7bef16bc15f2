"""``POST /v1/events``: a body that is no report is refused whole, an event that makes no sense by itself."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest

from serving.api.events_schemas import ANSWERS, REQUESTS, EventsAnswer, EventsRequest
from serving.ports import Identity, IdentityKind, Scope
from serving.records import Mode
from tests.service.kit import NOW, Shop, caller
from tests.unit.serving.api.conftest import Counter

EVENT = {
    "event_id": "e1",
    "customer_id": "anna",
    "kind": "page_view",
    "occurred_at": NOW.isoformat(),
    "channel": "web",
}
COOKIE = {"kind": "cookie", "value": "9b74c989"}


def event(**changes: object) -> dict[str, Any]:
    return {name: value for name, value in {**EVENT, **changes}.items() if value is not ...}


def post(counter: Counter, *events: object, key: str | None = None) -> httpx.Response:
    return counter.ask("POST", "/v1/events", content=json.dumps({"events": events}).encode(), key=key)


def test_each_event_has_its_own_verdict(counter: Counter) -> None:
    answer = post(
        counter,
        event(),
        event(),
        event(attributes={"topic": "tea"}),
        event(event_id="e2", kind="heart_beat"),
        event(event_id="e3", kind="transaction", attributes={"amount": "3"}),
        event(event_id="e4", customer_id=..., identity=COOKIE),
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["events"] == [
        {"event_id": "e1", "verdict": "recorded"},
        {"event_id": "e1", "verdict": "duplicate"},
        {"event_id": "e1", "verdict": "conflict"},
        {
            "event_id": "e2",
            "verdict": "rejected",
            "code": "unknown-kind",
            "detail": "a kind is one of page_view, search, transaction, location, call, social_mention",
        },
        {
            "event_id": "e3",
            "verdict": "rejected",
            "code": "invalid-attribute",
            "detail": "it is a number of at most 1e+09 either way",
            "attribute": "amount",
        },
        {"event_id": "e4", "verdict": "recorded"},
    ]


def test_an_event_of_an_identity_is_kept_under_it(counter: Counter, shop: Shop) -> None:
    post(counter, event(customer_id=..., identity=COOKIE))
    cookie = Identity(IdentityKind.COOKIE, COOKIE["value"])
    profile = shop.desk().identify.profile(caller(), cookie)
    for whose, count in {profile: 1, "anna": 0}.items():
        assert shop.events.read(whose, mode=Mode.TEST, now=NOW).values["views_30m"] == count


REFUSED: list[tuple[object, str, str | None]] = [
    ({"events": []}, "invalid-value", "events"),
    ({"events": [event(event_id=str(number), channel="w") for number in range(101)]}, "body-too-large", None),
    ({"events": [event()], "score": 1}, "unknown-field", "score"),
    ({"events": [event(score=1)]}, "unknown-field", "events[0].score"),
    ({"events": [event(kind=...)]}, "missing-field", "events[0].kind"),
    ({"events": [event(customer_id=...)]}, "invalid-value", "events[0]"),
    ({"events": [event(), event(identity=COOKIE)]}, "invalid-value", "events[1]"),
    ({"events": [event(customer_id=..., identity={**COOKIE, "kind": "name"})]}, "invalid-value", None),
    ({"events": [event(occurred_at="yesterday")]}, "invalid-value", "events[0].occurred_at"),
    ({"events": [event(occurred_at="2026-05-01T12:00:00")]}, "invalid-value", "events[0].occurred_at"),
    ({"events": [event(event_id="")]}, "invalid-value", "events[0].event_id"),
    ({"events": [event(attributes=[])]}, "invalid-value", "events[0].attributes"),
    ({"events": {}}, "invalid-value", "events"),
    ([], "invalid-value", None),
    (None, "invalid-value", None),
]


@pytest.mark.parametrize(("body", "code", "field"), REFUSED)
def test_a_body_that_is_no_report_is_refused_whole(
    counter: Counter, shop: Shop, body: object, code: str, field: str | None
) -> None:
    answer = counter.ask("POST", "/v1/events", content=json.dumps(body).encode())
    problem = answer.json()
    assert 400 <= answer.status_code < 500
    assert (problem["code"], problem.get("field")) == (code, field or problem.get("field")), problem
    assert not shop.events.read("anna", mode=Mode.TEST, now=NOW).found


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_beyond_all_years_is_a_time_out_of_range(counter: Counter, at: str) -> None:
    told = post(counter, event(occurred_at=at), event(event_id="e2")).json()["events"]
    assert [one.get("code") for one in told] == ["time-out-of-range", None]


def test_a_key_needs_the_scope_and_speaks_for_its_channel(counter: Counter, shop: Shop) -> None:
    other = shop.key(scopes=frozenset(Scope) - {Scope.WRITE_EVENTS})
    assert post(counter, event(), key=other).json()["code"] == "scope-missing"
    assert post(counter, event(), key="").json()["code"] == "key-missing"
    bound = shop.key(channel="app")
    (answer,) = post(counter, event(), key=bound).json()["events"]
    assert answer == {
        "event_id": "e1",
        "verdict": "rejected",
        "code": "channel-not-allowed",
        "detail": "this key speaks for another channel",
    }


def test_without_the_journal_nothing_is_acknowledged(counter: Counter, shop: Shop) -> None:
    shop.events.broken = True
    answer = post(counter, event())
    assert (answer.status_code, answer.json()["code"]) == (503, "dependency-unavailable")
    shop.events.broken = False
    assert post(counter, event()).json()["events"][0]["verdict"] == "recorded"


def test_the_examples_are_what_is_sent_and_answered() -> None:
    for example in REQUESTS.values():
        msgspec.convert(example, EventsRequest)
    for example in ANSWERS.values():
        assert json.loads(msgspec.json.encode(msgspec.convert(example, EventsAnswer))) == example
