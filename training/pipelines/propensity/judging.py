"""Asking the gates of a propensity model: each with the rows, the bundle and the refits it looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moment.progress import step
from serving.bundles import PropensityBundle, SegmentationBundle
from serving.lifecycle import GateVerdict
from training.evaluation.intervals import FloatArray, MetricInterval
from training.evaluation.ratios import SegmentRatio
from training.gates import check_names
from training.gates.cost import bundle_size, scoring_time
from training.gates.figures import Champion, Scored, against_champion, of_figures, score_champion
from training.gates.monotone import monotone
from training.gates.seeds import seed_variance
from training.gates.segments import by_segment, judge_segments
from training.gates.stability import feature_drift, feature_stability, score_stability
from training.pipelines.propensity import fitting, nodes
from training.pipelines.propensity.fitting import Measured, Part
from training.pipelines.propensity.result import SLICES
from training.pipelines.propensity.settings import PropensitySettings
from training.pipelines.propensity.training_set import TrainingSet
from training.registry import encode

_UNKNOWN = "(nothing known)"
_NO_PERSONAS = "by group of actions only: there is no current segmentation"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gates found, and the tables behind two of them.

    Parameters
    ----------
    gates
        In the order people read them.
    champion
        Version that was compared with, empty for none.
    drift
        PSI of every column, most moved first.
    by_segment
        Observed and expected answers of every segment.
    """

    gates: tuple[GateVerdict, ...]
    champion: str
    drift: Mapping[str, MetricInterval]
    by_segment: Mapping[str, SegmentRatio]


@dataclass(frozen=True, slots=True)
class Case:
    """All that the gates look at.

    Parameters
    ----------
    data, train
        The training set, and its training part.
    measured
        The contenders, the winner, the test.
    bundle
        The winner as serving opens it.
    champion
        Bundle of the champion; None: there is none.
    segmentation
        The personas to look at; None: there are none.
    """

    data: TrainingSet
    train: Part
    measured: Measured
    bundle: PropensityBundle
    champion: Path | None = None
    segmentation: SegmentationBundle | None = None

    @property
    def scored(self) -> Scored:
        """The test's rows with the winner's propensities."""
        test = self.measured.test
        return Scored(test.answered, self.measured.probability, test.customers)


def judge(case: Case, settings: PropensitySettings) -> Judged:
    """Ask every gate.

    Raises
    ------
    ConfigurationError
        A gate is asked twice.
    """
    gates = settings.gates
    found = of_figures(gates.figures, case.measured.figures, SLICES)
    with step("Gates: against the champion"):
        champion = _champion(case)
        found += _against_champion(case, champion, settings)
    with step("Gates: stability of scores and features"):
        found.append(_score_stability(case, settings))
        drift = _drift(case, settings)
        found.append(feature_stability(gates.feature_stability, drift))
    with step(f"Gates: the winner with {gates.seed_variance.seeds} other seeds"):
        found += _seed_variance(case, settings)
    with step("Gates: every segment, every declared direction"):
        segments, note = _segments(case, settings)
        found += judge_segments(gates.segments, segments, note)
        found.append(_monotone(case, settings))
    with step("Gates: time and size"):
        found += [_scoring_time(case, settings), bundle_size(gates.bundle_size, case.bundle.folder)]
    return Judged(check_names(found), champion.version if champion else "", drift, segments)


def _champion(case: Case) -> Champion | None:
    test = case.measured.test
    return score_champion(case.champion, test.frame, test.groups, test.actions)


def _against_champion(
    case: Case, champion: Champion | None, settings: PropensitySettings
) -> list[GateVerdict]:
    masks = nodes.slices(case.measured.test.rows)
    return against_champion(
        settings.gates.champion,
        case.scored,
        champion,
        mask=masks.get(settings.gates.champion.slice),
        replicates=settings.evaluation.replicates,
        seed=settings.seed,
    )


def _score_stability(case: Case, settings: PropensitySettings) -> GateVerdict:
    """Compare propensities of observed exposures: what is served is asked for those."""
    before, after = _observed(case.train), _observed(case.measured.test)
    return score_stability(
        settings.gates.score_stability,
        _score(case, case.train, before),
        case.measured.probability[after],
        (case.train.customers[before], case.measured.test.customers[after]),
        seed=settings.seed,
    )


def _score(case: Case, part: Part, mask: NDArray[np.bool_]) -> FloatArray:
    matrix = encode(part.frame.loc[mask], case.bundle.layout)
    return case.bundle.score(matrix, part.groups[mask].tolist(), part.actions[mask].tolist()).calibrated


def _drift(case: Case, settings: PropensitySettings) -> dict[str, MetricInterval]:
    test = case.measured.test
    return feature_drift(
        settings.gates.feature_stability,
        case.train.frame,
        test.frame,
        (case.train.customers, test.customers),
        seed=settings.seed,
    )


def _seed_variance(case: Case, settings: PropensitySettings) -> list[GateVerdict]:
    gates = settings.gates.seed_variance
    seeds = [settings.seed + 1 + number for number in range(gates.seeds)]
    others = fitting.reseeded(case.measured, case.train, seeds)
    return seed_variance(
        gates, case.scored, others, replicates=settings.evaluation.replicates, seed=settings.seed
    )


def _segments(case: Case, settings: PropensitySettings) -> tuple[dict[str, SegmentRatio], str]:
    test, gates = case.measured.test, settings.gates.segments
    mask = nodes.slices(test.rows).get(gates.slice)
    if mask is None or not mask.any():
        return {}, f"the test has no rows on a slice {gates.slice!r}"
    kinds: dict[str, NDArray[np.object_]] = {"group": test.groups[mask]}
    note = _NO_PERSONAS
    if case.segmentation is not None:
        kinds["persona"] = personas(case.segmentation, test.frame.loc[mask])
        note = f"personas of segmentation {case.segmentation.version}"
    rows = case.scored.where(mask)
    found = by_segment(rows, kinds, replicates=settings.evaluation.replicates, seed=settings.seed)
    return found, note


def personas(segmentation: SegmentationBundle, frame: pd.DataFrame) -> NDArray[np.object_]:
    """Return the name of each row's persona (n_rows,), the customer being as it was at the time.

    Features the model's row lacks are taken as missing, as serving takes them where they are not known.
    """
    read = [axis.name for axis in segmentation.model.axes if axis.name in frame]
    rows = frame[read].astype(object).where(frame[read].notna(), None)
    names = []
    for values in rows.itertuples(index=False, name=None):
        persona = segmentation.assign(dict(zip(read, values, strict=True)))
        names.append(persona.name if persona else _UNKNOWN)
    return np.array(names, dtype=object)


def _monotone(case: Case, settings: PropensitySettings) -> GateVerdict:
    return monotone(
        settings.gates.monotone,
        settings.model.monotone,
        case.bundle.layout.names,
        encode(case.measured.test.frame, case.bundle.layout),
        case.bundle.model.margins,
        seed=settings.seed,
    )


def _scoring_time(case: Case, settings: PropensitySettings) -> GateVerdict:
    gate = settings.gates.scoring_time
    return scoring_time(gate, _one_call(case, gate.rows), what=f"score {gate.rows} rows in one call")


def _one_call(case: Case, rows: int) -> Callable[[], object]:
    """Return a call that scores as many rows as serving scores for one request."""
    test = case.measured.test
    places = np.resize(np.arange(len(test.frame)), rows)
    matrix = encode(test.frame.iloc[places], case.bundle.layout)
    groups, actions = test.groups[places].tolist(), test.actions[places].tolist()
    return lambda: case.bundle.score(matrix, groups, actions)


def _observed(part: Part) -> NDArray[np.bool_]:
    observed: NDArray[np.bool_] = (part.rows["exposure"] == "observed").to_numpy()
    return observed
