"""Fitting, choosing and measuring the contenders: pure functions of the training set and the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from moment.errors import ConfigurationError
from moment.progress import step
from serving.bundles import Kind
from training.evaluation.report import Evaluation, evaluate, evaluate_groups
from training.models.base import CalibratedContender
from training.models.contenders import Entry, Selection, choose_simplest
from training.models.linear import PriorRate, RegularizedLogistic
from training.models.propensity import PropensityModel
from training.pipelines.propensity import nodes
from training.pipelines.propensity.result import HEADLINE, SERVED, ContenderFigures
from training.pipelines.propensity.settings import PropensitySettings
from training.pipelines.propensity.training_set import TrainingSet

_LEAST_TO_CHOOSE = 50
"""With fewer observed positives held out, contenders are compared on all held-out rows."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the training set, training or test, in the forms models ask for; all aligned.

    Parameters
    ----------
    rows
        Identity, time and label of each row.
    frame
        The model's columns.
    groups, actions
        Group and id of each row's action, shape (n_rows,).
    """

    rows: pd.DataFrame
    frame: pd.DataFrame
    groups: NDArray[np.object_]
    actions: NDArray[np.object_]

    @property
    def answered(self) -> NDArray[np.int8]:
        """Labels, shape (n_rows,)."""
        return self.rows["answered"].to_numpy()

    @property
    def customers(self) -> NDArray[np.object_]:
        """Customer of each row, shape (n_rows,)."""
        return self.rows["customer_id"].to_numpy(dtype=object)


@dataclass(frozen=True, slots=True)
class Measured:
    """The contenders fitted, one chosen, and what the test says.

    Parameters
    ----------
    fitted
        The contenders, simplest first.
    selection
        Who won and why.
    test
        The rows they were measured on.
    probability
        The winner's propensities of the test's rows, shape (n_rows,).
    contenders, figures, groups
        See `result.PropensityResult`.
    """

    fitted: Mapping[Kind, CalibratedContender]
    selection: Selection
    test: Part
    probability: NDArray[np.float64]
    contenders: Mapping[str, ContenderFigures]
    figures: Mapping[str, Evaluation]
    groups: Mapping[str, Evaluation]

    @property
    def kind(self) -> Kind:
        """Which contender won."""
        return Kind(self.selection.winner)

    @property
    def winner(self) -> CalibratedContender:
        """The contender that won."""
        return self.fitted[self.kind]


def part(data: TrainingSet, mask: NDArray[np.bool_]) -> Part:
    """Return the rows of a training set under a mask (n_rows,)."""
    rows = data.rows.loc[mask]
    groups = rows["action_id"].map({name: facts.group for name, facts in data.actions.items()})
    return Part(
        rows=rows,
        frame=data.frame.loc[mask],
        groups=groups.to_numpy(dtype=object),
        actions=rows["action_id"].to_numpy(dtype=object),
    )


def fit(train: Part, settings: PropensitySettings) -> dict[Kind, CalibratedContender]:
    """Fit every contender, simplest first; calibration sees observed exposures only."""
    titles = {
        Kind.PRIOR: "Fit the base rate",
        Kind.LOGISTIC: "Fit the regularized logistic model",
        Kind.XGBOOST: f"Tune and fit boosted trees, {settings.model.trials} trials at most",
    }
    contenders = _contenders(settings)
    for kind, contender in contenders.items():
        with step(titles[kind]):
            fitted_on(contender, train)
    return contenders


def fitted_on(contender: CalibratedContender, train: Part) -> CalibratedContender:
    """Fit a contender on the training rows; calibration sees observed exposures only."""
    return contender.fit(
        train.frame,
        train.answered,
        time=train.rows["at"].to_numpy(),
        label_time=train.rows["window_ends_at"].to_numpy(),
        group=train.groups,
        action=train.actions,
        calibration_mask=(train.rows["exposure"] == "observed").to_numpy(),
    )


def reseeded(measured: Measured, train: Part, seeds: Sequence[int]) -> list[NDArray[np.float64]]:
    """Return the test's propensities by the winner fitted with other seeds, two at a time; each (n_rows,)."""
    winner, test = measured.winner, measured.test

    def propensities(seed: int) -> NDArray[np.float64]:
        again = winner.reseeded(train.frame, train.answered, seed=seed)
        return again.predict_proba(test.frame, group=test.groups, action=test.actions)[:, 1]

    # The limit is for the whole process: it must not be set and unset by two threads in turn
    with threadpool_limits(1), ThreadPoolExecutor(2) as pool:
        return list(pool.map(propensities, seeds))


def _contenders(settings: PropensitySettings) -> dict[Kind, CalibratedContender]:
    model, seed = settings.model, settings.seed
    return {
        Kind.PRIOR: PriorRate(),
        Kind.LOGISTIC: RegularizedLogistic(monotone=dict(model.monotone) or None, random_state=seed),
        Kind.XGBOOST: PropensityModel(
            trials=model.trials,
            budget_seconds=model.budget_seconds,
            folds=model.folds,
            max_rounds=model.max_rounds,
            max_rows=model.max_rows,
            min_offset_positives=model.min_offset_positives,
            monotone=dict(model.monotone) or None,
            random_state=seed,
        ),
    }


def choose(
    train: Part, fitted: Mapping[Kind, CalibratedContender], settings: PropensitySettings
) -> Selection:
    """Choose on training rows that were held out in time, so that the test stays untouched.

    Of those, the rows calibration may use: probabilities are asked for observed exposure, and only there can
    their level be judged.
    """
    judged = np.logical_and.reduce([np.isfinite(model.held_out_probability_) for model in fitted.values()])
    if not train.answered[judged].any():
        raise ConfigurationError(
            "too few answers to hold any out in time, so no contender can be judged; ingest more history, or "
            "set fewer `folds` in the pipeline's config.yaml"
        )
    observed = judged & (train.rows["exposure"] == "observed").to_numpy()
    if train.answered[observed].sum() >= _LEAST_TO_CHOOSE:
        judged = observed
    return choose_simplest(
        [Entry(kind.value, model.held_out_probability_[judged]) for kind, model in fitted.items()],
        train.answered[judged],
        train.customers[judged],
        replicates=settings.evaluation.replicates,
        seed=settings.seed,
    )


def measure(
    fitted: Mapping[Kind, CalibratedContender], selection: Selection, test: Part, settings: PropensitySettings
) -> Measured:
    """Measure every contender on the test, and the chosen one slice by slice and group by group."""
    probabilities = {
        kind: model.predict_proba(test.frame, group=test.groups, action=test.actions)[:, 1]
        for kind, model in fitted.items()
    }
    masks = nodes.slices(test.rows)
    replicates, seed = settings.evaluation.replicates, settings.seed

    def measured(kind: Kind, slice_: str) -> Evaluation:
        mask = masks[slice_]
        return evaluate(
            test.answered[mask],
            probabilities[kind][mask],
            test.customers[mask],
            replicates=replicates,
            seed=seed,
        )

    winner, headline = Kind(selection.winner), masks[HEADLINE]
    return Measured(
        fitted=fitted,
        selection=selection,
        test=test,
        probability=probabilities[winner],
        contenders={
            kind.value: ContenderFigures(measured(kind, HEADLINE), measured(kind, SERVED)) for kind in fitted
        },
        figures={name: measured(winner, name) for name in masks},
        groups=evaluate_groups(
            test.answered[headline],
            probabilities[winner][headline],
            test.customers[headline],
            test.groups[headline],
            min_positives=settings.evaluation.min_group_positives,
            replicates=replicates,
            seed=seed,
        ),
    )
