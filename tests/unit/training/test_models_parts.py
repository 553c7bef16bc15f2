"""The parts estimators are made of: columns, folds, calibration, axes, names, the choice among contenders."""

from __future__ import annotations

import doctest
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from features.contract import FeatureValue
from features.crosses import CROSS_INPUTS
from features.rows import (
    ActionFacts,
    ColumnKind,
    ColumnSource,
    RowColumn,
    RowLayout,
    request_matrix,
    training_frame,
)
from serving.bundles.calibration import sigmoid
from serving.bundles.personas import Personas
from training.evaluation import discrimination
from training.evaluation.report import EvaluationError, Metric
from training.models import columns, propensity, segmentation
from training.models.base import FitRows, thinned
from training.models.calibration import fit_calibration, fit_line, shrunk_offsets
from training.models.columns import FrameError, ModelColumn, encode, learn_columns
from training.models.contenders import Entry, choose_simplest
from training.models.folds import as_instants, stratified_folds, time_ordered_folds
from training.models.personas import Phrase, Trait, name_personas
from training.models.stability import try_clusters


# --- columns ------------------------------------------------------------------------------------------------
def test_codes_follow_the_declared_order_and_text_the_sorted_one() -> None:
    frame = pd.DataFrame(
        {
            "declared": pd.Categorical(["low", "high", None], categories=["low", "mid", "high"]),
            "text": ["b", "a", None],
            "number": [1, None, 3.5],
            "flag": [True, False, True],
        }
    )
    columns = learn_columns(frame)
    assert columns == (
        ModelColumn("declared", ("low", "mid", "high")),
        ModelColumn("text", ("a", "b")),
        ModelColumn("number"),
        ModelColumn("flag"),
    )
    nan = np.nan
    expected = [[0, 1, 1, 1], [2, 0, nan, 0], [nan, nan, 3.5, 1]]
    assert np.array_equal(encode(frame, columns), np.array(expected, dtype=np.float32), equal_nan=True)


def test_the_matrix_is_the_one_serving_builds() -> None:
    layout = RowLayout(
        (
            RowColumn("spend", ColumnKind.NUMERIC, ColumnSource.CUSTOMER),
            RowColumn("age_band", ColumnKind.CATEGORICAL, ColumnSource.CUSTOMER, ("young", "old", "unused")),
            RowColumn("exposure", ColumnKind.CATEGORICAL, ColumnSource.CONTEXT, ("observed", "imputed")),
        )
    )
    lists: dict[str, FeatureValue] = dict.fromkeys(CROSS_INPUTS)
    customers: list[dict[str, FeatureValue]] = [
        {**lists, "spend": 3.25, "age_band": "old"},
        {**lists, "spend": None, "age_band": "unheard of"},
        {**lists, "spend": 1e-3, "age_band": None},
    ]
    facts = ActionFacts(action_id="a", group="G", category="C", department="D")
    context = {"exposure": "imputed"}
    frame = training_frame(pd.DataFrame(customers), [facts] * 3, pd.DataFrame([context] * 3), layout)
    served = np.concatenate([request_matrix(customer, [facts], context, layout) for customer in customers])
    assert np.array_equal(encode(frame, learn_columns(frame)), served, equal_nan=True)


def test_of_too_many_words_the_most_frequent_are_kept() -> None:
    words = pd.Series([f"w{i:04d}" for i in range(1500)] + ["w1499", "w1400"] * 2)
    (column,) = learn_columns(pd.DataFrame({"word": words}))
    assert column.categories is not None
    assert len(column.categories) == 1000
    assert {"w1499", "w1400", "w0000", "w0997"} <= set(column.categories)
    assert "w0998" not in column.categories


def test_a_doubled_column_is_refused() -> None:
    with pytest.raises(FrameError, match="'a' is there twice"):
        learn_columns(pd.DataFrame([[1, 2]], columns=["a", "a"]))


# --- folds --------------------------------------------------------------------------------------------------
def test_no_model_is_judged_before_its_labels_were_known() -> None:
    rng = np.random.default_rng(0)
    time = np.sort(rng.integers(0, 50, 4000)).astype(np.float64)
    label_time = (time + rng.integers(1, 9, 4000)).astype(np.float64)
    y = (rng.random(4000) < 0.1).astype(np.int8)
    folds = time_ordered_folds(time, label_time, y, 3, 20)
    assert len(folds) == 3
    judged = np.concatenate([fold.judge for fold in folds])
    assert len(np.unique(judged)) == len(judged)
    for fold in folds:
        assert label_time[fold.learn].max() < time[fold.judge].min()
        assert y[fold.learn].sum() >= 20


def test_lumps_of_outcomes_are_both_judged_and_learned_from() -> None:
    """One campaign holds most outcomes: it must be judged, and later rows by a model that knows it."""
    time = np.repeat([1.0, 2.0, 3.0, 8.0], 500)
    label_time = time + np.repeat([0.5, 0.5, 4.0, 1.0], 500)
    y = np.zeros(2000, dtype=np.int8)
    for start, hits in ((0, 40), (500, 30), (1000, 300), (1500, 50)):
        y[start : start + hits] = 1
    folds = time_ordered_folds(time, label_time, y, 2, 20)
    assert [np.unique(time[fold.judge]).tolist() for fold in folds] == [[3.0], [8.0]]
    assert set(np.unique(time[folds[-1].learn])) == {1.0, 2.0, 3.0}


def test_folds_are_fewer_when_positives_are() -> None:
    y = np.array([1, 0, 0, 0, 1, 0], dtype=np.int8)
    assert len(stratified_folds(y, 5, 0)) == 2
    assert stratified_folds(np.array([1, 0, 0], dtype=np.int8), 5, 0) == []
    assert time_ordered_folds(np.arange(6.0), np.arange(6.0), y, 3, 2) == []


def test_times_may_be_dates_in_any_form_or_numbers() -> None:
    dates = pd.date_range("2017-03-25", periods=4, freq="D", tz="Europe/Berlin")
    expected = as_instants(dates.tz_convert("UTC").to_numpy(), "time", 4)
    assert (as_instants(pd.Series(dates), "time", 4) == expected).all()
    assert (as_instants(np.array(list(dates), dtype=object), "time", 4) == expected).all()
    assert (as_instants([1, 2, 3, 4], "time", 4) == [1.0, 2.0, 3.0, 4.0]).all()
    with pytest.raises(FrameError, match="missing values"):
        as_instants([1.0, np.nan], "time", 2)


def test_thinning_keeps_positives_and_the_level() -> None:
    y = (np.arange(10_000) % 100 == 0).astype(np.int8)
    rows = FitRows(np.zeros((10_000, 1), dtype=np.float32), y, np.ones(10_000), [], 0)
    index, weight = thinned(rows, np.arange(10_000), 1000)
    assert len(index) == 1000
    assert y[index].sum() == 100
    assert weight @ y[index] / weight.sum() == pytest.approx(0.01)
    assert (thinned(rows, np.arange(500), 1000)[0] == np.arange(500)).all()


# --- calibration --------------------------------------------------------------------------------------------
def test_the_line_recovers_how_margins_were_bent() -> None:
    rng = np.random.default_rng(1)
    margin = rng.normal(-4.0, 1.5, 200_000)
    y = (rng.random(200_000) < sigmoid(0.7 * margin + 0.4)).astype(np.int8)
    slope, intercept = fit_line(margin, y, np.ones(len(y)))
    assert slope == pytest.approx(0.7, abs=0.03)
    assert intercept == pytest.approx(0.4, abs=0.12)


def test_the_line_never_turns_an_order_round_and_keeps_constant_margins() -> None:
    margin = np.linspace(-3, 3, 4000)
    y = (margin < -1).astype(np.int8)
    assert fit_line(margin, y, np.ones(4000))[0] == 0.05
    slope, intercept = fit_line(np.full(4000, -2.0), y, np.ones(4000))
    assert slope == 1.0
    assert sigmoid(np.array([intercept - 2.0]))[0] == pytest.approx(y.mean())


def test_shrinkage_is_nearer_the_truth_than_none_and_than_pooling() -> None:
    """60 groups whose true offsets have sd 0.4 and between 10 and 200 expected positives each."""
    rng = np.random.default_rng(2)
    truth = rng.normal(0.0, 0.4, 60)
    sizes = rng.integers(500, 10_000, 60)
    codes = np.repeat(np.arange(60), sizes)
    base = rng.normal(-4.0, 0.5, len(codes))
    y = (rng.random(len(codes)) < sigmoid(base + truth[codes])).astype(np.int8)
    offsets, spread = shrunk_offsets(base, y, np.ones(len(y)), codes)
    expected = np.bincount(codes, weights=sigmoid(base))
    raw = np.log((np.bincount(codes, weights=y) + 0.5) / (expected + 0.5))
    assert spread == pytest.approx(0.4, abs=0.12)
    assert ((offsets - truth) ** 2).mean() < ((raw - truth) ** 2).mean()
    assert ((offsets - truth) ** 2).mean() < (truth**2).mean() / 2


def test_a_small_group_is_pulled_more_than_a_large_one_of_equal_rate() -> None:
    codes = np.repeat([0, 1, 2, 3], [50_000, 1000, 50_000, 50_000])
    y = np.zeros(len(codes), dtype=np.int8)
    for group, hits in ((0, 2000), (1, 40), (2, 1000), (3, 500)):
        y[np.flatnonzero(codes == group)[:hits]] = 1
    offsets, _ = shrunk_offsets(np.full(len(codes), np.log(0.02 / 0.98)), y, np.ones(len(y)), codes)
    assert 0.0 < offsets[1] < offsets[0] - 0.03
    assert offsets[3] < -0.5 < offsets[2] < 0.1


def test_groups_that_do_not_differ_get_no_offsets() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(-3.0, 1.0, 50_000)
    y = (rng.random(50_000) < sigmoid(base)).astype(np.int8)
    group = (np.arange(50_000) % 10).astype(str)
    fit = fit_calibration(base, y, weight=np.ones(50_000), group=group)
    assert max(map(abs, fit.calibration.group_offsets.values()), default=0.0) < 0.1
    assert fit.pooled_groups == ()


def test_rare_actions_are_pooled_to_their_group_and_named() -> None:
    rng = np.random.default_rng(4)
    action = np.repeat(["often", "seldom"], [40_000, 100])
    group = np.where(rng.random(len(action)) < 0.01, "tiny", "main")
    base = np.full(len(action), -3.0)
    y = (rng.random(len(action)) < sigmoid(base + np.where(action == "often", 0.5, 2.0))).astype(np.int8)
    fit = fit_calibration(base, y, weight=np.ones(len(y)), group=group, action=action)
    assert fit.pooled_actions == ("seldom",)
    assert fit.pooled_groups == ("tiny",)
    assert "seldom" not in fit.calibration.action_offsets
    assert "tiny" not in fit.calibration.group_offsets


# --- the choice ---------------------------------------------------------------------------------------------
def _contest(noise: dict[str, float]) -> tuple[list[Entry], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    truth = rng.normal(-3.0, 1.2, 8000)
    y = (rng.random(8000) < sigmoid(truth)).astype(np.int8)
    entries = [Entry(name, sigmoid(truth + sd * rng.normal(size=8000))) for name, sd in noise.items()]
    return entries, y, rng.integers(0, 800, 8000)


def test_the_simplest_of_equals_wins_and_the_best_when_surely_better() -> None:
    entries, y, customer = _contest({"rate": 2.0, "line": 0.02, "trees": 0.0})
    chosen = choose_simplest(entries, y, customer, replicates=200)
    assert chosen.winner == "line"
    assert chosen.differences["rate"].low > 0.0
    assert chosen.differences[chosen.best].value == 0.0
    entries, y, customer = _contest({"rate": 2.0, "line": 0.8, "trees": 0.0})
    for metric in (Metric.LOG_LOSS, Metric.AUC):
        chosen = choose_simplest(entries, y, customer, metric=metric, replicates=200)
        assert chosen.winner == chosen.best == "trees"
        assert "trees has the best" in chosen.reason


def test_a_choice_needs_names_and_a_metric_with_a_better_end() -> None:
    entries, y, customer = _contest({"a": 0.0})
    with pytest.raises(EvaluationError, match="its own name"):
        choose_simplest([*entries, *entries], y, customer)
    with pytest.raises(EvaluationError, match="no better direction"):
        choose_simplest(entries, y, customer, metric=Metric.CALIBRATION_SLOPE)


# --- segmentation -------------------------------------------------------------------------------------------
def test_the_true_number_of_clusters_is_the_most_stable() -> None:
    rng = np.random.default_rng(6)
    centres = np.array([[0, 0], [6, 0], [0, 6], [6, 6]], dtype=float)
    points = np.concatenate([rng.normal(centre, 1.0, (150, 2)) for centre in centres])
    found = {k: try_clusters(points, k, pairs=5, seed=0) for k in (3, 4, 5)}
    assert found[4].stability.value > 0.95
    assert found[4].stability.value > max(found[3].stability.value, found[5].stability.value)
    assert found[4].smallest_share == pytest.approx(0.25, abs=0.02)


def _trait(words: str, topic: str, *, noun: bool = False) -> Trait:
    return Trait(topic, (), 1.0, 2.0, 1.0, words, topic, noun)


def test_names_are_words_of_different_topics_with_a_noun_and_all_differ() -> None:
    often, big, kids = (
        _trait("frequent", "how often"),
        _trait("big-basket", "size"),
        _trait("families", "who", noun=True),
    )
    assert name_personas([[often, kids, big], [often], []], "shoppers") == (
        "Frequent big-basket families",
        "Frequent shoppers",
        "Average shoppers",
    )
    deals = _trait("deal-seeking", "price")
    assert name_personas([[often, big], [often, big, deals]], "shoppers") == (
        "Frequent big-basket shoppers",
        "Frequent big-basket deal-seeking shoppers",
    )
    assert name_personas([[often], [often]], "shoppers") == ("Frequent shoppers 1", "Frequent shoppers 2")
    generic = [_trait("high spend_90d", "spend_90d"), _trait("low days_since", "days_since")]
    assert name_personas([generic], "customers") == ("High spend_90d, low days_since",)


def test_a_phrase_may_say_nothing() -> None:
    assert Phrase("spend", "", "").high == ""
    assert Personas((), ((),), ()).point({}).shape == (0,)


@pytest.mark.parametrize("module", [columns, discrimination, propensity, segmentation])
def test_documented_examples_run(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
