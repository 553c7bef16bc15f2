from __future__ import annotations

import json
from typing import Any

import pytest
from litestar import Litestar

from serving.ports import Scope
from serving.records import Mode
from tests.service.kit import NOW, Shop
from tests.unit.serving.api.conftest import Counter, TodaysOffice

BODY: dict[str, Any] = {"customer_id": "anna", "channel": "web", "placements": [{"name": "home", "slots": 2}]}


def body(**changes: object) -> bytes:
    return json.dumps({**BODY, **changes}).encode()


def test_an_answer_has_exactly_the_promised_shape(counter: Counter, shop: Shop) -> None:
    answered = counter.decide(body())
    assert answered.status_code == 200
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["cache-control"] == "no-store"
    answer = answered.json()
    assert list(answer) == [
        "decision_id",
        "placements",
        "profile",
        "experiments",
        "degraded",
        "approval",
        "versions",
        "mode",
    ]
    assert (answer["profile"], answer["mode"], answer["degraded"], answer["experiments"]) == (
        "known",
        "test",
        [],
        [],
    )
    (placement,) = answer["placements"]
    assert (placement["name"], placement["reason"]) == ("home", "filled")
    assert placement["offers"][0] == {
        "rank": 1,
        "action": "coupon-tea",
        "treatment": "coupon-tea-web",
        "content": {
            "title": "Tea & cake for large &amp; loud",
            "link": "/offers?for=large%20%26%20loud&weather=",
        },
        "tracking_id": shop.tracking.sign(answer["decision_id"], 1),
        "expires_at": "2026-05-01T19:00:00Z",
    }
    assert shop.records.find(answer["decision_id"]) is not None


def test_scores_come_to_who_asks_and_may(counter: Counter, shop: Shop) -> None:
    answer = counter.decide(body(include=["scores"])).json()
    assert answer["segment"] == "Families"
    scores = answer["placements"][0]["offers"][0]["scores"]
    assert scores == {"propensity": 0.3, "priority": pytest.approx(0.9), "action_probability": 1.0}
    key = shop.key(scopes=frozenset({Scope.DECIDE}))
    refused = counter.decide(body(include=["scores"]), key=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope-missing")
    assert "segment" not in counter.decide(body(), key=key).json()


def test_slots_may_be_left_out_and_a_visitor_too(counter: Counter) -> None:
    answer = counter.decide(json.dumps({"channel": "web", "placements": [{"name": "home"}]}).encode()).json()
    assert answer["profile"] == "none"
    assert [offer["action"] for offer in answer["placements"][0]["offers"]] == ["coupon-jam", "hello"]


def test_a_test_key_sets_the_time(counter: Counter) -> None:
    answer = counter.decide(body(context={"time": "2026-04-01T05:00:00+02:00", "weather": "rain"})).json()
    record = counter.ask("GET", f"/v1/decisions/{answer['decision_id']}").json()
    assert record["decided_at"] == "2026-04-01T03:00:00Z"
    assert record["context"] == {"basket_value": None, "hour": 3, "weather": "rain"}


def test_the_same_request_gives_the_same_bytes(counter: Counter) -> None:
    first, again = counter.decide(body(request_id="r")), counter.decide(body(request_id="r"))
    assert first.content == again.content
    other = counter.decide(body(request_id="r", channel="app", placements=[{"name": "home"}]))
    assert (other.status_code, other.json()["code"]) == (409, "request-id-reused")


def test_a_record_says_why_and_why_not(counter: Counter, shop: Shop) -> None:
    decision_id = counter.decide(body()).json()["decision_id"]
    record = counter.ask("GET", f"/v1/decisions/{decision_id}").json()
    assert "scores" not in record["placements"][0]["offers"][0]
    assert "segment" not in record
    considered = {item["action"]: item for item in record["considered"]}
    assert considered["coupon-soup"]["why"].startswith(
        "eligible: rule 2 `context.weather = 'rain'` is unknown"
    )
    assert considered["coupon-soup"]["observed"] == {"context.weather": None}
    assert considered["coupon-tea"]["why"] == "shown: shown"
    assert {"name": "spend", "value": 80.0, "state": "present", "as_of": "2026-04-30T18:30:00Z"} in record[
        "features"
    ]
    scored = counter.ask("GET", f"/v1/decisions/{decision_id}?include=scores").json()
    considered = {item["action"]: item for item in scored["considered"]}
    assert considered["coupon-tea"]["scores"] == {"propensity": 0.3, "priority": pytest.approx(0.9)}
    assert "propensity 0.3" in considered["coupon-tea"]["why"]
    assert scored["segment"] == "Families"


@pytest.mark.parametrize(("mode", "channel"), [(Mode.LIVE, None), (Mode.TEST, "app")])
def test_a_foreign_decision_answers_as_one_that_is_not_there(
    counter: Counter, shop: Shop, mode: Mode, channel: str | None
) -> None:
    decision_id = counter.decide(body()).json()["decision_id"]
    key = shop.key(mode, channel=channel)
    foreign = counter.ask("GET", f"/v1/decisions/{decision_id}", key=key)
    unknown = counter.ask("GET", "/v1/decisions/none", key=key)
    assert foreign.status_code == 404
    assert foreign.content == unknown.content


def test_a_customer_is_seen_whole(counter: Counter) -> None:
    decision_id = counter.decide(body()).json()["decision_id"]
    view = counter.ask("GET", "/v1/customers/anna").json()
    assert (view["profile"], view["segment"], view["as_of"]) == ("known", "Families", "2026-05-01T18:30:00Z")
    assert view["features"][0] == {
        "name": "spend",
        "value": 80.0,
        "state": "present",
        "as_of": "2026-04-30T18:30:00Z",
        "age_seconds": 86400.0,
        "unit": "currency",
        "meaning": "The customer's spend",
    }
    assert view["decisions"][0]["decision_id"] == decision_id
    assert [offer["action"] for offer in view["decisions"][0]["offers"]] == ["coupon-tea", "coupon-ham"]
    nobody = counter.ask("GET", "/v1/customers/nobody")
    assert nobody.status_code == 200
    assert nobody.json().keys() == view.keys()
    assert (nobody.json()["profile"], nobody.json()["features"]) == ("none", [])


def test_a_customer_is_seen_at_a_time_by_a_test_key_only(counter: Counter, shop: Shop) -> None:
    path = "/v1/customers/anna?time=2026-05-01T00:00:00Z"
    assert counter.ask("GET", path).json()["as_of"] == "2026-05-01T00:00:00Z"
    refused = counter.ask("GET", path, key=shop.key(Mode.LIVE))
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (
        403,
        "test-only",
        "time",
    )
    assert NOW.year == 2026


def test_probes_need_no_key(counter: Counter) -> None:
    assert counter.ask("GET", "/livez", key="").json() == {"status": "alive"}
    ready = counter.ask("GET", "/readyz", key="").json()
    assert (ready["status"], ready["versions"]["code"]) == ("ready", "test")


def test_an_answer_names_the_arms_the_customer_is_in(office: TodaysOffice, app: Litestar) -> None:
    office.shop = Shop(
        more="experiments: {ranking: {sweet: {arms: {pushed: {share: 1.0, propensity_floor: 0.2}}}}}"
    )
    counter = Counter(app, office.shop)
    key = office.shop.key(Mode.LIVE)
    answer = counter.decide(body(), key=key).json()
    arms = [{"layer": "ranking", "experiment": "sweet", "arm": "pushed"}]
    assert answer["experiments"] == arms
    record = counter.ask("GET", f"/v1/decisions/{answer['decision_id']}", key=key).json()
    assert (record["experiments"], record["control"], record["held_out"]) == (arms, False, False)
    assert (record["exploration"], record["attempt"]) == ("greedy", 1)
    assert counter.decide(body()).json()["experiments"] == []


def test_a_limit_holds_over_http_and_the_record_says_so(office: TodaysOffice, app: Litestar) -> None:
    office.shop = Shop(more="contact_policies: {one-tea: {limit: 1, window: 7d, actions: [coupon-tea]}}")
    counter = Counter(app, office.shop)
    answers = [counter.decide(body()).json() for _ in range(2)]
    offered = [[offer["action"] for offer in answer["placements"][0]["offers"]] for answer in answers]
    assert offered == [["coupon-tea", "coupon-ham"], ["coupon-ham", "coupon-jam"]]
    records = [counter.ask("GET", f"/v1/decisions/{answer['decision_id']}").json() for answer in answers]
    tea = next(item for item in records[1]["considered"] if item["action"] == "coupon-tea")
    assert (tea["stage"], tea["reason"]) == ("contact_policy", "limit_reached")
    assert tea["policy"] == {
        "kind": "limit",
        "name": "one-tea",
        "observed": 1.0,
        "bound": 1.0,
        "unit": "contacts",
    }
    assert records[0]["placements"][0]["offers"][0]["reserved_until"] == "2026-05-01T19:10:00Z"


def test_what_is_for_systems_needs_a_key_that_may_assert_it(office: TodaysOffice, app: Litestar) -> None:
    declared = "\n  credit_ok: {type: bool, set_by: system, meaning: The credit check passed}"
    office.shop = Shop(change=("\ncontext:", "\ncontext:" + declared))
    counter = Counter(app, office.shop)
    said = body(context={"credit_ok": True})
    assert counter.decide(said).status_code == 200
    channel = office.shop.key(scopes=frozenset({Scope.DECIDE}))
    refused = counter.decide(said, key=channel)
    assert (refused.status_code, refused.json()["code"]) == (422, "context-not-settable")
    assert refused.json()["field"] == "context.credit_ok"
