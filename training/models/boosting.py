"""Gradient boosting for rare outcomes: parameters searched on folds, rounds by early stopping, one booster.

XGBoost reads the float matrix of `training.models.columns` with categoricals marked as such, so the margins
of ``Booster.inplace_predict`` on that matrix in service are those of training.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import xgboost as xgb
from numpy.typing import NDArray

from serving.bundles.calibration import sigmoid
from training.evaluation.calibration import log_odds, row_losses
from training.models.base import FitRows, thinned
from training.models.calibration import best_intercept
from training.models.columns import ModelColumn, check_monotone
from training.models.folds import Fold

FloatArray = NDArray[np.float64]
Booster = Any  # xgboost ships no types

Parameters = dict[str, float | int]

FIRST_GUESSES: tuple[Parameters, ...] = (
    {
        "max_depth": 2,
        "eta": 0.035,
        "min_child_weight": 5.0,
        "subsample": 0.5,
        "colsample_bynode": 0.12,
        "reg_lambda": 2.0,
    },
    {
        "max_depth": 4,
        "eta": 0.05,
        "min_child_weight": 5.0,
        "subsample": 0.7,
        "colsample_bynode": 0.3,
        "reg_lambda": 10.0,
    },
)
"""Tried before any search: hardly more than additive, for outcomes with a few hundred positives; and
interactions, for more."""

_MAX_BIN = 128
_STRIDE = 10
_FINAL_FACTOR = 4
_PATIENCE = 4


@dataclass(frozen=True, slots=True)
class BoostingPlan:
    """How to search and what to spend.

    Parameters
    ----------
    trials
        Parameter sets to try, `FIRST_GUESSES` first.
    budget_seconds
        No trial is begun that would probably end after this.
    max_rounds
        Most trees.
    max_rows
        More rows to learn from than this are thinned in the search (than four times as many in the last fit):
        every positive stays, negatives are drawn and weighted up, so probabilities keep their level.
    monotone
        1 or -1 by column: the score may only rise, or fall, with it.
    n_jobs
        Folds boosted at a time, each in one thread: several threads in one booster wait for each other at
        every node, which costs more than it gains, and a busy machine makes it ten times worse.
    known
        Parameters found before: then nothing is searched and no time is looked at.
    """

    trials: int
    budget_seconds: float
    max_rounds: int
    max_rows: int
    monotone: Mapping[str, int]
    n_jobs: int
    known: Mapping[str, float | int] | None = None


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
    """One fold as XGBoost reads it: rows to learn from, rows to be judged on."""

    learn: Any
    matrix: NDArray[np.float32]
    y: NDArray[np.int8]
    weight: FloatArray


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
    over to all rows. Each fold's level is set right before: the rate of outcomes moves from one time to the
    next, calibration will follow it, and no parameter here should be chosen for having guessed it. The
    search is Optuna's TPE with a fixed seed.

    References
    ----------
    Chen & Guestrin (2016), "XGBoost"; Bergstra et al. (2011), "Algorithms for hyper-parameter optimization".
    """
    fixed = _fixed(rows, columns, plan)
    kinds = ["c" if column.is_categorical else "q" for column in columns]
    arenas = [_arena(rows, fold, kinds, plan) for fold in rows.folds]
    best, losses, stopped_early = _search(arenas, fixed, rows.seed, plan)
    booster = refit(rows, columns, plan, best.parameters, best.rounds)
    out_of_fold = np.full(len(rows.y), np.nan)
    for fold, judging in zip(rows.folds, best.boosters, strict=True):
        rounds = min(best.rounds, judging.num_boosted_rounds())
        out_of_fold[fold.judge] = margins(judging, rows.matrix[fold.judge], (0, rounds))
    return Boosted(booster, best.parameters, best.rounds, out_of_fold, losses, stopped_early)


def refit(
    rows: FitRows, columns: Sequence[ModelColumn], plan: BoostingPlan, parameters: Parameters, rounds: int
) -> Booster:
    """Fit on all rows with parameters and rounds found before, without folds or a search."""
    kinds = ["c" if column.is_categorical else "q" for column in columns]
    everything = _quantized(rows, np.arange(len(rows.y)), kinds, _FINAL_FACTOR * plan.max_rows)
    return xgb.train({**_fixed(rows, columns, plan), **parameters}, everything, rounds)


def margins(booster: Booster, matrix: NDArray[np.float32], rounds: tuple[int, int] = (0, 0)) -> FloatArray:
    """Return log-odds (n_rows,) of encoded rows as a bundle serves them, or of some rounds only."""
    found = booster.inplace_predict(
        matrix, iteration_range=rounds, predict_type="margin", validate_features=False
    )
    result: FloatArray = np.asarray(found, dtype=np.float64)
    return result


def _fixed(rows: FitRows, columns: Sequence[ModelColumn], plan: BoostingPlan) -> dict[str, object]:
    check_monotone(plan.monotone, columns)
    return {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_bin": _MAX_BIN,
        "base_score": _base_rate(rows),
        "monotone_constraints": tuple(plan.monotone.get(column.name, 0) for column in columns),
        "nthread": 1,
        "seed": rows.seed,
    }


def _base_rate(rows: FitRows) -> float:
    return float(np.clip(np.average(rows.y, weights=rows.weight), 1e-6, 1 - 1e-6))


def _quantized(rows: FitRows, index: NDArray[np.int64], kinds: Sequence[str], max_rows: int) -> Any:  # noqa: ANN401
    index, weight = thinned(rows, index, max_rows)
    return xgb.QuantileDMatrix(
        rows.matrix[index],
        rows.y[index],
        weight=weight,
        feature_types=kinds,
        enable_categorical=True,
        max_bin=_MAX_BIN,
        nthread=1,
    )


def _arena(rows: FitRows, fold: Fold, kinds: Sequence[str], plan: BoostingPlan) -> _Arena:
    learn = _quantized(rows, fold.learn, kinds, plan.max_rows)
    return _Arena(learn, rows.matrix[fold.judge], rows.y[fold.judge], rows.weight[fold.judge])


def _search(
    arenas: Sequence[_Arena], fixed: Mapping[str, object], seed: int, plan: BoostingPlan
) -> tuple[_Trial, tuple[float, ...], bool]:
    if plan.known is not None:
        trial = _run(arenas, fixed, dict(plan.known), plan)
        return trial, (trial.loss,), False
    study = _quiet_study(seed)
    for guess in FIRST_GUESSES:
        study.enqueue_trial(guess)
    started, longest = time.monotonic(), 0.0
    best: _Trial | None = None
    losses: list[float] = []
    while best is None or len(losses) < plan.trials:
        begun = time.monotonic()
        if best is not None and begun - started + longest > plan.budget_seconds:
            return best, tuple(losses), True
        asked = study.ask()
        trial = _run(arenas, fixed, _suggested(asked), plan)
        study.tell(asked, trial.loss)
        losses.append(trial.loss)
        best = trial if best is None or trial.loss < best.loss else best
        longest = max(longest, time.monotonic() - begun)
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
        "max_depth": trial.suggest_int("max_depth", 1, 6),
        "eta": trial.suggest_float("eta", 0.025, 0.1, log=True),
        "min_child_weight": trial.suggest_float("min_child_weight", 1.0, 20.0, log=True),
        "subsample": trial.suggest_float("subsample", 0.4, 0.9),
        "colsample_bynode": trial.suggest_float("colsample_bynode", 0.05, 0.5, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 1.0, 50.0, log=True),
    }


def _run(
    arenas: Sequence[_Arena], fixed: Mapping[str, object], parameters: Parameters, plan: BoostingPlan
) -> _Trial:
    with ThreadPoolExecutor(max(plan.n_jobs, 1)) as pool:
        found = list(pool.map(lambda arena: _followed(arena, {**fixed, **parameters}, plan), arenas))
    # A fold that stopped has passed its best; its last loss stands for what would have come
    longest = max(len(curve) for _, curve in found)
    padded = np.array([[*curve, *[curve[-1]] * (longest - len(curve))] for _, curve in found])
    joint = padded.sum(axis=0) / sum(float(arena.weight.sum()) for arena in arenas)
    best = int(joint.argmin())
    return _Trial(parameters, (best + 1) * _STRIDE, float(joint[best]), [booster for booster, _ in found])


def _followed(
    arena: _Arena, parameters: Mapping[str, object], plan: BoostingPlan
) -> tuple[Booster, list[float]]:
    """Boost until the judged rows' summed log-loss has not fallen for some strides; return it per stride.

    Margins are added up stride by stride with ``inplace_predict``: XGBoost's own evaluation of each round
    takes longer than the boosting.
    """
    booster = xgb.Booster(parameters, [arena.learn])
    base = float(log_odds(float(str(parameters["base_score"]))))
    margin = np.full(len(arena.y), base)
    curve: list[float] = []
    level = 0.0
    while len(curve) * _STRIDE < plan.max_rounds and len(curve) - int(np.argmin(curve or [0])) <= _PATIENCE:
        start = len(curve) * _STRIDE
        for round_ in range(start, start + _STRIDE):
            booster.update(arena.learn, round_)
        margin += margins(booster, arena.matrix, (start, start + _STRIDE)) - base
        level = best_intercept(margin, arena.y, arena.weight, start=level)
        curve.append(float(arena.weight @ row_losses(arena.y, sigmoid(margin + level))[:, 0]))
    return booster, curve
