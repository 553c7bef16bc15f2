"""How far two ways to group the same customers agree: the adjusted Rand index with its interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from training.evaluation.intervals import FloatArray, MetricInterval, percentile_interval
from training.evaluation.report import EvaluationError


def agreement(first: ArrayLike, second: ArrayLike, *, replicates: int = 400, seed: int = 0) -> MetricInterval:
    """Return the adjusted Rand index of two labellings (n,), with its 95 % interval over customers.

    With ``n_ij`` customers in group i of the first and j of the second, and ``C(n) = n (n - 1) / 2``,

        ``ARI = (sum C(n_ij) - E) / ((sum C(a_i) + sum C(b_j)) / 2 - E)``,
        ``E = sum C(a_i) * sum C(b_j) / C(n)``

    1 when both put every pair of customers together or apart alike, 0 when by chance. A resample of customers
    is a multinomial draw of the table ``n_ij`` itself.

    Raises
    ------
    EvaluationError
        Lengths differ, or there are fewer than two customers.

    References
    ----------
    Hubert & Arabie (1985), "Comparing partitions".

    Examples
    --------
    >>> agreement([0, 0, 1, 1], [5, 5, 3, 3]).value
    1.0
    """
    left, right = np.asarray(first), np.asarray(second)
    if len(left) != len(right) or len(left) < 2:
        raise EvaluationError(
            f"{len(left)} and {len(right)} labels; pass one of each per customer, two at least"
        )
    rows, columns = (np.unique(labels, return_inverse=True)[1] for labels in (left, right))
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    table = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).astype(np.float64)
    drawn = np.random.default_rng(seed).multinomial(len(left), table / table.sum(), size=replicates)
    value = float(_index(table.reshape(1, *shape))[0])
    return percentile_interval(value, _index(drawn.reshape(-1, *shape).astype(np.float64)))


def _index(tables: FloatArray) -> FloatArray:
    """Return the index of each table of counts, (replicates, groups, groups)."""
    together = _pairs(tables).sum(axis=(1, 2))
    first = _pairs(tables.sum(axis=2)).sum(axis=1)
    second = _pairs(tables.sum(axis=1)).sum(axis=1)
    chance = first * second / _pairs(tables.sum(axis=(1, 2)))
    most = (first + second) / 2.0
    # All in one group, or each alone, on both sides: they agree, and the formula is 0 / 0
    same = np.isclose(most, chance)
    result: FloatArray = np.where(same, 1.0, (together - chance) / np.where(same, 1.0, most - chance))
    return result


def _pairs(counts: FloatArray) -> FloatArray:
    return counts * (counts - 1.0) / 2.0
