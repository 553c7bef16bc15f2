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


@pytest.mark.timeout(SECONDS + 200)
def test_the_service_keeps_to_its_description(server: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
    command += ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--seed", "1"]
    command += ["--max-examples", str(EXAMPLES), "--generation-database", "none"]
    command += ["--header", f"Authorization: Bearer {server.key}", "--no-color", "--warnings", "off"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.service.api_checks", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None
    assert int(tested[1]) == len(OPERATIONS)
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert re.search(rf"✅ +{phase}", done.stdout), done.stdout
    links = re.search(r"API Links: +(\d+) covered / (\d+) selected", done.stdout)
    assert links is not None
    covered, selected = map(int, links.groups())
    assert selected >= 3, done.stdout
    if FULL:  # a few dozen scenarios over two dozen calls need not meet any link
        assert covered >= 3, done.stdout
    assert httpx.get(f"{server.url}/livez", trust_env=False).status_code == 200
