"""Gates on stability: scores and features of the test period spread as those of the training period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from serving.lifecycle import GateVerdict, Verdict
from training.evaluation.drift import CodeBins, Periods, QuantileBins, drift, most_moved
from training.evaluation.intervals import FloatArray, MetricInterval
from training.gates.bounds import BAD_FIRST, Bounds, missing, verdict

_REPLICATES = 200
_NAMED = 3


class ScoreStability(Bounds, frozen=True, kw_only=True):
    """Bound of the scores' stability index, on that many quantiles of the training period's scores."""

    bins: int


class Expected(Bounds, frozen=True, kw_only=True):
    """Columns that must move for a reason that is known, with a bound of their own, or none.

    ``columns`` are names or patterns as of a shell (``*_365d``).
    """

    columns: tuple[str, ...]
    because: str

    def covers(self, column: str) -> bool:
        """Whether a column is one of them."""
        return any(fnmatchcase(column, pattern) for pattern in self.columns)


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
    """Hold each column's PSI against its bound; the verdict is that of the worst, which is named.

    Parameters
    ----------
    found
        By column; see `feature_drift`.
    """
    name, title = "feature_stability", "PSI of the worst feature, test period against training period"
    if not found:
        return missing(name, title, gate, "the model's row has no column")
    each = {column: verdict(name, title, value, _bounds(gate, column)) for column, value in found.items()}
    worst = min(each, key=lambda column: _badness(each[column]))
    beyond = [column for column, one in each.items() if one.verdict is Verdict.FAIL and column != worst]
    return msgspec.structs.replace(
        each[worst], note="; ".join([_named(worst, beyond, found), *_told(gate, found)])
    )


def _bounds(gate: FeatureStability, column: str) -> Bounds:
    return next((item for item in gate.expected if item.covers(column)), gate)


def _badness(one: GateVerdict) -> tuple[int, float]:
    """Return what sorts columns: first the verdict, then how far up to their bound, or over it, they are."""
    share = (one.value or 0.0) / one.at_most if one.at_most else 0.0
    return BAD_FIRST.index(one.verdict), -share


def _named(worst: str, beyond: Sequence[str], found: Mapping[str, MetricInterval]) -> str:
    also = ", ".join(f"{column} {found[column].value:.2f}" for column in beyond[:_NAMED])
    more = f" and {len(beyond) - _NAMED} more" if len(beyond) > _NAMED else ""
    return f"worst: {worst}" + (f", also {also}{more}" if beyond else "")


def _told(gate: FeatureStability, found: Mapping[str, MetricInterval]) -> list[str]:
    """Say what may move further and why, so that nobody takes it for quiet."""
    told = []
    for item in gate.expected:
        there = {column: value.value for column, value in found.items() if _bounds(gate, column) is item}
        if there:
            top = max(there, key=lambda column: there[column])
            bound = "not judged" if item.at_most is None else f"held to {item.at_most:g}"
            told.append(f"{len(there)} {bound} (most: {top} {there[top]:.2f}) because {item.because}")
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
