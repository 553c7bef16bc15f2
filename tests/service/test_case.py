"""``moment decisions`` and ``moment case`` beside the running service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from serving.adapters.sqlite_journal import SqliteJournal, Wanted
from serving.adapters.vault import Vault
from tests.service.conftest import PROJECT, Server, environment, moment
from tests.service.test_replay import decide
from tests.unit.serving.use_cases.test_case import Page

CUSTOMER = "5"


@pytest.fixture(scope="module")
def decision_id(server: Server) -> str:
    with server.client() as client:
        return decide(client, CUSTOMER, {"time": "2018-01-03T18:00:00Z"})


def test_a_case_is_one_page_with_what_came_of_it(server: Server, decision_id: str, tmp_path: Path) -> None:
    with server.client() as client:
        record = client.get(f"/v1/decisions/{decision_id}").json()
        offer = record["placements"][0]["offers"][0]
        report = {
            "tracking_id": offer["tracking_id"],
            "kind": "presented",
            "event_id": "case-1",
            "occurred_at": "2018-01-03T18:00:05Z",
        }
        assert client.post("/v1/outcomes", json={"outcomes": [report]}).status_code == 200
    out = tmp_path / "case.html"
    out.write_text("an older page")

    done = moment(server.home, "case", decision_id, "--out", str(out))

    assert done.returncode == 0, done.stderr
    assert "replay identical" in done.stdout
    assert out.stat().st_mode & 0o777 == 0o600
    page = Page(out.read_text("utf-8"))
    assert page.words("h1") == [f"Decision {decision_id}"]
    assert not page.of("script", "img", "link", "iframe")
    assert not page.open
    assert set(offer["content"].values()) <= set(page.words("dd"))
    text = page.text
    assert f"customer {CUSTOMER}" in text
    assert "presented" in page.words("th")
    assert "identical" in page.words("span")
    for feature in record["features"]:
        assert feature["name"] in page.words("code")
    assert server.key not in text


def test_the_tail_names_no_customer_unless_asked_to(server: Server, decision_id: str) -> None:
    plain = moment(server.home, "decisions", "tail", "--json", "--limit", "500", "--mode", "test")
    named = moment(server.home, "decisions", "tail", "--limit", "500", "--show-customer")

    lines = [json.loads(line) for line in plain.stdout.splitlines()]
    (mine,) = [line for line in lines if line["decision_id"] == decision_id]
    assert {offer["placement"] for offer in mine["offers"]} == {"home", "checkout"}
    assert mine["channel"] == "web"
    assert not any("customer" in line for line in lines)
    assert [line["sequence"] for line in lines] == sorted(line["sequence"] for line in lines)
    (told,) = [line for line in named.stdout.splitlines() if decision_id in line]
    assert f"  {CUSTOMER}  " in told


def test_the_tail_follows_what_comes(server: Server) -> None:
    command = [sys.executable, "-m", "moment.cli", "decisions", "tail", "--follow", "--limit", "1", "--json"]
    unbuffered = environment(server.home) | {"PYTHONUNBUFFERED": "1"}
    following = subprocess.Popen(command, env=unbuffered, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        assert following.stdout is not None
        before = json.loads(following.stdout.readline())["sequence"]
        with server.client() as client:
            made = [decide(client, CUSTOMER, {}) for _ in range(3)]
        came = [json.loads(following.stdout.readline()) for _ in made]
    finally:
        following.terminate()
        following.wait(10)
        if following.stdout is not None:
            following.stdout.close()
    assert [one["decision_id"] for one in came] == made
    assert came[0]["sequence"] > before


def test_the_journal_pages_on_and_keeps_to_what_is_wanted(server: Server, client: httpx.Client) -> None:
    made = [decide(client, CUSTOMER, {}) for _ in range(3)]
    journal = SqliteJournal(server.home.database, Vault.open(server.home))
    try:
        newest = journal.newest(Wanted(), 3)
        first = journal.after(newest[0].sequence, Wanted(), 1)
        assert [one.record.decision_id for one in newest] == made
        assert [one.record.decision_id for one in first] == made[1:2]
        assert journal.newest(Wanted(channel="nowhere"), 3) == []
        assert all(one.record.personal is None for one in newest)
    finally:
        journal.close()


def test_a_decision_nobody_made_is_said_so_in_one_line(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "case.html"

    done = moment(server.home, "case", "no-such-decision", "--out", str(out))

    assert (done.returncode, done.stdout) == (2, "")
    line = done.stderr.splitlines()[-1]
    assert "there is no decision 'no-such-decision'; `moment decisions tail` lists the newest" in line
    assert not out.exists()
