"""The models from their bundles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.population_rows import Customers, PopulationEncoder
from features.rows import ContextValue, RowEncoder
from serving.bundles import PropensityBundle, SegmentationBundle
from serving.bundles.facts import action_facts
from serving.decision.actions import Action, Candidate
from serving.decision.decision import Scores
from serving.decision.values import Scalar
from serving.ports import CustomerFacts

if TYPE_CHECKING:
    import pyarrow as pa

_WINDOW = "window_days"


def _context(slots: int) -> dict[str, ContextValue]:
    """Return the context of a row; each action has its own window."""
    return {_WINDOW: None, "offers_together": slots, "exposure": "observed"}


@dataclass(frozen=True, slots=True)
class ModelRows:
    """What a propensity model is asked of one customer.

    Parameters
    ----------
    matrix
        Shape (contenders, columns), float32.
    groups, actions
        Group and id of each row's action.
    """

    matrix: NDArray[np.float32]
    groups: tuple[str, ...]
    actions: tuple[str, ...]


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
        return self.score_all([self.rows(customer, contenders, slots)])[0]

    def rows(self, customer: CustomerFacts, contenders: Sequence[Candidate], slots: int) -> ModelRows:
        """Return what the model is asked of one customer, one row per contender."""
        actions = [contender.action for contender in contenders]
        matrix = self._encoder.matrix(
            customer.values if customer.found else None,
            [self._facts[action.action_id] for action in actions],
            _context(slots),
        )
        if self._window is not None:
            # Each action has its own window
            matrix[:, self._window] = [action.window / timedelta(days=1) for action in actions]
        return ModelRows(
            matrix,
            tuple(action.group for action in actions),
            tuple(str(action.action_id) for action in actions),
        )

    def score_all(self, asked: Sequence[ModelRows]) -> list[Scores]:
        """Score the rows of several customers in one call; a row's score does not depend on the others."""
        if not asked:
            return []
        scores = self._bundle.score(
            np.concatenate([one.matrix for one in asked]),
            [group for one in asked for group in one.groups],
            [action for one in asked for action in one.actions],
        )
        propensity = np.clip(scores.calibrated, 0.0, 1.0)
        ends = np.cumsum([len(one.matrix) for one in asked])[:-1]
        return [
            Scores(raw=raw, propensity=own)
            for raw, own in zip(np.split(scores.raw, ends), np.split(propensity, ends), strict=True)
        ]


class PopulationScorer:
    """The same scores for many customers at once, bit for bit.

    Parameters
    ----------
    bundle
        The model.
    candidates
        Every candidate of the catalogue; contenders are named by their place among them.
    """

    def __init__(self, bundle: PropensityBundle, candidates: Sequence[Candidate]) -> None:
        self._bundle = bundle
        actions = list({one.action.action_id: one.action for one in candidates}.values())
        places = {action.action_id: place for place, action in enumerate(actions)}
        self._action = np.array([places[one.action.action_id] for one in candidates], dtype=np.intp)
        self._encoder = PopulationEncoder(
            bundle.layout, bundle.contract, [action_facts(action) for action in actions]
        )
        self._groups = [action.group for action in actions]
        self._ids = [str(action.action_id) for action in actions]
        self._days = np.array([action.window / timedelta(days=1) for action in actions])
        names = bundle.layout.names
        self._window = names.index(_WINDOW) if _WINDOW in names else None

    def customers(self, table: pa.Table) -> Customers:
        """Return what scoring needs of a table of customers, features by name."""
        return self._encoder.customers(table)

    def score(
        self, customers: Customers, rows: Sequence[int], contenders: Sequence[NDArray[np.intp]], slots: int
    ) -> list[Scores]:
        """Score some customers in one call.

        Parameters
        ----------
        customers
            From `customers`.
        rows
            Whose scores are wanted, by place in the table.
        contenders
            Of each of them, as places among the candidates.
        slots
            How many offers are asked for together.
        """
        if not rows:
            return []
        actions = [self._action[places] for places in contenders]
        matrix = self._encoder.matrix(customers, np.array(rows, dtype=np.intp), actions, _context(slots))
        action = np.concatenate(actions)
        if self._window is not None:
            matrix[:, self._window] = self._days[action]
        named = action.tolist()
        scores = self._bundle.score(
            matrix, [self._groups[place] for place in named], [self._ids[place] for place in named]
        )
        ends = np.cumsum([len(places) for places in contenders])[:-1]
        propensity = np.clip(scores.calibrated, 0.0, 1.0)
        return [
            Scores(raw=raw, propensity=own)
            for raw, own in zip(np.split(scores.raw, ends), np.split(propensity, ends), strict=True)
        ]


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
