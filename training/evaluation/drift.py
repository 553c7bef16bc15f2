"""Whether values are still spread as they were: the population stability index on frozen reference bins.

Bins are made from the reference alone and never from what is compared with it: a single stray value that
stretches common bins would hide everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from training.evaluation.intervals import FloatArray, IntArray, MetricInterval

_HALF = 0.5


class Bins(Protocol):
    """How values become bins; the last bin is for missing values."""

    @property
    def count(self) -> int:
        """Number of bins, that of missing values included."""

    def place(self, values: ArrayLike) -> IntArray:
        """Return the bin of each value, (n,)."""


@dataclass(frozen=True, slots=True)
class QuantileBins:
    """Bins between the quantiles of a reference: ``(-inf, e1], (e1, e2], … (ek, inf)``, and one for missing.

    Parameters
    ----------
    edges
        Rising and distinct. A value that a large part of the reference has is one edge, not many.
    """

    edges: tuple[float, ...]

    @classmethod
    def of(cls, reference: ArrayLike, bins: int = 10) -> QuantileBins:
        """Return bins with equal shares of ``reference`` (n,), as far as ties allow; missing values aside."""
        values = np.asarray(reference, dtype=np.float64)
        known = values[np.isfinite(values)]
        if not known.size:
            return cls(())
        # Edges are values of the reference itself: an average of two would divide ties by rounding
        inner = np.quantile(known, np.linspace(0.0, 1.0, bins + 1)[1:-1], method="inverted_cdf")
        return cls(tuple(float(edge) for edge in np.unique(inner)))

    @property
    def count(self) -> int:
        """Number of bins, that of missing values included."""
        return len(self.edges) + 2

    def place(self, values: ArrayLike) -> IntArray:
        """Return the bin of each value, (n,)."""
        numbers = np.asarray(values, dtype=np.float64)
        found = np.searchsorted(np.asarray(self.edges), numbers, side="left").astype(np.int64)
        return np.where(np.isnan(numbers), len(self.edges) + 1, found)


@dataclass(frozen=True, slots=True)
class CodeBins:
    """One bin for each of ``categories`` codes 0, 1, 2, …, and one for missing."""

    categories: int

    @property
    def count(self) -> int:
        """Number of bins, that of missing values included."""
        return self.categories + 1

    def place(self, values: ArrayLike) -> IntArray:
        """Return the bin of each code, (n,); what is no code is missing."""
        codes = np.asarray(values, dtype=np.float64)
        known = (codes >= 0) & (codes < self.categories)
        return np.where(known, np.nan_to_num(codes), self.categories).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Periods:
    """Two sets of rows with their customers: the reference and what is compared with it.

    Parameters
    ----------
    reference, compared
        Customer of each row of both, as codes that mean the same customer in both.
    counts
        How often each customer is drawn in each resample, (replicates, customers): a customer who is in both
        periods is drawn for both.
    """

    reference: IntArray
    compared: IntArray
    counts: FloatArray

    @classmethod
    def of(
        cls, reference: ArrayLike, compared: ArrayLike, *, replicates: int = 200, seed: int = 0
    ) -> Periods:
        """Prepare resamples of the customers of both sets, each (n_rows,)."""
        before, after = np.asarray(reference).astype(str), np.asarray(compared).astype(str)
        names, codes = np.unique(np.concatenate([before, after]), return_inverse=True)
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=replicates)
        cut = len(before)
        return cls(codes[:cut].astype(np.int64), codes[cut:].astype(np.int64), counts.astype(np.float64))

    @property
    def customers(self) -> int:
        """How many customers there are in both together."""
        return int(self.counts.shape[1])


def stability_index(expected: ArrayLike, found: ArrayLike) -> FloatArray:
    """Return the population stability index of counts ``found`` against ``expected``, both (..., bins).

    ``PSI = sum over bins of (q - p) ln(q / p)`` with p, q the shares of reference and compared rows. Half a
    row is added to each bin, so that an empty bin has a finite weight. Under 0.1 is commonly read as stable,
    0.1 to 0.25 as some movement, above as a shift.

    References
    ----------
    Lewis (1994), *An Introduction to Credit Scoring*; Yurdakul & Naranjo (2020), "Statistical properties of
    the population stability index". It is the symmetric divergence of Kullback & Leibler (1951).

    Examples
    --------
    >>> float(stability_index([25, 25, 25, 25], [25, 25, 25, 25])[()])
    0.0
    """
    p = _shares(np.asarray(expected, dtype=np.float64))
    q = _shares(np.asarray(found, dtype=np.float64))
    result: FloatArray = ((q - p) * np.log(q / p)).sum(axis=-1)
    return result


def drift(bins: Bins, reference: ArrayLike, compared: ArrayLike, periods: Periods) -> MetricInterval:
    """Return the PSI of ``compared`` (n,) against ``reference`` (m,) with its 95 % interval over customers.

    A resample differs from its own data as much as the data differ from the truth, and every such difference
    adds to an index that is a sum of squares at heart: resampled indices lie above the index of the data. The
    interval is their spread, moved back by that bias and cut at 0.

    Parameters
    ----------
    bins
        Made from the reference.
    periods
        Customers of both sets, aligned.
    """
    expected = _by_customer(bins, reference, periods.reference, periods.customers)
    found = _by_customer(bins, compared, periods.compared, periods.customers)
    value = float(stability_index(expected.sum(axis=0), found.sum(axis=0)))
    drawn = stability_index(periods.counts @ expected, periods.counts @ found)
    low, high = np.quantile(drawn - (drawn.mean() - value), [0.025, 0.975])
    return MetricInterval(value, max(float(low), 0.0), float(high))


def most_moved(found: dict[str, MetricInterval]) -> dict[str, MetricInterval]:
    """Return columns with the most moved first."""
    names: Sequence[str] = sorted(found, key=lambda name: (-found[name].value, name))
    return {name: found[name] for name in names}


def _by_customer(bins: Bins, values: ArrayLike, codes: IntArray, customers: int) -> FloatArray:
    """Return how many rows of each customer fall into each bin, (customers, bins)."""
    cells = codes * bins.count + bins.place(values)
    counted = np.bincount(cells, minlength=customers * bins.count)
    return counted.reshape(customers, bins.count).astype(np.float64)


def _shares(counts: FloatArray) -> FloatArray:
    smoothed = counts + _HALF
    shares: FloatArray = smoothed / smoothed.sum(axis=-1, keepdims=True)
    return shares
