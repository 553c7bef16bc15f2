"""What slots are sorted by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def priority(
    propensity: NDArray[np.float64],
    value: NDArray[np.float64],
    context_weight: NDArray[np.float64],
    lever: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return ``propensity * value * context_weight * lever``, elementwise.

    Parameters
    ----------
    propensity
        Shape (n,): calibrated P(positive outcome | presented, customer, context), in [0, 1].
    value
        Shape (n,): worth of that outcome, in currency. The product is an expected value.
    context_weight, lever
        Shape (n,): how much the moment, and the business, want it; 1 is neutral.
    """
    return propensity * value * context_weight * lever
