"""Whose personas a propensity model is looked at by: those the ledger names champion."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from moment.home import Home
from moment.life import offices
from moment.retrain_plan import Plan
from serving.bundles import make_current
from tests.unit.serving import bundle_kit
from tests.unit.serving.life_kit import PASSED
from training.cli import cli as training
from training.entering import About, enter
from training.pipelines.propensity import pipeline
from training.retrain import Asked, Journal, Reason


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MOMENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MOMENT_MLRUNS", str(tmp_path / "mlruns"))
    return Home.find()


def entered(home: Home) -> Path:
    """Return the ledger's champion; what this machine served last is another one."""
    champion = bundle_kit.segmentation(home.bundles)
    enter(offices(), home, champion, PASSED, About())
    make_current(bundle_kit.segmentation(home.bundles, "Others"))
    return champion


def test_the_champions_come_before_the_last_good_ones(home: Home) -> None:
    assert pipeline._segmentation(home, None) is None
    champion = entered(home)
    found, last = pipeline._segmentation(home, champion), pipeline._segmentation(home, None)
    assert found is not None
    assert last is not None
    assert (found.version, last.personas[1].name) == (champion.name, "Others")


def test_where_the_champion_is_not_what_it_says_it_is_the_last_good_ones_are_taken(home: Home) -> None:
    champion = entered(home)
    (champion / "model.json").write_text("{}")
    found = pipeline._segmentation(home, champion)
    assert found is not None
    assert found.personas[1].name == "Others"
    (home.bundles / "segmentation" / "CURRENT").unlink()
    assert pipeline._segmentation(home, champion) is None


@pytest.mark.parametrize("command", ["train", "retrain"])
def test_training_is_told_the_ledgers_champion(
    home: Home, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    champion, told = entered(home), []

    def train(*_: object, segmentation: Path | None, **__: object) -> None:
        told.append(segmentation)
        raise InterruptedError

    monkeypatch.setattr(pipeline, "train", train)
    if command == "train":
        done = CliRunner().invoke(training, ["train", "propensity"], obj=offices())
        assert isinstance(done.exception, InterruptedError)
    else:
        begun = Journal(
            retraining_id="r1",
            asked=Asked(models=("propensity",)),
            reason=Reason.HAND,
            started_at=datetime(2026, 5, 4, tzinfo=UTC),
            process=1,
        )
        with pytest.raises(InterruptedError):
            Plan(home, offices(), begun, None)._train("propensity", {"news": {}})
    assert told == [champion]
