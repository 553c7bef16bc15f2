"""Consents, identities, export and erasure over HTTP, on the real service with two workers."""

from __future__ import annotations

import sqlite3
from typing import Any

import httpx
import pytest

from tests.service.conftest import Server, moment

LIVE_SCOPES = ("decisions:write", "decisions:read", "consents:write", "identities:write",
               "customers:erase", "customers:export", "customers:read", "events:write")  # fmt: skip


@pytest.fixture(scope="module")
def live_key(server: Server) -> str:
    scopes = [part for scope in LIVE_SCOPES for part in ("--scope", scope)]
    done = moment(server.home, "keys", "create", "--mode", "live", *scopes, "--out-file", "rights.key")
    assert done.returncode == 0, done.stderr
    return (server.home.keys / "rights.key").read_text().strip()


def headers(key: str) -> dict[str, str]:
    # Closed each time, so that both workers answer
    return {"authorization": f"Bearer {key}", "connection": "close"}


def record_of(client: httpx.Client, key: str, **asked: object) -> dict[str, Any]:
    body = {"channel": "web", "placements": [{"name": "home"}], **asked}
    answer = client.post("/v1/decisions", json=body, headers=headers(key)).raise_for_status().json()
    read = client.get(f"/v1/decisions/{answer['decision_id']}", headers=headers(key))
    return dict(read.raise_for_status().json()) | {"profile": answer["profile"]}


def states(record: dict[str, Any]) -> set[str]:
    return {feature["state"] for feature in record["features"] if feature["name"] == "days_since_purchase"}


def test_a_withdrawal_holds_from_the_next_request_on_every_worker(
    client: httpx.Client, live_key: str
) -> None:
    said = {"consents": [{"purpose": "profiling", "status": "denied", "channel": "app"}]}
    assert states(record_of(client, live_key, customer_id="10", channel="app")) != {"masked"}
    told = client.put("/v1/customers/10/consents", json=said, headers=headers(live_key)).raise_for_status()
    assert told.json()["consents"] == said["consents"]
    seen = [states(record_of(client, live_key, customer_id="10", channel="app")) for _ in range(8)]
    assert seen == [{"masked"}] * 8
    assert states(record_of(client, live_key, customer_id="10")) != {"masked"}


def test_a_cookie_is_a_profile_until_somebody_logs_in_and_again_after(
    client: httpx.Client, live_key: str
) -> None:
    cookie = {"kind": "cookie", "value": "canary-7f3c cookie"}
    assert record_of(client, live_key, identity=cookie)["profile"] == "none"
    body = {"identity": cookie, "customer_id": "4"}
    linked = client.post("/v1/identities/link", json=body, headers=headers(live_key)).raise_for_status()
    assert linked.json() == {"kind": "cookie", "status": "linked"}
    record = record_of(client, live_key, identity=cookie)
    assert (record["profile"], record["customer_id"]) == ("known", "4")
    client.post("/v1/identities/unlink", json=body, headers=headers(live_key)).raise_for_status()
    assert record_of(client, live_key, identity=cookie)["profile"] == "none"
    both = client.post("/v1/decisions", headers=headers(live_key), json={
        "customer_id": "4", "identity": cookie, "channel": "web", "placements": [{"name": "home"}],
    })  # fmt: skip
    assert (both.status_code, both.json()["field"]) == (422, "identity")


def test_an_export_tells_everything_and_an_erasure_leaves_nothing(
    client: httpx.Client, server: Server, live_key: str
) -> None:
    before = record_of(client, live_key, customer_id="9")
    held = client.get("/v1/customers/9/export", headers=headers(live_key)).raise_for_status().json()
    assert held["profile"] == "known"
    assert {one["purpose"] for one in held["consents"]} == {"profiling", "marketing"}
    assert before["decision_id"] in [one["decision_id"] for one in held["decisions"]]
    receipt = (
        client.delete("/v1/customers/9", headers=headers(live_key), timeout=60).raise_for_status().json()
    )
    rows = {one["store"]: one["rows"] for one in receipt["stores"]}
    assert min(rows[name] for name in ("keys", "decisions", "online_features", "lake", "snapshots")) > 0
    for _ in range(4):
        after = record_of(client, live_key, customer_id="9")
        assert (after["profile"], after["customer_id"], after["features"]) == ("none", None, [])
    again = client.get(f"/v1/decisions/{before['decision_id']}", headers=headers(live_key)).json()
    assert (again["customer_id"], again["features"]) == (None, [])
    gone = client.get("/v1/customers/9/export", headers=headers(live_key)).json()
    nobody = client.get("/v1/customers/nobody/export", headers=headers(live_key)).json()
    different = ("customer_id", "as_of")
    assert {k: v for k, v in gone.items() if k not in different} == {
        k: v for k, v in nobody.items() if k not in different
    }
    with sqlite3.connect(server.home.database) as database:
        (stones,) = database.execute(
            "SELECT count(*) FROM tombstones WHERE finished_at IS NOT NULL"
        ).fetchone()
    assert stones == 1


def test_a_test_key_may_not_erase(client: httpx.Client) -> None:
    refused = client.delete("/v1/customers/7")
    assert (refused.status_code, refused.json()["code"]) == (403, "live-only")
