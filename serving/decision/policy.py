"""The policy that applies to one customer: the catalogue's, changed by the arms the customer is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moment.errors import InvariantViolation
from serving.decision.actions import Candidate
from serving.decision.experiments import Assignment, Changes, Layer
from serving.decision.exploration import Exploration
from serving.decision.formula import Formula, FormulaPlan

_KEPT = 256


class CataloguePolicy(Protocol):
    """What of a catalogue is its policy of choosing; ``Catalogue`` is one."""

    @property
    def digest(self) -> str:
        """SHA-256 of the content: equal digests mean equal policies."""
        ...

    @property
    def candidates(self) -> Sequence[Candidate]:
        """Every action-treatment pair, ordered by id."""
        ...

    @property
    def formula(self) -> Formula | None:
        """What arbitration sorts by, where it is the catalogue's own."""
        ...

    @property
    def exploration(self) -> Exploration:
        """How picks are spread."""
        ...

    @property
    def propensity_floor(self) -> float:
        """Under it nothing is shown."""
        ...

    @property
    def layers(self) -> Sequence[Layer]:
        """Experiments."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """How candidates are ranked and picked, for one customer.

    Attributes
    ----------
    lever
        Shape (n_candidates,): the action's lever times those of the arms. Not writable.
    formula
        What arbitration sorts by; None is ``propensity * value * context_weight * lever``.
    formula_plan
        The formula, ready for the catalogue's candidates.
    exploration
        How picks are spread over what is left.
    propensity_floor
        A candidate under it is not shown.
    """

    lever: NDArray[np.float64]
    formula: Formula | None
    formula_plan: FormulaPlan | None
    exploration: Exploration
    propensity_floor: float


@dataclass(frozen=True, slots=True)
class _Key:
    """What a policy is remembered by: the digest stands for the catalogue.

    The policy of exploration is compared itself: the digest knows it by its name, which is for policies other
    than ours to keep unique.
    """

    digest: str
    exploration: Exploration
    assignments: tuple[Assignment, ...]
    catalogue: CataloguePolicy = field(compare=False)


def effective(catalogue: CataloguePolicy, assignments: tuple[Assignment, ...]) -> Policy:
    """Return the policy for a customer in these arms; the same object for the same question.

    Parameters
    ----------
    catalogue
        With the layers the assignments were made from.
    assignments
        At most one per layer, from ``experiments.assignments``. Arms of two layers that change the same part
        are refused at load; levers of several would multiply, of the rest the last layer would win.

    Raises
    ------
    InvariantViolation
        An assignment to an arm the catalogue does not have.
    """
    return _effective(_Key(catalogue.digest, catalogue.exploration, assignments, catalogue))


@lru_cache(maxsize=_KEPT)
def _effective(key: _Key) -> Policy:
    catalogue = key.catalogue
    lever = np.array([candidate.action.lever for candidate in catalogue.candidates], dtype=np.float64)
    formula, exploration, floor = catalogue.formula, catalogue.exploration, catalogue.propensity_floor
    for assignment in key.assignments:
        changes = _changes(catalogue.layers, assignment)
        lever *= [changes.levers.get(candidate.action.action_id, 1.0) for candidate in catalogue.candidates]
        formula = changes.formula or formula
        exploration = changes.exploration or exploration
        floor = floor if changes.propensity_floor is None else changes.propensity_floor
    lever.flags.writeable = False
    formula_plan = None if formula is None else FormulaPlan.of(formula, catalogue.candidates)
    return Policy(lever, formula, formula_plan, exploration, floor)


def _changes(layers: Sequence[Layer], assignment: Assignment) -> Changes:
    for layer in layers:
        for experiment in layer.experiments:
            for arm in experiment.arms:
                if assignment == Assignment(layer.name, experiment.name, arm.name):
                    return arm.changes
    raise InvariantViolation(
        f"no arm `{assignment.arm}` in experiment `{assignment.experiment}` of layer `{assignment.layer}`; "
        "assignments are made from the layers of the same catalogue"
    )
