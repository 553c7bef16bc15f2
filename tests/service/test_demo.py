"""``moment demo`` for real: interrupted, gone on with, and repeated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moment.demo_visit import HOUSEHOLDS
from tests.service.conftest import Told, run_demo


@pytest.mark.timeout(600)
def test_an_interrupted_demo_says_so_in_one_line(told: Told) -> None:
    assert told.interrupted.returncode == 130
    assert told.interrupted.stderr.splitlines()[-1] == (
        "moment: interrupted; what was finished is kept, run the same command again to go on"
    )
    assert "Traceback" not in told.interrupted.stderr


def test_it_goes_on_and_tells_everything_from_history_to_decisions(told: Told) -> None:
    assert told.finished.returncode == 0, told.finished.stderr
    said = told.finished.stdout
    assert "1,469,307 transactions" in said
    assert re.search(r"AUC +0\.\d+ \[0\.\d+, 0\.\d+\] +0\.\d+ \[0\.\d+, 0\.\d+\]", said)
    assert len(re.findall(r"likely to be redeemed x", said)) >= 2 * len(HOUSEHOLDS)
    for household in HOUSEHOLDS:
        assert said.count(f"household {household} (") == 2
    assert "nothing is left running" in said
    assert "Try next" in said


def test_the_decisions_of_two_occasions_differ(told: Told) -> None:
    for household in HOUSEHOLDS:
        web, app = offers(told.finished.stdout, household)
        assert len(web) == 3
        assert len(app) == 2
        assert web[:2] != app


@pytest.mark.long_form
def test_repeated_it_reuses_what_is_there_and_answers_the_same(told: Told) -> None:
    repeated = run_demo(told.home)
    assert repeated.returncode == 0, repeated.stderr
    for model in ("segmentation", "propensity"):
        versions = [path for path in (told.home.bundles / model).iterdir() if path.is_dir()]
        assert len(versions) == 1
    assert "Tune and fit" in told.finished.stderr
    assert "Tune and fit" not in repeated.stderr
    for household in HOUSEHOLDS:
        assert offers(repeated.stdout, household) == offers(told.finished.stdout, household)


def test_nothing_is_left_running(told: Told) -> None:
    log = (told.home.root / "demo-service.log").read_text()
    port = re.search(r"http://127\.0\.0\.1:(\d+)", log)
    assert port is not None
    assert "Stopped." in log


def test_the_demos_key_is_its_owners_alone(told: Told) -> None:
    key: Path = told.home.keys / "demo.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().strip() not in told.finished.stdout + told.finished.stderr


def offers(said: str, household: str) -> list[list[str]]:
    """Return the offers told of a household, per occasion, without their times."""
    occasions = re.split(r"\n   household ", said)[1:]
    mine = [part for part in occasions if part.startswith(f"{household} ")]
    return [re.findall(r"^     \d\. (.+\n .+)$", part, re.MULTILINE) for part in mine]
