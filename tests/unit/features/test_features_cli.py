"""The commands: what they say, what they leave, and the one line when something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from features.cli import cli
from features.definitions import BUILT_IN
from moment.errors import StepMissing
from tests.unit.features.shop import Shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop.under(tmp_path)
    monkeypatch.setenv("MOMENT_HOME", str(shop.home.root))
    return shop


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["features", *words])


def test_build_reports_and_says_what_is_next(shop: Shop) -> None:
    shop.ingest()
    first = run("build", "--every", "1d")
    assert first.exit_code == 0
    assert "files built, 0 reused" in first.output
    assert "Next: moment features apply" in first.output
    report = json.loads(run("build", "--every", "1d", "--json").stdout)
    assert report["built"] == 0
    assert report["reused"] == len(BUILT_IN) * len(report["times"])
    assert {folder.name for folder in shop.home.snapshots.iterdir()} == {view.name for view in BUILT_IN}


def test_check_finds_no_leak_in_what_moment_ships(shop: Shop) -> None:
    shop.ingest()
    done = run("check", "--at", "2017-01-03T12:00Z")
    assert done.exit_code == 0, done.output
    assert "No leak in" in done.output


def test_without_data_each_command_names_the_step_before(shop: Shop) -> None:
    for command in ("build", "check"):
        failed = run(command)
        assert isinstance(failed.exception, StepMissing)
        assert "moment ingest" in str(failed.exception)


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        (("build", "--every", "3x"), "write e.g. 7d or 12h"),
        (("build", "--since", "soon"), "write e.g. 2017-12-31"),
    ],
)
def test_a_slip_is_answered_with_the_way_out(shop: Shop, words: tuple[str, ...], way_out: str) -> None:
    failed = run(*words)
    assert failed.exit_code == 2
    assert way_out in failed.output


def test_docs_are_written_where_asked(tmp_path: Path) -> None:
    page = tmp_path / "pages" / "features.md"
    assert run("docs", "--out", str(page)).exit_code == 0
    assert page.read_text().startswith("# Features")


@pytest.mark.parametrize("command", ["build", "apply", "materialize", "check", "docs"])
def test_help_shows_an_example(command: str) -> None:
    shown = run(command, "--help").output
    assert f"moment features {command}" in shown
