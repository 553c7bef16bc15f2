"""What the online store knows of a customer, in the contract's terms: values, why they are so, and as of when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from features.contract import DType, FeatureSpec, FeatureValue
from features.snapshot_files import as_of_column


class ValueState(StrEnum):
    """Why a feature has the value it has."""

    PRESENT = "present"
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
        Why each value is as it is.
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
        self._missing = dict.fromkeys(names, ValueState.MISSING)

    def row(self, customer_id: str, now: datetime, found: Sequence[Mapping[str, Any]]) -> CustomerRow:
        """Return one customer's row at a time.

        Parameters
        ----------
        customer_id
            The customer.
        now
            The time of reading, UTC, by which values expire.
        found
            Per view, Feast's message of each feature by name; nothing where the view has no row.
        """
        values, states = self._nothing.copy(), self._missing.copy()
        times: dict[str, datetime] = {}
        for view, messages in zip(self._views, found, strict=True):
            if not messages:
                continue
            at = times[view.name] = datetime.fromtimestamp(messages[view.as_of].int64_val, UTC)
            age = now - at
            for name, field, is_scalar, max_age in view.features:
                message = messages.get(name)
                if message is None or not message.HasField(field):
                    continue
                value = getattr(message, field) if is_scalar else tuple(getattr(message, field).val)
                if value != value:  # noqa: PLR0124 - NaN is missing
                    continue
                if age > max_age:
                    states[name] = ValueState.EXPIRED
                else:
                    values[name], states[name] = value, ValueState.PRESENT
        return CustomerRow(customer_id, bool(times), values, states, times)


class _Feature(NamedTuple):
    """One feature: where Feast's message has its value, whether it is one value, and how old it may be."""

    name: str
    field: str
    is_scalar: bool
    max_age: timedelta


class _View(NamedTuple):
    """One view, and the feature by which its age is known."""

    name: str
    as_of: str
    features: tuple[_Feature, ...]

    @classmethod
    def of(cls, name: str, specs: Sequence[FeatureSpec]) -> _View:
        features = (
            _Feature(spec.name, _FIELDS[spec.dtype], spec.dtype.is_scalar, spec.max_age) for spec in specs
        )
        return cls(name, as_of_column(name), tuple(features))


_FIELDS = {
    DType.BOOL: "bool_val",
    DType.INT64: "int64_val",
    DType.FLOAT64: "double_val",
    DType.STRING: "string_val",
    DType.STRING_LIST: "string_list_val",
    DType.FLOAT_LIST: "double_list_val",
}
