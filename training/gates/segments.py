"""Gates on segments: propensities right on average for every kind of customer and of action."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from serving.lifecycle import GateVerdict
from training.evaluation.intervals import FloatArray
from training.evaluation.ratios import SegmentRatio, observed_to_expected
from training.gates.bounds import BAD_FIRST, Bounds, missing, verdict
from training.gates.figures import Scored
from training.pipelines.configuration import Settings

CALIBRATION, COVERED = "segments.calibration", "segments.covered"
_TITLES = {
    CALIBRATION: "Answers for each one expected, in the worst segment",
    COVERED: "Share of rows in segments with enough answers to judge",
}


class SegmentGates(Settings, frozen=True, kw_only=True):
    """What each persona and each group of actions must hold, on a slice of the test.

    A segment with fewer than ``min_expected`` answers observed or expected cannot be judged alone;
    ``covered`` bounds the share of rows in segments that can.
    """

    slice: str
    min_expected: float
    calibration: Bounds
    covered: Bounds


def by_segment(
    rows: Scored,
    kinds: Mapping[str, NDArray[np.object_]],
    *,
    replicates: int,
    seed: int,
) -> dict[str, SegmentRatio]:
    """Return observed by expected answers of each segment, of every kind of segment, by ``kind: name``.

    Parameters
    ----------
    kinds
        By kind (``persona``, ``group``), the segment of each row, (n_rows,).
    """
    found: dict[str, SegmentRatio] = {}
    for kind, segment in kinds.items():
        ratios = observed_to_expected(
            rows.answered, rows.probability, rows.customers, segment, replicates=replicates, seed=seed
        )
        found |= {f"{kind}: {name}": item for name, item in ratios.items()}
    return found


def judge_segments(
    gates: SegmentGates, found: Mapping[str, SegmentRatio], note: str = ""
) -> list[GateVerdict]:
    """Hold the worst segment against the bounds, and say which part of the rows can be judged.

    Parameters
    ----------
    found
        By segment; see `by_segment`.
    note
        What to know of how customers were put into segments.
    """
    judged = {name: item for name, item in found.items() if enough(gates, item)}
    covered = _covered(found, judged)
    left_out = f"{len(judged)} of {len(found)} segments have {gates.min_expected:g} answers"
    coverage = verdict(COVERED, _TITLES[COVERED], covered, gates.covered, _joined(left_out, note))
    if not judged:
        why = _joined("no segment has enough answers to be judged", note)
        return [missing(CALIBRATION, _TITLES[CALIBRATION], gates.calibration, why), coverage]
    verdicts = {
        name: verdict(
            CALIBRATION,
            _TITLES[CALIBRATION],
            item.ratio,
            gates.calibration,
            _joined(f"worst: {name} ({item.observed} answers, {item.expected:.1f} expected)", note),
        )
        for name, item in judged.items()
    }
    # A small segment strays further by chance: first what is surely wrong, then what is far
    worst = min(
        verdicts, key=lambda name: (BAD_FIRST.index(verdicts[name].verdict), -_distance(judged[name]))
    )
    return [verdicts[worst], coverage]


def enough(gates: SegmentGates, item: SegmentRatio) -> bool:
    """Whether a segment can be judged alone."""
    return max(item.observed, item.expected) >= gates.min_expected


def _covered(found: Mapping[str, SegmentRatio], judged: Mapping[str, SegmentRatio]) -> float | None:
    """Return the share of rows covered by the kind of segment that covers least."""
    kinds = sorted({name.split(":")[0] for name in found})
    shares: FloatArray = np.array(
        [_rows(judged, kind) / max(_rows(found, kind), 1) for kind in kinds], dtype=np.float64
    )
    return float(shares.min()) if len(shares) else None


def _rows(found: Mapping[str, SegmentRatio], kind: str) -> int:
    return sum(item.rows for name, item in found.items() if name.split(":")[0] == kind)


def _distance(item: SegmentRatio) -> float:
    return abs(math.log(max(item.ratio.value, 1e-9)))


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
