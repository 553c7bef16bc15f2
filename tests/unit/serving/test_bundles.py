"""A bundle opens exactly as it was written, or is refused by name before anything in it is parsed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from features.rows import RowLayout
from moment.errors import InvariantViolation, StepMissing
from serving.bundles import (
    About,
    BundleRefused,
    Calibration,
    Kind,
    Refusal,
    action_facts,
    current,
    make_current,
    open_current_propensity,
    open_propensity,
    open_segmentation,
    versions,
    write_propensity,
)
from serving.bundles.propensity import GOLDEN_TOLERANCE
from serving.decision.actions import Action
from serving.decision.values import ActionId, Scalar
from tests.unit.serving.bundle_kit import (
    ABOUT,
    CALIBRATION,
    CONTRACT,
    LAYOUT,
    LINEAR,
    boosted,
    content,
    golden,
    restate,
    rows,
    segmentation,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_propensity(tmp_path, content(), ABOUT)


def refusal(folder: Path, open_: Callable[[Path], object] = open_propensity) -> Refusal:
    with pytest.raises(BundleRefused) as caught:
        open_(folder)
    assert "\n" not in str(caught.value)
    assert folder.name in str(caught.value)
    return caught.value.reason


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


def shifted(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Refusal:
    """Change what a JSON file says, let the manifest agree, and return why the bundle is refused."""
    data = json.loads((folder / name).read_text())
    change(data)
    (folder / name).write_text(json.dumps(data))
    restate(folder)
    return refusal(folder)


def test_a_leaf_no_golden_row_falls_in_is_not_changed_unseen(folder: Path) -> None:
    trees = json.loads(bytes(boosted().save_raw("json")))
    tree = trees["learner"]["gradient_booster"]["model"]["trees"][5]
    leaf = tree["left_children"].index(-1)
    tree["split_conditions"][leaf] = float(
        np.nextafter(np.float32(tree["split_conditions"][leaf]), np.float32(9))
    )
    changed = xgboost.Booster()
    changed.load_model(bytearray(json.dumps(trees).encode()))
    matrix = golden().matrix
    before = boosted().inplace_predict(matrix, predict_type="margin", validate_features=False)
    after = changed.inplace_predict(matrix, predict_type="margin", validate_features=False)
    assert np.abs(before - after).max() < GOLDEN_TOLERANCE

    (folder / "model.ubj").write_bytes(bytes(changed.save_raw("ubj")))
    restate(folder)

    assert refusal(folder) is Refusal.GOLDEN


def test_an_offset_of_an_action_no_golden_row_is_of_is_not_changed_unseen(folder: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["action_offsets"]["coupon-new"] = 3.0

    assert shifted(folder, "calibration.json", change) is Refusal.GOLDEN


def test_categories_in_another_order_are_refused(folder: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["columns"][2]["categories"].reverse()

    assert shifted(folder, "layout.json", change) is Refusal.GOLDEN


def test_golden_predictions_must_say_what_was_read(folder: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["read_as"] = None

    assert shifted(folder, "golden.json", change) is Refusal.FORMAT


def test_a_bundle_from_before_golden_predictions_said_what_was_read_still_opens(folder: Path) -> None:
    kept = json.loads((folder / "golden.json").read_text())
    del kept["read_as"]
    (folder / "golden.json").write_text(json.dumps(kept))
    restate(folder, format=1)
    assert open_propensity(folder).manifest.format == 1


def test_a_file_that_is_no_plain_file_is_refused_and_not_waited_for(folder: Path) -> None:
    (folder / "model.ubj").unlink()
    os.mkfifo(folder / "model.ubj")
    assert refusal(folder) is Refusal.FORMAT


@pytest.mark.parametrize("number", ["Infinity", "1e999", "9" * 5000])
def test_a_manifest_with_an_unreadable_number_is_refused(folder: Path, number: str) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"format": 2', f'"format": {number}'))
    assert refusal(folder) is Refusal.FORMAT


def test_golden_predictions_include_missing_values(folder: Path) -> None:
    kept = json.loads((folder / "golden.json").read_text())
    assert len(kept["matrix"]) == 64
    assert any(cell is None for row in kept["matrix"] for cell in row)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 3}, "states format 3, this Moment reads up to 2; upgrade Moment$"),
        ({"format": 0}, "states format 0, this Moment reads up to 2; restore the folder or train again$"),
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


def test_a_manifest_of_a_newer_moment_asks_for_an_upgrade_whatever_else_it_says(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": 3, "files": ["listed otherwise"]}')
    with pytest.raises(BundleRefused, match=r"states format 3.*; upgrade Moment$"):
        open_propensity(folder)


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
    heavy = ("xgboost", "pandas", "mlflow", "sqlglot")
    code = f"import sys, serving.bundles; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
