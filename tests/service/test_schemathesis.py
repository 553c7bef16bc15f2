"""The running service held to its own description by Schemathesis: every check, alone and in chains."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from serving.api.openapi import OPERATIONS
from tests.service.conftest import PROJECT, Server

FULL = os.environ.get("MOMENT_RELIABILITY") == "full"
EXAMPLES, SECONDS = (500, 1800) if FULL else (15, 120)
"""How many examples of each call, and when to give up on them."""


LINKS = re.compile(r"API Links: +(\d+) covered / (\d+) selected")


@pytest.mark.timeout(SECONDS + 200)
def test_the_service_keeps_to_its_description(server: Server, tmp_path: Path) -> None:
    said = checked(server, tmp_path, EXAMPLES)
    tested = re.search(r"Tested: (\d+)", said)
    assert tested is not None
    assert int(tested[1]) == len(OPERATIONS)
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert re.search(rf"✅ +{phase}", said), said
    assert httpx.get(f"{server.url}/livez", trust_env=False).status_code == 200


def test_a_decision_is_read_and_reported_on_by_what_its_answer_says(server: Server, tmp_path: Path) -> None:
    # Among two dozen calls, few scenarios would meet the links of these
    said = checked(
        server,
        tmp_path,
        EXAMPLES,
        "--phases",
        "stateful",
        "--include-path-regex",
        "^/v1/(decisions|outcomes)",
    )
    links = LINKS.search(said)
    assert links is not None, said
    covered, selected = map(int, links.groups())
    assert covered == selected >= 3, said


def checked(server: Server, folder: Path, examples: int, *more: str) -> str:
    """Return what Schemathesis says of the service, which it found nothing wrong with."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", *more]
    command += ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--seed", "1"]
    command += ["--max-examples", str(examples), "--generation-database", "none"]
    command += ["--header", f"Authorization: Bearer {server.key}", "--no-color", "--warnings", "off"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.service.api_checks", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
