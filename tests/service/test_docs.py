"""docs/api.md and README.md: their examples run against the service; every problem is listed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from serving.api.problems import KINDS
from tests.service.conftest import PROJECT, Server

TEXT = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
EXPECTED = ("placements", "segment", "placements", "features", "considered", "code")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
def test_every_example_runs_and_answers_what_it_should(server: Server) -> None:
    environment = os.environ | {"URL": server.url, "KEY": server.key, "CUSTOMER": "1", "NO_PROXY": "*"}
    answers = []
    for example in EXAMPLES:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        answers.append(json.loads(done.stdout))
    assert len(answers) == len(EXPECTED)
    for answer, name in zip(answers, EXPECTED, strict=True):
        assert name in answer, answer
    refusals = [answer for answer in answers if "code" in answer]
    assert [(answer["code"], answer["field"]) for answer in refusals] == [
        ("unknown-placement", "placements[0].name")
    ]


def test_every_problem_is_listed_with_its_status() -> None:
    rows = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| (\d{3}) \|", TEXT, re.MULTILINE)
    listed = {(code, int(status)) for codes, status in rows for code in re.findall(r"`([a-z-]+)`", codes)}
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
