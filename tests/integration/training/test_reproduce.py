"""A version made again, in another process, comes out the same to the bit; or what differs is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from features import kept_rows
from features.erasure import erase_from_training_sets
from moment.errors import StepMissing
from moment.home import Home
from serving.bundles import About, Kind, open_propensity, write_propensity
from tests.conftest import FULL, PROJECT
from tests.integration.training.conftest import Again, Trained
from training.archive import find_recipe, recipe_file
from training.pipelines.propensity import reproducing
from training.pipelines.propensity.bundling import content_of
from training.pipelines.propensity.settings import PropensitySettings
from training.pipelines.propensity.training_set import TrainingSet
from training.reproduce import reproduce

pytestmark = pytest.mark.timeout(900)


def again_in_another_process(home: Home, model: str, version: str) -> dict[str, Any]:
    """Reproduce by the command, which has nothing of this process."""
    done = subprocess.run(
        [sys.executable, "-m", "moment.cli", "models", "reproduce", model, version, "--json"],
        cwd=PROJECT,
        env=os.environ | {"MOMENT_HOME": str(home.root), "MOMENT_MLRUNS": str(home.mlruns)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if told["same"] else 1)
    return told


@pytest.fixture(scope="module", params=list(Kind) if FULL else [Kind.XGBOOST])
def made(
    request: pytest.FixtureRequest,
    built: Home,
    data: TrainingSet,
    again: Again,
    settings: PropensitySettings,
) -> Path:
    """The bundle of each kind of contender, as if it had won."""
    kind: Kind = request.param
    winner = again.fitted[kind]
    assert not winner.fallback_reason_
    content = content_of(winner, again.test, data.layout, data.contract, seed=settings.seed)
    folder = write_propensity(built.bundles, content, About(created_at="2018-01-01T00:00:00+00:00"))
    reproducing.keep(built, data, winner=winner, kind=kind, settings=settings, bundle=open_propensity(folder))
    return folder


def test_every_kind_of_propensity_model_comes_out_the_same(built: Home, made: Path) -> None:
    told = again_in_another_process(built, "propensity", made.name)
    assert told["same"], told
    assert told["digest"] == open_propensity(made).digest
    assert told["differences"] == []


@pytest.mark.long_form
def test_what_was_trained_by_the_pipelines_comes_out_the_same(trained: Trained) -> None:
    for result in (trained.propensity, trained.segmentation):
        model = "propensity" if result is trained.propensity else "segmentation"
        told = again_in_another_process(trained.home, model, result.version)
        assert told["same"], told
        assert told["digest"] == result.digest


def test_bundles_name_the_data_they_were_made_of(trained: Trained) -> None:
    for model, result in (("propensity", trained.propensity), ("segmentation", trained.segmentation)):
        manifest = json.loads((trained.home.bundles / model / result.version / "manifest.json").read_text())
        assert manifest["about"]["data_digest"] == result.data_digest
        assert find_recipe(trained.home, model, result.version).data_digest == result.data_digest


@pytest.fixture
def apart(trained: Trained, tmp_path: Path) -> Home:
    """A home of its own with what reproducing needs, to be damaged."""
    home = Home(tmp_path / "home", tmp_path / "mlruns")
    for part in ("training-sets", "bundles", "lake"):
        shutil.copytree(trained.home.root / part, home.root / part)
    return home


def rows_of(home: Home, trained: Trained) -> str:
    return find_recipe(home, "segmentation", trained.segmentation.version).rows


def test_erased_customers_are_counted_and_it_is_no_longer_the_same(apart: Home, trained: Trained) -> None:
    name = rows_of(apart, trained)
    somebody = kept_rows.read(apart, name)[0]["customer_id"][0].as_py()
    assert erase_from_training_sets(apart, somebody) >= 1

    found = reproduce(apart, apart.bundles / "segmentation" / trained.segmentation.version)

    assert not found.same
    assert found.digest not in ("", found.expected)
    count = trained.segmentation.customers
    assert f"1 of {count:,} rows are gone: their customers were erased" in found.differences
    assert "golden.json comes out differently" in found.differences


def test_damaged_rows_are_named_and_nothing_is_fitted(apart: Home, trained: Trained) -> None:
    file = kept_rows.rows_file(apart, rows_of(apart, trained))
    file.write_bytes(file.read_bytes()[:-100])
    found = reproduce(apart, apart.bundles / "segmentation" / trained.segmentation.version)
    assert (found.same, found.digest) == (False, "")
    assert any("are damaged" in difference for difference in found.differences)


def test_a_damaged_bundle_is_named_and_still_made_again(apart: Home, trained: Trained) -> None:
    folder = apart.bundles / "segmentation" / trained.segmentation.version
    (folder / "model.json").write_bytes((folder / "model.json").read_bytes() + b" ")
    found = reproduce(apart, folder)
    assert found.same
    told = "model.json of the bundle is damaged: it is not the file its manifest states"
    assert told in found.differences


def test_other_libraries_are_named(apart: Home, trained: Trained) -> None:
    version = trained.segmentation.version
    recipe = find_recipe(apart, "segmentation", version)
    other = msgspec.structs.replace(recipe, libraries={**recipe.libraries, "numpy": "0.1"}, code="0" * 40)
    recipe_file(apart, "segmentation", version).write_bytes(msgspec.json.encode(other))
    found = reproduce(apart, apart.bundles / "segmentation" / version)
    assert found.same
    assert any(line.startswith("numpy is ") and line.endswith("it was 0.1") for line in found.differences)
    assert any(line.endswith("it was 000000000000") for line in found.differences)


def test_a_version_made_elsewhere_has_no_recipe_here(apart: Home) -> None:
    with pytest.raises(StepMissing, match="how propensity ffffffffffff was made is not on record"):
        reproduce(apart, apart.bundles / "propensity" / ("f" * 12))
