"""The commands: what they print, what they write, and what they say when a step is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from moment.errors import InvalidRequest, StepMissing
from moment.home import Home
from tests.integration.training.conftest import Trained
from training.cli import cli


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=True)


def test_training_set_is_written_with_labels_parts_and_columns(at_home: Home, tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    done = run("training-set", "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    rows = pd.read_parquet(out)
    assert set(told["columns"]) <= set(rows.columns)
    for part in ("training", "test"):
        mine = rows.loc[rows["part"] == part]
        assert len(mine) == told["parts"][part]["rows"]
        assert int(mine["answered"].sum()) == told["parts"][part]["positives"]
    assert not list(tmp_path.glob(".*"))


def test_models_are_listed_and_shown(at_home: Home, trained: Trained) -> None:
    listed = json.loads(run("models", "list", "--json").stdout)
    assert {line["model"]: line["state"] for line in listed} == {
        "segmentation": "current",
        "propensity": "current",
    }
    shown = run("models", "show", "propensity")
    assert shown.exit_code == 0
    for said in (trained.propensity.digest, trained.propensity.run_id, "verified", "auc", "Next: "):
        assert said in shown.stdout
    assert json.loads(run("models", "show", "segmentation", "--json").stdout)["kind"] == "centres"


def test_a_version_nobody_trained_is_an_error_with_a_way_out(at_home: Home) -> None:
    failed = run("models", "show", "propensity", "ffffffffffff")
    assert isinstance(failed.exception, InvalidRequest)
    assert "moment models list" in str(failed.exception)


@pytest.mark.parametrize(
    ("arguments", "way_out"),
    [
        (("training-set",), "moment ingest complete-journey"),
        (("train", "propensity"), "moment ingest complete-journey"),
        (("train", "segmentation"), "moment features build"),
        (("models", "list"), "moment train all"),
        (("models", "show", "propensity"), "moment train propensity"),
    ],
)
def test_a_step_before_the_one_it_needs_names_the_command_to_run(
    nowhere: Home, arguments: tuple[str, ...], way_out: str
) -> None:
    failed = run(*arguments)
    assert isinstance(failed.exception, StepMissing), failed.output
    assert failed.exception.run == way_out
    assert not nowhere.mlruns.exists()


def test_a_setting_that_is_none_is_refused(at_home: Home) -> None:
    assert run("train", "propensity", "--trials", "0").exit_code == 2
    assert run("train", "everything").exit_code == 2
