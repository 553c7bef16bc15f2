"""The gate on declared directions: the score only rises, or only falls, with the columns said to do so."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from serving.lifecycle import GateVerdict
from training.evaluation.intervals import FloatArray
from training.gates.bounds import Bounds, missing, verdict

Margins = Callable[[NDArray[np.float32]], FloatArray]
"""What turns encoded rows (n, columns) into log-odds (n,)."""

TOLERANCE = 1e-5
"""Smaller steps in the wrong direction are sums of float32 in another order."""


class MonotoneGate(Bounds, frozen=True, kw_only=True):
    """How many violations there may be, over ``rows`` sampled rows swept over ``points`` quantiles."""

    rows: int
    points: int


def monotone(
    gate: MonotoneGate,
    declared: Mapping[str, int],
    names: tuple[str, ...],
    matrix: NDArray[np.float32],
    margins: Margins,
    *,
    seed: int,
) -> GateVerdict:
    """Count the steps in the wrong direction over all declared columns, and name the column with most.

    Parameters
    ----------
    declared
        1 (may only rise) or -1 (may only fall) by column.
    names
        Columns of ``matrix`` in order.
    matrix
        Encoded rows to draw from, (n_rows, columns).
    margins
        Of the model as it is served.
    """
    name, title = "monotone", "Steps against a declared direction"
    lacking = sorted(set(declared) - set(names))
    if lacking:
        return missing(name, title, gate, f"{lacking[0]} is declared and is no column of the model's row")
    if not len(matrix):
        return missing(name, title, gate, "there is no row to sweep")
    rng = np.random.default_rng(seed)
    rows = matrix[np.sort(rng.choice(len(matrix), min(gate.rows, len(matrix)), replace=False))]
    wrong = {
        column: violations(
            rows, names.index(column), sign, _points(matrix[:, names.index(column)], gate), margins
        )
        for column, sign in declared.items()
    }
    total = sum(wrong.values())
    worst = max(wrong, key=lambda column: wrong[column], default="")
    told = f"{len(declared)} columns declared, {len(rows)} rows, {gate.points} quantiles each"
    note = f"worst: {worst} ({wrong[worst]}); {told}" if total else told
    return verdict(name, title, float(total), gate, note)


def violations(
    rows: NDArray[np.float32], column: int, sign: int, points: NDArray[np.float32], margins: Margins
) -> int:
    """Return how often the score of a row goes the wrong way from one value of a column to the next.

    Parameters
    ----------
    rows
        (n_rows, columns); all else stays as it is.
    column, sign
        Which, and 1 for rising or -1 for falling.
    points
        Rising values to set it to, (n_points,).
    """
    swept = np.repeat(rows[None], len(points), axis=0)
    swept[:, :, column] = points[:, None]
    scores = margins(np.ascontiguousarray(swept.reshape(-1, rows.shape[1]))).reshape(len(points), len(rows))
    return int((sign * np.diff(scores, axis=0) < -TOLERANCE).sum())


def _points(values: NDArray[np.float32], gate: MonotoneGate) -> NDArray[np.float32]:
    """Return distinct quantiles of the known values of a column, its ends included."""
    known = values[np.isfinite(values)]
    if not known.size:
        return np.zeros(1, dtype=np.float32)
    shares = np.linspace(0.0, 1.0, gate.points)
    return np.unique(np.quantile(known, shares, method="inverted_cdf")).astype(np.float32)
