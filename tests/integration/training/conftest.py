"""A small home, once a session: some households of The Complete Journey, their features, both models."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path

import msgspec
import pytest

from features import lake, snapshots
from features.definitions import all_views
from features.snapshots import SERVING_LAG, newest_served
from features.store import FeatureStore
from moment.home import Home
from moment.progress import SILENT
from serving.bundles import Kind
from training.models.base import CalibratedContender
from training.pipelines.configuration import read_config
from training.pipelines.propensity import fitting
from training.pipelines.propensity import pipeline as propensity
from training.pipelines.propensity import settings as propensity_settings
from training.pipelines.propensity.fitting import Measured, Part
from training.pipelines.propensity.result import PropensityResult
from training.pipelines.propensity.settings import PropensitySettings
from training.pipelines.propensity.training_set import TrainingSet, training_set
from training.pipelines.segmentation import pipeline as segmentation
from training.pipelines.segmentation import settings as segmentation_settings
from training.pipelines.segmentation.result import SegmentationResult
from training.pipelines.segmentation.settings import SegmentationSettings

SOURCE = "complete-journey"
TABLES = ("customers", "transactions", "presentations", "outcomes", "locations")

# Half of those who ever answered, so that a small sample holds enough answers, and a few of the others
PICKED = """
    CREATE TEMP TABLE picked AS
    SELECT DISTINCT customer_id FROM presentations SEMI JOIN outcomes USING (presentation_id)
    WHERE customer_id::INT % 2 = 0
    UNION
    SELECT customer_id FROM customers WHERE customer_id::INT % 20 = 7
"""
OF_PICKED = "WHERE customer_id IN (FROM picked)"
FILTERS = {
    "locations": "",
    "outcomes": f"WHERE presentation_id IN (SELECT presentation_id FROM presentations {OF_PICKED})",
}


@dataclass(frozen=True)
class Trained:
    """What a short run of both pipelines left."""

    home: Home
    settings: PropensitySettings
    segments: SegmentationSettings
    propensity: PropensityResult
    segmentation: SegmentationResult


def copy_some(source: Home, target: Home, picked: str = PICKED) -> None:
    """Copy the picked households' part of a lake; ``picked`` is SQL that makes the table of their ids."""
    with lake.connect(source) as connection:
        connection.execute(picked)
        for table in TABLES:
            file = lake.table_file(target, table, SOURCE)
            file.parent.mkdir(parents=True)
            chosen = FILTERS.get(table, OF_PICKED)
            connection.execute(f"COPY (SELECT * FROM {table} {chosen}) TO '{file}' (FORMAT parquet)")
    record = lake.record_file(target, SOURCE)
    record.parent.mkdir()
    record.write_text(lake.record_file(source, SOURCE).read_text())


def build_what_is_asked(home: Home) -> None:
    """Build the snapshots presentations are answered from, the newest and one of eight weeks before."""
    times = snapshots.plan_for(home)
    with lake.connect(home) as connection:
        found = connection.execute("SELECT DISTINCT occurred_at FROM presentations").fetchall()
    asked = [row[0].replace(tzinfo=UTC) for row in found]
    asked += [times[-1] + SERVING_LAG, times[-1] + SERVING_LAG - timedelta(weeks=8)]
    needed = {newest_served(times, at) for at in asked}
    backend = lake.ibis_backend(home)
    snapshots._build(home, backend, all_views(), sorted(time for time in needed if time), SILENT)
    backend.disconnect()


@pytest.fixture(scope="session")
def built(lake_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Some households with their features built and applied; no model yet."""
    root = tmp_path_factory.mktemp("training_home")
    home = Home(root=root / "home", mlruns=root / "mlruns")
    copy_some(lake_home, home)
    build_what_is_asked(home)
    FeatureStore(home).apply()
    return home


@pytest.fixture(scope="session")
def settings() -> PropensitySettings:
    """The pipeline's own settings, made quick."""
    whole = read_config(propensity_settings.CONFIG, PropensitySettings)
    quick = msgspec.structs.replace(whole.model, trials=2, folds=2, max_rounds=60, max_rows=6_000)
    evaluation = msgspec.structs.replace(whole.evaluation, replicates=60)
    return msgspec.structs.replace(whole, model=quick, evaluation=evaluation)


@pytest.fixture(scope="session")
def data(built: Home, settings: PropensitySettings) -> TrainingSet:
    """The training set of the small home."""
    return training_set(built, settings)


@dataclass(frozen=True)
class Again:
    """The contenders of the small home, fitted once more by hand."""

    train: Part
    test: Part
    fitted: dict[Kind, CalibratedContender]

    def measured(self, settings: PropensitySettings, *kinds: Kind) -> Measured:
        """Choose among some of the contenders, by default all, and measure."""
        chosen = {kind: self.fitted[kind] for kind in kinds or self.fitted}
        return fitting.measure(chosen, fitting.choose(self.train, chosen, settings), self.test, settings)


@pytest.fixture(scope="session")
def again(data: TrainingSet, settings: PropensitySettings) -> Again:
    """A second fit of the same data with the same seed."""
    train, test = fitting.part(data, data.split.train), fitting.part(data, data.split.test)
    return Again(train, test, fitting.fit(train, settings))


@pytest.fixture(scope="session")
def trained(built: Home, settings: PropensitySettings) -> Trained:
    """Both models of the small home."""
    whole = read_config(segmentation_settings.CONFIG, SegmentationSettings)
    segments = msgspec.structs.replace(whole, clusters=(3, 4), pairs=4)
    return Trained(
        home=built,
        settings=settings,
        segments=segments,
        propensity=propensity.train(built, settings),
        segmentation=segmentation.train(built, segments),
    )


@pytest.fixture
def at_home(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Let commands run in this process find the small home."""
    monkeypatch.setitem(os.environ, "MOMENT_HOME", str(trained.home.root))
    monkeypatch.setitem(os.environ, "MOMENT_MLRUNS", str(trained.home.mlruns))
    return trained.home


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Let commands run in this process find an empty home."""
    monkeypatch.setenv("MOMENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MOMENT_MLRUNS", str(tmp_path / "mlruns"))
    return Home.find()
