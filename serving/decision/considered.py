"""Every candidate with its reason, as columns: three small integers each, objects only when looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Candidate
from serving.decision.reasons import Reason
from serving.decision.values import Scalar, Stage


@dataclass(frozen=True, slots=True)
class Considered:
    """One candidate for one placement, and how far it came.

    Parameters
    ----------
    placement
        Name of the placement it was considered for.
    candidate
        The action-treatment pair. For an action without a treatment for this placement: with its first treatment.
    reason
        Why it stopped there; ``Reason.SHOWN`` when it did not.
    rule
        Id of the rule that was false or unknown (index in ``Catalogue.rules``), or None.
    observed
        The values of the columns that rule reads, by column.
    propensity, priority
        Once scored, else None.
    """

    placement: str
    candidate: Candidate
    reason: Reason
    rule: int | None
    observed: Mapping[str, Scalar]
    propensity: float | None
    priority: float | None

    @property
    def stage(self) -> Stage:
        """The stage at which it stopped, or ``shown``."""
        return self.reason.stage


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many actions came how far, in one decision.

    An action counts where any of its candidates, in any placement of the request, came that far; so the numbers
    never rise. The fallback does not compete and is not counted.
    """

    considered: int
    available: int
    eligible: int
    applicable: int
    suitable: int
    within_contact_policy: int
    scored: int
    shown: int


@dataclass(frozen=True, slots=True, eq=False)
class ConsideredTable(Sequence[Considered]):
    """Every candidate of every requested placement, placement by placement, each ordered by id.

    The columns are what a record stores; rows become objects when they are read.

    Attributes
    ----------
    placements
        Names of the requested placements, in order.
    placement, candidate, reason, rule
        Shape (n,), int32: index into ``placements``; index into ``Catalogue.candidates``; code of ``Reason``;
        rule id or -1.
    propensity, priority
        Shape (n,), float64; NaN where not scored.
    """

    placements: tuple[str, ...]
    placement: NDArray[np.int32]
    candidate: NDArray[np.int32]
    reason: NDArray[np.int32]
    rule: NDArray[np.int32]
    propensity: NDArray[np.float64]
    priority: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.candidate)

    @overload
    def __getitem__(self, index: int) -> Considered: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Considered]: ...
    def __getitem__(self, index: int | slice) -> Considered | Sequence[Considered]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Considered]:
        return (self[index] for index in range(len(self)))
