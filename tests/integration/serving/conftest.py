"""A home with 1,000 simulated customers online, a model, two personas, and some who were contacted before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

# Feast sets warning filters when it is imported; here that is before pytest sets a test's own
import feast.feature_store  # noqa: F401
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.contract import DType, FeatureSpec
from features.definitions import BUILT_IN, CUSTOMER_V1
from features.layout import RowColumn, propensity_layout
from features.snapshots import SERVING_LAG, snapshot_file
from features.store import FeatureStore
from moment.home import Home
from serving.adapters.database import migrate
from serving.adapters.group_commit import GroupCommit
from serving.adapters.sqlite_consents import SqliteConsents
from serving.adapters.vault import Vault
from serving.bootstrap import load_catalogue
from serving.bundles import (
    About,
    Axis,
    BundleKey,
    Calibration,
    GoldenRows,
    Kind,
    LinearColumn,
    LinearModel,
    Persona,
    Personas,
    PropensityContent,
    action_facts,
    make_current,
    sign_bundle,
    write_propensity,
    write_segmentation,
)
from serving.decision.consent_ledger import ConsentEntry, ConsentStatus
from serving.decision.values import Purpose
from serving.ports import Told
from serving.records import Mode
from serving.settings import Settings

ABOUT = About(created_at="2018-01-01T00:00:00+00:00")
CATEGORIES = ("BEEF", "CARROTS", "YOGURT", "COFFEE", "SALAD MIX")

AS_OF = datetime(2018, 1, 1, tzinfo=UTC)
AT = datetime(2018, 1, 5, 17, 30, tzinfo=UTC)
CUSTOMERS = tuple(sorted(f"c{number}" for number in range(1000)))
SETTINGS = Settings(catalogue=Path(__file__).with_name("catalogue.yaml"))
ACTIONS = ("beef", "bacon", "yogurt", "coffee")
LISTS = {
    "category": CATEGORIES,
    "department": ("MEAT", "GROCERY", "PRODUCE"),
    "action": ACTIONS,
    "group": ("meat", "dairy"),
}


@dataclass(frozen=True)
class Served:
    """The home and its feature store."""

    home: Home
    store: FeatureStore


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Served:
    root = tmp_path_factory.mktemp("batch")
    home = Home(root / "home", root / "mlruns")
    rng = np.random.default_rng(17)
    for view in BUILT_IN:
        write_snapshot(home, view.name, rng)
    store = FeatureStore(home)
    store.apply()
    store.materialize(AS_OF + SERVING_LAG)
    write_models(home)
    agree(home)
    return Served(home, store)


def agree(home: Home) -> None:
    """Let everybody consent to profiling, and all but a tenth to what marketing needs."""
    migrate(home.database)
    writer = GroupCommit(home.database)
    ledger = SqliteConsents(home.database, writer, Vault.open(home))
    told = []
    for place, customer in enumerate(CUSTOMERS):
        purposes = (Purpose.PROFILING, Purpose.MARKETING)[: 1 if place % 10 == 0 else 2]
        for purpose in purposes:
            entry = ConsentEntry(purpose, None, ConsentStatus.GRANTED, AS_OF, None, AS_OF, "form")
            told.append(Told(customer, entry))
    ledger.append(told, mode=Mode.LIVE)
    ledger.close()
    writer.close()


def write_snapshot(home: Home, view: str, rng: np.random.Generator) -> None:
    """Write simulated features in the form of `features.snapshots`; a tenth of the values is missing."""
    specs = [spec for spec in CUSTOMER_V1 if spec.view == view]
    columns = {spec.name: [value(spec, rng) for _ in CUSTOMERS] for spec in specs}
    seconds = int(AS_OF.timestamp())
    table = pa.table(
        {
            "customer_id": list(CUSTOMERS),
            "event_timestamp": pa.array([AS_OF.replace(tzinfo=None)] * len(CUSTOMERS), pa.timestamp("us")),
            "served_at": pa.array([AS_OF + SERVING_LAG] * len(CUSTOMERS), pa.timestamp("us", "UTC")),
            **{spec.name: pa.array(columns[spec.name], TYPES[spec.dtype]) for spec in specs},
            f"{view}_as_of": pa.array([seconds] * len(CUSTOMERS), pa.int64()),
        }
    )
    file = snapshot_file(home, view, AS_OF)
    file.parent.mkdir(parents=True)
    pq.write_table(table, file)


def value(spec: FeatureSpec, rng: np.random.Generator) -> Any:  # noqa: ANN401
    names = LISTS.get(spec.name.partition("_")[0], ())
    if spec.dtype is DType.STRING_LIST:
        return list(names)
    if spec.dtype is DType.FLOAT_LIST:
        return rng.uniform(0, 30, len(names)).tolist()
    if rng.random() < 0.1:
        return None
    drawn: dict[DType, object] = {
        DType.BOOL: bool(rng.random() < 0.5),
        DType.INT64: int(rng.poisson(4)),
        DType.FLOAT64: float(rng.gamma(2.0, 20.0)),
    }
    return str(rng.choice(list(spec.categories))) if spec.dtype is DType.STRING else drawn[spec.dtype]


def write_models(home: Home) -> None:
    """Write a logistic model that looks at everything, and two personas."""
    catalogue = load_catalogue(SETTINGS, CUSTOMER_V1)
    layout = propensity_layout(CUSTOMER_V1, [action_facts(action) for action in catalogue.actions])
    rng = np.random.default_rng(11)
    model = LinearModel(-2.0, tuple(linear_column(column, rng) for column in layout.columns))
    content = PropensityContent(
        kind=Kind.LOGISTIC,
        model=PropensityContent.of_linear(model),
        layout=layout,
        contract=CUSTOMER_V1,
        calibration=Calibration(1.1, -0.2, {"meat": 0.3}, {"coffee": -0.2}),
        golden=GoldenRows(np.zeros((1, len(layout.columns)), np.float32), ("meat",), ("beef",)),
        libraries={"numpy": np.__version__},
    )
    sign_and_serve(home, write_propensity(home.bundles, content, ABOUT))
    personas = Personas(
        axes=(Axis("days_since_purchase", scale=10.0),),
        centres=((0.0,), (2.0,)),
        personas=(Persona("Regulars", 0.5, 4), Persona("Now and then", 0.5, 4)),
    )
    golden = [{"days_since_purchase": 1.0}, {"days_since_purchase": 90.0}]
    segmentation = write_segmentation(
        home.bundles, model=personas, contract=CUSTOMER_V1, golden=golden, about=ABOUT
    )
    sign_and_serve(home, segmentation)


def sign_and_serve(home: Home, bundle: Path) -> None:
    """Sign a bundle with the home's key, and make it the one to serve."""
    sign_bundle(bundle, BundleKey.of_home(home.keys))
    make_current(bundle)


def linear_column(column: RowColumn, rng: np.random.Generator) -> LinearColumn:
    weights = tuple(rng.normal(0, 0.3, len(column.categories)).tolist())
    if column.categories:
        return LinearColumn(column.name, missing_weight=0.1, category_weights=weights)
    return LinearColumn(
        column.name,
        float(rng.normal(0, 0.15)),
        2.0,
        3.0,
        4.0,
        log=bool(rng.random() < 0.5),
        missing_weight=0.05,
    )


TYPES = {
    DType.BOOL: pa.bool_(),
    DType.INT64: pa.int64(),
    DType.FLOAT64: pa.float64(),
    DType.STRING: pa.string(),
    DType.STRING_LIST: pa.list_(pa.string()),
    DType.FLOAT_LIST: pa.list_(pa.float64()),
}
YESTERDAY = AT - timedelta(hours=20)
