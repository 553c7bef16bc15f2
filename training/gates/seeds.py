"""Gates on chance: how much of a model is the seed it was fitted with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serving.lifecycle import GateVerdict
from training.evaluation.agreement import agreement
from training.evaluation.intervals import ClusterBootstrap, FloatArray, MetricInterval, percentile_interval
from training.evaluation.report import Metric, paired_differences
from training.gates.bounds import Bounds, missing, verdict
from training.gates.figures import Scored
from training.pipelines.configuration import Settings


class SeedVariance(Settings, frozen=True, kw_only=True):
    """How often the winner is fitted again with another seed, and how much may change.

    ``propensity`` bounds the mean change of a propensity in parts of itself, ``auc`` the change of the AUC.
    """

    seeds: int
    propensity: Bounds
    auc: Bounds


class SeedAgreement(Bounds, frozen=True, kw_only=True):
    """How often personas are found again with another seed, and how far they must agree."""

    seeds: int


def seed_variance(
    gates: SeedVariance, ours: Scored, others: Sequence[FloatArray], *, replicates: int, seed: int
) -> list[GateVerdict]:
    """Hold what other seeds change against its bounds.

    Parameters
    ----------
    ours
        The test's rows with the winner's propensities.
    others
        Propensities of the same rows by the winner fitted with other seeds, each (n_rows,).
    """
    names = ("seed_variance.propensity", "seed_variance.auc")
    titles = (
        "Mean change of a propensity with another seed, in parts of itself",
        "Largest change of the AUC with another seed",
    )
    bounds = (gates.propensity, gates.auc)
    if not others:
        asked = zip(names, titles, bounds, strict=True)
        return [missing(*one, "fitted with no other seed; set `seeds` to 1 or more") for one in asked]
    told = f"{len(others)} other seeds" if len(others) > 1 else "1 other seed"
    changes = (
        relative_change(ours, others, replicates=replicates, seed=seed),
        largest_change(ours, others, replicates=replicates, seed=seed),
    )
    return [
        verdict(name, title, change, bound, told)
        for name, title, change, bound in zip(names, titles, changes, bounds, strict=True)
    ]


def relative_change(
    ours: Scored, others: Sequence[FloatArray], *, replicates: int, seed: int
) -> MetricInterval:
    """Return ``mean over seeds of sum |p_s - p| / sum p`` with its 95 % interval over customers."""
    bootstrap = ClusterBootstrap.of(ours.customers, replicates=replicates, seed=seed)
    change = np.mean([np.abs(other - ours.probability) for other in others], axis=0)
    sums = np.column_stack(
        [
            np.bincount(bootstrap.codes, weights=column, minlength=bootstrap.clusters)
            for column in (change, ours.probability)
        ]
    )
    drawn = np.concatenate([counts @ sums for counts in bootstrap.counts(1000)])
    total = sums.sum(axis=0)
    return percentile_interval(float(total[0] / total[1]), drawn[:, 0] / drawn[:, 1])


def largest_change(
    ours: Scored, others: Sequence[FloatArray], *, replicates: int, seed: int
) -> MetricInterval:
    """Return the largest change of the AUC, without its sign, with the paired interval of that seed."""
    found = [
        paired_differences(
            ours.answered, other, ours.probability, ours.customers, replicates=replicates, seed=seed
        )[Metric.AUC]
        for other in others
    ]
    return _unsigned(max(found, key=lambda change: abs(change.value)))


def seed_agreement(
    gate: SeedAgreement, ours: ArrayLike, others: Sequence[NDArray[np.int64]], *, seed: int
) -> GateVerdict:
    """Hold the agreement of personas found with other seeds against its bound; the worst seed counts.

    Parameters
    ----------
    ours
        Persona of each customer, (n,).
    others
        The same of segmentations fitted with other seeds.
    """
    name, title = "seed_variance", "Adjusted Rand index of personas found with another seed"
    if not others:
        return missing(name, title, gate, "found with no other seed; set `seeds` to 1 or more")
    found = [agreement(ours, other, seed=seed) for other in others]
    told = f"the worst of {len(others)} other seeds" if len(others) > 1 else "1 other seed"
    return verdict(name, title, min(found, key=lambda one: one.value), gate, told)


def _unsigned(change: MetricInterval) -> MetricInterval:
    ends = (abs(change.low), abs(change.high))
    low = 0.0 if change.contains(0.0) else min(ends)
    return MetricInterval(abs(change.value), low, max(ends))
