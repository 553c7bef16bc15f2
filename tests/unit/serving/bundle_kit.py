"""Small bundles of every model and kind, and how they are restated after a change."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import xgboost
from numpy.typing import NDArray

import serving.catalogue
from features.contract import DType, FeatureContract, FeatureSpec, FeatureValue, Purpose
from features.definitions import CUSTOMER_V1
from features.rows import ColumnKind, ColumnSource, RowColumn, RowLayout
from serving.bundles import (
    About,
    Axis,
    Calibration,
    GoldenRows,
    Kind,
    LinearColumn,
    LinearModel,
    Persona,
    Personas,
    PriorModel,
    PropensityContent,
    read_manifest,
    write_policy,
    write_segmentation,
)
from serving.catalogue import load
from serving.catalogue.feature_columns import feature_columns

LEVELS = ("small", "medium", "large")
ABOUT = About(created_at="2026-01-02T03:04:05+00:00", run_id="r1", metrics={"auc": 0.8}, notes=("a note",))


def spec(name: str, dtype: DType, categories: tuple[str, ...] = ()) -> FeatureSpec:
    return FeatureSpec(name, dtype, "", Purpose.PROFILING, "", "owner", "view", timedelta(days=8), categories)


CONTRACT = FeatureContract(
    "customer_v1",
    (spec("spend", DType.FLOAT64), spec("age", DType.INT64), spec("size", DType.STRING, LEVELS)),
)
LAYOUT = RowLayout(
    (
        RowColumn("spend", ColumnKind.NUMERIC, ColumnSource.CUSTOMER),
        RowColumn("age", ColumnKind.NUMERIC, ColumnSource.CUSTOMER),
        RowColumn("size", ColumnKind.CATEGORICAL, ColumnSource.CUSTOMER, LEVELS),
    )
)
CALIBRATION = Calibration(0.9, -0.3, {"GROCERY": 0.2}, {"coupon-tea": -0.1})
LIBRARIES = {"numpy": np.__version__}


def rows(count: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    matrix = np.column_stack(
        [rng.gamma(2.0, 30.0, count), rng.integers(18, 90, count), rng.integers(0, 3, count)]
    ).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    return matrix


def golden(seed: int = 1) -> GoldenRows:
    groups = ("GROCERY", "DELI") * 32
    return GoldenRows(rows(64, seed), groups, ("coupon-tea", "coupon-ham") * 32)


def boosted(seed: int = 0, rounds: int = 12) -> xgboost.Booster:
    matrix = rows(800, seed)
    label = (np.nan_to_num(matrix[:, 0]) > 60).astype(np.float32)
    data = xgboost.DMatrix(
        matrix,
        label,
        feature_names=list(LAYOUT.names),
        feature_types=["q", "q", "c"],
        enable_categorical=True,
    )
    return xgboost.train(
        {"objective": "binary:logistic", "max_depth": 3, "seed": seed, "nthread": 1},
        data,
        num_boost_round=rounds,
    )


LINEAR = LinearModel(
    -2.0,
    (
        LinearColumn("spend", weight=0.7, center=3.0, scale=1.5, log=True, missing_weight=0.2),
        LinearColumn("age", weight=-0.4, center=45.0, scale=12.0, limit=2.0),
        LinearColumn("size", category_weights=(0.0, 0.3, -0.6), missing_weight=0.1),
    ),
)


def content(kind: Kind = Kind.XGBOOST, seed: int = 0) -> PropensityContent:
    model = {
        Kind.XGBOOST: lambda: bytes(boosted(seed).save_raw("ubj")),
        Kind.LOGISTIC: lambda: PropensityContent.of_linear(LINEAR),
        Kind.PRIOR: lambda: PropensityContent.of_prior(PriorModel(-4.5)),
    }[kind]()
    return PropensityContent(kind, model, LAYOUT, CONTRACT, CALIBRATION, golden(), LIBRARIES)


def segmentation(bundles: Path, second: str = "Large families") -> Path:
    model = Personas(
        axes=(
            Axis("spend", fill=10.0, log=True, center=3.0, scale=1.0),
            Axis("size", weight=0.5, categories=LEVELS),
        ),
        centres=((-1.0, 0.5, 0.0, 0.0), (1.5, 0.0, 0.0, 0.5)),
        personas=(Persona("Small baskets", 0.6, 60, ("low spend",)), Persona(second, 0.4, 40)),
    )
    customers: list[dict[str, FeatureValue]] = [
        {"spend": 4.0, "size": "small"},
        {"spend": 200.0, "size": "large"},
        {"spend": None, "size": None},
    ]
    return write_segmentation(bundles, model=model, contract=CONTRACT, golden=customers, about=ABOUT)


COLUMNS = feature_columns(CUSTOMER_V1)
CATALOGUE = Path(serving.catalogue.__file__).parent / "examples" / "groceries.yaml"
GOLDEN_DECISIONS = b"decisions: {}\n"


def policy(bundles: Path, catalogue: Path = CATALOGUE) -> Path:
    """Write the policy of the packaged groceries."""
    loaded = load(catalogue, COLUMNS)
    return write_policy(bundles, catalogue, loaded, COLUMNS, golden=GOLDEN_DECISIONS, about=ABOUT)


def restate(folder: Path, **changes: object) -> None:
    """Rewrite the manifest so that its digests agree with whatever is in the folder now."""
    manifest = read_manifest(folder)
    data = json.loads((folder / "manifest.json").read_text()) | changes
    data["files"] = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest.files
    }
    stated = {name: value for name, value in data.items() if name not in ("about", "digest")}
    text = json.dumps(stated, sort_keys=True, separators=(",", ":"))
    data["digest"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(data))
