"""Why, in words: text is derived on read, from reasons and the catalogue that decided."""

from __future__ import annotations

from dataclasses import dataclass

from serving.decision.catalogue import Catalogue
from serving.decision.considered import Considered
from serving.decision.decision import Decision
from serving.decision.reasons import Reason
from serving.decision.values import Stage


@dataclass(frozen=True, slots=True)
class ExplainedCandidate:
    """One considered candidate in words.

    ``text`` reads like ``eligible: rule 12 `days_since_purchase <= 90` is false; observed days_since_purchase = 140``.
    """

    placement: str
    action_id: str
    treatment_id: str
    stage: Stage
    reason: Reason
    text: str


def explain_candidate(considered: Considered, catalogue: Catalogue) -> ExplainedCandidate:
    """Return the words for one candidate."""
    raise NotImplementedError


def explain(decision: Decision, catalogue: Catalogue) -> tuple[ExplainedCandidate, ...]:
    """Return the words for every candidate: the shown first, then those that came furthest."""
    raise NotImplementedError
