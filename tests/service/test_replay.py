"""The real service replays what it decided, with its real models, on whichever worker is asked."""

from __future__ import annotations

import json
import shutil
from typing import Any

import httpx

from moment.home import Home
from serving.bootstrap import open_reading_room
from serving.commands.decisions import record_of
from serving.use_cases.replay import Replayed
from tests.service.conftest import Server, moment
from tests.service.make_home import CUSTOMERS

CONTEXTS: tuple[dict[str, str], ...] = (
    {},
    {"time": "2018-01-01T18:00:00Z"},
    {"time": "2018-01-02T07:30:00Z", "fulfilment": "delivery"},
)


def decide(client: httpx.Client, customer: str, context: dict[str, str]) -> str:
    body = {
        "customer_id": customer,
        "channel": "web",
        "placements": [{"name": "home"}, {"name": "checkout"}],
        "context": context,
    }
    answer = client.post("/v1/decisions", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["decision_id"])


def replay(client: httpx.Client, decision_id: str, against: str = "recorded") -> dict[str, Any]:
    answer = client.post(f"/v1/decisions/{decision_id}/replay", params={"against": against})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_what_was_decided_replays_identical_on_any_worker(client: httpx.Client, server: Server) -> None:
    decided = [
        decide(client, customer, context) for customer in (*CUSTOMERS, "nobody-knows") for context in CONTEXTS
    ]

    told = []
    for decision_id in decided:
        with server.client() as other:  # a new connection, perhaps to the other worker
            told.append(replay(other, decision_id))
    against_now = replay(client, decided[0], "current")

    wrong = [one for one in told if one["verdict"] != "identical"]
    assert not wrong, wrong[0]["differences"]
    assert {one["scores"] for one in told} >= {"model"}
    assert (against_now["verdict"], against_now["differences"]) == ("identical", [])


def test_an_explanation_says_why_not(client: httpx.Client) -> None:
    decision_id = decide(client, CUSTOMERS[0], CONTEXTS[1])
    record = client.get(f"/v1/decisions/{decision_id}").json()
    stopped = next(one for one in record["considered"] if one["rule"] is not None)

    answer = client.get(f"/v1/decisions/{decision_id}/explanation", params={"action": stopped["action"]})

    told = {(one["placement"], one["treatment"]): one for one in answer.json()["candidates"]}
    one = told[stopped["placement"], stopped["treatment"]]
    assert one["rule"]["text"] == stopped["rule"]
    assert one["rule"]["observed"] == stopped["observed"]
    assert one["text"] == stopped["why"]


def test_a_changed_bundle_and_catalogue_are_named_by_the_command(
    client: httpx.Client, server: Server
) -> None:
    decision_id = decide(client, CUSTOMERS[1], CONTEXTS[0])
    elsewhere = Home(server.home.root.parent / "altered", server.home.mlruns)
    shutil.copytree(server.home.root, elsewhere.root, ignore=shutil.ignore_patterns("lake", "tmp"))

    assert replayed(elsewhere, decision_id).verdict == "identical"
    version = (elsewhere.bundles / "propensity" / "CURRENT").read_text().strip()
    calibration = elsewhere.bundles / "propensity" / version / "calibration.json"
    calibration.write_text(calibration.read_text() + " ")
    changed = moment(elsewhere, "decisions", "replay", decision_id, "--json")
    assert changed.returncode == 1
    told = json.loads(changed.stdout)
    assert (told["verdict"], told["scores"]) == ("different", "record")
    assert [one["kind"] for one in told["differences"]] == ["propensity_bundle"]

    kept = elsewhere.root / "catalogues" / f"{told['recorded']['catalogue']}.yaml"
    kept.write_text(kept.read_text("utf-8").replace("BETWEEN 6 AND 18", "BETWEEN 6 AND 17"), "utf-8")
    lost = replayed(elsewhere, decision_id)
    assert lost.verdict == "impossible"
    assert [one.kind for one in lost.differences] == ["catalogue"]
    assert "was changed" in lost.notes[0]


def replayed(home: Home, decision_id: str) -> Replayed:
    """Replay without a server, as the command does."""
    room = open_reading_room(home)
    try:
        return room.replay.of(record_of(room, decision_id))
    finally:
        room.close()
