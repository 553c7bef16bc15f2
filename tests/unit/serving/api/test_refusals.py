"""What is not right is refused with a problem that names it; nothing sent makes an error of ours."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import httpx
import pytest

from moment.errors import ConfigurationError, DependencyError, Fault, StepMissing
from serving.api.problems import KINDS
from serving.ports import Scope
from serving.records import Mode
from tests.service.kit import Shop
from tests.unit.serving.api.conftest import Counter, refusing
from tests.unit.serving.api.test_decisions import BODY, body

JSON = ("content-type", "application/json")


def changed(**changes: object) -> bytes:
    return json.dumps({key: value for key, value in {**BODY, **changes}.items() if value is not ...}).encode()


def placement(**fields: object) -> bytes:
    return body(placements=[fields])


HOSTILE: list[tuple[str, bytes, str, str | None]] = [
    ("empty", b"", "malformed-json", None),
    ("null", b"null", "invalid-value", None),
    ("array", b"[]", "invalid-value", None),
    ("string", b'"decide"', "invalid-value", None),
    ("cut off", body()[:-1], "malformed-json", None),
    ("more than one", body() + body(), "malformed-json", None),
    ("deep arrays", b"[" * 100_000, "body-too-large", None),
    ("deep enough", b"[" * 4000, "invalid-value", None),
    (
        "deep in context",
        body()[:-1] + b',"context":{"a":' + b"[" * 3500 + b"]" * 3 + b"}}",
        "malformed-json",
        None,
    ),
    ("NaN", body(context={"basket_value": float("nan")}), "malformed-json", None),
    ("1e400", body(context={"basket_value": 0}).replace(b"0}", b"1e400}"), "invalid-value", "context"),
    ("huge whole number", body(context={"basket_value": 10**40}), "invalid-value", "context.basket_value"),
    ("null in context", body(context={"weather": None}), "invalid-value", "context.weather"),
    ("list in context", body(context={"weather": ["rain"]}), "invalid-value", "context.weather"),
    ("lone surrogate", body(customer_id="x").replace(b'"x"', b'"\\ud800"'), "malformed-json", None),
    ("not UTF-8", body(customer_id="x").replace(b'"x"', b'"\xff\xfe"'), "malformed-json", None),
    ("UTF-16", json.dumps(BODY).encode("utf-16"), "malformed-json", None),
    ("byte order mark", b"\xef\xbb\xbf" + body(), "malformed-json", None),
    ("NUL in an id", body(customer_id="a\0b"), "invalid-value", "customer_id"),
    ("line break in an id", body(customer_id="a\nb"), "invalid-value", "customer_id"),
    ("empty id", body(customer_id=""), "invalid-value", "customer_id"),
    ("long id", body(customer_id="x" * 129), "invalid-value", "customer_id"),
    ("number as id", body(customer_id=1228), "invalid-value", "customer_id"),
    ("null as id", body(customer_id=None), "invalid-value", "customer_id"),
    ("unknown field", body(score=1), "unknown-field", "score"),
    ("consent", body(consent=True), "unknown-field", "consent"),
    ("model_version", body(model_version="x"), "unknown-field", "model_version"),
    ("unknown field inside", placement(name="home", score=1), "unknown-field", "placements[].score"),
    ("no channel", changed(channel=...), "missing-field", "channel"),
    ("no placement's name", placement(slots=1), "missing-field", "placements[].name"),
    ("no placements", changed(placements=...), "missing-field", "placements"),
    ("empty placements", body(placements=[]), "invalid-value", "placements"),
    (
        "many placements",
        body(placements=[{"name": f"p{n}"} for n in range(11)]),
        "invalid-value",
        "placements",
    ),
    ("placements an object", body(placements={"name": "home"}), "invalid-value", "placements"),
    ("slots as text", placement(name="home", slots="2"), "invalid-value", "placements[].slots"),
    ("slots as fraction", placement(name="home", slots=1.5), "invalid-value", "placements[].slots"),
    ("no slots", placement(name="home", slots=0), "invalid-value", "placements[].slots"),
    ("too many slots", placement(name="home", slots=3), "invalid-slots", "placements[0].slots"),
    ("unknown channel", body(channel="wap"), "unknown-channel", "channel"),
    ("unknown placement", placement(name="hom"), "unknown-placement", "placements[0].name"),
    ("placement twice", body(placements=[{"name": "home"}] * 2), "duplicate-placement", "placements[1].name"),
    ("undeclared context", body(context={"mood": "good"}), "unknown-context", "context.mood"),
    ("derived context", body(context={"hour": 3}), "context-not-settable", "context.hour"),
    (
        "context of another type",
        body(context={"basket_value": "1"}),
        "invalid-context",
        "context.basket_value",
    ),
    ("context not listed", body(context={"weather": "snow"}), "invalid-context", "context.weather"),
    ("include something else", body(include=["secrets"]), "invalid-value", "include[]"),
    ("time without offset", body(context={"time": "2026-01-01T00:00:00"}), "invalid-value", "context.time"),
    (
        "time at the end of time",
        body(context={"time": "9999-12-31T23:59:59-12:00"}),
        "time-out-of-range",
        "context.time",
    ),
    ("time as number", body(context={"time": 1767225600}), "invalid-value", "context.time"),
    ("time in 1900", body(context={"time": "1900-01-01T00:00:00Z"}), "time-out-of-range", "context.time"),
    ("time in 2200", body(context={"time": "2200-01-01T00:00:00Z"}), "time-out-of-range", "context.time"),
    ("large", body(request_id="r" * 5000), "body-too-large", None),
]


def is_problem(answer: httpx.Response, code: str, field: str | None = None) -> bool:
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["code"], problem.get("field")) == (code, field)
    assert problem["status"] == answer.status_code == KINDS[code].status
    assert problem["type"] == f"urn:moment:problem:{code}"
    assert problem["title"] == KINDS[code].title
    assert "\n" not in problem["detail"]
    return True


def own_log(caplog: pytest.LogCaptureFixture) -> str:
    """Return what was logged, but by the client these tests use."""
    formatter = logging.Formatter()
    return "\n".join(formatter.format(record) for record in caplog.records if record.name != "httpx")


@pytest.mark.parametrize(("name", "sent", "code", "field"), HOSTILE, ids=[case[0] for case in HOSTILE])
def test_a_wrong_body_is_refused(
    counter: Counter, name: str, sent: bytes, code: str, field: str | None
) -> None:
    answer = counter.decide(sent)
    if "[]" in (field or ""):
        # The path names the position
        told = answer.json()["field"]
        assert told in (str(field).replace("[]", "[0]"), str(field).replace("[]", ""))
        field = told
    assert is_problem(answer, code, field)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("content-type", "text/plain")],
        [("content-type", "application/vnd.bentoml+pickle")],
        [("content-type", "application/json; charset=latin-1")],
        [JSON, ("content-type", "text/plain")],
        [JSON, JSON],
        [JSON, ("content-encoding", "gzip")],
    ],
)
def test_only_plain_json_is_read(counter: Counter, headers: list[tuple[str, str]]) -> None:
    assert is_problem(counter.decide(body(), headers=headers), "unsupported-media-type")


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON;charset=utf-8", 'application/json; charset="UTF-8"']
)
def test_json_may_say_that_it_is_utf8(counter: Counter, media_type: str) -> None:
    assert counter.decide(body(), headers=[("content-type", media_type)]).status_code == 200


def test_a_body_in_pieces_is_limited_too(counter: Counter) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    answer = counter.ask("POST", "/v1/decisions", content=pieces)
    assert is_problem(answer, "body-too-large")


def test_a_body_that_does_not_come_is_not_waited_for(counter: Counter) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(2)
        yield b"}"

    # httpx hands a streamed body over piece by piece: the second comes after the limit of 0.2 s
    assert is_problem(counter.ask("POST", "/v1/decisions", content=slowly), "body-too-slow")


@pytest.mark.parametrize(
    "headers",
    [
        [JSON],
        [JSON, ("authorization", "Basic bW9tZW50")],
        [JSON, ("authorization", "Bearer ")],
        [JSON, ("authorization", "Bearer a"), ("authorization", "Bearer b")],
    ],
)
def test_without_one_bearer_key_nothing_is_read(counter: Counter, headers: list[tuple[str, str]]) -> None:
    answer = counter.decide(b"not even read", headers=headers, key="")
    assert is_problem(answer, "key-missing")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_wrong_or_revoked_key_is_refused(counter: Counter, shop: Shop) -> None:
    assert is_problem(counter.decide(body(), key="moment_test_x"), "key-unknown")
    (key,) = shop.keys.all()
    shop.keys.revoke(key.key_id, shop.clock())
    assert is_problem(counter.decide(body()), "key-unknown")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/decisions", Scope.DECIDE),
        ("GET", "/v1/decisions/x", Scope.READ_DECISIONS),
        ("GET", "/v1/customers/x", Scope.READ_CUSTOMERS),
        ("GET", "/v1/decisions/x?include=scores", Scope.READ_SCORES),
    ],
)
def test_each_call_needs_its_scope(
    counter: Counter, shop: Shop, method: str, path: str, scope: Scope
) -> None:
    key = shop.key(scopes=frozenset(Scope) - {scope})
    answer = counter.ask(method, path, content=body() if method == "POST" else None, key=key)
    assert is_problem(answer, "scope-missing")
    assert scope in answer.json()["detail"]


def test_a_live_key_may_not_set_the_time(counter: Counter, shop: Shop) -> None:
    sent = body(context={"time": "2026-04-01T05:00:00Z"})
    assert is_problem(counter.decide(sent, key=shop.key(Mode.LIVE)), "test-only", "context.time")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/customers/anna?at=now", "at"),
        ("/v1/decisions/x?include=scores&include=scores", "include"),
        ("/v1/customers/anna?time=", None),
        ("/v1/decisions/x?include=all", None),
    ],
)
def test_wrong_parameters_are_refused(counter: Counter, path: str, field: str | None) -> None:
    answer = counter.ask("GET", path)
    assert answer.status_code == 422
    assert is_problem(answer, answer.json()["code"], field or path.partition("?")[2].partition("=")[0])


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/nothing", "not-found"),
        ("GET", "/v1/decisions/a/b", "not-found"),
        ("GET", "/v1/decisions", "method-not-allowed"),
        ("PATCH", "/v1/customers/anna", "method-not-allowed"),
        ("GET", "/metrics", "not-found"),
    ],
)
def test_an_address_that_is_not_there_is_a_problem(
    counter: Counter, method: str, path: str, code: str
) -> None:
    answer = counter.ask(method, path)
    assert is_problem(answer, code)
    if code == "method-not-allowed":
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (
            StepMissing("no propensity model is trained", run="moment train propensity"),
            "step-missing",
            "moment train",
        ),
        (DependencyError("the store is away"), "dependency-unavailable", "the store is away"),
        (
            ConfigurationError("the catalogue has 1 fault", faults=[Fault("a.yaml:3", "no")]),
            "not-ready",
            "1 fault",
        ),
    ],
)
def test_what_is_not_ready_is_503_with_the_way_out(
    counter: Counter, shop: Shop, error: Exception, code: str, detail: str
) -> None:
    with refusing(shop, error):
        for method, path in (("POST", "/v1/decisions"), ("GET", "/v1/customers/anna"), ("GET", "/readyz")):
            answer = counter.ask(method, path, content=body() if method == "POST" else None)
            assert is_problem(answer, code)
            assert detail in answer.json()["detail"]
            assert answer.headers["retry-after"] == "2"
        assert counter.ask("GET", "/livez").status_code == 200
    assert counter.decide(body()).status_code == 200


def test_a_defect_is_500_and_its_log_holds_no_personal_data(
    counter: Counter, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), refusing(shop, KeyError("canary-customer")):
        answer = counter.decide(body(customer_id="canary-customer"))
        assert is_problem(answer, "internal")
        assert is_problem(counter.ask("GET", "/v1/customers/canary-customer"), "internal")
    assert "canary" not in answer.text
    logged = own_log(caplog)
    assert "KeyError" in logged
    assert "canary" not in logged


def test_a_broken_feature_store_is_told_and_nothing_said_of_the_customer(
    counter: Counter, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.features.broken = True
    with caplog.at_level(logging.DEBUG):
        answer = counter.decide(body(customer_id="canary-customer"))
        assert answer.json()["degraded"] == ["features", "realtime"]
        assert is_problem(counter.ask("GET", "/v1/customers/canary-customer"), "dependency-unavailable")
    assert "canary" not in own_log(caplog)
