"""The models from their bundles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.population_rows import Customers, PopulationEncoder
from features.rows import ContextValue, RowEncoder
from serving.bundles import LinearModel, PropensityBundle, SegmentationBundle
from serving.bundles.action_margins import ActionMargins
from serving.bundles.facts import action_facts
from serving.decision.actions import Action, Candidate
from serving.decision.contenders import Contenders
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
    actions
        Shape (contenders,): each row's action, by its place among the scorer's.
    """

    matrix: NDArray[np.float32]
    actions: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Nobody:
    """What a model is asked of every action for somebody nothing is known of, and what it says.

    `margins`: for a logistic model, what it says as soon as something is known.
    """

    matrix: NDArray[np.float32]
    scores: Scores
    margins: ActionMargins | None


class _ActionScores:
    """A propensity model and what of its answers depends on the actions of a catalogue alone.

    Parameters
    ----------
    bundle
        The model.
    actions
        The actions; they are named by their place here.
    """

    def __init__(self, bundle: PropensityBundle, actions: Sequence[Action]) -> None:
        names = bundle.layout.names
        self._bundle = bundle
        self._window = names.index(_WINDOW) if _WINDOW in names else None
        self._days = np.array([action.window / timedelta(days=1) for action in actions])
        self._offsets = bundle.calibration.offsets(
            [action.group for action in actions], [str(action.action_id) for action in actions]
        )

    def set_windows(self, matrix: NDArray[np.float32], actions: NDArray[np.intp]) -> None:
        """Give each row the attribution window of its action."""
        if self._window is not None:
            matrix[:, self._window] = self._days[actions]

    def of(
        self, matrix: NDArray[np.float32], actions: NDArray[np.intp], counts: Sequence[int]
    ) -> list[Scores]:
        """Score the rows of several customers in one call; a row's score does not depend on the others."""
        scores = self._bundle.score_rows(matrix, self._offsets[actions], counts)
        ends = list(accumulate(counts))
        return [
            Scores(raw=scores.raw[end - count : end], propensity=scores.calibrated[end - count : end])
            for end, count in zip(ends, counts, strict=True)
        ]

    def calibrated(self, margins: NDArray[np.float64], actions: NDArray[np.intp]) -> Scores:
        """Return the scores of rows that a model gives these log-odds."""
        scores = self._bundle.calibrated(margins, self._offsets[actions])
        return Scores(raw=scores.raw, propensity=scores.calibrated)


class BundleScorer:
    """The port `Scorer` on a propensity bundle, for the actions of one catalogue.

    An action is scored as if presented now, together with as many others as slots are asked for, and seen.
    """

    def __init__(self, bundle: PropensityBundle, actions: Iterable[Action]) -> None:
        actions = tuple(actions)
        self._bundle = bundle
        self._encoder = RowEncoder(bundle.layout, [action_facts(action) for action in actions])
        self._scores = _ActionScores(bundle, actions)
        self._places = {action.action_id: place for place, action in enumerate(actions)}
        self._known: tuple[Sequence[Candidate], NDArray[np.intp]] = (), self._places_of(())
        self._nobody: dict[int, _Nobody] = {}

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
        actions = self._actions(contenders)
        nobody = self._of_nobody(slots)
        if not (customer.found and self._encoder.reads_any(customer.values)):
            scores = nobody.scores
            return Scores(raw=scores.raw[actions], propensity=scores.propensity[actions])
        if nobody.margins is not None:
            told = self._encoder.told(customer.values, actions)
            return self._scores.calibrated(nobody.margins.of(*told, actions), actions)
        return self._scores.of(self._matrix(customer, actions, slots), actions, [len(actions)])[0]

    def rows(self, customer: CustomerFacts, contenders: Sequence[Candidate], slots: int) -> ModelRows:
        """Return what the model is asked of one customer, one row per contender."""
        actions = self._actions(contenders)
        return ModelRows(self._matrix(customer, actions, slots), actions)

    def score_all(self, asked: Sequence[ModelRows]) -> list[Scores]:
        """Score the rows of several customers in one call."""
        if not asked:
            return []
        return self._scores.of(
            np.concatenate([one.matrix for one in asked]),
            np.concatenate([one.actions for one in asked]),
            [len(one.actions) for one in asked],
        )

    def _actions(self, contenders: Sequence[Candidate]) -> NDArray[np.intp]:
        """Return the places of the contenders' actions; a catalogue's candidates are looked up once."""
        if not isinstance(contenders, Contenders):
            return self._places_of(contenders)
        candidates, places = self._known
        if candidates is not contenders.candidates:
            candidates, places = contenders.candidates, self._places_of(contenders.candidates)
            self._known = candidates, places
        return places.take(contenders.which)

    def _places_of(self, candidates: Sequence[Candidate]) -> NDArray[np.intp]:
        return np.array([self._places[one.action.action_id] for one in candidates], dtype=np.intp)

    def _matrix(self, customer: CustomerFacts, actions: NDArray[np.intp], slots: int) -> NDArray[np.float32]:
        matrix = self._of_nobody(slots).matrix.take(actions, axis=0)
        if customer.found:
            self._encoder.tell(matrix, customer.values, actions)
        return matrix

    def _of_nobody(self, slots: int) -> _Nobody:
        """Return what is the same for all customers, made once per number of slots."""
        nobody = self._nobody.get(slots)
        if nobody is None:
            actions = np.arange(len(self._places))
            matrix = self._encoder.of_actions(actions, _context(slots))
            self._scores.set_windows(matrix, actions)
            model = self._bundle.model
            margins = (
                ActionMargins(model, matrix, self._bundle.layout) if isinstance(model, LinearModel) else None
            )
            nobody = _Nobody(matrix, self._scores.of(matrix, actions, [len(actions)])[0], margins)
            self._nobody[slots] = nobody
        return nobody


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
        actions = list({one.action.action_id: one.action for one in candidates}.values())
        places = {action.action_id: place for place, action in enumerate(actions)}
        self._action = np.array([places[one.action.action_id] for one in candidates], dtype=np.intp)
        self._encoder = PopulationEncoder(
            bundle.layout, bundle.contract, [action_facts(action) for action in actions]
        )
        self._scores = _ActionScores(bundle, actions)

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
        self._scores.set_windows(matrix, action)
        return self._scores.of(matrix, action, [len(places) for places in contenders])


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
