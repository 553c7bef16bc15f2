"""How the propensity model behaves where the truth is known: minimum, direction, invariance, calibration."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.metrics import log_loss, roc_auc_score

from serving.bundles.calibration import sigmoid
from tests.model.conftest import Campaigns, campaigns, fit_on
from training.evaluation.report import Metric, evaluate
from training.models.columns import FrameError
from training.models.linear import PriorRate, RegularizedLogistic
from training.models.propensity import PropensityModel


def propensity(model: PropensityModel | RegularizedLogistic, data: Campaigns) -> np.ndarray:
    return model.predict_proba(data.X, group=data.group, action=data.action)[:, 1]


def test_it_ranks_nearly_as_well_as_knowing_the_truth(model: PropensityModel, test: Campaigns) -> None:
    assert model.kind_ == "xgboost"
    assert roc_auc_score(test.y, propensity(model, test)) > roc_auc_score(test.y, test.truth) - 0.03


def test_it_beats_the_rate_and_finds_the_interaction_a_line_cannot(
    model: PropensityModel, train: Campaigns, test: Campaigns
) -> None:
    losses = {
        "truth": log_loss(test.y, sigmoid(test.truth)),
        "trees": log_loss(test.y, propensity(model, test)),
    }
    for name, simple in (("line", RegularizedLogistic()), ("rate", PriorRate())):
        simple.fit(train.X, train.y, time=train.day, group=train.group, action=train.action)
        losses[name] = log_loss(test.y, propensity(simple, test))
    assert losses["truth"] < losses["trees"] < losses["line"] < losses["rate"]


def test_probabilities_mean_what_they_say_where_exposure_is_known(
    model: PropensityModel, test: Campaigns
) -> None:
    shown = test.at(test.exposed)
    found = evaluate(shown.y, propensity(model, shown), np.arange(len(shown.y)), replicates=100).metrics
    assert found[Metric.CALIBRATION_SLOPE].value == pytest.approx(1.0, abs=0.25)
    assert found[Metric.CALIBRATION_INTERCEPT].value == pytest.approx(0.0, abs=0.12)
    assert model.calibrated_on_ == "masked rows"


def test_actions_are_calibrated_and_the_rare_one_is_pooled(model: PropensityModel, test: Campaigns) -> None:
    """The columns do not hold the action: only the offsets can know that actions differ."""
    offsets = model.calibration_
    assert offsets.group_offsets["high"] > offsets.group_offsets["low"] + 0.3
    assert model.pooled_actions_ == ("action-7",)
    assert offsets.offset("low", "action-0") < offsets.offset("low", "action-3")
    shown = test.at(test.exposed)
    with_actions = log_loss(shown.y, propensity(model, shown))
    assert with_actions < log_loss(shown.y, model.predict_proba(shown.X)[:, 1])


def test_direction_more_spend_helps_and_a_long_absence_hurts(model: PropensityModel, test: Campaigns) -> None:
    base = test.X.assign(spend=40.0, days_since=20.0)
    p = model.predict_proba(base)[:, 1].mean()
    assert model.predict_proba(base.assign(spend=120.0))[:, 1].mean() > 1.5 * p
    assert model.predict_proba(base.assign(days_since=60.0))[:, 1].mean() < 0.6 * p


def test_invariance_noise_and_index_change_little(model: PropensityModel, test: Campaigns) -> None:
    rng = np.random.default_rng(0)
    shuffled = test.X.assign(**{f"noise_{i}": rng.permutation(test.X[f"noise_{i}"]) for i in range(6)})
    moved = np.abs(model.margin(shuffled) - model.margin(test.X))
    assert moved.mean() < 0.3 * model.margin(test.X).std()
    relabelled = test.X.set_index(pd.Index(rng.permutation(len(test.X))))
    assert np.array_equal(model.margin(relabelled), model.margin(test.X))


def test_minimum_the_plain_cases_come_out_plainly(model: PropensityModel, test: Campaigns) -> None:
    neutral = test.X.iloc[[0]].assign(exposure="observed", **{f"noise_{i}": 0.0 for i in range(6)})
    good = neutral.assign(spend=200.0, days_since=1.0, kind="new")
    bad = neutral.assign(spend=2.0, days_since=90.0, kind="new")
    assert model.predict_proba(good)[0, 1] > 10 * model.predict_proba(bad)[0, 1]


def test_served_margins_are_the_very_margins(model: PropensityModel, test: Campaigns) -> None:
    """As a bundle does it: UBJSON read back, one thread, the float matrix."""
    served = xgb.Booster({"nthread": 1}, model_file=bytearray(model.booster_.save_raw("ubj")))
    matrix = model.encode(test.X)
    margins = served.inplace_predict(matrix, predict_type="margin", validate_features=False)
    assert np.array_equal(margins.astype(np.float64), model.margin(test.X))
    assert np.array_equal(margins[:50], served.inplace_predict(matrix[:50].copy(), predict_type="margin"))


def test_logistic_weights_serve_the_very_margins(train: Campaigns, test: Campaigns) -> None:
    model = RegularizedLogistic(strengths=(0.01,)).fit(train.X, train.y)
    read_back = type(model.linear_).from_json(model.linear_.to_json())
    assert np.array_equal(read_back.margins(model.encode(test.X)), model.margin(test.X))
    assert model.strength_ == 0.01


def test_equal_seeds_give_equal_models_whatever_the_threads(train: Campaigns, test: Campaigns) -> None:
    small = train.at(np.arange(len(train.y)) < 8000)
    models = [
        fit_on(small, PropensityModel(trials=3, max_rounds=60, n_jobs=jobs, random_state=3))
        for jobs in (1, 2)
    ]
    assert models[0].best_params_ == models[1].best_params_
    assert models[0].calibration_ == models[1].calibration_
    assert np.array_equal(models[0].margin(test.X), models[1].margin(test.X))


def test_the_budget_only_ends_the_search_early_and_says_so(train: Campaigns) -> None:
    small = train.at(np.arange(len(train.y)) < 6000)
    cut = fit_on(small, PropensityModel(trials=50, budget_seconds=0.0, max_rounds=60))
    whole = fit_on(small, PropensityModel(trials=1, max_rounds=60))
    assert cut.stopped_early_
    assert not whole.stopped_early_
    assert len(cut.trial_losses_) == 1
    assert np.array_equal(cut.margin(small.X), whole.margin(small.X))


def test_held_out_probabilities_are_of_rows_the_model_had_not_seen(
    model: PropensityModel, train: Campaigns
) -> None:
    held_out = np.isfinite(model.held_out_probability_)
    assert (train.day[held_out] > train.day.min() + 14).all()
    assert held_out.mean() > 0.5
    # Rows seen in training would be ranked better than new ones can be
    best = roc_auc_score(train.y[held_out], train.truth[held_out])
    assert roc_auc_score(train.y[held_out], model.out_of_fold_[held_out]) < best


def test_thinned_negatives_leave_the_level_and_the_order(test: Campaigns, train: Campaigns) -> None:
    thin = fit_on(train, PropensityModel(trials=2, max_rounds=200, max_rows=6000))
    assert roc_auc_score(test.y, thin.margin(test.X)) > roc_auc_score(test.y, test.truth) - 0.06
    assert sigmoid(thin.margin(test.X)).mean() == pytest.approx(test.y.mean(), rel=0.2)


def test_a_monotone_column_never_falls(train: Campaigns) -> None:
    small = train.at(np.arange(len(train.y)) < 8000)
    model = fit_on(small, PropensityModel(trials=1, max_rounds=80, monotone={"spend": 1, "days_since": -1}))
    grid = pd.concat([small.X.iloc[[5]]] * 200).assign(spend=np.linspace(0.0, 400.0, 200))
    assert (np.diff(model.margin(grid)) >= 0).all()
    with pytest.raises(FrameError, match="monotone names 'kind'"):
        fit_on(small, PropensityModel(monotone={"kind": 1}))


def test_calibration_falls_back_to_all_rows_when_the_mask_says_too_little(train: Campaigns) -> None:
    small = train.at(np.arange(len(train.y)) < 8000)
    nearly_nothing = np.arange(len(small.y)) < 50
    model = PropensityModel(trials=1, max_rounds=40).fit(small.X, small.y, calibration_mask=nearly_nothing)
    assert model.calibrated_on_ == "all rows"


@pytest.mark.long_form
def test_several_hundred_thousand_rows_fit_in_a_minute() -> None:
    """One trial of 300,000 rows; the wide time limit is for machines that do other things too."""

    many = campaigns(300_000, seed=9)
    started = time.process_time()
    PropensityModel(trials=1, max_rounds=100, n_jobs=1).fit(many.X, many.y, time=many.day)
    assert time.process_time() - started < 60.0
