"""Reading a record back: its small integers become candidates, reasons and rules again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moment.errors import DependencyError, InvalidRequest
from serving.decision.catalogue import Catalogue
from serving.decision.considered import ConsideredTable
from serving.decision.experiments import Assignment
from serving.decision.policy import effective
from serving.decision.reasons import Reason
from serving.decision.values import Scalar
from serving.ports import CatalogueArchive, DecisionRecords
from serving.records import DecisionRecord, Personal
from serving.use_cases.access import Caller
from serving.use_cases.version_set import is_models

_REASONS = frozenset(int(reason) for reason in Reason)


@dataclass(frozen=True, slots=True)
class Recalled:
    """A record and the catalogue that decided it."""

    record: DecisionRecord
    catalogue: Catalogue

    @property
    def fits(self) -> bool:
        """Whether there are all candidates, placements and reasons that the record names by number."""
        columns, scored = self.record.considered, self.record.scored
        candidates = range(len(self.catalogue.candidates))
        places = range(len(self.record.asked))
        return (
            all(index in candidates for index in (*columns.candidate, *scored.candidate))
            and all(index in places for index in columns.placement)
            and all(code in _REASONS for code in columns.reason)
        )

    def considered(self) -> ConsideredTable:
        """Return every candidate with its reason, as the decision left them."""
        record = self.record
        columns, size = record.considered, len(record.considered.candidate)
        arms = tuple(
            Assignment(arm.layer, arm.experiment, arm.arm) for arm in record.experiments if not is_models(arm)
        )
        propensities = dict(zip(record.scored.candidate, record.scored.propensity, strict=True))
        return ConsideredTable(
            catalogue=self.catalogue,
            policy=effective(self.catalogue, arms),
            row={} if record.personal is None else _row(record.personal),
            placements=tuple(asked.name for asked in record.asked),
            placement=np.array(columns.placement, dtype=np.intp),
            candidate=np.array(columns.candidate, dtype=np.intp),
            reason=np.array(columns.reason, dtype=np.int32),
            rule=np.array(columns.rule, dtype=np.int32),
            observed=_column(columns.observed, size, np.nan),
            context_weight=_column(columns.context_weight, size, 1.0),
            propensity=np.array([propensities.get(index) for index in columns.candidate], dtype=np.float64),
            priority=np.array(columns.priority, dtype=np.float64),
            stop_ids={(stop.kind, stop.name): stop.stop_id for stop in record.stops},
        )


@dataclass(frozen=True, slots=True)
class Recall:
    """The use case: find a record its caller may see."""

    records: DecisionRecords
    catalogues: CatalogueArchive

    def __call__(self, caller: Caller, decision_id: str) -> Recalled:
        """Return the record and its catalogue.

        Raises
        ------
        InvalidRequest
            ``not-found``: there is none, or it is of another channel or mode. The answer is the same. Or the
            caller asks about too many customers.
        DependencyError
            The catalogue that decided it is gone.
        """
        return self.of(self.record(caller, decision_id))

    def of(self, record: DecisionRecord) -> Recalled:
        """Return a record at hand with its catalogue; DependencyError as above."""
        catalogue = self.catalogues.find(record.versions.catalogue)
        if catalogue is None:
            raise DependencyError(
                f"catalogue {record.versions.catalogue[:12]}, which decided this, is not archived; restore it"
            )
        recalled = Recalled(record, catalogue)
        if not recalled.fits:
            raise DependencyError(
                f"record {record.decision_id} is damaged: its numbers name what catalogue "
                f"{record.versions.catalogue[:12]} does not have; restore a backup"
            )
        return recalled

    def record(self, caller: Caller, decision_id: str) -> DecisionRecord:
        """Return the record alone; InvalidRequest ``not-found`` as above."""
        record = self.records.find(decision_id)
        if record is None or not caller.may_see(mode=record.mode, channel=record.channel):
            raise InvalidRequest("there is no such decision", code="not-found", field="decision_id")
        caller.ask_about(None if record.personal is None else record.personal.customer_id)
        return record


def _column(stored: Sequence[float | None], size: int, usual: float) -> NDArray[np.float64]:
    """Return a stored column with NaN for None, or all as usual where none is stored."""
    return np.array(stored, dtype=np.float64) if stored else np.full(size, usual)


def _row(personal: Personal) -> dict[str, Scalar]:
    """Return what rules read: customer features by name and ``context.*``."""
    features = {name: value for name, value in personal.features.items() if not isinstance(value, tuple)}
    context = {f"context.{name}": value for name, value in personal.context.items()}
    return features | context
