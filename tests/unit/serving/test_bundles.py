"""A bundle opens exactly as it was written, or is refused by name before anything in it is parsed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from features.contract import DType, FeatureContract, FeatureSpec, FeatureValue, Purpose
from features.rows import ColumnKind, ColumnSource, RowColumn, RowLayout
from moment.errors import InvariantViolation, StepMissing
from serving.bundles import (
    About,
    Axis,
    BundleRefused,
    Calibration,
    GoldenRows,
    Kind,
    LinearColumn,
    LinearModel,
    Persona,
    Personas,
    PriorModel,
    PropensityContent,
    Refusal,
    action_facts,
    current,
    make_current,
    open_current_propensity,
    open_propensity,
    open_segmentation,
    read_manifest,
    versions,
    write_propensity,
    write_segmentation,
)
from serving.decision.actions import Action
from serving.decision.values import ActionId, Scalar

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


def boosted(seed: int = 0) -> xgboost.Booster:
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
        {"objective": "binary:logistic", "max_depth": 3, "seed": seed, "nthread": 1}, data, num_boost_round=12
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_propensity(tmp_path, content(), ABOUT)


def segmentation(bundles: Path) -> Path:
    model = Personas(
        axes=(
            Axis("spend", fill=10.0, log=True, center=3.0, scale=1.0),
            Axis("size", weight=0.5, categories=LEVELS),
        ),
        centres=((-1.0, 0.5, 0.0, 0.0), (1.5, 0.0, 0.0, 0.5)),
        personas=(Persona("Small baskets", 0.6, 60, ("low spend",)), Persona("Large families", 0.4, 40)),
    )
    customers: list[dict[str, FeatureValue]] = [
        {"spend": 4.0, "size": "small"},
        {"spend": 200.0, "size": "large"},
        {"spend": None, "size": None},
    ]
    return write_segmentation(bundles, model=model, contract=CONTRACT, golden=customers, about=ABOUT)


def refusal(folder: Path, open_: Callable[[Path], object] = open_propensity) -> Refusal:
    with pytest.raises(BundleRefused) as caught:
        open_(folder)
    assert "\n" not in str(caught.value)
    assert folder.name in str(caught.value)
    return caught.value.reason


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


def test_boosted_trees_score_exactly_as_before_they_were_written(folder: Path) -> None:
    bundle = open_propensity(folder)
    matrix = rows(200, seed=7)
    groups, actions = ["GROCERY"] * 100 + ["NEW"] * 100, ["coupon-tea"] * 200

    scores = bundle.score(matrix, groups, actions)

    margins = boosted().inplace_predict(matrix, predict_type="margin", validate_features=False)
    assert np.array_equal(scores.calibrated, CALIBRATION.apply(margins, groups, actions))
    assert np.array_equal(scores.raw, Calibration().apply(margins, groups, actions))
    assert (bundle.layout, bundle.contract, bundle.calibration) == (LAYOUT, CONTRACT, CALIBRATION)
    assert bundle.manifest.about == ABOUT
    assert bundle.version == folder.name


@pytest.mark.parametrize("kind", [Kind.LOGISTIC, Kind.PRIOR])
def test_the_simpler_contenders_can_be_bundled_too(tmp_path: Path, kind: Kind) -> None:
    bundle = open_propensity(write_propensity(tmp_path, content(kind), ABOUT))
    matrix = rows(50, seed=3)

    raw = bundle.score(matrix, ["GROCERY"] * 50, ["coupon-tea"] * 50).raw

    margins = LINEAR.margins(matrix) if kind is Kind.LOGISTIC else np.full(50, -4.5)
    assert raw == pytest.approx(1 / (1 + np.exp(-margins)), rel=1e-12)
    assert bundle.kind is kind


def test_the_linear_model_is_what_its_docstring_says() -> None:
    row = np.array([[20.0, 200.0, 1.0], [np.nan, np.nan, np.nan]], dtype=np.float32)
    spend = 0.7 * (np.log1p(20.0) - 3.0) / 1.5
    age = -0.4 * 2.0
    assert LINEAR.margins(row) == pytest.approx([-2.0 + spend + age + 0.3, -2.0 + 0.2 + 0.0 + 0.1])


def test_a_rows_linear_margin_does_not_depend_on_the_rows_beside_it() -> None:
    matrix = rows(9000, seed=11)
    together = LINEAR.margins(matrix)
    alone = [LINEAR.margins(matrix[index : index + 1])[0] for index in range(0, 9000, 500)]
    assert np.array_equal(together[::500], alone)
    by_column = -2.0 + sum(column.margins(matrix[:, i]) for i, column in enumerate(LINEAR.columns))
    assert together == pytest.approx(by_column, abs=1e-12)


def test_scoring_no_rows_gives_no_scores_and_a_foreign_matrix_is_an_error(folder: Path) -> None:
    bundle = open_propensity(folder)
    assert bundle.score(np.empty((0, 3), np.float32), [], []).calibrated.shape == (0,)
    with pytest.raises(InvariantViolation, match="3 float32 columns"):
        bundle.score(np.zeros((2, 4), np.float32), ["a"] * 2, ["b"] * 2)


def test_the_same_content_is_the_same_version_whenever_it_was_made(tmp_path: Path) -> None:
    first = write_propensity(tmp_path, content(), ABOUT)
    again = write_propensity(tmp_path, content(), About(created_at="2027-01-01T00:00:00+00:00"))
    other = write_propensity(tmp_path, content(seed=5), ABOUT)
    assert first == again
    assert open_propensity(again).manifest.about == ABOUT
    assert {path.name for path in versions(tmp_path, "propensity")} == {first.name, other.name}
    assert not list((tmp_path / "propensity").glob(".*"))


FILES = ("model.ubj", "layout.json", "contract.json", "calibration.json", "golden.json", "manifest.json")


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_refused(folder: Path, name: str) -> None:
    damaged = bytearray((folder / name).read_bytes())
    damaged[len(damaged) // 2] ^= 0x01
    (folder / name).write_bytes(damaged)
    # A flipped byte of the manifest may also break its JSON
    assert refusal(folder) in (
        {Refusal.DIGEST, Refusal.FORMAT} if name == "manifest.json" else {Refusal.DIGEST}
    )


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-20])
    assert refusal(folder) is (Refusal.FORMAT if name == "manifest.json" else Refusal.DIGEST)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refusal(folder) is Refusal.MISSING_FILE


def test_another_models_file_is_refused(folder: Path, tmp_path: Path) -> None:
    other = write_propensity(tmp_path, content(seed=5), ABOUT)
    (folder / "model.ubj").write_bytes((other / "model.ubj").read_bytes())
    assert refusal(folder) is Refusal.DIGEST


def test_another_models_file_is_refused_even_when_the_manifest_agrees_with_it(
    folder: Path, tmp_path: Path
) -> None:
    other = write_propensity(tmp_path, content(seed=5), ABOUT)
    (folder / "model.ubj").write_bytes((other / "model.ubj").read_bytes())
    restate(folder)
    assert refusal(folder) is Refusal.GOLDEN


def test_a_model_that_does_not_reproduce_its_golden_predictions_is_refused(folder: Path) -> None:
    kept = json.loads((folder / "golden.json").read_text())
    kept["margins"][17] += 3e-5
    (folder / "golden.json").write_text(json.dumps(kept))
    restate(folder)
    assert refusal(folder) is Refusal.GOLDEN


def test_golden_predictions_include_missing_values(folder: Path) -> None:
    kept = json.loads((folder / "golden.json").read_text())
    assert len(kept["matrix"]) == 64
    assert any(cell is None for row in kept["matrix"] for cell in row)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 3}, "reads up to 2"),
        ({"kind": "pickle"}, "unknown kind"),
        ({"model": "segmentation"}, "holds a segmentation model"),
    ],
)
def test_what_this_version_cannot_read_is_refused(
    folder: Path, changes: dict[str, object], said: str
) -> None:
    restate(folder, **changes)
    with pytest.raises(BundleRefused, match=said) as caught:
        open_propensity(folder)
    assert caught.value.reason is Refusal.FORMAT


def test_a_layout_of_other_columns_is_refused(folder: Path) -> None:
    (folder / "layout.json").write_text(RowLayout(LAYOUT.columns[:2]).dumps())
    restate(folder)
    assert refusal(folder) is Refusal.FORMAT


def test_writing_a_damaged_version_again_heals_it(folder: Path) -> None:
    (folder / "model.ubj").write_bytes(b"damaged")
    again = write_propensity(folder.parent.parent, content(), ABOUT)
    assert again == folder
    assert open_propensity(again).version == folder.name


def test_the_pointer_names_the_current_version(folder: Path) -> None:
    bundles = folder.parent.parent
    with pytest.raises(StepMissing, match="moment train propensity"):
        current(bundles, "propensity")
    make_current(folder)
    assert current(bundles, "propensity") == folder
    assert open_current_propensity(bundles).version == folder.name
    (folder.parent / "CURRENT").write_text("../../elsewhere\n")
    with pytest.raises(StepMissing, match="moment train propensity"):
        current(bundles, "propensity")


def test_a_segmentation_places_customers_as_before_it_was_written(tmp_path: Path) -> None:
    folder = segmentation(tmp_path)
    bundle = open_segmentation(folder)
    small, large = bundle.personas
    assert bundle.assign({"spend": 5.0, "size": "small"}) == small
    assert bundle.assign({"spend": 500.0, "size": None, "other": 3}) == large
    assert bundle.assign({"spend": None, "size": None}) is None
    assert bundle.assign({}) is None
    assert bundle.version == folder.name


@pytest.mark.parametrize("name", ["model.json", "contract.json", "golden.json"])
def test_a_damaged_segmentation_is_refused(tmp_path: Path, name: str) -> None:
    folder = segmentation(tmp_path)
    damaged = bytearray((folder / name).read_bytes())
    damaged[3] ^= 0x01
    (folder / name).write_bytes(damaged)
    assert refusal(folder, open_segmentation) is Refusal.DIGEST


def test_moved_centres_are_refused_even_when_the_manifest_agrees(tmp_path: Path) -> None:
    folder = segmentation(tmp_path)
    model = json.loads((folder / "model.json").read_text())
    model["centres"].reverse()
    (folder / "model.json").write_text(json.dumps(model))
    restate(folder)
    assert refusal(folder, open_segmentation) is Refusal.GOLDEN


def test_calibration_stands_on_the_level_above_where_it_knows_nothing() -> None:
    probability = CALIBRATION.apply(
        np.zeros(3), ["GROCERY", "GROCERY", "NEW"], ["coupon-tea", "coupon-new", "coupon-new"]
    )
    assert np.log(probability / (1 - probability)) == pytest.approx([-0.2, -0.1, -0.3])
    assert Calibration.from_json(json.loads(json.dumps(CALIBRATION.to_json()))) == CALIBRATION


def test_an_actions_facts_come_from_its_attributes() -> None:
    attributes: dict[str, Scalar] = {
        "category": "TEA",
        "department": "GROCERY",
        "typical_price": 3,
        "penetration": 0.25,
    }
    action = Action(
        ActionId("coupon-tea"), "Tea", "offers", "GROCERY", 4.5, timedelta(days=30), attributes, (), ()
    )
    facts = action_facts(action)
    assert (facts.category, facts.typical_price, facts.value, facts.products) == ("TEA", 3.0, 4.5, None)


def test_importing_bundles_imports_nothing_heavy() -> None:
    code = (
        "import sys, serving.bundles; print([m for m in ('xgboost', 'pandas', 'mlflow') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
