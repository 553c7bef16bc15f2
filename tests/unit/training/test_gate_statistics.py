"""DeLong, stability indices, ratios and agreement against known numbers, brute force and known truth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from training.evaluation.agreement import agreement
from training.evaluation.delong import delong
from training.evaluation.drift import CodeBins, Periods, QuantileBins, drift, stability_index
from training.evaluation.intervals import median_interval, wilson_interval
from training.evaluation.ratios import observed_to_expected
from training.evaluation.report import EvaluationError, Metric, paired_differences

FloatArray = NDArray[np.float64]


def two_models(rows: int, *, seed: int = 0) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Outcomes and the scores of two models that see the same thing, one with more noise."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=rows)
    y = (rng.random(rows) < 1.0 / (1.0 + np.exp(-2.0 * truth))).astype(np.int64)
    return y, truth + 0.5 * rng.normal(size=rows), truth + 0.9 * rng.normal(size=rows)


def by_definition(y: NDArray[np.int64], scores: FloatArray) -> tuple[FloatArray, float]:
    """DeLong's variance of the difference from the kernel of every pair, as the paper writes it."""
    positive, negative = scores[:, y == 1], scores[:, y == 0]
    above = (positive[:, :, None] > negative[:, None, :]).astype(float)
    kernel = above + 0.5 * (positive[:, :, None] == negative[:, None, :])
    ours, theirs = kernel.mean(axis=2), kernel.mean(axis=1)
    covariance = np.cov(ours) / ours.shape[1] + np.cov(theirs) / theirs.shape[1]
    contrast = np.array([1.0, -1.0])
    return kernel.mean(axis=(1, 2)), float(contrast @ covariance @ contrast)


def test_delong_is_what_the_paper_defines_ties_included() -> None:
    y, first, second = two_models(300)
    first, second = np.round(first, 1), np.round(second, 1)
    areas, variance = by_definition(y, np.stack([first, second]))
    found = delong(y, first, second)
    assert (found.first, found.second) == pytest.approx(tuple(areas))
    assert found.first == pytest.approx(roc_auc_score(y, first))
    assert found.error == pytest.approx(np.sqrt(variance))


def test_delong_by_hand() -> None:
    # Placements of the positives 2 and 4 among the negatives 1 and 3: 1/2 and 1; of a model that has them
    # all wrong: 0 and 0. Of the negatives: 1 and 1/2; 0 and 0.
    found = delong([0, 1, 0, 1], [1, 2, 3, 4], [3, 2, 4, 1])
    assert (found.first, found.second) == (0.75, 0.0)
    variance = (0.5**2 / 2) / 2 + (0.5**2 / 2) / 2
    assert found.error == pytest.approx(np.sqrt(variance))
    assert found.difference.low == pytest.approx(0.75 - 1.959964 * np.sqrt(variance), abs=1e-6)


def test_delong_agrees_with_a_bootstrap_of_the_same_rows() -> None:
    y, first, second = two_models(2000)
    found = delong(y, first, second)
    drawn = paired_differences(y, sigmoid(first), sigmoid(second), np.arange(len(y)), replicates=1500)
    auc = drawn[Metric.AUC]
    assert found.difference.value == pytest.approx(auc.value)
    assert (found.difference.low, found.difference.high) == pytest.approx((auc.low, auc.high), abs=0.003)


def test_delong_by_customers_knows_that_their_rows_are_alike() -> None:
    y, first, second = two_models(400)
    customers = np.repeat(np.arange(400), 5)
    labels, ours, theirs = (np.repeat(values.astype(np.float64), 5) for values in (y, first, second))
    alone, together = delong(labels, ours, theirs), delong(labels, ours, theirs, customers)
    # Five copies of a row hold no more than one
    assert alone.error < 0.6 * together.error
    assert together.error == pytest.approx(delong(y, first, second).error, rel=0.01)
    drawn = paired_differences(labels, sigmoid(ours), sigmoid(theirs), customers, replicates=1500)[Metric.AUC]
    assert together.difference.low == pytest.approx(drawn.low, abs=0.006)


def test_delong_holds_its_level() -> None:
    found = []
    for seed in range(300):
        y, first, second = _no_better(seed)
        found.append(delong(y, first, second).p_value)
    # 300 tests at 5 %: more than 27 or fewer than 5 rejections happen once in a hundred times
    rejected = sum(p < 0.05 for p in found)
    assert binom.ppf(0.005, 300, 0.05) <= rejected <= binom.ppf(0.995, 300, 0.05)


def test_delong_of_the_same_scores_finds_nothing_and_of_one_class_refuses() -> None:
    y, first, _ = two_models(200)
    assert delong(y, first, 2.0 * first).p_value == 1.0
    with pytest.raises(EvaluationError, match="two of each"):
        delong(np.zeros(5), np.arange(5.0), np.arange(5.0))
    with pytest.raises(EvaluationError, match="pass one of each per row"):
        delong(y, first[:3], first[:3])


def _no_better(seed: int) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=300)
    y = (rng.random(300) < 1.0 / (1.0 + np.exp(-truth))).astype(np.int64)
    return y, truth + rng.normal(size=300), truth + rng.normal(size=300)


def sigmoid(scores: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-scores))


def test_the_stability_index_by_hand() -> None:
    half, most = np.array([500.0, 500.0]), np.array([900.0, 100.0])
    # 0.4 ln(0.9 / 0.5) - 0.4 ln(0.1 / 0.5), but for half a row in each bin
    assert float(stability_index(half, most)) == pytest.approx(0.8789, abs=0.005)
    assert float(stability_index(most, half)) == pytest.approx(float(stability_index(half, most)))


def index(before: FloatArray, after: FloatArray, rows_each: int = 4) -> tuple[float, float, float]:
    customers = [np.repeat(np.arange(len(values) // rows_each), rows_each) for values in (before, after)]
    periods = Periods.of(*customers, replicates=200)
    found = drift(QuantileBins.of(before), before, after, periods)
    return found.value, found.low, found.high


def test_equal_samples_are_stable_and_shifted_ones_are_not() -> None:
    rng = np.random.default_rng(1)
    before = rng.normal(size=8000)
    value, low, high = index(before, rng.normal(size=8000))
    assert low <= value <= high < 0.02
    # Half a deviation: the divergence of two normal distributions is 0.25, ten bins see a little less
    value, low, high = index(before, rng.normal(0.5, 1.0, size=8000))
    assert 0.15 < low < value < high < 0.3
    assert index(before, 1000.0 * before)[1] > 1.0


def test_one_stray_value_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    before, after = rng.normal(size=4000), rng.normal(1.0, 1.0, size=4000)
    stray = after.copy()
    stray[0] = 1e12
    assert index(before, stray)[0] == pytest.approx(index(before, after)[0], rel=0.01)


def test_missing_values_are_a_bin_of_their_own() -> None:
    rng = np.random.default_rng(3)
    before = rng.normal(size=4000)
    gone = np.where(rng.random(4000) < 0.3, np.nan, before)
    assert index(before, gone)[1] > 0.25
    assert QuantileBins.of(np.full(9, np.nan)).place([1.0, np.nan]).tolist() == [0, 1]


def test_a_value_most_rows_have_is_one_bin() -> None:
    values = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])
    bins = QuantileBins.of(values)
    assert bins.edges == (0.0,)
    assert np.bincount(bins.place(values), minlength=bins.count).tolist() == [900, 100, 0]
    assert CodeBins(2).place([0, 1, -1, 7, np.nan]).tolist() == [0, 1, 2, 2, 2]


def test_few_customers_make_wide_intervals_however_many_their_rows() -> None:
    rng = np.random.default_rng(4)
    before = np.repeat(rng.normal(size=100), 40)
    after = np.repeat(rng.normal(size=100), 40)
    _, low, high = index(before, after, rows_each=40)
    by_rows = index(before, after, rows_each=1)
    assert high - low > 2.5 * (by_rows[2] - by_rows[1])


def test_answers_for_each_expected_have_intervals_that_cover_the_truth() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(100):
        p = rng.uniform(0.02, 0.1, size=2000)
        y = rng.random(2000) < 1.5 * p
        found = observed_to_expected(y, p, np.arange(2000), np.repeat("all", 2000), replicates=200)["all"]
        covered += found.ratio.contains(1.5)
    assert covered >= 88


def test_a_segment_without_answers_has_the_ratio_0() -> None:
    found = observed_to_expected([0, 0, 1], [0.1, 0.2, 0.5], ["a", "b", "c"], ["x", "x", "y"], replicates=50)
    assert (found["x"].observed, found["x"].rows, found["x"].ratio.value) == (0, 2, 0.0)
    assert found["x"].expected == pytest.approx(0.3)
    with pytest.raises(EvaluationError):
        observed_to_expected([0], [0.1], ["a", "b"], ["x"])


def test_agreement_is_scikit_learns_and_its_interval_that_of_resampled_customers() -> None:
    rng = np.random.default_rng(6)
    first = rng.integers(0, 4, size=600)
    second = np.where(rng.random(600) < 0.8, first, rng.integers(0, 5, size=600))
    found = agreement(first, second, replicates=1000)
    assert found.value == pytest.approx(adjusted_rand_score(first, second))
    drawn = []
    for _ in range(300):
        rows = rng.integers(0, 600, size=600)
        drawn.append(adjusted_rand_score(first[rows], second[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.015)
    assert agreement(np.zeros(9), np.zeros(9)).value == 1.0


def test_intervals_of_shares_and_medians() -> None:
    share = wilson_interval(0.75, 100)
    # Wilson (1927) for 75 of 100
    assert (share.low, share.high) == pytest.approx((0.6570, 0.8245), abs=1e-3)
    assert np.isnan(wilson_interval(float("nan"), 0).value)
    middle = median_interval(np.arange(1.0, 101.0))
    # Conover's table: the 40th and the 61st of 100
    assert (middle.value, middle.low, middle.high) == (50.5, 40.0, 61.0)
    assert np.isnan(median_interval([]).value)
