"""A customer's decisions over HTTP: in pages, by time, channel and action; what erasing leaves of them."""

from __future__ import annotations

import base64
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from moment.home import Home
from serving.adapters.database import overwrite
from serving.adapters.group_commit import GroupCommit
from serving.adapters.sqlite_erasures import SqliteErasures
from serving.adapters.vault import SECRET_FILE, Vault
from tests.service.conftest import Server, moment
from tests.service.test_service import decide, is_refused


def someone() -> str:
    """Return a customer only this test knows."""
    return f"history-{uuid.uuid4().hex}"


def history(client: httpx.Client, customer: str, **parameters: object) -> dict[str, Any]:
    answer = client.get(f"/v1/customers/{customer}/decisions", params=parameters)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return dict(answer.json())


def names(answer: dict[str, Any]) -> list[str]:
    return [one["decision_id"] for one in answer["decisions"]]


def decided(client: httpx.Client, customer: str, day: int, channel: str = "web") -> dict[str, Any]:
    placement = {"web": "home", "app": "wallet"}[channel]
    return decide(
        client,
        customer_id=customer,
        channel=channel,
        placements=[{"name": placement}],
        context={"time": f"2018-02-{day:02d}T12:00:00Z"},
    )


def another_key(server: Server, *options: str) -> httpx.Client:
    made = moment(server.home, "keys", "create", "--mode", "test", *options)
    assert made.returncode == 0, made.stderr
    client = server.client()
    client.headers["authorization"] = f"Bearer {made.stdout.strip()}"
    return client


def test_decisions_are_listed_newest_first_with_what_was_offered(client: httpx.Client) -> None:
    customer = someone()
    answers = [decided(client, customer, day) for day in (3, 1, 2)]
    found = history(client, customer)
    assert found["customer_id"] == customer
    assert found["next"] is None
    first, second, third = (answer["decision_id"] for answer in answers)
    assert names(found) == [first, third, second]
    listed, given = found["decisions"][0], answers[0]
    assert (listed["decided_at"], listed["channel"]) == ("2018-02-03T12:00:00Z", "web")
    assert [(one["rank"], one["action"], one["tracking_id"]) for one in listed["offers"]] == [
        (one["rank"], one["action"], one["tracking_id"]) for one in given["placements"][0]["offers"]
    ]


def test_pages_go_on_where_they_ended_while_more_is_decided(client: httpx.Client) -> None:
    customer = someone()
    expected = [decided(client, customer, day)["decision_id"] for day in range(7, 0, -1)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    pages = 0
    while True:
        page = history(client, customer, limit=3, **cursor)
        found += names(page)
        pages += 1
        decided(client, customer, 20)
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == expected
    assert pages == 3


def test_a_full_last_page_has_no_next(client: httpx.Client) -> None:
    customer = someone()
    for day in (1, 2):
        decided(client, customer, day)
    assert history(client, customer, limit=2)["next"] is None


def test_it_is_filtered_by_time_channel_and_action(client: httpx.Client) -> None:
    customer = someone()
    web, app = decided(client, customer, 5), decided(client, customer, 6, "app")
    everything = [app["decision_id"], web["decision_id"]]
    assert names(history(client, customer, channel="web")) == everything[1:]
    assert names(history(client, customer, **{"from": "2018-02-06T12:00:00Z"})) == everything[:1]
    # `to` is excluded, and another zone's name of the same instant is the same instant
    assert names(history(client, customer, to="2018-02-06T13:00:00+01:00")) == everything[1:]
    action = web["placements"][0]["offers"][0]["action"]
    assert web["decision_id"] in names(history(client, customer, action=action))
    assert names(history(client, customer, action="no-such-action")) == []


def test_nobody_can_tell_unknown_foreign_and_other_modes_apart(server: Server, client: httpx.Client) -> None:
    customer = someone()
    decided(client, customer, 5, "app")
    nothing: dict[str, object] = {"decisions": [], "next": None}
    unknown = someone()
    assert history(client, unknown) == {"customer_id": unknown, **nothing}
    scopes = ("--scope", "customers:read", "--scope", "decisions:read")
    with another_key(server, "--channel", "web", *scopes) as web:
        assert history(web, customer) == {"customer_id": customer, **nothing}
        assert history(web, customer, channel="app") == {"customer_id": customer, **nothing}
    with another_key(server, "--channel", "app", *scopes) as app:
        assert len(history(app, customer)["decisions"]) == 1
    with another_key(server, "--scope", "decisions:read") as unscoped:
        refused = unscoped.get(f"/v1/customers/{customer}/decisions")
        assert is_refused(refused, 403, "scope-missing")


def forged(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("parameters", "code", "field"),
    [
        ("limit=0", "invalid-value", "limit"),
        ("limit=101", "invalid-value", "limit"),
        ("limit=-1", "invalid-value", "limit"),
        ("limit=%C2%B2", "invalid-value", "limit"),
        ("limit=9999999999999999999999", "invalid-value", "limit"),
        ("from=2018-02-01", "invalid-value", "from"),
        ("to=yesterday", "invalid-value", "to"),
        ("from=2018-02-02T00:00:00Z&to=2018-02-01T00:00:00Z", "invalid-value", "from"),
        ("cursor=", "invalid-value", "cursor"),
        ("cursor=%00%ff", "invalid-value", "cursor"),
        ("cursor=" + "A" * 5000, "invalid-value", "cursor"),
        ("cursor=" + forged("9" * 40 + ".d"), "invalid-value", "cursor"),
        ("cursor=" + forged("no number.d"), "invalid-value", "cursor"),
        ("cursor=" + forged("1" * 5000), "invalid-value", "cursor"),
        ("limit=1&limit=2", "unknown-parameter", "limit"),
        ("customer_id=1", "unknown-parameter", "customer_id"),
    ],
)
def test_what_makes_no_sense_is_refused(client: httpx.Client, parameters: str, code: str, field: str) -> None:
    refused = client.get(f"/v1/customers/1/decisions?{parameters}")
    assert is_refused(refused, 422, code)
    assert refused.json()["field"] == field


@pytest.mark.parametrize(
    "customer", ["%00", "%F0%9F%8D%B5", "a%27%20OR%201%3D1%20--", "x" * 2000, "%ED%A0%80"]
)
def test_strange_customers_have_no_decisions(client: httpx.Client, customer: str) -> None:
    answer = client.get(f"/v1/customers/{customer}/decisions")
    assert answer.status_code in {200, 400, 404, 422}
    if answer.status_code == 200:
        assert answer.json()["decisions"] == []


def test_the_servers_secret_is_shown_to_nobody_as_a_key(server: Server) -> None:
    path = server.home.keys / SECRET_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert SECRET_FILE not in server.output
    assert path.read_text().strip() not in server.output


def test_who_starts_without_the_secret_of_the_records_is_told_so(server: Server, tmp_path: Path) -> None:
    home = Home(tmp_path / "home", server.home.mlruns)
    home.root.mkdir()
    for part in ("bundles", "feast"):
        (home.root / part).symlink_to(server.home.root / part)
    assert moment(home, "keys", "create", "--mode", "test", "--scope", "all").returncode == 0
    Vault.open(home)
    (home.keys / SECRET_FILE).unlink()
    done = moment(home, "serve", "--port", "0")
    assert done.returncode != 0
    assert "keys/vault.key is gone" in done.stderr
    assert "put it back from a backup" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cursor_tells_no_more_than_where_a_page_begins(client: httpx.Client) -> None:
    first, second = someone(), someone()
    for customer in (first, second):
        for day in (1, 2, 3):
            decided(client, customer, day)
    cursor = history(client, first, limit=1)["next"]
    assert names(history(client, second, cursor=cursor)) == names(history(client, second))[1:]


def test_who_is_erased_is_gone_from_every_worker_at_once(server: Server, client: httpx.Client) -> None:
    customer, other = someone(), someone()
    erased = decide(client, customer_id=customer, request_id=f"{customer}-1")["decision_id"]
    kept = decide(client, customer_id=other)["decision_id"]
    database, vault = server.home.database, Vault.open(server.home)

    def look(_: int) -> str | None:
        with server.client() as fresh:
            found = fresh.get(f"/v1/decisions/{erased}").json()["customer_id"]
        return None if found is None else str(found)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(look, range(16))) == {customer}  # both workers have read it
        with closing(GroupCommit(database)) as writer:
            erasure = SqliteErasures(database, writer, vault).begin(customer, datetime.now(UTC))
        assert set(pool.map(look, range(16))) == {None}
    assert (erasure.rows["keys"], erasure.rows["decisions"]) == (1, 1)
    assert history(client, customer) == {"customer_id": customer, "decisions": [], "next": None}
    left = client.get(f"/v1/decisions/{erased}").json()
    assert (left["request_id"], left["features"], left["context"]) == (None, [], {})
    assert client.get(f"/v1/decisions/{kept}").json()["customer_id"] == other
    # What comes afterwards is decided and recorded, and says nothing of them
    again = decide(client, customer_id=customer, request_id=f"{customer}-1")["decision_id"]
    assert again != erased
    assert client.get(f"/v1/decisions/{again}").json()["customer_id"] is None
    assert history(client, customer)["decisions"] == []
    overwrite(database)
    files = [database, *database.parent.glob("moment.db-*")]
    assert all(customer.encode() not in path.read_bytes() for path in files)


def test_a_linked_visitors_decisions_are_in_the_customers_history_page_by_page(client: httpx.Client) -> None:
    customer, cookie = someone(), {"kind": "cookie", "value": uuid.uuid4().hex}
    own = [decided(client, customer, day)["decision_id"] for day in (1, 3)]
    placement, at = {"name": "home"}, {"time": "2018-02-02T12:00:00Z"}
    asked = {"identity": cookie, "channel": "web", "placements": [placement], "context": at}
    early = client.post("/v1/decisions", json=asked).raise_for_status().json()["decision_id"]
    assert names(history(client, customer)) == own[::-1]
    link = {"identity": cookie, "customer_id": customer}
    client.post("/v1/identities/link", json=link).raise_for_status()
    first = history(client, customer, limit=2)
    assert names(first) == [own[1], early]
    assert names(history(client, customer, limit=2, cursor=first["next"])) == [own[0]]
    client.post("/v1/identities/unlink", json=link).raise_for_status()
    assert names(history(client, customer)) == own[::-1]
