"""The propensity pipeline's wiring: training set, contenders, test, bundle, MLflow, report."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from moment.errors import DependencyError, InvariantViolation
from moment.home import Home
from moment.progress import step
from serving.bundles import (
    About,
    BundleRefused,
    PropensityBundle,
    SegmentationBundle,
    make_current,
    open_current_segmentation,
    open_propensity,
    open_segmentation,
    write_propensity,
)
from training import reports
from training.evaluation.report import Metric
from training.gates import gate_metrics, gate_tags
from training.pipelines.propensity import fitting, reproducing
from training.pipelines.propensity.bundling import content_of
from training.pipelines.propensity.fitting import Measured, Part
from training.pipelines.propensity.judging import Case, judge
from training.pipelines.propensity.result import HEADLINE, SERVED, SLICES, PropensityResult
from training.pipelines.propensity.settings import PropensitySettings
from training.pipelines.propensity.summary import Published, flat_metrics, notes, summarize
from training.pipelines.propensity.training_set import TrainingSet, training_set
from training.plots import drift_plot, gains_plot, gates_plot, intervals_plot, lift_plot, reliability_plot
from training.registry import Registered, describe, register
from training.tracking import Data, Run, run

MODEL = "propensity"

SCORE_TOLERANCE = 1e-9
"""Largest difference between the estimator's and the bundle's propensities."""

_SAMPLE_ROWS = 1000


def train(
    home: Home,
    settings: PropensitySettings,
    *,
    catalogue: Path | None = None,
    champion: Path | None = None,
    segmentation: Path | None = None,
    adopt: bool = True,
    reason: str = "",
) -> PropensityResult:
    """Train, measure, bundle, judge, record and report a propensity model.

    What the gates find is told; whether the model may serve is decided by the ledger, not here.

    Parameters
    ----------
    home
        Where data, features and bundles are.
    settings
        Of the pipeline.
    catalogue
        The catalogue whose actions were presented; None for the one that comes with Moment.
    champion
        Bundle of the model that serves, to compare with; None: there is none.
    segmentation
        Bundle of the personas that serve, to look at segment by segment; None, or one that is not what it
        says it is: the last good one here, where there is one.
    adopt
        Make the bundle the current one at once: for use without a ledger.
    reason
        Why it is trained, e.g. ``schedule``: a tag of the run.

    Raises
    ------
    StepMissing
        Nothing is ingested, or no features are built.
    ConfigurationError
        The catalogue or the split is wrong.
    InvariantViolation
        The bundle does not score as the estimator does.
    """
    started = time.monotonic()
    data = training_set(home, settings, catalogue=catalogue)
    train_part, test_part = fitting.part(data, data.split.train), fitting.part(data, data.split.test)
    with run(home, MODEL, name=f"seed {settings.seed}, data {data.digest[:12]}") as record:
        record.tags({"moment.reason": reason or "hand"})
        measured = _measured(train_part, test_part, settings)
        published = _published(home, data, measured, settings, run_id=record.run_id)
        personas = _segmentation(home, segmentation)
        case = Case(data, train_part, measured, published.bundle, champion, personas)
        judged = judge(case, settings)
        with step("Write the report"):
            told = summarize(case, judged, settings, published)
            result = replace(told, seconds=round(time.monotonic() - started, 1))
            _report(home, record, data, result, settings)
        if adopt:
            make_current(published.bundle.folder)
    return result


def _measured(train_part: Part, test_part: Part, settings: PropensitySettings) -> Measured:
    """Fit the contenders, choose one by the training rows alone, and measure them all on the test."""
    fitted = fitting.fit(train_part, settings)
    with step("Choose a contender and measure it out of time"):
        selection = fitting.choose(train_part, fitted, settings)
        return fitting.measure(fitted, selection, test_part, settings)


def _published(
    home: Home, data: TrainingSet, measured: Measured, settings: PropensitySettings, *, run_id: str
) -> Published:
    """Bundle and register the winner, and keep what it takes to make it again."""
    with step("Write, verify and register the bundle"):
        bundle = _bundle(home, data, measured, settings, run_id=run_id)
        registered = register(home, bundle.folder)
        reproducing.keep(
            home, data, winner=measured.winner, kind=measured.kind, settings=settings, bundle=bundle
        )
    return Published(bundle, run_id, registered.number)


def _segmentation(home: Home, champion: Path | None) -> SegmentationBundle | None:
    """Return the champion's personas, else the last good ones here; None where none can be trusted."""
    try:
        if champion is not None:
            return open_segmentation(champion)
    except BundleRefused:
        pass
    try:
        return open_current_segmentation(home.bundles)
    except DependencyError:
        return None


def _bundle(
    home: Home, data: TrainingSet, measured: Measured, settings: PropensitySettings, *, run_id: str
) -> PropensityBundle:
    """Write the winner's bundle, open it as serving does, and check that it scores as the estimator does."""
    test = measured.test
    groups, actions = test.groups.tolist(), test.actions.tolist()
    matrix = measured.winner.encode(test.frame)
    content = content_of(measured.winner, test, data.layout, data.contract, seed=settings.seed)
    about = About(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        run_id=run_id,
        metrics=flat_metrics(measured),
        notes=notes(data, measured),
        data_digest=data.digest,
    )
    bundle = open_propensity(write_propensity(home.bundles, content, about))
    served = bundle.score(matrix, groups, actions).calibrated
    difference = float(np.abs(served - measured.probability).max())
    if not difference <= SCORE_TOLERANCE:
        raise InvariantViolation(
            f"bundle {bundle.version} differs from the estimator it was made of by {difference:.2g}, allowed "
            f"is {SCORE_TOLERANCE:.0e}; it was not made current"
        )
    return bundle


def _report(
    home: Home, record: Run, data: TrainingSet, result: PropensityResult, settings: PropensitySettings
) -> None:
    """Write the model card to where people look: the registry, the run, and the home's reports."""
    card = reports.propensity_card(result)
    describe(home, Registered(MODEL, result.registered), card)
    _record(record, data, result, settings, card)
    reports.write_report(home.reports, MODEL, card, result)


def _record(
    record: Run, data: TrainingSet, result: PropensityResult, settings: PropensitySettings, card: str
) -> None:
    """Record everything about the run in MLflow."""
    record.parameters(result.parameters)
    record.tags(
        {
            "moment.bundle": result.version,
            "moment.data": result.data_digest,
            "moment.snapshots": ", ".join(f"{at:%Y-%m-%dT%H:%MZ}" for at in data.snapshots),
            "moment.record": f"{data.record.begins:%Y-%m-%d} to {data.record.ends:%Y-%m-%d}",
            "moment.champion": result.champion or "none",
            **gate_tags(result.gates),
        }
    )
    record.metrics(_metrics(result))
    for name, mask in (("training", data.split.train), ("test", data.split.test)):
        sample = data.frame.loc[mask].head(_SAMPLE_ROWS)
        record.data(Data(f"{name} rows", name, data.digest, sample, "presentations in the lake"))
    record.text("model_card.md", card)
    record.text("report.json", reports.to_json(result).decode())
    _record_plots(record, result, settings)


def _metrics(result: PropensityResult) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, evaluation in result.figures.items():
        flat |= evaluation.flat("" if name == HEADLINE else f"{name}/")
    for name, evaluation in result.groups.items():
        flat |= evaluation.flat(f"group {name}/")
    for name, figures in result.contenders.items():
        flat |= figures.closed.flat(f"contender {name}/")
    return flat | gate_metrics(result.gates)


def _record_plots(record: Run, result: PropensityResult, settings: PropensitySettings) -> None:
    headline, served = SLICES[HEADLINE], SLICES[SERVED]
    by_group = {name: item.metrics[Metric.AUC] for name, item in result.groups.items()}
    plots = {
        "reliability": reliability_plot(result.reliability, title=f"Predicted and observed: {served}"),
        "gains": gains_plot(result.gains, title=f"Gains: {headline}"),
        "lift": lift_plot(result.gains, title=f"Lift: {headline}"),
        "groups": intervals_plot(by_group, title=f"AUC by group: {headline}", label="AUC"),
        "gates": gates_plot(result.gates, title="Gates"),
        "drift": drift_plot(
            result.drift,
            at_most=settings.gates.feature_stability.at_most,
            title="Most moved features, test period against training period",
        ),
    }
    for name, figure in plots.items():
        record.figure(f"plots/{name}.png", figure)
