"""Gradient boosting for rare outcomes: parameters searched on folds, rounds by early stopping, one booster.

XGBoost reads the float matrix of `training.models.columns` with categoricals marked as such, so the margins
of ``Booster.inplace_predict`` on that matrix in service are those of training.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import xgboost as xgb
from numpy.typing import NDArray

from training.models.base import FitRows
from training.models.columns import FrameError, ModelColumn
from training.models.folds import Fold

FloatArray = NDArray[np.float64]
Booster = Any  # xgboost ships no types

Parameters = dict[str, float | int]

FIRST_GUESS: Parameters = {
    "max_depth": 4,
    "eta": 0.05,
    "min_child_weight": 5.0,
    "subsample": 0.7,
    "colsample_bynode": 0.3,
    "reg_lambda": 10.0,
}
"""Tried before any search: strong shrinkage, for outcomes with a few hundred positives."""

_MAX_BIN = 128
_PATIENCE = 40


@dataclass(frozen=True, slots=True)
class BoostingPlan:
    """How to search and what to spend.

    Parameters
    ----------
    trials
        Parameter sets to try, `FIRST_GUESS` first.
    budget_seconds
        No trial is begun that would probably end after this.
    max_rounds
        Most trees.
    max_rows
        More rows to learn from than this are thinned: every positive stays, negatives are drawn and weighted
        up, so probabilities keep their level.
    monotone
        1 or -1 by column: the score may only rise, or fall, with it.
    nthread
        Threads of XGBoost. Results are reproducible for a fixed number.
    """

    trials: int
    budget_seconds: float
    max_rounds: int
    max_rows: int
    monotone: Mapping[str, int]
    nthread: int


@dataclass(frozen=True, slots=True)
class Boosted:
    """The result of a search.

    Parameters
    ----------
    booster
        Fitted on all rows.
    parameters, rounds
        Found on the folds.
    out_of_fold
        Margins of judged rows, NaN elsewhere, (n_rows,).
    losses
        Log-loss of each trial on the judged rows, in order.
    stopped_early
        Whether the budget ended the search before all trials ran.
    """

    booster: Booster
    parameters: Parameters
    rounds: int
    out_of_fold: FloatArray
    losses: tuple[float, ...]
    stopped_early: bool


@dataclass(frozen=True, slots=True)
class _Arena:
    """One fold as XGBoost reads it. ``share`` is the weight of its judged rows among all judged."""

    learn: Any
    judge: Any
    share: float


@dataclass(frozen=True, slots=True)
class _Trial:
    parameters: Parameters
    rounds: int
    loss: float
    boosters: list[Booster]


def boost(rows: FitRows, columns: Sequence[ModelColumn], plan: BoostingPlan) -> Boosted:
    """Search parameters on the folds of ``rows``, then fit on all rows.

    Each trial trains one booster per fold with early stopping; a trial's loss is the log-loss over all judged
    rows at the one number of rounds that is best for all folds together, so that rounds and parameters carry
    over to all rows. The search is Optuna's TPE with a fixed seed.

    References
    ----------
    Chen & Guestrin (2016), "XGBoost"; Bergstra et al. (2011), "Algorithms for hyper-parameter optimization".
    """
    fixed = _fixed(rows, columns, plan)
    kinds = ["c" if column.is_categorical else "q" for column in columns]
    arenas = [_arena(rows, fold, kinds, plan) for fold in rows.folds]
    best, losses, stopped_early = _search(arenas, fixed, rows.seed, plan)
    everything = _quantized(rows, *_thinned(rows, np.arange(len(rows.y)), plan), kinds, None)
    booster = xgb.train({**fixed, **best.parameters}, everything, best.rounds)
    out_of_fold = np.full(len(rows.y), np.nan)
    for fold, booster_of_fold in zip(rows.folds, best.boosters, strict=True):
        out_of_fold[fold.judge] = margins(booster_of_fold, rows.matrix[fold.judge], best.rounds)
    return Boosted(booster, best.parameters, best.rounds, out_of_fold, losses, stopped_early)


def margins(booster: Booster, matrix: NDArray[np.float32], rounds: int | None = None) -> FloatArray:
    """Return log-odds (n_rows,) of encoded rows as a bundle serves them, by the first ``rounds`` trees."""
    trees = booster.num_boosted_rounds()
    found = booster.inplace_predict(
        matrix,
        iteration_range=(0, trees if rounds is None else min(rounds, trees)),
        predict_type="margin",
        validate_features=False,
    )
    result: FloatArray = np.asarray(found, dtype=np.float64)
    return result


def _fixed(rows: FitRows, columns: Sequence[ModelColumn], plan: BoostingPlan) -> dict[str, object]:
    names = [column.name for column in columns]
    unknown = sorted(set(plan.monotone) - {column.name for column in columns if not column.is_categorical})
    if unknown:
        raise FrameError(f"monotone names {unknown[0]!r}, which is no numeric column; correct or drop it")
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "max_bin": _MAX_BIN,
        "base_score": float(np.clip(np.average(rows.y, weights=rows.weight), 1e-6, 1 - 1e-6)),
        "monotone_constraints": tuple(plan.monotone.get(name, 0) for name in names),
        "nthread": plan.nthread,
        "seed": rows.seed % 2**31,
    }


def _thinned(
    rows: FitRows, index: NDArray[np.int64], plan: BoostingPlan
) -> tuple[NDArray[np.int64], FloatArray]:
    """Return the rows to learn from and their weights; a draw of the negatives where they are too many."""
    weight = rows.weight[index]
    positive = rows.y[index] == 1
    negatives = np.flatnonzero(~positive)
    room = max(plan.max_rows - int(positive.sum()), plan.max_rows // 2)
    if len(index) <= plan.max_rows or len(negatives) <= room:
        return index, weight
    drawn = np.random.default_rng(rows.seed).choice(negatives, room, replace=False)
    keep = np.sort(np.concatenate([np.flatnonzero(positive), drawn]))
    return index[keep], np.where(positive, weight, weight * (len(negatives) / room))[keep]


def _quantized(
    rows: FitRows, index: NDArray[np.int64], weight: FloatArray, kinds: Sequence[str], reference: object
) -> Any:  # noqa: ANN401
    return xgb.QuantileDMatrix(
        rows.matrix[index],
        rows.y[index],
        weight=weight,
        feature_types=kinds,
        enable_categorical=True,
        max_bin=_MAX_BIN,
        ref=reference,
    )


def _arena(rows: FitRows, fold: Fold, kinds: Sequence[str], plan: BoostingPlan) -> _Arena:
    learn = _quantized(rows, *_thinned(rows, fold.learn, plan), kinds, None)
    weight = rows.weight[fold.judge]
    return _Arena(learn, _quantized(rows, fold.judge, weight, kinds, learn), float(weight.sum()))


def _search(
    arenas: Sequence[_Arena], fixed: Mapping[str, object], seed: int, plan: BoostingPlan
) -> tuple[_Trial, tuple[float, ...], bool]:
    study = _quiet_study(seed)
    study.enqueue_trial(FIRST_GUESS)
    started, longest = time.monotonic(), 0.0
    best: _Trial | None = None
    losses: list[float] = []
    while len(losses) < max(plan.trials, 1):
        begun = time.monotonic()
        if best is not None and begun - started + longest > plan.budget_seconds:
            return best, tuple(losses), True
        asked = study.ask()
        trial = _run(arenas, fixed, _suggested(asked), plan)
        study.tell(asked, trial.loss)
        losses.append(trial.loss)
        best = trial if best is None or trial.loss < best.loss else best
        longest = max(longest, time.monotonic() - begun)
    assert best is not None  # noqa: S101
    return best, tuple(losses), False


def _quiet_study(seed: int) -> Any:  # noqa: ANN401
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=6))
    finally:
        optuna.logging.set_verbosity(verbosity)


def _suggested(trial: Any) -> Parameters:  # noqa: ANN401
    return {
        "max_depth": trial.suggest_int("max_depth", 2, 6),
        "eta": trial.suggest_float("eta", 0.02, 0.2, log=True),
        "min_child_weight": trial.suggest_float("min_child_weight", 1.0, 30.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bynode": trial.suggest_float("colsample_bynode", 0.1, 0.8),
        "reg_lambda": trial.suggest_float("reg_lambda", 1.0, 100.0, log=True),
    }


def _run(
    arenas: Sequence[_Arena], fixed: Mapping[str, object], parameters: Parameters, plan: BoostingPlan
) -> _Trial:
    boosters: list[Booster] = []
    curves: list[list[float]] = []
    for arena in arenas:
        followed: dict[str, dict[str, list[float]]] = {}
        booster = xgb.train(
            {**fixed, **parameters},
            arena.learn,
            plan.max_rounds,
            evals=[(arena.judge, "judge")],
            early_stopping_rounds=_PATIENCE,
            evals_result=followed,
            verbose_eval=False,
        )
        boosters.append(booster)
        curves.append(followed["judge"]["logloss"])
    # A fold that stopped has passed its best; its last loss stands for what would have come
    longest = max(map(len, curves))
    padded = np.array([[*curve, *[curve[-1]] * (longest - len(curve))] for curve in curves])
    joint = np.average(padded, axis=0, weights=[arena.share for arena in arenas])
    rounds = int(joint.argmin()) + 1
    return _Trial(parameters, rounds, float(joint[rounds - 1]), boosters)
