"""The pipelines' pure steps against rows whose truth is known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.contract import DType, FeatureContract, FeatureSpec, Purpose
from features.rows import ColumnKind, ColumnSource, RowColumn, RowLayout
from moment.errors import ConfigurationError
from training.pipelines.configuration import read_config
from training.pipelines.propensity import nodes
from training.pipelines.propensity import settings as propensity
from training.pipelines.propensity.settings import PropensitySettings
from training.pipelines.segmentation import nodes as segmentation_nodes
from training.pipelines.segmentation import settings as segmentation
from training.pipelines.segmentation.settings import SegmentationSettings
from training.tracking import code_version

SPLIT = datetime(2017, 9, 1, tzinfo=UTC)
RECORD = nodes.Record(datetime(2017, 1, 1, tzinfo=UTC), datetime(2018, 1, 1, tzinfo=UTC))


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def presented(name: str, begins: str, ends: str, exposure: str = "observed") -> dict[str, object]:
    return {
        "presentation_id": name,
        "customer_id": f"customer of {name}",
        "action_id": "coupon-tea",
        "campaign_id": "1",
        "campaign_kind": "B",
        "exposure": exposure,
        "occurred_at": at(begins),
        "window_ends_at": at(ends),
        "offers_together": 3,
    }


PRESENTATIONS = pd.DataFrame(
    [
        presented("before the record", "2016-12-28", "2017-02-01"),
        presented("answered in time", "2017-03-01", "2017-04-01"),
        presented("answered late", "2017-03-01", "2017-04-01"),
        presented("answered before", "2017-03-01", "2017-04-01"),
        presented("clicked only", "2017-03-01", "2017-04-01", "imputed"),
        presented("spans the split", "2017-08-08", "2017-09-24"),
        presented("tested, answered", "2017-09-04", "2017-11-08"),
        presented("tested, not answered", "2017-09-04", "2017-11-08", "imputed"),
        presented("not closed", "2017-12-06", "2018-01-07"),
    ]
)
OUTCOMES = pd.DataFrame(
    [
        ("answered in time", "redeemed", "2017-03-20"),
        ("answered in time", "redeemed", "2017-05-20"),
        ("answered late", "redeemed", "2017-04-02"),
        ("answered before", "redeemed", "2017-02-27"),
        ("clicked only", "clicked", "2017-03-02"),
        ("tested, answered", "redeemed", "2017-09-04"),
    ],
    columns=["presentation_id", "kind", "occurred_at"],
).assign(occurred_at=lambda rows: pd.to_datetime(rows["occurred_at"], utc=True))


@pytest.fixture
def rows() -> pd.DataFrame:
    return nodes.label(PRESENTATIONS, OUTCOMES, positive={"coupon-tea": "redeemed"}, record=RECORD)


def test_only_the_positive_outcome_within_the_window_is_an_answer(rows: pd.DataFrame) -> None:
    answered = set(rows.loc[rows["answered"] == 1, "presentation_id"])
    assert answered == {"answered in time", "tested, answered"}


def test_each_action_has_its_own_positive_outcome() -> None:
    mixed = PRESENTATIONS.assign(
        action_id=PRESENTATIONS["action_id"].where(
            PRESENTATIONS["presentation_id"] != "clicked only", "recipe"
        )
    )
    positive = {"coupon-tea": "redeemed", "recipe": "clicked"}
    rows = nodes.label(mixed, OUTCOMES, positive=positive, record=RECORD)
    answered = set(rows.loc[rows["answered"] == 1, "presentation_id"])

    assert answered == {"answered in time", "tested, answered", "clicked only"}
    nobody = nodes.label(mixed, OUTCOMES, positive={}, record=RECORD)
    assert not nobody["answered"].any()


def test_what_was_presented_before_the_record_begins_is_left_out(rows: pd.DataFrame) -> None:
    assert "before the record" not in set(rows["presentation_id"])
    assert len(rows) == len(PRESENTATIONS) - 1


def test_rows_know_their_window_and_whether_it_closed_and_their_order_is_fixed(rows: pd.DataFrame) -> None:
    shuffled = PRESENTATIONS.sample(frac=1.0, random_state=3)
    again = nodes.label(shuffled, OUTCOMES, positive={"coupon-tea": "redeemed"}, record=RECORD)
    pd.testing.assert_frame_equal(rows, again)
    by_name = rows.set_index("presentation_id")
    assert not by_name.loc["not closed", "closed"]
    assert by_name.loc["tested, not answered", "closed"]
    assert by_name.loc["answered in time", "window_days"] == 31.0


def test_the_split_keeps_windows_that_span_it_out_of_both_parts(rows: pd.DataFrame) -> None:
    split = nodes.split(rows, SPLIT)
    names = rows["presentation_id"].to_numpy()
    assert set(names[split.train]) == {"answered in time", "answered late", "answered before", "clicked only"}
    assert set(names[split.test]) == {"tested, answered", "tested, not answered", "not closed"}
    assert set(names[~split.used]) == {"spans the split"}


def test_a_split_that_leaves_a_part_without_an_answer_is_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(ConfigurationError, match="no answered presentation for training; move `split_on`"):
        nodes.split(rows, datetime(2017, 2, 1, tzinfo=UTC))


def test_slices_keep_true_negatives_apart_from_what_was_not_answered_yet(rows: pd.DataFrame) -> None:
    test = rows.loc[nodes.split(rows, SPLIT).test]
    names = test["presentation_id"].to_numpy()
    found = {name: set(names[mask]) for name, mask in nodes.slices(test).items()}
    assert found == {
        "closed": {"tested, answered", "tested, not answered"},
        "observed": {"tested, answered"},
        "record": {"tested, answered", "tested, not answered", "not closed"},
        "record_observed": {"tested, answered", "not closed"},
    }


def test_a_customers_features_are_asked_once_per_time() -> None:
    rows = pd.DataFrame(
        {"customer_id": ["a", "b", "a", "a"], "at": [at("2017-01-02")] * 3 + [at("2017-02-02")]}
    )
    asked, position = nodes.questions(rows)
    assert len(asked) == 3
    pd.testing.assert_frame_equal(asked.take(position).reset_index(drop=True), rows)


def test_an_action_the_catalogue_lacks_is_named(rows: pd.DataFrame) -> None:
    with pytest.raises(ConfigurationError, match=r"lacks 1 actions that were presented, e\.g\. coupon-tea"):
        nodes.facts_of(rows, {})


def test_columns_are_left_out_by_name() -> None:
    names = ("spend", "window_days", "exposure")
    layout = RowLayout(tuple(RowColumn(name, ColumnKind.NUMERIC, ColumnSource.CONTEXT) for name in names))
    assert nodes.narrowed(layout, ["window_days"]).names == ("spend", "exposure")
    with pytest.raises(ConfigurationError, match="`leave_out` names windows_days"):
        nodes.narrowed(layout, ["windows_days"])


def test_golden_rows_are_real_rows_some_with_values_taken_away() -> None:
    matrix = np.arange(400, dtype=np.float32).reshape(100, 4)
    golden = nodes.golden_rows(matrix, ["g"] * 100, [str(row) for row in range(100)], seed=1)
    assert golden.matrix.shape == (64, 4)
    whole = golden.matrix[:48]
    assert np.array_equal(whole, matrix[[int(name) for name in golden.actions[:48]]])
    assert 0 < np.isnan(golden.matrix[48:63]).mean() < 1
    assert np.isnan(golden.matrix[63]).all()


def test_the_settings_that_come_with_moment_are_read() -> None:
    settings = read_config(propensity.CONFIG, PropensitySettings)
    assert settings.split_on == date(2017, 9, 1)
    assert settings.split_at == SPLIT
    assert read_config(segmentation.CONFIG, SegmentationSettings).features


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("seed:", "sede:", "sede"),
        ("trials: 8", "trials: many", "model.trials"),
        ("seed: 2017", "[", "expected"),
        ("seed: 2017", "seed: 2017\nseed: 2018", "`seed` is written twice"),
        ("seed: 2017", f"seed: {'[' * 100_000}", "within each other"),
        ("seed: 2017", "seed: !!int many", "`many` is no int"),
    ],
)
def test_a_slip_of_the_pen_in_the_settings_is_an_error_that_names_it(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(propensity.CONFIG.read_text().replace(before, after, 1))
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_config(path, PropensitySettings)
    assert str(path) in str(caught.value)


def test_settings_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_config(tmp_path / "none.yaml", PropensitySettings)


def contract() -> FeatureContract:
    kinds = {"spend": DType.FLOAT64, "size": DType.STRING, "names": DType.STRING_LIST}
    return FeatureContract(
        "customer_v1",
        tuple(
            FeatureSpec(
                name,
                kind,
                "",
                Purpose.PROFILING,
                "",
                "owner",
                "view",
                timedelta(days=8),
                ("S", "L") if kind is DType.STRING else (),
            )
            for name, kind in kinds.items()
        ),
    )


def test_personas_are_made_of_scalar_features_the_contract_has() -> None:
    segmentation_nodes.check_features(["spend", "size"], contract())
    with pytest.raises(ConfigurationError) as caught:
        segmentation_nodes.check_features(["spend", "names", "nothing"], contract())
    assert [fault.place for fault in caught.value.faults] == ["features: names", "features: nothing"]


def test_the_segmentations_frame_has_the_contracts_categories_and_its_values_are_servings() -> None:
    customers = pd.DataFrame({"spend": pd.array([1, None], dtype="Int64"), "size": ["L", None]})
    frame = segmentation_nodes.model_frame(customers, ["spend", "size"], contract())
    assert list(frame["size"].cat.categories) == ["S", "L"]
    assert segmentation_nodes.known(frame).tolist() == [True, False]
    assert segmentation_nodes.as_values(frame) == [
        {"spend": 1.0, "size": "L"},
        {"spend": None, "size": None},
    ]


def test_the_share_that_stayed_has_an_interval() -> None:
    now = np.array([0, 0, 1, 1] * 25)
    before = np.array([0, 0, 1, 0] * 25)
    share = segmentation_nodes.stayed(now, before)
    assert share.value == 0.75
    # Wilson (1927) for 75 of 100
    assert (share.low, share.high) == pytest.approx((0.6570, 0.8245), abs=1e-3)
    assert np.isnan(segmentation_nodes.stayed(now[:0], before[:0]).value)


def test_the_code_has_a_version() -> None:
    version = code_version()
    assert version.startswith("moment ") or len(version) == 40
