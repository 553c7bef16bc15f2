"""The import contracts of DESIGN's house hold, and would notice a breach."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]


ROOMS = ("moment", "features", "feature_repo", "training", "serving")


def lint_imports(project: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([linter, "--no-cache"], cwd=project, capture_output=True, text=True, check=False)


def test_every_contract_is_kept() -> None:
    answer = lint_imports(PROJECT)

    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("module", "planted", "contract"),
    [
        ("serving/decision/values.py", "import pandas", "The core is pure"),
        ("features/rows.py", "import serving.records", "features never imports training or serving"),
        ("serving/records.py", "import training.reports", "serving never imports training"),
        ("training/reports.py", "import mlflow", "mlflow has one owner"),
        ("moment/home.py", "import features.contract", "The shared ground"),
    ],
)
def test_a_breach_is_noticed(tmp_path: Path, module: str, planted: str, contract: str) -> None:
    for room in ROOMS:
        shutil.copytree(PROJECT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a") as code:
        code.write(f"\n{planted}\n")

    answer = lint_imports(tmp_path)

    broken = [line for line in answer.stdout.splitlines() if " BROKEN" in line]
    assert any(line.startswith(contract) for line in broken), answer.stdout


def test_every_folder_of_code_is_packaged() -> None:
    listed = set(tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join(path.parent.relative_to(PROJECT).parts)
        for room in ROOMS
        for path in (PROJECT / room).rglob("__init__.py")
    }

    assert found == listed


def test_the_lock_file_names_versions_and_no_registry() -> None:
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    pinned = [line for line in lines if line and not line.lstrip().startswith("#")]

    assert all("==" in line for line in pinned)
    assert not any("://" in line or line.startswith("-") for line in lines)


def test_setup_costs_nothing_when_repeated() -> None:
    answer = subprocess.run(
        ["make", "--question", "setup"], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert answer.returncode == 0, "make setup would do work again"
