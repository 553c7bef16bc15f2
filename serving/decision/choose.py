"""Which of the contenders is shown: propensity, arbitration, then slot by slot."""

from __future__ import annotations

import numpy as np

from serving.decision.decision import Decision, Scores
from serving.decision.shortlist import Shortlist
from serving.decision.values import History


def choose(
    shortlist: Shortlist, scores: Scores | None, history: History, rng: np.random.Generator
) -> Decision:
    """Fill the slots from the shortlist.

    Parameters
    ----------
    shortlist
        From ``shortlist``.
    scores
        Aligned to ``shortlist.contenders``; None when there is no model to ask: then only fallbacks are left.
    history
        What limits look back on; the answer's own picks are appended slot by slot.
    rng
        The only source of chance: the same seed gives the same decision.

    Raises
    ------
    InvariantViolation
        Scores of another length than the contenders, or outside [0, 1].
    """
    raise NotImplementedError
