"""A home whose features are built, applied and materialized: 300 customers at the end of their year."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime

# Feast sets warning filters when it is imported; here that is before pytest sets a test's own
import feast.feature_store  # noqa: F401
import pytest

from features import lake, snapshots
from features.definitions import BUILT_IN
from features.snapshots import SERVING_LAG
from features.store import FeatureStore
from moment.home import Home

SINCE = datetime(2017, 12, 18, tzinfo=UTC)


@dataclass(frozen=True)
class Served:
    """A feature store and the time its newest snapshot is served from on."""

    home: Home
    store: FeatureStore
    times: tuple[datetime, ...]

    @property
    def now(self) -> datetime:
        return self.times[-1] + SERVING_LAG


@pytest.fixture(scope="session")
def served(lake_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The newest snapshots of some of the lake's customers, in Feast, offline and online."""
    root = tmp_path_factory.mktemp("features_home")
    home = Home(root=root / "home", mlruns=root / "mlruns")
    copy_some_customers(lake_home, home)
    times = snapshots.build(home, BUILT_IN, since=SINCE).times
    store = FeatureStore(home)
    store.apply()
    store.materialize(times[-1] + SERVING_LAG)
    return Served(home, store, times)


def copy_some_customers(lake_home: Home, home: Home) -> None:
    """Copy the lake's facts about 300 customers, drawn by a hash of their names."""
    shutil.copytree(lake_home.lake / "_sources", home.lake / "_sources")
    some = "(SELECT customer_id FROM customers ORDER BY md5(customer_id) LIMIT 300)"
    shown = f"(SELECT presentation_id FROM presentations WHERE customer_id IN {some})"
    wanted = {
        "customers": f"customer_id IN {some}",
        "transactions": f"customer_id IN {some}",
        "presentations": f"customer_id IN {some}",
        "outcomes": f"presentation_id IN {shown}",
    }
    with lake.connect(lake_home) as connection:
        for table, condition in wanted.items():
            (home.lake / table).mkdir()
            file = home.lake / table / "complete-journey.parquet"
            connection.execute(f"COPY (FROM {table} WHERE {condition}) TO '{file}' (FORMAT parquet)")
