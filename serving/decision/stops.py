"""What stops each action, stage after stage: the first stage that fails is the reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.int32]


class Stops(NamedTuple):
    """What one stage says of each action.

    Attributes
    ----------
    reason
        Shape (n_actions,): code of the reason, 0 where nothing stops it.
    number
        Shape (n_actions,): the rule, the contact policy or the exclusion behind it, -1 for none; or None when
        the stage has none.
    observed
        Shape (n_actions,): the number that was too much, NaN for none; or None when the stage has none.
    """

    reason: Column
    number: Column | None = None
    observed: NDArray[np.float64] | None = None


def first_of(size: int, stages: Iterable[Stops]) -> tuple[Column, Column, NDArray[np.float64] | None]:
    """Return per action the reason, number and observation of the first stage that stops it.

    They may be a stage's own: copy before writing.

    Parameters
    ----------
    size
        Number of actions.
    stages
        In the order of the funnel.
    """
    reason: Column | None = None
    number: Column | None = None
    observed: NDArray[np.float64] | None = None
    for stage in stages:
        if reason is None:
            reason, number, observed = stage
            continue
        new = (reason == 0) & (stage.reason > 0)
        reason = np.where(new, stage.reason, reason)
        if stage.number is not None:
            number = np.where(new, stage.number, np.int32(-1) if number is None else number)
        if stage.observed is not None:
            observed = np.where(new, stage.observed, np.nan if observed is None else observed)
    return (
        np.zeros(size, dtype=np.int32) if reason is None else reason,
        np.full(size, -1, dtype=np.int32) if number is None else number,
        observed,
    )
