"""``moment serve``, ``moment decide`` and ``moment keys`` as people meet them."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moment.home import Home
from serving.adapters.database import migrate
from tests.service.conftest import moment


@pytest.fixture
def empty(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "mlruns")


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


@pytest.mark.parametrize("command", [["serve"], ["decide", "1"]])
def test_without_models_it_names_the_command_to_run(empty: Home, command: list[str]) -> None:
    done = moment(empty, *command)
    assert done.returncode == 1
    assert one_line(done.stderr) == (
        "moment: no segmentation model is trained; run `moment train segmentation` first"
    )
    assert done.stdout == ""


def test_the_service_never_starts_open(home: Home, tmp_path: Path) -> None:
    keyless = Home(tmp_path / "keyless", home.mlruns)
    keyless.root.mkdir()
    for part in ("bundles", "feast"):
        (keyless.root / part).symlink_to(home.root / part)
    lost = moment(keyless, "serve")
    assert lost.returncode == 1
    assert one_line(lost.stderr).startswith(f"moment: moment.db is gone from {keyless.root}; restore it")
    migrate(keyless.database)
    done = moment(keyless, "serve")
    assert done.returncode == 1
    assert one_line(done.stderr).endswith("run `moment keys create --mode test --scope all --out-file` first")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "moment.example"], "'moment.example' is no IP address; write e.g. 127.0.0.1"),
        (["--port", "99999"], "99999 is not in the range"),
        (["--workers", "0"], "0 is not in the range"),
    ],
)
def test_wrong_options_are_said_so(empty: Home, options: list[str], words: str) -> None:
    done = moment(empty, "serve", *options)
    assert done.returncode == 2
    assert words in one_line(done.stderr)


DECISIONS = {
    "explained": ("8", "--context", "device=phone", "--explain"),
    "one action": ("8", "--action", "coupon-laxatives", "--slots", "1"),
    "as JSON": ("nobody", "--at", "2018-01-01T18:00:00Z", "--placement", "checkout", "--json"),
}


@pytest.fixture(scope="module")
def decided(home: Home) -> dict[str, subprocess.CompletedProcess[str]]:
    """What ``moment decide`` says; run side by side, for each imports Feast."""
    with ThreadPoolExecutor(len(DECISIONS)) as pool:
        done = pool.map(lambda arguments: moment(home, "decide", *arguments), DECISIONS.values())
        return dict(zip(DECISIONS, done, strict=True))


def test_decide_says_the_time_the_offers_and_why(
    decided: dict[str, subprocess.CompletedProcess[str]],
) -> None:
    done = decided["explained"]
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("As of 2017-12-31 00:00 UTC, the time of the newest features")
    assert lines[1] == "Customer 8, persona Regulars, on web"
    assert "home (3 of 3 slots)" in lines
    text = " ".join(done.stdout.split())
    assert "= priority" in text
    assert "Funnel: 158 considered → 158 available →" in text
    assert "is false: context.channel = 'web'" in text
    stages = [line.partition(" (")[0] for line in lines if line.startswith("Why not: ")]
    assert stages[0] == "Why not: arbitration"
    assert stages[-1] == "Why not: eligible"


def test_decide_tells_all_of_one_action(decided: dict[str, subprocess.CompletedProcess[str]]) -> None:
    done = decided["one action"]
    assert done.returncode == 0, done.stderr
    assert "coupon-laxatives in home, as coupon-laxatives-web" in done.stdout
    assert "  context.channel: web, must be = app" in done.stdout
    assert "coupon-beef" not in done.stdout


def test_decide_prints_json_for_scripts(decided: dict[str, subprocess.CompletedProcess[str]]) -> None:
    done = decided["as JSON"]
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["profile"], answer["mode"]) == ("none", "test")
    assert answer["placements"][0]["name"] == "checkout"
    assert answer["placements"][0]["offers"][0]["expires_at"] == "2018-01-01T18:15:00Z"
    assert "explanation" not in answer


def test_keys_are_made_listed_and_revoked(empty: Home) -> None:
    made = moment(
        empty, "keys", "create", "--mode", "live", "--channel", "web", "--label", "the shop", "--json"
    )
    key = json.loads(made.stdout)
    assert key["scopes"] == ["decisions:write"]
    plain = moment(empty, "keys", "create", "--mode", "test")
    assert plain.stdout.startswith("moment_test_")
    assert one_line(plain.stdout)
    listed = moment(empty, "keys", "list")
    assert key["key_id"] in listed.stdout
    assert key["key"] not in listed.stdout
    assert moment(empty, "keys", "revoke", key["key_id"]).returncode == 0
    found = {item["key_id"]: item for item in json.loads(moment(empty, "keys", "list", "--json").stdout)}
    assert found[key["key_id"]]["revoked_at"] is not None
    unknown = moment(empty, "keys", "revoke", "key_0")
    assert (unknown.returncode, one_line(unknown.stderr)) == (
        1,
        "moment: there is no key key_0; `moment keys list` shows them",
    )


def test_a_key_file_is_never_written_over(empty: Home) -> None:
    arguments = ["keys", "create", "--mode", "test", "--out-file"]
    assert moment(empty, *arguments).returncode == 0
    before = (empty.keys / "test.key").read_text()
    again = moment(empty, *arguments)
    assert again.returncode == 1
    assert "is there already" in one_line(again.stderr)
    assert (empty.keys / "test.key").read_text() == before
    assert len(json.loads(moment(empty, "keys", "list", "--json").stdout)) == 1
