"""``POST /v1/outcomes`` as HTTP sees it: bodies, scopes, pages of browsers, and what is refused."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from litestar.types import ASGIApp

from moment.errors import InvalidRequest
from serving.api.app import build
from serving.api.browsers import Browsers
from serving.ports import Scope
from serving.records import Mode
from tests.service.kit import Shop
from tests.unit.serving.api.conftest import SETTINGS, Counter, TodaysOffice
from tests.unit.serving.api.test_decisions import body as decision

PAGE = "https://shop.example"
JSON = ("content-type", "application/json")


@pytest.fixture(scope="module")
def office() -> TodaysOffice:
    return TodaysOffice()


@pytest.fixture(scope="module")
def app(office: TodaysOffice) -> ASGIApp:
    return build(
        office,
        replace(SETTINGS, max_body_bytes=2**16, browser_origins=(PAGE,), browser_posts_per_minute=5),
    )


def tracking_id(counter: Counter) -> str:
    answer = counter.decide(decision()).json()
    return str(answer["placements"][0]["offers"][0]["tracking_id"])


def outcome(tracking: str, **changes: object) -> dict[str, Any]:
    made = {
        "tracking_id": tracking,
        "kind": "presented",
        "event_id": "e1",
        "occurred_at": "2026-05-01T18:31:00Z",
    }
    return {**made, **changes}


def post(
    counter: Counter, *outcomes: object, key: str | None = None, page: str | None = None
) -> httpx.Response:
    content = json.dumps({"outcomes": outcomes}).encode()
    headers = [JSON, *([] if page is None else [("origin", page)])]
    return counter.ask("POST", "/v1/outcomes", content=content, headers=headers, key=key)


def code(answer: httpx.Response) -> tuple[int, str, str | None]:
    told = answer.json()
    return answer.status_code, told["code"], told.get("field")


def test_each_report_has_its_verdict_and_a_rejected_one_its_way_out(counter: Counter) -> None:
    good = tracking_id(counter)

    answer = post(counter, outcome(good), outcome(good, event_id="e2", kind="liked"))

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "outcomes": [
            {"event_id": "e1", "verdict": "recorded"},
            {
                "event_id": "e2",
                "verdict": "rejected",
                "code": "unknown-kind",
                "detail": "a kind is one of presented, clicked, accepted, rejected, converted",
            },
        ]
    }


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], (422, "invalid-value", "outcomes")),
        ([outcome("t")] * 101, (422, "invalid-value", "outcomes")),
        ([outcome("t", value="12")], (422, "invalid-value", "outcomes[0].value")),
        ([outcome("t", event_id="")], (422, "invalid-value", "outcomes[0].event_id")),
        ([outcome("t" * 129)], (422, "invalid-value", "outcomes[0].tracking_id")),
        ([outcome("t", occurred_at="yesterday")], (422, "invalid-value", "outcomes[0].occurred_at")),
        (
            [outcome("t"), outcome("t", occurred_at="2026-05-01T18:00:00")],
            (422, "invalid-value", "outcomes[1].occurred_at"),
        ),
        ([outcome("t", currency="EUR")], (422, "unknown-field", "outcomes[0].currency")),
        ([{"tracking_id": "t"}], (422, "missing-field", "outcomes[0].kind")),
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_refused_whole(
    counter: Counter, outcomes: list[object], expected: tuple[int, str, str]
) -> None:
    assert code(post(counter, *outcomes)) == expected


def test_a_number_beyond_all_bounds_is_no_value(counter: Counter) -> None:
    content = json.dumps({"outcomes": [outcome("t", value=1)]}).replace("1}", "1e400}").encode()

    assert counter.ask("POST", "/v1/outcomes", content=content).status_code in (400, 422)


def test_a_key_needs_its_scope_and_a_request_its_key(counter: Counter, shop: Shop) -> None:
    reader = shop.key(scopes=frozenset({Scope.DECIDE}))

    assert code(post(counter, outcome("t"), key=reader))[:2] == (403, "scope-missing")
    assert code(post(counter, outcome("t"), key=""))[:2] == (401, "key-missing")
    assert code(post(counter, outcome("t"), key="moment_test_wrong", page=PAGE))[:2] == (401, "key-unknown")


def test_a_store_that_is_away_answers_503_and_keeps_nothing(counter: Counter, shop: Shop) -> None:
    good = tracking_id(counter)
    shop.records.outcomes.broken = True

    answer = post(counter, outcome(good))

    assert code(answer)[:2] == (503, "dependency-unavailable")
    assert "retry-after" in answer.headers
    assert shop.records.outcomes.of_decision(good.partition(".")[0]) == ()


def test_a_page_that_is_named_may_report_without_a_key(app: ASGIApp, office: TodaysOffice) -> None:
    office.shop = shop = Shop()
    counter = Counter(build(office, replace(SETTINGS, browser_origins=(PAGE,))), shop)
    good = tracking_id(counter)

    answer = post(
        counter, outcome(good), outcome(good, event_id="e2", kind="clicked", value=3), key="", page=PAGE
    )

    assert [one.get("code", one["verdict"]) for one in answer.json()["outcomes"]] == [
        "recorded",
        "value-not-allowed",
    ]
    assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == (PAGE, "Origin")
    assert "access-control-allow-credentials" not in answer.headers
    bad = counter.ask("POST", "/v1/outcomes", content=b"{", headers=[JSON, ("origin", PAGE)], key="")
    assert bad.status_code == 400
    assert bad.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("page", ["https://evil.example", "http://shop.example", "null", f"{PAGE}:8443"])
def test_other_pages_may_not(counter: Counter, page: str) -> None:
    good = tracking_id(counter)

    refused = post(counter, outcome(good), key="", page=page)
    asked = counter.ask("OPTIONS", "/v1/outcomes", headers=[("origin", page)], key="")

    for answer in (refused, asked):
        assert code(answer)[:2] == (403, "origin-not-allowed")
        assert "access-control-allow-origin" not in answer.headers


def test_a_named_page_is_told_what_it_may_send(counter: Counter) -> None:
    asked = [("origin", PAGE), ("access-control-request-method", "POST")]

    answer = counter.ask("OPTIONS", "/v1/outcomes", headers=asked, key="")

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "content-type"


def test_without_named_pages_nobody_reports_without_a_key(office: TodaysOffice) -> None:
    office.shop = shop = Shop()
    counter = Counter(build(office, SETTINGS), shop)
    good = tracking_id(counter)

    assert code(post(counter, outcome(good), key="", page=PAGE))[:2] == (403, "origin-not-allowed")
    assert code(post(counter, outcome(good), key=""))[:2] == (401, "key-missing")


def test_one_address_may_post_so_often_and_keys_as_they_like(counter: Counter) -> None:
    good = tracking_id(counter)

    told = [post(counter, outcome(good), key="", page=PAGE) for _ in range(7)]

    assert [answer.status_code for answer in told].count(429) >= 2
    assert code(told[-1])[:2] == (429, "rate-limited")
    assert 0 < int(told[-1].headers["retry-after"]) <= 60
    assert told[-1].headers["access-control-allow-origin"] == PAGE
    assert post(counter, outcome(good)).status_code == 200


class Request:
    """As much of a request as counting needs."""

    def __init__(self, host: str) -> None:
        self.client = type("Client", (), {"host": host})


def admitted(browsers: Browsers, host: str) -> bool:
    try:
        with browsers.admitted(Request(host)):  # type: ignore[arg-type]
            pass
    except InvalidRequest:
        return False
    return True


def test_addresses_count_by_themselves_and_are_forgotten() -> None:
    now = [0.0]
    browsers = Browsers(frozenset(), 1, 256, clock=lambda: now[0])

    hosts = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1"]
    assert [admitted(browsers, host) for host in hosts] == [True, True, True, False, True, False]
    assert not any(part in repr(browsers) for part in ("192.0", "2001"))
    now[0] = 60.0
    assert admitted(browsers, "192.0.2.1")


def test_few_posts_without_a_key_are_under_way_at_a_time_and_fewer_of_one_address() -> None:
    browsers = Browsers(frozenset(), 1000, 32)
    with ExitStack() as under_way:
        for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"):
            for _ in range(2):
                under_way.enter_context(browsers.admitted(Request(host)))  # type: ignore[arg-type]
            if host != "192.0.2.4":
                assert (admitted(browsers, host), admitted(browsers, "192.0.2.9")) == (False, True)
        assert not admitted(browsers, "192.0.2.9")
    assert admitted(browsers, "192.0.2.1")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"force": {"action": "coupon-te"}}, (422, "unknown-action", "force.action")),
        (
            {"force": {"action": "coupon-tea", "treatment": "x"}},
            (422, "unknown-treatment", "force.treatment"),
        ),
        ({"force": {"treatment": "x"}}, (422, "missing-field", "force.action")),
        ({"force": {"action": "coupon-tea", "slot": 1}}, (422, "unknown-field", "force.slot")),
        ({"force": "coupon-tea"}, (422, "invalid-value", "force")),
        ({"language": "de_DE"}, (422, "invalid-value", "language")),
        ({"language": "d" * 36}, (422, "invalid-value", "language")),
        ({"context": {"weather": "x" * 257}}, (422, "invalid-value", "context.weather")),
        ({"context": {"w" * 129: 1}}, (422, "invalid-value", "context")),
        ({"placements": [{"name": f"p{n}"} for n in range(11)]}, (422, "invalid-value", "placements")),
        ({"placements": [{"name": "home", "slots": 101}]}, (422, "invalid-value", "placements[0].slots")),
        ({"context": {f"c{n}": 1 for n in range(51)}}, (422, "invalid-value", "context")),
    ],
)
def test_what_a_decision_may_not_ask(
    counter: Counter, changes: dict[str, object], expected: tuple[int, str, str]
) -> None:
    assert code(counter.decide(decision(**changes))) == expected


def test_only_a_test_key_forces(counter: Counter, shop: Shop) -> None:
    forced = decision(force={"action": "coupon-soup"})

    shown = counter.decide(forced).json()["placements"][0]["offers"]
    refused = counter.decide(forced, key=shop.key(Mode.LIVE))

    assert [offer["action"] for offer in shown] == ["coupon-soup", "coupon-tea"]
    assert code(refused) == (403, "test-only", "force")
