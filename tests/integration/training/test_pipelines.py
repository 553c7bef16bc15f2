"""The pipelines on real households: split, leaks, figures, MLflow, bundles, reports, repetition."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.snapshots import SERVING_LAG
from moment.errors import InvariantViolation
from moment.home import Home
from serving.bundles import Kind, current, open_current_propensity, open_current_segmentation, open_propensity
from tests.integration.training.conftest import Again, Trained
from training.evaluation.report import Metric
from training.pipelines.propensity import fitting, nodes, pipeline
from training.pipelines.propensity.training_set import TrainingSet
from training.pipelines.segmentation import pipeline as segmentation
from training.registry import encode
from training.tracking import tracking_uri


def client(home: Home) -> Any:  # noqa: ANN401 - a vendor without types
    return mlflow.MlflowClient(tracking_uri=tracking_uri(home), registry_uri=tracking_uri(home))


def test_training_ends_before_the_split_and_the_test_begins_after(
    data: TrainingSet, trained: Trained
) -> None:
    split_at = data.split_at
    train, test = data.rows.loc[data.split.train], data.rows.loc[data.split.test]
    assert (train["window_ends_at"] < split_at).all()
    assert (test["at"] >= split_at).all()
    assert not (data.split.train & data.split.test).any()
    assert trained.propensity.train.last < split_at <= trained.propensity.test.first


def test_a_negative_of_the_headline_exists_only_after_its_window_closed(data: TrainingSet) -> None:
    test = data.rows.loc[data.split.test]
    for name in ("closed", "observed"):
        rows = test.loc[nodes.slices(test)[name]]
        assert (rows["window_ends_at"] <= data.record.ends).all()
    assert (data.rows.loc[data.split.train, "window_ends_at"] <= data.record.ends).all()
    assert not test["closed"].all()


def test_features_come_from_snapshots_served_before_the_presentation(data: TrainingSet) -> None:
    answered_from = np.array([time.timestamp() for time in data.snapshots])
    presented = np.array([at.timestamp() for at in data.rows["at"].unique()])
    lag = SERVING_LAG.total_seconds()
    newest = [answered_from[answered_from + lag <= at].max(initial=0) for at in presented]
    # Weekly snapshots: an answer is never older than a week and the time it takes to serve
    ages = presented - np.array(newest)
    assert (ages >= lag).all()
    assert (ages <= timedelta(days=7, hours=6).total_seconds()).all()


def test_a_feature_from_after_the_presentation_is_refused() -> None:
    asked = pd.DataFrame({"customer_id": ["1", "2"], "at": pd.to_datetime(["2017-05-08"] * 2, utc=True)})
    known = pd.DataFrame({"baskets_30d": pd.array([3, None], dtype="Int64")})
    nodes.check_no_leak(asked, known, known.astype("Float64"), names=["baskets_30d"])
    later = pd.DataFrame({"baskets_30d": pd.array([3, 1], dtype="Int64")})
    with pytest.raises(InvariantViolation, match="customer 2 at 2017-05-08"):
        nodes.check_no_leak(asked, later, known, names=["baskets_30d"])


def test_the_model_beats_the_base_rate_by_a_margin(trained: Trained) -> None:
    result = trained.propensity
    prior, winner = result.contenders["prior"].closed, result.figures["closed"]
    assert winner.metrics[Metric.AUC].low > prior.metrics[Metric.AUC].value + 0.1
    assert winner.metrics[Metric.TOP_DECILE_LIFT].low > 2.0
    assert winner.metrics[Metric.LOG_LOSS].value < prior.metrics[Metric.LOG_LOSS].value
    assert result.selection.winner != "prior"
    assert result.selection.differences["prior"].low > 0


def test_the_run_has_figures_with_intervals_data_and_model_card(trained: Trained) -> None:
    run = client(trained.home).get_run(trained.propensity.run_id)
    figures = trained.propensity.figures
    for metric, interval in figures["closed"].metrics.items():
        assert run.data.metrics[metric] == pytest.approx(interval.value)
        assert run.data.metrics[f"{metric}_low"] == pytest.approx(interval.low)
        assert run.data.metrics[f"{metric}_high"] == pytest.approx(interval.high)
    assert run.data.metrics["observed/auc"] == pytest.approx(figures["observed"].metrics[Metric.AUC].value)
    assert run.data.params["seed"] == str(trained.settings.seed)
    assert run.data.tags["moment.data"] == trained.propensity.data_digest
    assert "2017-05-01T00:00Z" in run.data.tags["moment.snapshots"]
    assert run.data.tags["moment.code"]
    assert {item.dataset.name for item in run.inputs.dataset_inputs} == {"training rows", "test rows"}
    kept = {item.path for item in client(trained.home).list_artifacts(trained.propensity.run_id)}
    assert {"model_card.md", "report.json", "plots"} <= kept


def test_the_registered_version_is_the_bundle_without_a_pickle(data: TrainingSet, trained: Trained) -> None:
    number = trained.propensity.registered
    version = client(trained.home).get_model_version("propensity", number)
    assert version.tags["bundle"] == trained.propensity.version
    assert version.description.startswith(f"# Propensity {trained.propensity.version}")
    assert not [
        path for path in trained.home.mlruns.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")
    ]

    mlflow.set_tracking_uri(tracking_uri(trained.home))
    mlflow.set_registry_uri(tracking_uri(trained.home))
    loaded = mlflow.pyfunc.load_model(f"models:/propensity/{number}")
    part = fitting.part(data, data.split.test)
    rows = part.frame.head(200).assign(action_id=part.actions[:200])
    bundle = open_current_propensity(trained.home.bundles)
    matrix = encode(part.frame.head(200), bundle.layout)
    expected = bundle.score(matrix, part.groups[:200].tolist(), part.actions[:200].tolist())
    answer = loaded.predict(rows.astype(dict.fromkeys(rows.select_dtypes("category"), object)))
    assert np.array_equal(answer["propensity"], expected.calibrated)
    assert np.array_equal(answer["raw"], expected.raw)


def test_the_same_data_and_seed_give_the_same_bundle_that_scores_as_its_estimator(
    data: TrainingSet, trained: Trained, again: Again, tmp_path: Path
) -> None:
    measured = again.measured(trained.settings)
    elsewhere = Home(root=tmp_path, mlruns=tmp_path / "mlruns")

    bundle = pipeline._bundle(elsewhere, data, measured, trained.settings, run_id="again")

    assert bundle.digest == trained.propensity.digest
    test = again.test
    served = bundle.score(encode(test.frame, bundle.layout), test.groups.tolist(), test.actions.tolist())
    expected = measured.winner.predict_proba(test.frame, group=test.groups, action=test.actions)[:, 1]
    assert np.array_equal(served.calibrated, expected)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_contender_can_be_bundled_and_scores_as_its_estimator(
    data: TrainingSet, trained: Trained, again: Again, tmp_path: Path, kind: Kind
) -> None:
    home = Home(root=tmp_path, mlruns=tmp_path / "mlruns")
    measured = again.measured(trained.settings, kind)
    assert pipeline._bundle(home, data, measured, trained.settings, run_id="").kind is kind


def test_a_bundle_that_scores_otherwise_than_its_estimator_is_not_made_current(
    data: TrainingSet, trained: Trained, again: Again, tmp_path: Path
) -> None:
    measured = again.measured(trained.settings, Kind.PRIOR)
    measured.probability[0] += 0.01
    home = Home(root=tmp_path, mlruns=tmp_path / "mlruns")
    with pytest.raises(InvariantViolation, match="not made current"):
        pipeline._bundle(home, data, measured, trained.settings, run_id="")


def test_reports_say_how_good_how_chosen_and_what_to_beware_of(trained: Trained) -> None:
    card = (trained.home.reports / "propensity.md").read_text()
    for said in (
        "Leak warning: ",
        "imputed exposure",
        "Who competed",
        "calibration slope",
        "as in the record",
    ):
        assert said in card
    report = json.loads((trained.home.reports / "propensity.json").read_text())
    auc = report["figures"]["closed"]["metrics"]["auc"]
    assert auc["low"] < auc["value"] < auc["high"]
    assert set(report["figures"]) == {"closed", "observed", "record", "record_observed"}
    assert len(report["groups"]) > 1
    assert report["pooled_actions"]


def test_what_is_trained_is_current_and_opens(trained: Trained) -> None:
    bundle = open_propensity(current(trained.home.bundles, "propensity"))
    assert bundle.digest == trained.propensity.digest
    assert bundle.manifest.about.run_id == trained.propensity.run_id
    assert bundle.manifest.about.metrics["auc_low"] < bundle.manifest.about.metrics["auc"]
    assert open_current_segmentation(trained.home.bundles).digest == trained.segmentation.digest


def test_personas_are_named_sized_and_the_same_again(trained: Trained) -> None:
    result = trained.segmentation
    names = [persona.name for persona in result.personas]
    assert len(set(names)) == len(names) in trained.segments.clusters
    assert sum(persona.share for persona in result.personas) == pytest.approx(1.0)
    assert sum(persona.customers for persona in result.personas) == result.customers
    assert all(persona.traits for persona in result.personas)
    assert result.stayed.low > 0.3
    assert any(note.startswith("Leak warning") for note in result.notes)
    run = client(trained.home).get_run(result.run_id)
    assert {"stability", "stability_low", "stability_high"} <= set(run.data.metrics)

    again = segmentation.train(trained.home, trained.segments)
    assert again.digest == result.digest
    assert again.registered == result.registered
