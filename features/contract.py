"""The contract between feature store, training and serving: names, order, dtypes, categories.

A contract is a frozen value with a JSON form; it travels in every bundle. A frame that does not honour it is
an error that names the column, never a reorder and never a silent cast.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self

FeatureValue = bool | int | float | str | tuple[str, ...] | tuple[float, ...] | None
"""One feature's value for one customer; None is missing, expired or masked."""


class DType(StrEnum):
    """What a feature's values are. ``*_LIST`` features come in aligned groups."""

    BOOL = "bool"
    INT64 = "int64"
    FLOAT64 = "float64"
    STRING = "string"
    STRING_LIST = "string[]"
    FLOAT_LIST = "float64[]"

    @property
    def is_scalar(self) -> bool:
        """Whether a value is one number or word, usable in a rule or as a model's column."""
        return self not in (DType.STRING_LIST, DType.FLOAT_LIST)


class Purpose(StrEnum):
    """The consent a feature needs."""

    SERVICE = "service"
    PROFILING = "profiling"
    MARKETING = "marketing"
    LOCATION = "location"
    SOCIAL = "social"
    PARTNER = "partner"


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature, described for machines and people.

    Parameters
    ----------
    name
        Snake case, unique in its contract.
    dtype
        Type of its values.
    unit
        ``days``, ``currency``, ``baskets``, ``share``, ``category``, …
    purpose
        The consent it needs.
    meaning
        One line for people.
    owner
        Who answers for it.
    view
        The Feast view that holds it.
    max_age
        Older than this at reading, it is expired: null, and counted.
    categories
        For a categorical string: every value it may take, in order. Empty otherwise.
    from_snapshot
        True when built from a table whose source keeps no history: it may leak, and reports say so.
    """

    name: str
    dtype: DType
    unit: str
    purpose: Purpose
    meaning: str
    owner: str
    view: str
    max_age: timedelta
    categories: tuple[str, ...] = ()
    from_snapshot: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; ``max_age`` in seconds."""
        return asdict(self) | {"max_age": int(self.max_age.total_seconds())}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        fields = dict(data)
        fields["dtype"] = DType(fields["dtype"])
        fields["purpose"] = Purpose(fields["purpose"])
        fields["max_age"] = timedelta(seconds=fields["max_age"])
        fields["categories"] = tuple(fields["categories"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class FeatureContract:
    """The features of one version of the customer, in order.

    Parameters
    ----------
    name
        Name of the Feast feature service, e.g. ``customer_v1``.
    features
        The features in their order, names unique.
    """

    name: str
    features: tuple[FeatureSpec, ...]

    def __iter__(self) -> Iterator[FeatureSpec]:
        return iter(self.features)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features in order."""
        return tuple(spec.name for spec in self.features)

    @property
    def scalars(self) -> tuple[FeatureSpec, ...]:
        """The features a rule may name and a model may take as a column."""
        return tuple(spec for spec in self.features if spec.dtype.is_scalar)

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON form."""
        return hashlib.sha256(self.dumps().encode()).hexdigest()

    def dumps(self) -> str:
        """Return the canonical JSON form: sorted keys, no white space."""
        content = {"name": self.name, "features": [spec.to_json() for spec in self.features]}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read the JSON form."""
        content = json.loads(text)
        return cls(content["name"], tuple(FeatureSpec.from_json(item) for item in content["features"]))
