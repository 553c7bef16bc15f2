"""What every estimator promises: scikit-learn's own checks, and ours for any DataFrame."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator

from training.models.base import CalibratedContender, FewPositivesWarning
from training.models.columns import FrameError
from training.models.linear import PriorRate, RegularizedLogistic
from training.models.propensity import PropensityModel
from training.models.segmentation import SegmentationModel

pytestmark = [
    pytest.mark.filterwarnings("ignore::training.models.base.FewPositivesWarning"),
    # The checks call estimators on columns, lists and arrays that warn on purpose
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]

Maker = Callable[[], CalibratedContender]

CONTENDERS = [
    pytest.param(PriorRate, id="prior"),
    pytest.param(lambda: RegularizedLogistic(strengths=(0.01,)), id="logistic"),
    pytest.param(lambda: PropensityModel(trials=1, max_rounds=40, folds=2), id="propensity"),
]


ESTIMATORS = [
    PropensityModel(trials=1, max_rounds=30, folds=2, min_positives=5, n_jobs=1),
    RegularizedLogistic(strengths=(0.1,), min_positives=5),
    PriorRate(),
    SegmentationModel(clusters=(2, 3), pairs=2, min_share=0.0),
]
# Arrays that live on a GPU are nothing our estimators speak of; scikit-learn skips that check by itself
CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}-{number}-{check.func.__name__}")
    for one in ESTIMATORS
    for number, (estimator, check) in enumerate(estimator_checks_generator(one))
    if check.func.__name__ != "check_array_api_input"
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_estimator_keeps_scikit_learns_promises(
    estimator: BaseEstimator, check: Callable[[BaseEstimator], None]
) -> None:
    check(estimator)


def any_frame(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """A frame of every kind of column, missing values in most."""
    rng = np.random.default_rng(seed)
    spend = rng.gamma(2.0, 20.0, rows)
    frame = pd.DataFrame(
        {
            "spend": np.where(rng.random(rows) < 0.1, np.nan, spend),
            "visits": pd.array(rng.poisson(4, rows), dtype="Int64"),
            "member": rng.random(rows) < 0.4,
            "maybe": pd.array(rng.choice([True, False], rows), dtype="boolean"),
            "town [<ü>] 日本": rng.choice(["a<b", "[x]", "ÿ", "", "日本"], rows),
            "size": pd.Categorical(rng.choice([1, 2, 3], rows), categories=[3, 2, 1, 9]),
            "tier": pd.Categorical(rng.choice(["gold", "tin"], rows), categories=["tin", "gold"]),
            "note": pd.array(rng.choice(["p", "q"], rows), dtype="string"),
            "constant": 1.0,
            "nothing": np.nan,
            "never": pd.Series([None] * rows, dtype=object),
        }
    )
    frame.loc[frame.index % 7 == 0, ["visits", "maybe", "tier", "note", "town [<ü>] 日本"]] = None
    return frame


def any_labels(frame: pd.DataFrame, seed: int = 1) -> pd.Series:
    rng = np.random.default_rng(seed)
    spend = frame["spend"].fillna(0.0).to_numpy()
    return pd.Series((rng.random(len(frame)) < 0.05 + 0.004 * spend).astype(int), index=frame.index)


@pytest.mark.parametrize("make", CONTENDERS)
def test_any_frame_is_learned_from_and_left_as_it_was(make: Maker) -> None:
    frame = any_frame()
    before, y = frame.copy(deep=True), any_labels(frame)
    model = make().fit(frame, y, time=np.arange(len(frame)), group=frame["tier"], action=frame["size"])
    p = model.predict_proba(frame, group=frame["tier"], action=frame["size"])
    pd.testing.assert_frame_equal(frame, before)
    assert p.shape == (len(frame), 2)
    assert np.isfinite(p).all()
    assert np.allclose(p.sum(axis=1), 1.0)
    assert list(model.feature_names_in_) == list(frame.columns)
    assert model.encode(frame).dtype == np.float32
    assert np.array_equal(model.margin(frame), model._margin(model.encode(frame)))


@pytest.mark.parametrize("make", CONTENDERS)
def test_a_clone_fitted_on_the_same_data_is_the_same_model(make: Maker) -> None:
    frame = any_frame()
    y, first = any_labels(frame), make()
    again = clone(first)
    assert again.get_params() == first.get_params()
    p = first.fit(frame, y).predict_proba(frame)
    assert np.array_equal(p, again.fit(frame, y).predict_proba(frame))
    assert np.array_equal(p[:9], first.predict_proba(frame.iloc[:9]))


@pytest.mark.parametrize("make", CONTENDERS)
def test_wrong_columns_are_named_in_one_line(make: Maker) -> None:
    frame = any_frame()
    model = make().fit(frame, any_labels(frame))
    wrong = {
        "missing 'spend'": frame.drop(columns="spend"),
        "unknown 'extra'": frame.assign(extra=1),
        "another order: 'visits' at position 0": frame[["visits", "spend", *frame.columns[2:]]],
        "'spend' was fitted as numbers": frame.assign(spend="much"),
        "'spend' holds 600 infinite": frame.assign(spend=np.inf),
    }
    for message, other in wrong.items():
        with pytest.raises(FrameError, match=re.escape(message)) as caught:
            model.predict_proba(other)
        assert "\n" not in str(caught.value)
        assert "; " in str(caught.value) or "now holds" in str(caught.value)


@pytest.mark.parametrize("make", CONTENDERS)
def test_unseen_categories_are_missing_ones(make: Maker) -> None:
    frame = any_frame()
    model = make().fit(frame, any_labels(frame))
    unheard, missing = frame.copy(), frame.copy()
    unheard["tier"], missing["tier"] = "platinum", None
    assert np.array_equal(model.predict_proba(unheard), model.predict_proba(missing))


@pytest.mark.parametrize("make", CONTENDERS)
def test_text_labels_and_pipelines_and_cross_validation_work(make: Maker) -> None:
    frame = any_frame()
    y = np.where(any_labels(frame) == 1, "yes", "no")
    pipeline = make_pipeline(FunctionTransformer(), make())
    assert set(pipeline.fit(frame, y).predict(frame)) <= {"no", "yes"}
    when = np.arange(len(frame))
    last = pipeline.steps[-1][0]
    scores = cross_val_score(pipeline, frame, y, cv=2, scoring="roc_auc", params={f"{last}__time": when})
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("make", CONTENDERS)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, 2] * 200, "Only binary classification"),
        (["a"] * 600, "has 1 class"),
        ([0, 1] * 299, "598 labels for 600 rows"),
        ([0.0, 1.0, np.nan] * 200, "NaN"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(make: Maker, y: list[Any], message: str) -> None:
    with pytest.raises(FrameError, match=message):
        make().fit(any_frame(), y)


@pytest.mark.parametrize("make", CONTENDERS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"time": ["soon"] * 600}, "time"),
        ({"time": np.arange(5)}, r"time has shape \(5,\)"),
        ({"group": ["a"]}, "group has shape"),
        ({"sample_weight": -np.ones(600)}, "not negative"),
        ({"calibration_mask": np.ones(600)}, "booleans"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make: Maker, arguments: dict[str, Any], message: str) -> None:
    frame = any_frame()
    with pytest.raises(FrameError, match=message):
        make().fit(frame, any_labels(frame), **arguments)


@pytest.mark.parametrize("make", CONTENDERS)
@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.Series([pd.Timestamp("2017-01-01")] * 600), "of type datetime64"),
        (pd.Series([[1]] * 600), "holds a list"),
        (pd.Series([np.inf] * 600), "holds 600 infinite"),
    ],
)
def test_columns_that_cannot_be_learned_are_named(make: Maker, column: pd.Series[Any], message: str) -> None:
    frame = any_frame().assign(odd=column)
    with pytest.raises(FrameError, match=f"'odd'.*{message}"):
        make().fit(frame, any_labels(frame))


@pytest.mark.parametrize("make", CONTENDERS)
@pytest.mark.parametrize("kind", [int, bool])
def test_without_positives_the_rate_is_answered(make: Maker, kind: type) -> None:
    frame = any_frame()
    model = make().fit(frame, np.zeros(len(frame), dtype=kind), time=np.arange(len(frame)))
    p = model.predict_proba(frame)[:, 1]
    assert p == pytest.approx(0.5 / 601)
    assert model.calibrated_on_ == "nothing"


def test_too_few_positives_fall_back_with_a_warning_that_says_so() -> None:
    frame = any_frame()
    y = np.zeros(len(frame), dtype=int)
    y[:7] = 1
    for model in (PropensityModel(), RegularizedLogistic()):
        with pytest.warns(FewPositivesWarning, match="7 positive rows are fewer than min_positives=20"):
            model.fit(frame, y)
        assert model.predict_proba(frame)[:, 1] == pytest.approx(7.5 / 601)
        assert model.fallback_reason_
        assert model.kind_ == "linear"
        assert model.linear_ is not None
        assert np.array_equal(model.linear_.margins(model.encode(frame)), model.margin(frame))


def test_no_point_in_time_to_judge_at_falls_back() -> None:
    frame = any_frame()
    with pytest.warns(FewPositivesWarning, match="no point in time"):
        PropensityModel().fit(frame, any_labels(frame), time=np.zeros(len(frame)))


@pytest.mark.parametrize("make", CONTENDERS)
def test_one_column_is_enough(make: Maker) -> None:
    frame = any_frame()
    for column in ("spend", "town [<ü>] 日本"):
        p = make().fit(frame[[column]], any_labels(frame)).predict_proba(frame[[column]])
        assert np.isfinite(p).all()


@pytest.mark.parametrize("make", CONTENDERS)
def test_an_unfitted_model_says_so(make: Maker) -> None:
    with pytest.raises(NotFittedError):
        make().encode(any_frame())


def test_half_a_percent_of_positives_is_learned_from() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": rng.normal(size=12_000), "kind": rng.choice(["u", "v"], 12_000)})
    y = rng.random(12_000) < 1 / (1 + np.exp(6.0 - 1.2 * frame["x"]))
    assert 40 < y.sum() < 90
    model = PropensityModel(trials=1, max_rounds=100).fit(frame, y)
    assert model.kind_ == "xgboost"
    high, low = model.predict_proba(pd.DataFrame({"x": [2.5, -2.0], "kind": ["u", "u"]}))[:, 1]
    assert high > 5 * low


def test_segmentation_takes_any_frame_and_refuses_what_it_cannot_use() -> None:
    frame = any_frame(300)
    before = frame.copy(deep=True)
    model = SegmentationModel(clusters=(2, 3), pairs=2).fit(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert {axis.name for axis in model.axes_}.isdisjoint({"constant", "nothing", "never"})
    assert model.transform(frame).shape == (300, model.n_clusters_)
    assert np.array_equal(model.transform(frame).argmin(axis=1), model.predict(frame))
    assert np.array_equal(clone(model).fit(frame).labels_, model.labels_)
    for message, wrong in {
        "another order": frame[frame.columns[::-1]],
        "missing 'spend'": frame.drop(columns="spend"),
        "'spend' was fitted as numbers": frame.assign(spend="much"),
    }.items():
        with pytest.raises(FrameError, match=message):
            model.predict(wrong)
    with pytest.raises(FrameError, match="no column varies"):
        SegmentationModel().fit(pd.DataFrame({"x": [1.0] * 50}))
    with pytest.raises(FrameError, match="weights names 'sped'"):
        SegmentationModel(weights={"sped": 2.0}).fit(frame)
    with pytest.raises(FrameError, match="less than the fewest"):
        SegmentationModel().fit(frame.head(2))
