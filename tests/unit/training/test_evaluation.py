"""Metrics against scikit-learn, resamples against explicit ones, intervals against known truth."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from training.evaluation.calibration import (
    BinnedLogOdds,
    calibration_line,
    expected_calibration_error,
    log_odds,
    reliability,
)
from training.evaluation.discrimination import Ranking, gains, rank_metrics
from training.evaluation.intervals import ClusterBootstrap, MetricInterval, percentile_interval
from training.evaluation.report import (
    SMALL_GROUPS,
    EvaluationError,
    Metric,
    evaluate,
    evaluate_groups,
    paired_differences,
)

FloatArray = NDArray[np.float64]


def rare_outcomes(
    rows: int, *, seed: int = 0, intercept: float = -4.0
) -> tuple[NDArray[np.int64], FloatArray, NDArray[np.int64]]:
    """Outcomes, their true probabilities and a customer each; probabilities with many ties."""
    rng = np.random.default_rng(seed)
    p = 1.0 / (1.0 + np.exp(-(intercept + np.round(1.2 * rng.normal(size=rows), 1))))
    return (rng.random(rows) < p).astype(np.int64), p, rng.integers(0, rows // 20, rows)


def auc_interval(
    y: NDArray[np.int64], score: FloatArray, customer: NDArray[np.int64], replicates: int
) -> MetricInterval:
    bootstrap = ClusterBootstrap.of(customer, replicates=replicates)
    ranking = Ranking.of(y, score, bootstrap.codes, bootstrap.clusters)
    drawn = np.concatenate([ranking.replicate(counts).auc for counts in bootstrap.counts(100)])
    return percentile_interval(float(rank_metrics(y, score).auc[0]), drawn)


def exact_slope(y: NDArray[np.int64], p: FloatArray) -> float:
    line = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000)
    return float(line.fit(log_odds(p)[:, None], y).coef_[0, 0])


def test_metrics_equal_those_of_scikit_learn() -> None:
    y, p, customer = rare_outcomes(5000)
    found = evaluate(y, p, customer, replicates=2).metrics
    assert found[Metric.AUC].value == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert found[Metric.AVERAGE_PRECISION].value == pytest.approx(average_precision_score(y, p), abs=1e-12)
    assert found[Metric.LOG_LOSS].value == pytest.approx(log_loss(y, p), abs=1e-12)
    assert found[Metric.BRIER].value == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    assert found[Metric.CALIBRATION_SLOPE].value == pytest.approx(exact_slope(y, p), abs=1e-5)


def test_calibration_intercept_makes_the_mean_right() -> None:
    y, p, _ = rare_outcomes(5000)
    too_low = 1.0 / (1.0 + np.exp(-(log_odds(p) - 0.7)))
    line = calibration_line(y, too_low)
    assert (1.0 / (1.0 + np.exp(-(log_odds(too_low) + line.intercept[0])))).mean() == pytest.approx(y.mean())


def test_a_tenth_of_the_rows_counts_for_the_top_decile_ties_in_proportion() -> None:
    y = np.array([1, 0] * 5 + [0] * 10)
    assert rank_metrics(y, -np.arange(20.0)).top_decile_lift[0] == pytest.approx((1 / 2) / (5 / 20))
    assert rank_metrics(y, np.zeros(20)).top_decile_lift[0] == pytest.approx(1.0)


def test_weighted_replicates_equal_explicit_resampling() -> None:
    y, p, customer = rare_outcomes(600, seed=3, intercept=-2.0)
    bootstrap = ClusterBootstrap.of(customer, replicates=5, seed=1)
    counts = np.concatenate(list(bootstrap.counts(chunk=2)))
    ranked = Ranking.of(y, p, bootstrap.codes, bootstrap.clusters).replicate(counts)
    lines = BinnedLogOdds.of(y, p, bootstrap.codes, bootstrap.clusters).replicate(counts)
    for replicate, drawn in enumerate(counts):
        rows = np.repeat(np.arange(len(y)), drawn[bootstrap.codes].astype(np.int64))
        assert ranked.auc[replicate] == pytest.approx(roc_auc_score(y[rows], p[rows]), abs=1e-12)
        precision = average_precision_score(y[rows], p[rows])
        assert ranked.average_precision[replicate] == pytest.approx(precision, abs=1e-12)
        lift = rank_metrics(y[rows], p[rows]).top_decile_lift[0]
        assert ranked.top_decile_lift[replicate] == pytest.approx(lift, abs=1e-12)
        assert lines.slope[replicate] == pytest.approx(exact_slope(y[rows], p[rows]), abs=1e-4)


def test_resamples_draw_whole_clusters_and_do_not_depend_on_the_chunk() -> None:
    bootstrap = ClusterBootstrap.of(["b", "a", "b", "c"], replicates=7, seed=5)
    whole, parts = np.concatenate(list(bootstrap.counts(7))), np.concatenate(list(bootstrap.counts(3)))
    assert (whole == parts).all()
    assert (whole.sum(axis=1) == 3).all()


def test_interval_covers_the_truth_where_customers_differ_and_one_by_rows_would_not() -> None:
    """Scores of a customer share a shift with sd 1, so AUC = Phi(1 / sqrt(2 + 2 * 1))."""
    truth = norm.cdf(1.0 / np.sqrt(4.0))
    by_customer = by_row = 0
    simulations = 120
    for seed in range(simulations):
        rng = np.random.default_rng(seed)
        customer = np.repeat(np.arange(60), 20)
        # Positive customers and negative ones, as far apart as their shifts put them
        y = (customer % 2 == 0).astype(np.int64)
        score = y + rng.normal(size=60)[customer] + rng.normal(size=len(y))
        by_customer += auc_interval(y, score, customer, 150).contains(truth)
        by_row += auc_interval(y, score, np.arange(len(y)), 150).contains(truth)
    assert 0.88 <= by_customer / simulations <= 0.99
    assert by_row / simulations < 0.6


def test_interval_of_independent_rows_has_the_analytic_width() -> None:
    """DeLong's standard error of the AUC, computed from its definition."""
    rng = np.random.default_rng(2)
    y = (np.arange(2000) < 400).astype(np.int64)
    score = y + rng.normal(size=2000)
    beaten = (score[y == 1][:, None] > score[y == 0][None]).astype(float)
    error = np.sqrt(beaten.mean(axis=1).var(ddof=1) / 400 + beaten.mean(axis=0).var(ddof=1) / 1600)
    found = auc_interval(y, score, np.arange(2000), 600)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.12)


def test_128k_rows_and_400_replicates_take_seconds() -> None:
    y, p, customer = rare_outcomes(128_000, intercept=-5.5)
    started = time.perf_counter()
    evaluate(y, p, customer, replicates=400)
    assert time.perf_counter() - started < 10.0


def test_difference_of_equal_models_is_nothing_and_of_a_better_one_is_sure() -> None:
    y, p, customer = rare_outcomes(20_000)
    noisy = 1.0 / (1.0 + np.exp(-(log_odds(p) + np.random.default_rng(9).normal(size=len(p)))))
    same = paired_differences(y, p, p, customer, replicates=50)
    assert all(interval == MetricInterval(0.0, 0.0, 0.0) for interval in same.values())
    better = paired_differences(y, p, noisy, customer, replicates=200)
    assert better[Metric.LOG_LOSS].high < 0.0
    assert better[Metric.AUC].low > 0.0
    alone = evaluate(y, p, customer, replicates=200).metrics[Metric.LOG_LOSS]
    paired = better[Metric.LOG_LOSS]
    assert paired.high - paired.low < alone.high - alone.low


def test_groups_are_measured_apart_and_small_ones_together() -> None:
    y, p, customer = rare_outcomes(4000)
    group = np.array(["large"] * 3000 + ["other"] * 900 + ["tiny"] * 60 + ["small"] * 40)
    found = evaluate_groups(y, p, customer, group, min_positives=8, replicates=20)
    assert list(found) == ["large", "other", SMALL_GROUPS]
    assert found["large"].rows == 3000
    assert found[SMALL_GROUPS].rows == 100
    other = roc_auc_score(y[3000:3900], p[3000:3900])
    assert found["other"].metrics[Metric.AUC].value == pytest.approx(other, abs=1e-12)


def test_without_positives_ranking_is_undefined_and_says_so_by_nan() -> None:
    found = evaluate(np.zeros(50), np.linspace(0.1, 0.2, 50), np.arange(50), replicates=10).metrics
    for metric in (Metric.AUC, Metric.AVERAGE_PRECISION, Metric.TOP_DECILE_LIFT, Metric.CALIBRATION_SLOPE):
        assert np.isnan([found[metric].value, found[metric].low, found[metric].high]).all()
    assert found[Metric.LOG_LOSS].value > 0.0


def test_constant_probability_has_no_slope_but_a_level() -> None:
    found = evaluate([0, 1, 0, 0], [0.1] * 4, [1, 2, 3, 4], replicates=10).metrics
    assert np.isnan(found[Metric.CALIBRATION_SLOPE].value)
    assert found[Metric.CALIBRATION_INTERCEPT].value == pytest.approx(np.log(0.25 / 0.75) - np.log(0.1 / 0.9))


@pytest.mark.parametrize(
    ("y", "p", "customer", "message"),
    [
        ([0, 1], [0.1], [1, 2], "same number of rows"),
        ([], [], [], "at least one"),
        ([0, 2], [0.1, 0.2], [1, 2], "other than 0 and 1"),
        ([0, 1], [0.1, 1.2], [1, 2], "outside 0 to 1"),
        ([0, 1], [0.1, np.nan], [1, 2], "outside 0 to 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_way_out(
    y: list[int], p: list[float], customer: list[int], message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        evaluate(y, p, customer)


def test_flat_figures_have_values_ends_and_what_they_rest_on() -> None:
    y, p, customer = rare_outcomes(500)
    flat = evaluate(y, p, customer, replicates=10).flat("test_")
    assert flat["test_rows"] == 500
    assert {"test_auc", "test_auc_low", "test_auc_high", "test_positives", "test_clusters"} <= set(flat)
    assert flat["test_auc_low"] <= flat["test_auc"] <= flat["test_auc_high"]


def test_percentile_interval_leaves_undefined_replicates_out_unless_they_are_most() -> None:
    few = percentile_interval(0.5, np.array([0.4, 0.5, 0.6, np.nan]))
    assert few.low == pytest.approx(0.405)
    assert np.isnan(percentile_interval(0.5, np.array([0.4, np.nan, np.nan])).low)


def test_gains_rise_from_nothing_to_all() -> None:
    curve = gains([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8], points=4)
    assert [(point.share, point.captured) for point in curve] == [
        (0, 0),
        (0.25, 0.5),
        (0.5, 1),
        (0.75, 1),
        (1, 1),
    ]


def test_reliability_of_true_probabilities_is_near_the_diagonal() -> None:
    y, p, _ = rare_outcomes(60_000)
    bins = reliability(y, p)
    assert sum(part.rows for part in bins) == 60_000
    assert all(abs(part.observed - part.predicted) < 0.3 * part.predicted for part in bins)
    assert expected_calibration_error(y, p) < 0.002
    assert expected_calibration_error(y, np.minimum(3 * p, 1.0)) > 0.02
