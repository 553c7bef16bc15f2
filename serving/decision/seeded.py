"""The chance of one decision."""

from __future__ import annotations

import numpy as np


class Seeded:
    """The numbers of ``numpy.random.default_rng(seed)``, which is made when the first is drawn.

    To make it takes longer than all that a decision draws from it, and many draw nothing.

    Parameters
    ----------
    seed
        Not negative.
    """

    __slots__ = ("_rng", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rng: np.random.Generator | None = None

    def random(self) -> float:
        """Return the next number, in [0, 1)."""
        if self._rng is None:
            self._rng = np.random.default_rng(self._seed)
        return self._rng.random()
