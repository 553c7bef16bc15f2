"""Gates on stability: scores and features of the test period spread as those of the training period."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from serving.lifecycle import GateVerdict
from training.evaluation.drift import CodeBins, Periods, QuantileBins, drift, most_moved
from training.evaluation.intervals import FloatArray, MetricInterval
from training.gates.bounds import Bounds, missing, verdict
from training.pipelines.configuration import Settings

_REPLICATES = 200


class ScoreStability(Bounds, frozen=True, kw_only=True):
    """Bound of the scores' stability index, on that many quantiles of the training period's scores."""

    bins: int


class Expected(Settings, frozen=True, kw_only=True):
    """Columns that must move for a reason that is known, and the reason: told, not judged."""

    columns: tuple[str, ...]
    because: str


class FeatureStability(Bounds, frozen=True, kw_only=True):
    """Bound of the worst column's stability index.

    ``rows`` is how many rows of each period are looked at: a draw, the same each time.
    """

    bins: int
    rows: int
    expected: tuple[Expected, ...] = msgspec.field(default_factory=tuple)


def score_stability(
    gate: ScoreStability,
    before: FloatArray,
    after: FloatArray,
    customers: tuple[ArrayLike, ArrayLike],
    *,
    seed: int,
) -> GateVerdict:
    """Hold the PSI of scores against its bound.

    Parameters
    ----------
    before, after
        Propensities of the training period's rows and of the test's.
    customers
        Customer of each row of both.
    """
    name, title = "score_stability", "PSI of the propensities, test period against training period"
    if not len(before) or not len(after):
        return missing(name, title, gate, "one of the periods has no rows of observed exposure")
    periods = Periods.of(*customers, replicates=_REPLICATES, seed=seed)
    moved = f"median propensity {np.median(before):.2%} before, {np.median(after):.2%} after"
    return verdict(
        name, title, drift(QuantileBins.of(before, gate.bins), before, after, periods), gate, moved
    )


def feature_drift(
    gate: FeatureStability,
    before: pd.DataFrame,
    after: pd.DataFrame,
    customers: tuple[ArrayLike, ArrayLike],
    *,
    seed: int,
) -> dict[str, MetricInterval]:
    """Return the PSI of every column, most moved first.

    Parameters
    ----------
    before, after
        Rows of the training period and of the test, the same columns: numbers, or categoricals with the same
        categories.
    customers
        Customer of each row of both.
    """
    rng = np.random.default_rng(seed)
    first, second = _drawn(rng, len(before), gate.rows), _drawn(rng, len(after), gate.rows)
    periods = Periods.of(
        np.asarray(customers[0])[first],
        np.asarray(customers[1])[second],
        replicates=_REPLICATES,
        seed=seed,
    )
    left, right = before.iloc[first], after.iloc[second]
    return most_moved({str(name): _moved(left[name], right[name], gate.bins, periods) for name in before})


def feature_stability(gate: FeatureStability, found: Mapping[str, MetricInterval]) -> GateVerdict:
    """Hold the most moved column's PSI against its bound, and name it."""
    name, title = "feature_stability", "PSI of the most moved feature, test period against training period"
    reasons = {column: item.because for item in gate.expected for column in item.columns}
    judged = {column: value for column, value in found.items() if column not in reasons}
    if not judged:
        return missing(name, title, gate, "the model's row has no column to judge")
    value = next(iter(judged.values()))
    return verdict(name, title, value, gate, "; ".join([_worst(judged, gate), *_told(gate, found)]))


def _worst(judged: Mapping[str, MetricInterval], gate: Bounds) -> str:
    most = float("inf") if gate.at_most is None else gate.at_most
    (worst, _), *others = judged.items()
    beyond = [f"{column} {value.value:.2f}" for column, value in others if value.low > most]
    also = f", also {', '.join(beyond[:3])}" + (f" and {len(beyond) - 3} more" if len(beyond) > 3 else "")
    return f"worst: {worst}" + (also if beyond else "")


def _told(gate: FeatureStability, found: Mapping[str, MetricInterval]) -> list[str]:
    """Say what moved as expected, so that nobody takes it for quiet."""
    told = []
    for item in gate.expected:
        there = [column for column in item.columns if column in found]
        if there:
            top = max(there, key=lambda column: found[column].value)
            told.append(f"{len(there)} not judged, up to {top} {found[top].value:.2f}: {item.because}")
    return told


def _moved(before: pd.Series, after: pd.Series, bins: int, periods: Periods) -> MetricInterval:
    if isinstance(before.dtype, pd.CategoricalDtype):
        return drift(CodeBins(len(before.cat.categories)), before.cat.codes, after.cat.codes, periods)
    values = before.to_numpy(dtype=np.float64, na_value=np.nan)
    return drift(
        QuantileBins.of(values, bins), values, after.to_numpy(dtype=np.float64, na_value=np.nan), periods
    )


def _drawn(rng: np.random.Generator, rows: int, most: int) -> NDArray[np.intp]:
    if rows <= most:
        return np.arange(rows)
    return np.sort(rng.choice(rows, most, replace=False))
