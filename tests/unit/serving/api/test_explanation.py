"""Explanation and replay over HTTP: what they answer, to whom, and what they keep to themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest

from serving.adapters.memory import MemoryCatalogues, MemoryRecords
from serving.ports import Scope
from serving.records import DecisionRecord
from tests.service.kit import Shop
from tests.unit.serving.api.conftest import Counter

HOME = b'{"customer_id": "ben", "channel": "web", "placements": [{"name": "home"}]}'


@pytest.fixture
def decision_id(counter: Counter) -> str:
    return str(counter.decide(HOME).json()["decision_id"])


class OneRecord(MemoryRecords):
    """A store that answers with one record, whatever is asked for."""

    def __init__(self, record: DecisionRecord) -> None:
        super().__init__()
        self.record = record

    def find(self, decision_id: str) -> DecisionRecord | None:  # noqa: ARG002
        return self.record


def get(counter: Counter, decision_id: str, parameters: str = "", key: str | None = None) -> httpx.Response:
    return counter.ask("GET", f"/v1/decisions/{decision_id}/explanation{parameters}", headers=[], key=key)


def post(counter: Counter, decision_id: str, parameters: str = "", key: str | None = None) -> httpx.Response:
    return counter.ask("POST", f"/v1/decisions/{decision_id}/replay{parameters}", headers=[], key=key)


def test_one_action_is_explained_in_words_and_values(counter: Counter, decision_id: str) -> None:
    answer = get(counter, decision_id, "?action=coupon-ham").json()

    (ham,) = answer["candidates"]
    assert (ham["stage"], ham["reason"]) == ("eligible", "not_eligible")
    assert ham["rule"]["text"] == "age >= 18 AND spend > 50"
    assert ham["rule"]["observed"] == {"age": 17, "spend": 20.0}
    assert ham["rule"]["failed"] == [
        {"columns": ["age"], "observed": 17, "operator": ">=", "threshold": 18},
        {"columns": ["spend"], "observed": 20.0, "operator": ">", "threshold": 50},
    ]
    assert answer["text"].startswith(f"{answer['funnel']['considered']} considered → ")
    assert "age >= 18" in answer["text"]
    assert answer["erased"] is False


def test_scores_are_told_only_to_who_asks_and_may(counter: Counter, decision_id: str, shop: Shop) -> None:
    plain = get(counter, decision_id).text
    scored = get(counter, decision_id, "?include=scores").json()
    poor = shop.key(scopes=frozenset({Scope.READ_DECISIONS}))

    assert "priority" not in plain
    assert "propensity" not in plain
    tea = next(one for one in scored["candidates"] if one["action"] == "coupon-tea")
    assert tea["ranking"]["propensity"] == 0.3
    assert (tea["ranking"]["rank"], tea["ranking"]["of"]) == (1, 2)
    assert get(counter, decision_id, "?include=scores", key=poor).json()["code"] == "scope-missing"
    assert get(counter, decision_id, key=poor).status_code == 200
    assert post(counter, decision_id, "?include=scores", key=poor).json()["code"] == "scope-missing"


@pytest.mark.parametrize(
    ("parameters", "code", "field"),
    [
        ("?action=coupon-hm", "unknown-action", "action"),
        ("?action=", "invalid-value", "action"),
        (f"?action={'x' * 129}", "invalid-value", "action"),
        ("?action=a%00b", "invalid-value", "action"),
        ("?include=everything", "invalid-value", "include"),
        ("?why=1", "unknown-parameter", "why"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    counter: Counter, decision_id: str, parameters: str, code: str, field: str
) -> None:
    refusal = get(counter, decision_id, parameters)

    assert (refusal.status_code, refusal.json()["code"], refusal.json()["field"]) == (422, code, field)


def test_the_nearest_action_is_named(counter: Counter, decision_id: str) -> None:
    assert "coupon-ham" in get(counter, decision_id, "?action=coupon-hm").json()["detail"]


@pytest.mark.parametrize("ask", [get, post])
def test_a_stranger_finds_nothing(counter: Counter, decision_id: str, shop: Shop, ask: Any) -> None:  # noqa: ANN401
    elsewhere = shop.key(channel="app")
    deaf = shop.key(scopes=frozenset({Scope.DECIDE}))

    foreign, unknown = ask(counter, decision_id, key=elsewhere), ask(counter, "nothing")

    assert (foreign.status_code, foreign.json()) == (404, unknown.json())
    assert ask(counter, decision_id, key=deaf).json()["code"] == "scope-missing"
    assert ask(counter, decision_id, key="").json()["code"] == "key-missing"


def test_a_decision_replays_identical(counter: Counter, decision_id: str) -> None:
    for parameters in ("", "?against=recorded", "?against=current"):
        answer = post(counter, decision_id, parameters).json()

        assert (answer["verdict"], answer["differences"], answer["scores"]) == ("identical", [], "model")
        assert answer["recorded"] == answer["replayed"]


def test_differences_are_named_and_scores_kept_to_who_may_see_them(
    counter: Counter, decision_id: str, shop: Shop
) -> None:
    record = shop.records.find(decision_id)
    assert record is not None
    changed = msgspec.structs.replace(record, seed=3, joint_probability=0.5, segment="Kings")
    shop.recall = replace(shop.recall, records=OneRecord(changed))

    plain, scored = post(counter, decision_id).json(), post(counter, decision_id, "?include=scores").json()

    assert plain["verdict"] == scored["verdict"] == "different"
    assert [one["kind"] for one in plain["differences"]] == ["seed", "segment", "probability"]
    assert plain["differences"][0]["recorded"] == "3"
    assert plain["differences"][1:] == [
        {"kind": "segment", "subject": "persona"},
        {"kind": "probability", "subject": "the answer as a whole"},
    ]
    assert scored["differences"][2]["recorded"] == "0.5"


def test_what_was_erased_is_answered_erased(counter: Counter, decision_id: str, shop: Shop) -> None:
    record = shop.records.find(decision_id)
    assert record is not None
    erased = msgspec.structs.replace(record, personal=None)
    shop.recall = replace(shop.recall, records=OneRecord(erased))

    replayed, explained = post(counter, decision_id).json(), get(counter, decision_id).json()

    assert (replayed["verdict"], replayed["replayed"]) == ("erased", None)
    assert explained["erased"] is True
    assert "20.0" not in json.dumps(explained["candidates"])


def test_without_its_catalogue_a_replay_names_it_and_an_explanation_is_not_to_be_had(
    counter: Counter, decision_id: str, shop: Shop
) -> None:
    shop.recall = replace(shop.recall, catalogues=MemoryCatalogues(()))

    replayed, explained = post(counter, decision_id), get(counter, decision_id)

    assert replayed.json()["verdict"] == "impossible"
    assert [one["kind"] for one in replayed.json()["differences"]] == ["catalogue"]
    assert (explained.status_code, explained.json()["code"]) == (503, "dependency-unavailable")


@pytest.mark.parametrize(("parameters", "field"), [("?against=tomorrow", "against"), ("?now=1", "now")])
def test_what_cannot_be_replayed_is_refused(
    counter: Counter, decision_id: str, parameters: str, field: str
) -> None:
    refusal = post(counter, decision_id, parameters)

    assert (refusal.status_code, refusal.json()["field"]) == (422, field)
