"""The import contracts of DESIGN's house hold, and would notice a breach."""

import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[3]


def test_every_contract_is_kept() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    answer = subprocess.run([linter, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stdout


def test_every_folder_of_code_is_packaged() -> None:
    listed = set(tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    rooms = {"moment", "features", "feature_repo", "training", "serving"}
    found = {
        ".".join(path.parent.relative_to(PROJECT).parts)
        for room in rooms
        for path in (PROJECT / room).rglob("__init__.py")
    }

    assert found == listed


def test_the_lock_file_names_versions_and_no_registry() -> None:
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    pinned = [line for line in lines if not line.lstrip().startswith("#")]

    assert all("==" in line for line in pinned)
    assert not any("://" in line or line.startswith("-") for line in lines)


def test_setup_costs_nothing_when_repeated() -> None:
    answer = subprocess.run(
        ["make", "--question", "setup"], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert answer.returncode == 0, "make setup would do work again"
