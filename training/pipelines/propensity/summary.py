"""From a measured model to what its report, its card and the command line say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from serving.bundles import Kind, PropensityBundle
from training.evaluation.calibration import reliability
from training.evaluation.discrimination import gains
from training.evaluation.report import Metric
from training.models.propensity import PropensityModel
from training.pipelines.propensity import nodes
from training.pipelines.propensity.fitting import Measured
from training.pipelines.propensity.judging import Case, Judged
from training.pipelines.propensity.result import HEADLINE, SERVED, SLICES, PropensityResult
from training.pipelines.propensity.settings import PropensitySettings
from training.pipelines.propensity.training_set import TrainingSet
from training.tracking import Parameter

_OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class Published:
    """Where a model went: its bundle, MLflow's run and the number of the registered version."""

    bundle: PropensityBundle
    run_id: str
    registered: str


def summarize(
    case: Case, judged: Judged, settings: PropensitySettings, published: Published
) -> PropensityResult:
    """Return the run's result; ``seconds`` is left at 0 for whoever holds the watch."""
    data, train, measured = case.data, case.train, case.measured
    test = measured.test
    masks = nodes.slices(test.rows)
    headline, served = masks[HEADLINE], masks[SERVED]
    return PropensityResult(
        version=published.bundle.version,
        digest=published.bundle.digest,
        kind=measured.kind,
        run_id=published.run_id,
        registered=published.registered,
        split_at=data.split_at,
        seed=settings.seed,
        train=nodes.rows_used(train.rows),
        test=nodes.rows_used(test.rows),
        left_out=data.left_out,
        figures=measured.figures,
        groups=measured.groups,
        contenders=measured.contenders,
        selection=measured.selection,
        reliability=reliability(test.answered[served], measured.probability[served]),
        gains=gains(test.answered[headline], measured.probability[headline]),
        gates=judged.gates,
        champion=judged.champion,
        drift=judged.drift,
        by_segment=judged.by_segment,
        pooled_actions=_pooled(data, measured),
        leaking=leaking(data),
        parameters=parameters(data, measured, settings),
        notes=notes(data, measured),
        data_digest=data.digest,
        seconds=0.0,
    )


def flat_metrics(measured: Measured) -> dict[str, float]:
    """Return figures by name: the headline's bare, those of other slices as ``<slice>/<metric>``."""
    flat = measured.figures[HEADLINE].flat()
    for name, evaluation in measured.figures.items():
        if name != HEADLINE:
            flat |= evaluation.flat(f"{name}/")
    return {name: value for name, value in flat.items() if np.isfinite(value)}


def leaking(data: TrainingSet) -> tuple[str, ...]:
    """Return the model's customer features that come from tables without history."""
    return tuple(spec.name for spec in data.contract.scalars if spec.from_snapshot)


def notes(data: TrainingSet, measured: Measured) -> tuple[str, ...]:
    """Say what a reader must know before the figures."""
    return (
        f"Chosen: {measured.selection.reason}.",
        *_tuning_notes(measured),
        _calibration_note(measured),
        _imputed_note(data),
        *_pooling_notes(data, measured),
        *_leak_notes(data),
        "The catalogue's facts of an action (price, reach, value) are of one time, not of each campaign's.",
    )


def _tuning_notes(measured: Measured) -> list[str]:
    trees = measured.fitted.get(Kind.XGBOOST)
    if not isinstance(trees, PropensityModel):
        return []
    said = [f"Boosted trees: {trees.fallback_reason_}."] if trees.fallback_reason_ else []
    if trees.stopped_early_:
        ran = (
            f"Tuning of the boosted trees stopped at its time budget after {len(trees.trial_losses_)} trials"
        )
        said.append(f"{ran}: another machine may find others.")
    return said


def _calibration_note(measured: Measured) -> str:
    line = measured.figures[SERVED].metrics
    return (
        f"Calibrated on observed exposures before the split. Out of time ({SLICES[SERVED]}) the slope is "
        f"{line[Metric.CALIBRATION_SLOPE]} and the intercept {line[Metric.CALIBRATION_INTERCEPT]}; ideal are "
        "1 and 0."
    )


def _imputed_note(data: TrainingSet) -> str:
    imputed = (data.rows["exposure"] != _OBSERVED).mean()
    return (
        f"{imputed:.0%} of the rows have imputed exposure (the campaign is known, what was shown is not). "
        "They train the ranking, with exposure as a column; their figures are reported apart."
    )


def _pooling_notes(data: TrainingSet, measured: Measured) -> list[str]:
    pooled = _pooled(data, measured)
    if not pooled:
        return []
    share = f"{len(pooled)} of {len(data.actions)} actions"
    return [f"{share} have too few answers for a calibration of their own and are pooled with their group."]


def _leak_notes(data: TrainingSet) -> list[str]:
    names = leaking(data)
    if not names:
        return []
    told = "come from a table without history and may hold what was learned later"
    return [f"Leak warning: {', '.join(names)} {told}."]


def _pooled(data: TrainingSet, measured: Measured) -> tuple[str, ...]:
    """Return the catalogue's actions without an offset of their own, those never presented included."""
    return tuple(sorted(data.actions.keys() - measured.winner.calibration_.action_offsets.keys()))


def parameters(
    data: TrainingSet, measured: Measured, settings: PropensitySettings
) -> Mapping[str, Parameter]:
    """Return the settings of a run and what tuning and calibration made of them."""
    model, calibration = settings.model, measured.winner.calibration_
    found: dict[str, Parameter] = {
        "winner": measured.kind.value,
        "split_on": data.split_at.date().isoformat(),
        "positive": ", ".join(sorted(set(data.positive.values()))),
        "leave_out": ", ".join(settings.leave_out),
        "seed": settings.seed,
        "trials": model.trials,
        "budget_seconds": model.budget_seconds,
        "folds": model.folds,
        "max_rows": model.max_rows,
        "min_offset_positives": model.min_offset_positives,
        "replicates": settings.evaluation.replicates,
        "calibration.slope": round(calibration.slope, 6),
        "calibration.intercept": round(calibration.intercept, 6),
    }
    trees = measured.fitted.get(Kind.XGBOOST)
    if isinstance(trees, PropensityModel):
        found |= {f"xgboost.{name}": value for name, value in trees.best_params_.items()}
        found |= {"xgboost.rounds": trees.best_rounds_, "xgboost.trials_run": len(trees.trial_losses_)}
    return found
