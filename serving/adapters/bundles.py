"""The models from their bundles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import numpy as np

from features.rows import RowEncoder
from serving.bundles import PropensityBundle, SegmentationBundle
from serving.bundles.facts import action_facts
from serving.decision.actions import Action, Candidate
from serving.decision.decision import Scores
from serving.decision.values import Scalar
from serving.ports import CustomerFacts

_WINDOW = "window_days"


class BundleScorer:
    """The port `Scorer` on a propensity bundle, for the actions of one catalogue.

    An action is scored as if presented now, together with as many others as slots are asked for, and seen.
    """

    def __init__(self, bundle: PropensityBundle, actions: Iterable[Action]) -> None:
        self._bundle = bundle
        self._encoder = RowEncoder(bundle.layout)
        self._facts = {action.action_id: action_facts(action) for action in actions}
        names = bundle.layout.names
        self._window = names.index(_WINDOW) if _WINDOW in names else None

    @property
    def version(self) -> str:
        """Digest of the bundle."""
        return self._bundle.digest

    def score(
        self,
        customer: CustomerFacts,
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],  # noqa: ARG002 - today's model reads no context.*
        slots: int,
    ) -> Scores:
        """Score all contenders in one call."""
        actions = [contender.action for contender in contenders]
        matrix = self._encoder.matrix(
            customer.values if customer.found else None,
            [self._facts[action.action_id] for action in actions],
            {_WINDOW: None, "offers_together": slots, "exposure": "observed"},
        )
        if self._window is not None:
            # Each action has its own window
            matrix[:, self._window] = [action.window / timedelta(days=1) for action in actions]
        scores = self._bundle.score(
            matrix, [action.group for action in actions], [action.action_id for action in actions]
        )
        return Scores(raw=scores.raw, propensity=np.clip(scores.calibrated, 0.0, 1.0))


class BundleSegmenter:
    """The port `Segmenter` on a segmentation bundle."""

    def __init__(self, bundle: SegmentationBundle) -> None:
        self._bundle = bundle

    @property
    def version(self) -> str:
        """Digest of the bundle."""
        return self._bundle.digest

    def assign(self, customer: CustomerFacts) -> str | None:
        """Return the name of the nearest persona."""
        persona = self._bundle.assign(customer.values)
        return None if persona is None else persona.name
