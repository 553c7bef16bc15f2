"""The customers of a chunk, from a table of features to what the core and a record know of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.population import EXPIRED, Population
from features.snapshot_files import as_of_column
from serving.decision.values import Consent, FeatureState
from serving.ports import CustomerFacts
from serving.use_cases.consent_masks import FeatureMasks
from serving.use_cases.question import DEFAULT_CONSENT

if TYPE_CHECKING:
    import pyarrow as pa

_MISSING, _EXPIRED, _MASKED = FeatureState.MISSING, FeatureState.EXPIRED, FeatureState.MASKED


class People:
    """Customers side by side.

    Parameters
    ----------
    population
        Where they were read from.
    table
        From `Population.read`.
    whole
        Whether all is wanted that a record keeps: lists, states and times. Else only the single values.
    consents
        What each of them allows; the table is masked by it already. None: nobody was asked for any.
    """

    def __init__(
        self,
        population: Population,
        table: pa.Table,
        *,
        whole: bool,
        consents: Sequence[Consent] | None = None,
    ) -> None:
        self.table = table
        self._consents = consents
        self._masks = FeatureMasks(population.contract.features)
        self.ids: list[str] = table["customer_id"].to_pylist()
        specs = population.contract.features if whole else population.contract.scalars
        self._names = [spec.name for spec in specs]
        columns = [_values(table[spec.name], is_list=not spec.dtype.is_scalar) for spec in specs]
        self._rows = list(zip(*columns, strict=True)) if table.num_rows else []
        self._expired: dict[str, list[bool]] = {}
        self._known: list[tuple[str, datetime, list[bool]]] = []
        if whole:
            self._expired = {
                name: table[EXPIRED + name].to_pylist()
                for name in self._names
                if EXPIRED + name in table.column_names
            }
            self._known = [
                (view.name, view.as_of, table[as_of_column(view.name)].is_valid().to_pylist())
                for view in population.views
            ]

    def consent(self, place: int) -> Consent:
        """Return what one of them allows."""
        return DEFAULT_CONSENT if self._consents is None else self._consents[place]

    def facts(self, place: int) -> CustomerFacts:
        """Return what is known of one of them."""
        values = dict(zip(self._names, self._rows[place], strict=True))
        if not self._known:
            return CustomerFacts(True, values, {}, {})
        return CustomerFacts(
            found=True,
            values=values,
            states=self._states(place, values),
            event_times={view: as_of for view, as_of, known in self._known if known[place]},
        )

    def _states(self, place: int, values: Mapping[str, Any]) -> dict[str, FeatureState]:
        states = {name: _MISSING for name, value in values.items() if value is None}
        states.update(
            {name: _EXPIRED for name in states if name in self._expired and self._expired[name][place]}
        )
        if self._consents is not None:
            hidden = self._masks.names(self._consents[place])
            states.update({name: _MASKED for name in states if name in hidden})
        return states


def masked(table: pa.Table, masks: FeatureMasks, consents: Sequence[Consent]) -> pa.Table:
    """Return a table of customers with null for what each does not consent to."""
    import pyarrow as pa
    import pyarrow.compute as pc

    hidden = [masks.names(consent) for consent in consents]
    for name in frozenset[str]().union(*hidden) & set(table.column_names):
        seen = pa.array([name not in names for names in hidden])
        column = table[name]
        place = table.column_names.index(name)
        table = table.set_column(place, name, pc.if_else(seen, column, pa.scalar(None, column.type)))
    return table


def _values(column: pa.ChunkedArray, *, is_list: bool) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return [value if value is None else tuple(value) for value in values] if is_list else values
