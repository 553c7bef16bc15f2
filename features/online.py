"""What the online store knows of a customer, in the contract's terms: values, why some are not, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, cast

from features.contract import FeatureSpec, FeatureValue
from features.snapshot_files import as_of_column


class ValueState(StrEnum):
    """Why a feature has no value."""

    MISSING = "missing"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """What the online store knows of one customer.

    Parameters
    ----------
    customer_id
        The customer asked for.
    found
        Whether the store knows the customer at all.
    values
        Every feature of the contract by name, in its order; None where missing or expired.
    states
        Why each value that is None is so.
    event_times
        Per view that has a row, the time its values are as of, UTC.
    """

    customer_id: str
    found: bool
    values: Mapping[str, FeatureValue]
    states: Mapping[str, ValueState]
    event_times: Mapping[str, datetime]


class OnlineRows:
    """Makes rows of what stands online; prepared once, for every read.

    Parameters
    ----------
    by_view
        The features of each view, in the contract's order.
    """

    def __init__(self, by_view: Mapping[str, Sequence[FeatureSpec]]) -> None:
        self._views = tuple(_View.of(name, specs) for name, specs in by_view.items())
        names = [spec.name for specs in by_view.values() for spec in specs]
        self._nothing: dict[str, FeatureValue] = dict.fromkeys(names)

    def row(
        self, customer_id: str, now: datetime, found: Sequence[Mapping[str, FeatureValue]]
    ) -> CustomerRow:
        """Return one customer's row at a time.

        Parameters
        ----------
        customer_id
            The customer.
        now
            The time of reading, UTC, by which values expire.
        found
            Per view, the value of each feature by name; nothing where the view has no row.
        """
        values, expired = self._nothing.copy(), set[str]()
        times: dict[str, datetime] = {}
        for view, row in zip(self._views, found, strict=True):
            if row:
                values.update(row)
                at = times[view.name] = datetime.fromtimestamp(cast("int", values.pop(view.as_of)), UTC)
                expired.update(view.expired(row, now - at))
        values.update(dict.fromkeys(expired))
        states = {
            name: ValueState.EXPIRED if name in expired else ValueState.MISSING
            for name, value in values.items()
            if value is None
        }
        return CustomerRow(customer_id, bool(times), values, states, times)


class _View(NamedTuple):
    """One view: the feature by which its age is known, and how old the others may be."""

    name: str
    as_of: str
    max_ages: tuple[tuple[str, timedelta], ...]
    shortest: timedelta

    @classmethod
    def of(cls, name: str, specs: Sequence[FeatureSpec]) -> _View:
        max_ages = tuple((spec.name, spec.max_age) for spec in specs)
        return cls(name, as_of_column(name), max_ages, min(max_age for _, max_age in max_ages))

    def expired(self, row: Mapping[str, FeatureValue], age: timedelta) -> Sequence[str]:
        """Return the features of a row that have a value older than it may be."""
        if age <= self.shortest:
            return ()
        return [name for name, max_age in self.max_ages if age > max_age and row[name] is not None]
