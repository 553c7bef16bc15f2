"""Makes a small but complete home: a shop's history, features online, two models, and keys. Run as a module.

It is a process of its own because Feast and the models' libraries take long to import and leave much behind.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from features.contract import FeatureContract
from features.definitions import all_views
from features.ingest import ingest
from features.rows import propensity_layout
from features.snapshots import build
from features.sources.folder import FolderSource
from features.store import FeatureStore
from moment.home import Home
from serving.bootstrap import PACKAGED_CATALOGUE, open_customer_ledger
from serving.bundles import (
    About,
    Axis,
    Calibration,
    GoldenRows,
    Kind,
    Persona,
    Personas,
    PropensityContent,
    action_facts,
    make_current,
    write_propensity,
    write_segmentation,
)
from serving.bundles.signing import BundleKey, sign_bundle
from serving.catalogue import load
from serving.catalogue.feature_columns import feature_columns

END = datetime(2018, 1, 1, tzinfo=UTC)
CUSTOMERS = tuple(str(number) for number in range(1, 9))
TO_ERASE, TO_REFUSE = "9", "10"
"""Two that one test each changes for good; nobody else asks for them."""
OF_OUTCOMES, OF_THE_VIEW, OF_THE_PAGES = "11", "12", "13"
"""Three that only one file each decides for: later decisions of other tests would make its reports late."""
EVERYBODY = (*CUSTOMERS, TO_ERASE, TO_REFUSE, OF_OUTCOMES, OF_THE_VIEW, OF_THE_PAGES)
PURPOSES = ("profiling", "marketing")
CATEGORIES = ("BEEF", "CARROTS", "YOGURT", "COFFEE", "SALAD MIX")
ABOUT = About(created_at="2018-01-01T00:00:00+00:00")


def main(root: Path) -> None:
    home = Home(root / "home", root / "mlruns")
    with open_customer_ledger(home) as ledger:
        ingest(home, FolderSource.open(write_shop(root / "corner-shop")), ledger=ledger)
    build(home, all_views(), since=END - timedelta(days=1))
    store = FeatureStore(home)
    store.apply()
    store.materialize(datetime.now(UTC))
    write_models(home, store.contract)


def write_shop(folder: Path) -> Path:
    """Write a year of purchases: customer n comes every n days."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    customers = ["customer_id,party_type,household_id,joined_at"]
    customers += [f"{customer},person,{customer},2016-01-01" for customer in EVERYBODY]
    lines = ["transaction_id,customer_id,occurred_at,amount,currency,category,quantity,discount"]
    for customer in EVERYBODY:
        for day in range(0, 365, int(customer)):
            category = CATEGORIES[int(rng.integers(len(CATEGORIES)))]
            at = END - timedelta(days=day + 2, hours=int(rng.integers(10)))
            lines.append(
                f"{len(lines)},{customer},{at:%Y-%m-%dT%H:%M:%SZ},{rng.uniform(1, 9):.2f},USD,{category},1,0"
            )
    agreed = ["customer_id,purpose,status,valid_from"]
    agreed += [f"{one},{purpose},granted,2016-01-01" for one in EVERYBODY for purpose in PURPOSES]
    (folder / "consents.csv").write_text("\n".join(agreed) + "\n")
    (folder / "customers.csv").write_text("\n".join(customers) + "\n")
    (folder / "transactions.csv").write_text("\n".join(lines) + "\n")
    (folder / "source.toml").write_text(
        '[tables.customers]\nhistory = "snapshot"\nknown_at = "joined_at"\n\n'
        '[tables.transactions]\nknown_at = "occurred_at + 1 day"\n\n'
        '[tables.consents]\nknown_at = "valid_from"\n'
    )
    return folder


def write_models(home: Home, contract: FeatureContract) -> None:
    """Write a propensity model that likes what was bought lately, and two personas."""
    import xgboost

    catalogue = load(PACKAGED_CATALOGUE, feature_columns(contract))
    layout = propensity_layout(contract, [action_facts(action) for action in catalogue.actions])
    rng = np.random.default_rng(11)
    matrix = rng.uniform(0, 30, (600, len(layout.columns))).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    for place, column in enumerate(layout.columns):
        if column.categories:
            matrix[:, place] = rng.integers(0, len(column.categories), len(matrix))
    bought = matrix[:, layout.names.index("cross_category_baskets_90d")]
    label = (np.nan_to_num(bought) > 15).astype(np.float32)
    data = xgboost.DMatrix(
        matrix,
        label,
        feature_types=["c" if column.categories else "q" for column in layout.columns],
        enable_categorical=True,
    )
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, 20)
    groups = tuple(action.group for action in catalogue.actions[:8])
    actions = tuple(str(action.action_id) for action in catalogue.actions[:8])
    content = PropensityContent(
        kind=Kind.XGBOOST,
        model=bytes(booster.save_raw("ubj")),
        layout=layout,
        contract=contract,
        calibration=Calibration(1.0, -3.0),
        golden=GoldenRows(matrix[:8], groups, actions),
        libraries={"xgboost": xgboost.__version__},
    )
    install(home, write_propensity(home.bundles, content, ABOUT))
    personas = Personas(
        axes=(Axis("days_since_purchase", scale=10.0),),
        centres=((0.0,), (2.0,)),
        personas=(Persona("Regulars", 0.5, 4), Persona("Now and then", 0.5, 4)),
    )
    golden = [{"days_since_purchase": 1.0}, {"days_since_purchase": 90.0}]
    install(
        home, write_segmentation(home.bundles, model=personas, contract=contract, golden=golden, about=ABOUT)
    )


def install(home: Home, folder: Path) -> None:
    """Sign a bundle and let it be the last good one."""
    sign_bundle(folder, BundleKey.of_home(home.keys))
    make_current(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
