"""The commands: what they print, what they write, and what they say when a step is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from moment.errors import StepMissing
from moment.home import Home
from moment.life import offices
from serving.life_room import open_life
from serving.lifecycle import Model, Verdict
from training.cli import cli
from training.tracking import connect


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=True, obj=offices())


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


def test_what_is_trained_by_command_enters_its_life_and_mlflow_shows_it(at_home: Home) -> None:
    done = run("train", "segmentation", "--seed", "11", "--owner", "Segments team", "--json")
    assert done.exit_code == 0, done.output + repr(done.exception)
    told = json.loads(done.stdout)
    with open_life(at_home) as life:
        version = life.find(Model.SEGMENTATION, told["version"])
        acts = life.seq()
    assert told["life"]["state"] == version.state
    assert (version.made_by.person, version.submitted.owner) == (None, "Segments team")
    assert version.submitted.data_digest == told["data_digest"]
    assert [gate.gate for gate in version.gates] == [gate["gate"] for gate in told["gates"]]
    assert told["life"]["installed"] is (version.verdict is not Verdict.FAIL)
    client = connect(at_home).MlflowClient()
    tags = client.get_model_version("segmentation", version.submitted.registered).tags
    assert (tags["state"], tags["approval"]) == (version.state, "none")
    with open_life(at_home) as life:
        assert life.seq() == acts


@pytest.mark.parametrize(
    ("arguments", "way_out"),
    [
        (("training-set",), "moment ingest complete-journey"),
        (("train", "propensity"), "moment ingest complete-journey"),
        (("train", "segmentation"), "moment features build"),
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
