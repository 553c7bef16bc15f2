"""Asking the gates of a segmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moment.progress import step
from serving.bundles import BundleRefused, Personas, SegmentationBundle, open_segmentation
from serving.lifecycle import GateVerdict
from training.evaluation.agreement import agreement
from training.evaluation.intervals import MetricInterval, wilson_interval
from training.gates import check_names, excused, missing, verdict
from training.gates.cost import bundle_size, scoring_time
from training.gates.figures import NO_CHAMPION
from training.gates.seeds import seed_agreement
from training.models.segmentation import SegmentationModel
from training.pipelines.segmentation import nodes
from training.pipelines.segmentation.settings import SegmentationSettings


@dataclass(frozen=True, slots=True)
class Case:
    """All that the gates look at.

    Parameters
    ----------
    model
        The fitted segmentation.
    customers
        The columns it was fitted on, one row a customer.
    asked
        How many customers there are, those of whom nothing is known included.
    stayed
        Share whose persona was the same some weeks earlier.
    bundle
        The segmentation as serving opens it.
    champion
        Bundle of the champion; None: there is none.
    """

    model: SegmentationModel
    customers: pd.DataFrame
    asked: int
    stayed: MetricInterval
    bundle: SegmentationBundle
    champion: Path | None = None


def judge(case: Case, settings: SegmentationSettings) -> tuple[GateVerdict, ...]:
    """Ask every gate."""
    gates, model = settings.gates, case.model
    weeks = settings.compare_weeks
    with step("Gates: stability, sizes, coverage"):
        found = [
            verdict(
                "stability",
                "Adjusted Rand index of resamples",
                model.stability_[model.n_clusters_],
                gates.stability,
                f"{model.n_clusters_} personas, {settings.pairs} pairs of resamples",
            ),
            verdict(
                "stayed", f"Share with the same persona {weeks} weeks earlier", case.stayed, gates.stayed
            ),
            _smallest(case, settings),
            verdict(
                "coverage",
                "Share of customers with a persona",
                wilson_interval(len(case.customers) / max(case.asked, 1), case.asked),
                gates.coverage,
                f"{len(case.customers):,} of {case.asked:,} customers",
            ),
        ]
    with step(f"Gates: the personas with {gates.seed_variance.seeds} other seeds"):
        others = [_reseeded(case, settings, number) for number in range(gates.seed_variance.seeds)]
        found.append(seed_agreement(gates.seed_variance, model.labels_, others, seed=settings.seed))
    with step("Gates: against the champion, time and size"):
        found.append(_agreement(case, settings))
        what = f"place {gates.scoring_time.rows} customers"
        found.append(scoring_time(gates.scoring_time, _calls(case, gates.scoring_time.rows), what=what))
        found.append(bundle_size(gates.bundle_size, case.bundle.folder))
    return check_names(found)


def _smallest(case: Case, settings: SegmentationSettings) -> GateVerdict:
    name, title = "smallest_persona", "Share of customers in the smallest persona"
    smallest = min(case.model.personas_, key=lambda persona: persona.share)
    share = wilson_interval(smallest.share, len(case.customers))
    told = f"{smallest.name}, {smallest.customers:,} customers"
    return verdict(name, title, share, settings.gates.smallest_persona, told)


def _reseeded(case: Case, settings: SegmentationSettings, number: int) -> NDArray[np.int64]:
    """Return each customer's persona when as many are found again with another seed, (n,)."""
    again = case.model.reseeded(case.customers, seed=settings.seed + 1 + number)
    return again.labels_


def _agreement(case: Case, settings: SegmentationSettings) -> GateVerdict:
    """Compare personas with the champion's, customer by customer."""
    name, gate = "against_champion.agreement", settings.gates.agreement
    title = "Adjusted Rand index with the champion's personas"
    if case.champion is None:
        return excused(name, title, gate, NO_CHAMPION)
    try:
        theirs = open_segmentation(case.champion).model
    except BundleRefused as refused:
        why = f"the champion {case.champion.name} cannot be opened ({refused.reason})"
        return missing(name, title, gate, why)
    lacking = [axis.name for axis in theirs.axes if axis.name not in case.customers]
    if lacking:
        why = f"the champion {case.champion.name} reads {lacking[0]}, which these customers lack"
        return missing(name, title, gate, why)
    found = agreement(case.model.labels_, _placed(theirs, case.customers), seed=settings.seed)
    told = f"champion {case.champion.name} has {len(theirs.personas)} personas"
    return verdict(name, title, found, gate, told)


def _placed(personas: Personas, customers: pd.DataFrame) -> NDArray[np.int64]:
    return np.array([personas.place(values) for values in nodes.as_values(customers)], dtype=np.int64)


def _calls(case: Case, rows: int) -> Callable[[], object]:
    places = np.resize(np.arange(len(case.customers)), rows)
    values = nodes.as_values(case.customers.iloc[places])
    return lambda: [case.bundle.assign(customer) for customer in values]
