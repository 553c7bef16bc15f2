"""Every candidate with its reason, as columns: a few small numbers each, objects only when looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import overload

import numpy as np
from numpy.typing import NDArray

from serving.decision.actions import Candidate
from serving.decision.attributes import ACTION_PREFIX, action_value
from serving.decision.catalogue import Catalogue
from serving.decision.policy import Policy
from serving.decision.reasons import Reason
from serving.decision.stopped import stop_of
from serving.decision.values import Scalar, Stage

_STAGE = np.arange(max(Reason) + 1) // 100
"""The number of each reason's stage, by code."""


@dataclass(frozen=True, slots=True)
class Considered:
    """One candidate for one placement, and how far it came.

    Parameters
    ----------
    placement
        Name of the placement it was considered for.
    candidate
        The action-treatment pair. For an action without a treatment for this placement: with its first one.
    reason
        Why it stopped there; ``Reason.SHOWN`` when it did not.
    rule
        Id of the rule that was false or unknown (index in ``Catalogue.rules``), or None.
    observed
        The values of the columns that rule reads, by column.
    policy
        Index of what stopped it in ``Catalogue.contact_policies``, or of an exclusion in
        ``Catalogue.exclusions``; or None.
    measured
        What that found: the count, the seconds left to rest, the local hour; or what of a budget or volume is
        used; or None.
    propensity, priority
        Once scored, else None.
    context_weight, lever
        The other factors of the priority, as this customer's experiments have them; the weight is NaN where
        what it came from is not known any more.
    ranked_by
        How this customer's candidates were ranked and picked.
    stop_id
        The stop that took it off, where a record says which; or None.
    """

    placement: str
    candidate: Candidate
    reason: Reason
    rule: int | None
    observed: Mapping[str, Scalar]
    policy: int | None
    measured: float | None
    propensity: float | None
    context_weight: float
    lever: float
    priority: float | None
    ranked_by: Policy
    stop_id: str | None = None

    @property
    def stage(self) -> Stage:
        """The stage at which it stopped, or ``shown``."""
        return self.reason.stage


@dataclass(frozen=True, slots=True, eq=False)
class ConsideredTable(Sequence[Considered]):
    """Every candidate of every requested placement, placement by placement, each ordered by id.

    The columns are what a record stores; rows become objects when they are read.

    Attributes
    ----------
    catalogue
        What the numbers refer to.
    policy
        How this customer's candidates were ranked and picked.
    row
        What rules read: customer features by name and ``context.*``.
    placements
        Names of the requested placements, in order.
    placement, candidate, reason, rule
        Shape (n,), whole numbers: index into ``placements``; index into ``Catalogue.candidates``; code of
        ``Reason``; rule id or -1, at the stages of contact policy and arbitration the index of a contact
        policy or an exclusion.
    observed
        Shape (n,), float64: what a contact policy or a budget found; NaN elsewhere.
    propensity, priority
        Shape (n,), float64; NaN where not scored.
    context_weight
        Shape (n,), float64; NaN where it is not known any more.
    stop_ids
        What was stopped by which stop, by kind and name; empty while it is decided, which needs no ids.
    """

    catalogue: Catalogue
    policy: Policy
    row: Mapping[str, Scalar]
    placements: tuple[str, ...]
    placement: NDArray[np.intp]
    candidate: NDArray[np.intp]
    reason: NDArray[np.int32]
    rule: NDArray[np.int32]
    observed: NDArray[np.float64]
    propensity: NDArray[np.float64]
    context_weight: NDArray[np.float64]
    priority: NDArray[np.float64]
    stop_ids: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.candidate)

    @overload
    def __getitem__(self, index: int) -> Considered: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Considered]: ...
    def __getitem__(self, index: int | slice) -> Considered | Sequence[Considered]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        candidate = self.catalogue.candidates[self.candidate[index]]
        reason, number = Reason(int(self.reason[index])), int(self.rule[index])
        rule = number if number >= 0 and reason.is_by_rule else None
        return Considered(
            placement=self.placements[self.placement[index]],
            candidate=candidate,
            reason=reason,
            rule=rule,
            observed={} if rule is None else self._observed(rule, candidate),
            policy=number if number >= 0 and rule is None else None,
            measured=_known(self.observed[index]),
            propensity=_known(self.propensity[index]),
            context_weight=float(self.context_weight[index]),
            lever=float(self.policy.lever[self.candidate[index]]),
            priority=_known(self.priority[index]),
            ranked_by=self.policy,
            stop_id=self._stop_id(reason, candidate),
        )

    def _stop_id(self, reason: Reason, candidate: Candidate) -> str | None:
        stopped = stop_of(reason, candidate)
        return None if stopped is None else self.stop_ids.get(stopped)

    def _observed(self, rule: int, candidate: Candidate) -> dict[str, Scalar]:
        return {
            name: action_value(candidate.action, name.removeprefix(ACTION_PREFIX))
            if name.startswith(ACTION_PREFIX)
            else self.row.get(name)
            for name in self.catalogue.rules[rule].columns
        }


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many actions came how far, in one decision.

    An action counts where any of its candidates, in any placement of the request, came that far; so the
    numbers never rise. A mandatory message passes the stages it is not asked at. The fallback does not
    compete and is not counted.
    """

    considered: int
    available: int
    eligible: int
    applicable: int
    suitable: int
    within_contact_policy: int
    scored: int
    shown: int

    @classmethod
    def of(cls, reason: NDArray[np.int32], action: NDArray[np.intp]) -> Funnel:
        """Count from the final reasons; both arrays run over the considered candidates."""
        if not len(action):
            return cls(0, 0, 0, 0, 0, 0, 0, 0)
        size, furthest = int(np.maximum.reduce(action)) + 1, _STAGE.take(reason)
        if len(action) > size:  # else each action has one row
            stages, furthest = furthest, np.zeros(size, dtype=np.intp)
            np.maximum.at(furthest, action, stages)
        # entry k: how many came beyond stage k; entry 0: all that were looked at
        stopped = accumulate(np.bincount(furthest, minlength=9).tolist())
        return cls(*(size - up_to for up_to in islice(stopped, 8)))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
