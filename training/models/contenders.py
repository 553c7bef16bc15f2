"""What competes to be the propensity model, and who wins: the simplest within the best one's interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.evaluation.intervals import MetricInterval
from training.evaluation.report import EvaluationError, Metric, evaluate, paired_differences


@dataclass(frozen=True, slots=True)
class Entry:
    """One contender's probabilities (n_rows,) on the rows all contenders are judged on."""

    name: str
    probability: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Selection:
    """Who won and why.

    Parameters
    ----------
    winner
        Name of the simplest contender that is not surely worse than the best one.
    best
        Name of the contender with the best value.
    metric
        What was compared.
    values
        Each contender's own value, by name.
    differences
        Each contender's value minus the best one's with its paired interval, by name.
    reason
        One sentence for people.
    """

    winner: str
    best: str
    metric: Metric
    values: dict[str, float]
    differences: dict[str, MetricInterval]
    reason: str


def choose_simplest(
    entries: Sequence[Entry],
    y: ArrayLike,
    cluster: ArrayLike,
    *,
    metric: Metric = Metric.LOG_LOSS,
    replicates: int = 400,
    seed: int = 0,
) -> Selection:
    """Choose the simplest contender within the best one's interval.

    The interval is that of the *difference* to the best one on the same resamples of customers: all models
    err on the same customers, so comparing their own intervals would call nearly everything equal. A
    contender is surely worse when the whole 95 % interval of its difference is on the worse side of 0.

    Parameters
    ----------
    entries
        The contenders, simplest first, names unique. Their probabilities must come from rows they have not
        seen: ``held_out_probability_`` of training rows, so that the test period stays untouched.
    y, cluster
        Outcome (0 or 1) and customer of each row, (n_rows,).
    metric
        What to compare: log-loss by default, or a metric of ranking. Calibration slope and intercept have no
        better direction and are refused.

    Raises
    ------
    EvaluationError
        No entries, doubled names, or a metric without a better direction.

    References
    ----------
    Breiman et al. (1984), *Classification and Regression Trees*, section 3.4, for preferring the simplest
    model within the noise of the best.
    """
    names = [entry.name for entry in entries]
    if not names or len(set(names)) < len(names):
        raise EvaluationError(f"contenders are named {names}; pass at least one, each with its own name")
    if metric in (Metric.CALIBRATION_SLOPE, Metric.CALIBRATION_INTERCEPT):
        raise EvaluationError(f"{metric} has no better direction; compare log_loss or average_precision")
    sign = 1.0 if metric.lower_is_better else -1.0
    values = {
        entry.name: evaluate(y, entry.probability, cluster, replicates=1).metrics[metric].value
        for entry in entries
    }
    best = min(entries, key=lambda entry: sign * values[entry.name])
    differences = {
        entry.name: paired_differences(
            y, entry.probability, best.probability, cluster, replicates=replicates, seed=seed
        )[metric]
        for entry in entries
    }
    winner = next(name for name in names if name == best.name or not _surely_worse(differences[name], sign))
    reason = _reason(winner, best.name, metric, differences)
    return Selection(winner, best.name, metric, values, differences, reason)


def _surely_worse(difference: MetricInterval, sign: float) -> bool:
    return min(sign * difference.low, sign * difference.high) > 0.0


def _reason(winner: str, best: str, metric: Metric, differences: dict[str, MetricInterval]) -> str:
    if winner != best:
        return f"{winner} is simpler than {best} and not surely worse in {metric} ({differences[winner]})"
    simpler = list(differences)[: list(differences).index(best)]
    if not simpler:
        return f"{best} is the simplest and has the best {metric}"
    beaten = "; ".join(f"{name} by {differences[name]}" for name in simpler)
    return f"{best} has the best {metric}, surely ahead of the simpler ones ({beaten})"
