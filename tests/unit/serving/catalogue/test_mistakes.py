"""A file full of mistakes: the command tells all of them at once, each with its place and the way out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_the_command_tells_every_mistake_of_a_file() -> None:
    command = [sys.executable, "-m", "moment.cli", "catalogue", "check", "mistakes.yaml"]
    said = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False, timeout=60)

    assert said.returncode == 1
    assert said.stdout == ""
    assert said.stderr == (HERE / "mistakes.txt").read_text(encoding="utf-8")


def test_every_mistake_has_a_place_a_subject_and_a_message() -> None:
    head, *faults = (HERE / "mistakes.txt").read_text(encoding="utf-8").splitlines()
    lines = [
        int(found.group(1)) for line in faults if (found := re.match(r"  mistakes.yaml:(\d+): \S", line))
    ]

    assert head == f"moment: catalogue mistakes.yaml has {len(faults)} faults"
    assert len(faults) > 60
    assert lines == sorted(lines)
    assert len(lines) == len(faults)
