"""Gates on how good a model is out of time: by itself, and against the champion on the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serving.bundles import BundleRefused, open_propensity
from serving.lifecycle import GateVerdict
from training.evaluation.delong import delong
from training.evaluation.intervals import FloatArray
from training.evaluation.report import Evaluation, EvaluationError, Metric, paired_differences
from training.gates.bounds import Bounds, excused, missing, verdict
from training.pipelines.configuration import Settings
from training.registry import encode

NO_CHAMPION = "no champion to compare with"


class FigureGate(Bounds, frozen=True, kw_only=True):
    """A figure the model must reach on a slice of the test."""

    metric: Metric
    slice: str


class Margin(Bounds, frozen=True, kw_only=True):
    """How much worse than the champion a model may be: bounds of its figure minus the champion's."""

    metric: Metric


class ChampionGates(Settings, frozen=True, kw_only=True):
    """What is compared with the champion, and on which slice of the test."""

    slice: str
    margins: tuple[Margin, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows of the test with a model's propensities, all aligned, (n_rows,).

    Parameters
    ----------
    answered
        Outcomes, 0 or 1.
    probability
        Propensities.
    customers
        Customer of each row.
    """

    answered: NDArray[np.int8]
    probability: FloatArray
    customers: NDArray[np.object_]

    def where(self, mask: NDArray[np.bool_]) -> Scored:
        """Return the rows under a mask."""
        return Scored(self.answered[mask], self.probability[mask], self.customers[mask])


@dataclass(frozen=True, slots=True)
class Champion:
    """What the champion says of the test's rows.

    Parameters
    ----------
    version
        Of its bundle.
    probability
        Its propensities, (n_rows,); None where it could not score them.
    why
        Why not.
    """

    version: str
    probability: FloatArray | None
    why: str = ""


def score_champion(
    folder: Path | None, frame: pd.DataFrame, groups: NDArray[np.object_], actions: NDArray[np.object_]
) -> Champion | None:
    """Let the champion score rows, as serving would open and ask it.

    Parameters
    ----------
    folder
        Its bundle; None: there is no champion.
    frame
        The model's rows, with their columns by name.
    groups, actions
        Group and id of each row's action, (n_rows,).
    """
    if folder is None:
        return None
    try:
        bundle = open_propensity(folder)
    except BundleRefused as refused:
        return Champion(folder.name, None, f"the champion {folder.name} cannot be opened ({refused.reason})")
    lacking = [name for name in bundle.layout.names if name not in frame]
    if lacking:
        told = f"{lacking[0]} and {len(lacking) - 1} more" if len(lacking) > 1 else lacking[0]
        return Champion(folder.name, None, f"the champion {folder.name} reads {told}, which these rows lack")
    matrix = encode(frame, bundle.layout)
    return Champion(folder.name, bundle.score(matrix, groups.tolist(), actions.tolist()).calibrated)


def of_figures(
    gates: Iterable[FigureGate], figures: Mapping[str, Evaluation], slices: Mapping[str, str]
) -> list[GateVerdict]:
    """Hold figures against gates.

    Parameters
    ----------
    figures
        By slice.
    slices
        What each slice is called.
    """
    found = []
    for gate in gates:
        name = f"{gate.metric}.{gate.slice}"
        title = f"{gate.metric.spoken}, {slices.get(gate.slice, gate.slice)}"
        evaluation = figures.get(gate.slice)
        if evaluation is None or gate.metric not in evaluation.metrics:
            found.append(missing(name, title, gate, f"the test has no such figure on a slice {gate.slice!r}"))
        else:
            found.append(verdict(name, title, evaluation.metrics[gate.metric], gate, _rests_on(evaluation)))
    return found


def against_champion(
    gates: ChampionGates,
    ours: Scored,
    champion: Champion | None,
    *,
    mask: NDArray[np.bool_] | None,
    replicates: int,
    seed: int,
) -> list[GateVerdict]:
    """Hold the paired differences to the champion, same rows and same resamples, against their margins.

    A first model passes: it cannot be worse than none. A champion that cannot be asked about these rows
    fails, as every missing number does: somebody has to look.

    Parameters
    ----------
    ours
        The test's rows with the new model's propensities.
    champion
        What the champion says of the same rows; None where there is none.
    mask
        The slice of them to compare on, (n_rows,); None: the test has no such slice.
    replicates, seed
        Of the bootstrap over customers.
    """
    named = [(f"against_champion.{gate.metric}", _title(gate, champion), gate) for gate in gates.margins]
    if champion is None:
        return [excused(name, title, gate, NO_CHAMPION) for name, title, gate in named]
    why = champion.why if mask is not None else f"the test has no slice {gates.slice!r}"
    if champion.probability is None or mask is None or not mask.any():
        return [missing(name, title, gate, why or "the slice is empty") for name, title, gate in named]
    here, theirs = ours.where(mask), champion.probability[mask]
    found = paired_differences(
        here.answered, here.probability, theirs, here.customers, replicates=replicates, seed=seed
    )
    notes = {Metric.AUC: _delong_note(here, theirs)}
    return [
        verdict(name, title, found[gate.metric], gate, notes.get(gate.metric, ""))
        for name, title, gate in named
    ]


def _title(gate: Margin, champion: Champion | None) -> str:
    return f"{gate.metric.spoken} minus the champion's" + (f" ({champion.version})" if champion else "")


def _rests_on(evaluation: Evaluation) -> str:
    return f"{evaluation.positives:,} answers of {evaluation.clusters:,} customers"


def _delong_note(ours: Scored, theirs: FloatArray) -> str:
    try:
        found = delong(ours.answered, ours.probability, theirs, ours.customers)
    except EvaluationError:
        return ""
    return f"DeLong's test by customers: p = {found.p_value:.2g}"
