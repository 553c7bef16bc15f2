"""Mandatory messages: what must go out takes the first slots, before anything competes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def in_turn(rows: NDArray[np.intp], action: NDArray[np.intp], lever: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return one row per action, the highest lever first, then by id.

    Parameters
    ----------
    rows
        Shape (n,): rows of mandatory messages that may go out, ordered by action and treatment id.
    action
        Shape (n,): the action of each.
    lever
        Shape (n,): the lever of each.

    Notes
    -----
    Of an action with several treatments the first stands for it: what must be said is not experimented with.

    Examples
    --------
    >>> in_turn(np.array([3, 4, 7]), np.array([1, 1, 2]), np.array([1.0, 1.0, 5.0]))
    array([7, 3])
    """
    first = np.flatnonzero(np.diff(action, prepend=-1))
    return rows[first[np.argsort(-lever[first], kind="stable")]]
