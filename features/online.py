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
        self._names = [name for view in self._views for name in view.names]

    @property
    def read(self) -> list[tuple[str, ...]]:
        """What is read of each view, in order: its features and, last, the time they are as of."""
        return [(*view.names, view.as_of) for view in self._views]

    def row(
        self, customer_id: str, now: datetime, found: Sequence[Sequence[FeatureValue] | None]
    ) -> CustomerRow:
        """Return one customer's row at a time.

        Parameters
        ----------
        customer_id
            The customer.
        now
            The time of reading, UTC, by which values expire.
        found
            Per view, what `read` names; None where the view has no row.
        """
        row: list[FeatureValue] = []
        expired: set[str] = set()
        times: dict[str, datetime] = {}
        seconds, at = None, now
        for view, there in zip(self._views, found, strict=True):
            if there is None:
                row += view.nothing
                continue
            row += there
            as_of = row.pop()
            if as_of != seconds:  # most views are of one time
                seconds, at = as_of, datetime.fromtimestamp(cast("int", as_of), UTC)
            times[view.name] = at
            if now - at > view.shortest:
                expired.update(view.expired(there, now - at))
        values = dict(zip(self._names, row, strict=True))
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
    names: tuple[str, ...]
    as_of: str
    nothing: tuple[None, ...]
    max_ages: tuple[timedelta, ...]
    shortest: timedelta

    @classmethod
    def of(cls, name: str, specs: Sequence[FeatureSpec]) -> _View:
        max_ages = tuple(spec.max_age for spec in specs)
        names = tuple(spec.name for spec in specs)
        return cls(name, names, as_of_column(name), (None,) * len(names), max_ages, min(max_ages))

    def expired(self, row: Sequence[FeatureValue], age: timedelta) -> list[str]:
        """Return the features of a row that have a value older than it may be."""
        dated = zip(self.names, row, self.max_ages, strict=False)  # a row has its own time, too
        return [name for name, value, max_age in dated if value is not None and age > max_age]
