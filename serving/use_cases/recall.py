"""Reading a record back: its small integers become candidates, reasons and rules again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from moment.errors import DependencyError, InvalidRequest
from serving.decision.actions import Action
from serving.decision.catalogue import Catalogue
from serving.decision.considered import Considered
from serving.decision.reasons import Reason
from serving.decision.values import Scalar
from serving.ports import CatalogueArchive, DecisionRecords
from serving.records import DecisionRecord
from serving.use_cases.access import Caller


@dataclass(frozen=True, slots=True)
class Recalled:
    """A record and the catalogue that decided it."""

    record: DecisionRecord
    catalogue: Catalogue

    def considered(self) -> Iterator[Considered]:
        """Yield every candidate with its reason, placement by placement."""
        columns = self.record.considered
        propensities = dict(zip(self.record.scored.candidate, self.record.scored.propensity, strict=True))
        for placement, candidate, reason, rule, priority in zip(
            columns.placement, columns.candidate, columns.reason, columns.rule, columns.priority, strict=True
        ):
            pair = self.catalogue.candidates[candidate]
            yield Considered(
                placement=self.record.asked[placement].name,
                candidate=pair,
                reason=Reason(reason),
                rule=None if rule < 0 else rule,
                observed={} if rule < 0 else self._observed(rule, pair.action),
                propensity=propensities.get(candidate),
                priority=priority,
            )

    def _observed(self, rule: int, action: Action) -> dict[str, Scalar]:
        """Return what a rule saw: its columns' values at the decision."""
        return {name: self._value(name, action) for name in self.catalogue.rules[rule].columns}

    def _value(self, column: str, action: Action) -> Scalar:
        personal = self.record.personal
        source, _, name = column.rpartition(".")
        if source == "action":
            return action.attributes.get(name)
        if personal is None:
            return None
        known: Mapping[str, object] = personal.context if source == "context" else personal.features
        value = known.get(name)
        return value if isinstance(value, bool | int | float | str) else None


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
            ``not-found``: there is none, or it is of another channel or mode. The answer is the same.
        DependencyError
            The catalogue that decided it is gone.
        """
        record = self.records.find(decision_id)
        if record is None or not caller.may_see(mode=record.mode, channel=record.channel):
            raise InvalidRequest("there is no such decision", code="not-found", field="decision_id")
        catalogue = self.catalogues.find(record.versions.catalogue)
        if catalogue is None:
            raise DependencyError(
                f"catalogue {record.versions.catalogue[:12]}, which decided this, is not archived; restore it"
            )
        return Recalled(record, catalogue)
