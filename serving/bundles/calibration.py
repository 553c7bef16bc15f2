"""From a model's margin to a probability: three numbers and two tables on top of a propensity model.

Fitting it is training's work (``training.models.calibration``); applying it is serving's, so the value and
its arithmetic live here, on numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic calibration with offsets that shrink towards the global one.

    ``p = sigmoid(slope * margin + intercept + group_offset + action_offset)``. An unknown group or
    action has offset 0: it stands on the level above, which is how a new action starts.

    Parameters
    ----------
    slope
        Multiplies the margin (log-odds). 1 leaves it as it is.
    intercept
        Added to it, in log-odds.
    group_offsets
        Log-odds by group.
    action_offsets
        Log-odds by action, on top of its group's.

    Examples
    --------
    >>> plain = Calibration(1.0, 0.0, {"GROCERY": 0.5})
    >>> plain.apply(np.array([0.0, 0.0]), ["GROCERY", "DELI"], ["coupon-tea", "coupon-ham"]).round(3)
    array([0.622, 0.5  ])
    """

    slope: float = 1.0
    intercept: float = 0.0
    group_offsets: Mapping[str, float] = field(default_factory=dict)
    action_offsets: Mapping[str, float] = field(default_factory=dict)

    def apply(
        self, margin: NDArray[np.floating[Any]], groups: Sequence[str], actions: Sequence[str]
    ) -> NDArray[np.float64]:
        """Return calibrated probabilities, shape ``(n,)``.

        Parameters
        ----------
        margin
            Log-odds of the model, shape ``(n,)``.
        groups, actions
            Group and action id of each row, ``n`` of each.
        """
        return sigmoid(self.shifted(margin, self.offsets(groups, actions)))

    def offsets(self, groups: Sequence[str], actions: Sequence[str]) -> NDArray[np.float64]:
        """Return the offsets of some actions, in log-odds, shape ``(n,)``."""
        return np.array(
            [self.offset(group, action) for group, action in zip(groups, actions, strict=True)],
            dtype=np.float64,
        )

    def shifted(self, margin: NDArray[np.floating[Any]], offsets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return calibrated log-odds of rows whose `offsets` are known, shape ``(n,)``."""
        return self.slope * np.asarray(margin, dtype=np.float64) + self.intercept + offsets

    def offset(self, group: str, action: str) -> float:
        """Return the offset of one action in its group, in log-odds."""
        return self.group_offsets.get(group, 0.0) + self.action_offsets.get(action, 0.0)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "slope": self.slope,
            "intercept": self.intercept,
            "group_offsets": dict(sorted(self.group_offsets.items())),
            "action_offsets": dict(sorted(self.action_offsets.items())),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        return cls(
            slope=float(data["slope"]),
            intercept=float(data["intercept"]),
            group_offsets={str(name): float(value) for name, value in data["group_offsets"].items()},
            action_offsets={str(name): float(value) for name, value in data["action_offsets"].items()},
        )


def sigmoid(margin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``1 / (1 + exp(-margin))`` without overflow, same shape."""
    small = np.exp(-np.abs(margin))
    result: NDArray[np.float64] = np.where(margin >= 0, 1.0, small) / (1.0 + small)
    return result
