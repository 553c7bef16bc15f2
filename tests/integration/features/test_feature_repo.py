"""feature_repo is a Feast repository like any other, and importing it does nothing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.definitions import CUSTOMER_V1
from features.store import FeatureStore
from moment.home import Home
from tests.integration.features.conftest import Served

REPO = Path(__file__).parents[3] / "feature_repo"


def test_feast_apply_in_the_repository_makes_what_moment_reads(served: Served, tmp_path: Path) -> None:
    home = Home(tmp_path / "another home", tmp_path / "mlruns")
    home.root.mkdir()
    home.snapshots.symlink_to(served.home.snapshots)
    feast = Path(sys.executable).with_name("feast")
    environment = os.environ | {"MOMENT_HOME": str(home.root), "PYTHONPATH": str(REPO.parent), "TZ": "UTC"}
    done = subprocess.run(
        [feast, "apply"], cwd=REPO, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in home.feast.iterdir()) == ["online.db", "registry.db"]
    store = FeatureStore(home)
    store.materialize(served.now)
    (row,) = store.online(["1"], served.now)
    assert tuple(row.values) == CUSTOMER_V1.names
    service = store._feast.get_feature_service("customer_v1")
    listed = {feature.name for view in service.feature_view_projections for feature in view.features}
    assert listed == set(CUSTOMER_V1.names)


def test_feast_describes_every_feature(served: Served) -> None:
    fields = {field.name: field for view in served.store._feast.list_feature_views() for field in view.schema}
    for spec in CUSTOMER_V1:
        assert fields[spec.name].description == spec.meaning
        assert fields[spec.name].tags["unit"] == spec.unit
        assert ("leak_warning" in fields[spec.name].tags) == spec.from_snapshot


def test_importing_the_repository_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOMENT_HOME", str(tmp_path / "home"))
    for name in ("stores", "entities", "sources", "views", "services", "repo"):
        importlib.reload(importlib.import_module(f"feature_repo.{name}"))
    assert not list(tmp_path.iterdir())
