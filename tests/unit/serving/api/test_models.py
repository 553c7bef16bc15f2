"""The life of models over HTTP: in the name of whose own key asks, and of nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from serving.lifecycle import StopKind, Version
from serving.ports import Role, Scope
from serving.records import Mode
from tests.service.kit import Shop
from tests.unit.serving.api.conftest import Counter
from tests.unit.serving.life_kit import PASSED, UNSURE, bundle


class People:
    """Those who work with the shop's models, and their keys."""

    def __init__(self, shop: Shop) -> None:
        self.ada = shop.personal_key("Ada Byron", Role.RISK_OFFICER)
        self.carl = shop.personal_key("Carl Gauss", Role.DATA_SCIENTIST)
        self.olga = shop.personal_key("Olga Lada", Role.OPERATOR)
        self.sam = shop.personal_key("Sam Foster", Role.SUPPORT)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(bundles=tmp_path)


@pytest.fixture
def people(shop: Shop) -> People:
    return People(shop)


@pytest.fixture
def version(shop: Shop, people: People) -> Version:
    """A challenger that Carl made."""
    life, carl = shop.life, shop.signer(people.carl)
    made = life.submit(bundle(shop.bundles, "1"), carl, reason="hand")
    return life.judge(made.model, made.digest, UNSURE, carl)


def post(counter: Counter, path: str, key: str, **body: object) -> httpx.Response:
    return counter.ask("POST", path, key=key, content=json.dumps(body).encode())


def approve(counter: Counter, version: Version, key: str, **changes: object) -> httpx.Response:
    body = {"digest": version.digest, "reason": "read the report"} | changes
    return post(counter, f"/v1/models/{version.model}/{version.version}/approvals", key, **body)


def code(answer: httpx.Response) -> tuple[int, str]:
    said = answer.json()
    assert "\n" not in said["detail"]
    return answer.status_code, said["code"]


def test_a_risk_officer_approves_what_another_made_and_the_ledger_has_it_signed(
    counter: Counter, shop: Shop, people: People, version: Version
) -> None:
    answer = approve(counter, version, people.ada, days=30)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["approval"], told["approved"]["by"]["person"]) == ("approved", "Ada Byron")
    assert told["approved"]["expires_at"] == "2026-05-31T18:30:00Z"
    (entry,) = [one for one in shop.lives.entries() if type(one.entry.act).__name__ == "Approved"]
    assert entry.entry.by.person == "Ada Byron"
    assert entry.public_key == shop.signer(people.ada).public_key
    assert shop.life.verify() == 3
    assert people.ada not in answer.text


def test_an_approval_may_end_at_an_instant(counter: Counter, people: People, version: Version) -> None:
    answer = approve(counter, version, people.ada, expires_at="2026-12-31T00:00:00+01:00")
    assert answer.json()["approved"]["expires_at"] == "2026-12-30T23:00:00Z"
    both = approve(counter, version, people.ada, expires_at="2026-12-31T00:00:00Z", days=700)
    assert both.json()["approved"]["expires_at"] == "2026-12-31T00:00:00Z"
    past = approve(counter, version, people.ada, expires_at="2020-01-01T00:00:00Z")
    assert code(past) == (409, "not-now")


def test_a_risk_officer_rejects(counter: Counter, people: People, version: Version) -> None:
    answer = approve(counter, version, people.ada, decision="reject", reason="worse")
    assert (answer.status_code, answer.json()["state"]) == (200, "rejected")
    assert code(approve(counter, version, people.ada)) == (409, "not-now")


def test_whoever_made_it_needs_somebody_else(counter: Counter, shop: Shop, people: People) -> None:
    life, ada = shop.life, shop.signer(people.ada)
    made = life.submit(bundle(shop.bundles, "2"), ada)
    life.judge(made.model, made.digest, PASSED, ada)
    assert code(approve(counter, made, people.ada)) == (409, "four-eyes")


def test_an_approval_is_of_what_was_looked_at(counter: Counter, people: People, version: Version) -> None:
    assert code(approve(counter, version, people.ada, digest="0" * 64)) == (409, "digest-differs")
    assert code(approve(counter, version, people.ada, digest="xyz")) == (422, "invalid-value")


@pytest.mark.parametrize("path", ["/v1/models/propensity/ffffffff/approvals", "/v1/models/luck/f/approvals"])
def test_what_is_not_there_is_not_approved(counter: Counter, people: People, path: str) -> None:
    answer = post(counter, path, people.ada, digest="0" * 64, reason="x")
    assert answer.status_code == 404


def test_only_a_risk_officers_own_live_key_approves(
    counter: Counter, shop: Shop, people: People, version: Version
) -> None:
    assert code(approve(counter, version, people.carl)) == (403, "scope-missing")
    assert code(approve(counter, version, shop.key(Mode.LIVE))) == (403, "role-missing")
    tester = shop.personal_key("Tess", Role.RISK_OFFICER, Mode.TEST)
    assert code(approve(counter, version, tester)) == (403, "live-only")
    assert code(approve(counter, version, "")) == (401, "key-missing")
    assert shop.life.book().versions[version.model, version.digest].approval is None


def test_models_are_listed_and_read(counter: Counter, shop: Shop, people: People, version: Version) -> None:
    listed = counter.ask("GET", "/v1/models", key=people.sam).json()["models"]
    by_name = {one["model"]: one for one in listed}
    assert set(by_name) == {"segmentation", "propensity", "next-best-action"}
    assert by_name["propensity"]["champion"] is None
    (challenger,) = by_name["propensity"]["challengers"]
    assert (challenger["version"], challenger["verdict"]) == (version.version, "inconclusive")

    life = shop.life
    life.accept(version.model, version.digest, ["slope"], "few", shop.signer(people.ada))
    approve(counter, version, people.ada)
    life.promote(version.model, version.digest, "first", shop.signer(people.carl))
    read = counter.ask("GET", "/v1/models/propensity", key=people.ada).json()
    assert (read["champion"], read["people_in_charge"]) == (version.digest, True)
    (told,) = read["versions"]
    assert told["accepted"] == [
        {"gate": "slope", "by": {"person": "Ada Byron", "role": "risk_officer"}, "reason": "few"}
    ]
    assert [gate["gate"] for gate in told["gates"]] == ["auc", "slope"]
    assert code(counter.ask("GET", "/v1/models/luck", key=people.ada)) == (404, "not-found")


def test_reading_takes_its_scope(counter: Counter, shop: Shop) -> None:
    web = shop.key(scopes=frozenset({Scope.DECIDE}))
    for path in ("/v1/models", "/v1/models/propensity", "/v1/stops"):
        assert code(counter.ask("GET", path, key=web)) == (403, "scope-missing")


def stop(counter: Counter, key: str, **changes: object) -> httpx.Response:
    return post(
        counter, "/v1/stops", key, **({"kind": "action", "name": "coupon-tea", "reason": "wrong"} | changes)
    )


def test_anybody_with_an_own_key_stops_and_two_others_resume(
    counter: Counter, shop: Shop, people: People
) -> None:
    stopped = stop(counter, people.sam)
    assert stopped.status_code == 200, stopped.text
    stop_id = stopped.json()["stop_id"]
    (kept,) = shop.life.book().stops.values()
    assert (kept.kind, kept.name, kept.by.person) == (StopKind.ACTION, "coupon-tea", "Sam Foster")
    assert code(stop(counter, people.sam)) == (409, "not-now")

    def resume(key: str) -> httpx.Response:
        return post(counter, f"/v1/stops/{stop_id}/resume", key, reason="mended")

    assert code(resume(people.sam)) == (403, "role-missing")
    asked = resume(people.ada).json()
    assert (asked["lifted"], "Ada Byron" in asked["missing"]) == (False, True)
    (listed,) = counter.ask("GET", "/v1/stops", key=people.sam).json()["stops"]
    assert listed["resume_asked_by"]["person"] == "Ada Byron"
    assert code(resume(people.ada)) == (409, "two-people")
    assert resume(people.olga).json() == {"stop_id": stop_id, "lifted": True, "missing": None}
    assert counter.ask("GET", "/v1/stops", key=people.sam).json() == {"stops": []}
    assert code(resume(people.olga)) == (404, "unknown-stop")


@pytest.mark.parametrize(
    ("kind", "name", "expected", "nearest"),
    [
        ("action", "coupon-te", "unknown-action", "coupon-tea"),
        ("issue", "sale", "unknown-issue", "sales"),
        ("channel", "wep", "unknown-channel", "web"),
        ("model", "propensty", "unknown-model", "propensity"),
    ],
)
def test_a_slip_of_the_pen_stops_nothing(
    *, counter: Counter, shop: Shop, people: People, kind: str, name: str, expected: str, nearest: str
) -> None:
    refused = stop(counter, people.sam, kind=kind, name=name)
    assert code(refused) == (422, expected)
    assert f"did you mean `{nearest}`?" in refused.json()["detail"]
    assert shop.life.seq() == 0


def test_fallbacks_issues_and_channels_are_stopped_too(counter: Counter, people: People) -> None:
    for kind, name in (("action", "hello"), ("issue", "sales"), ("channel", "app"), ("model", "propensity")):
        assert stop(counter, people.sam, kind=kind, name=name).status_code == 200
    assert code(stop(counter, people.sam, kind="everything")) == (422, "invalid-value")
    assert code(stop(counter, people.sam, reason="")) == (422, "invalid-value")
