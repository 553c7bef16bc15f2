"""Which persona a customer is: a scaled point and the nearest of k centres, on numpy alone.

``training.models.segmentation`` fits it and exports this value; :meth:`Personas.place` is the one place
where it is applied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Persona:
    """One segment as people read it.

    Parameters
    ----------
    name
        Short name for people, e.g. ``Frequent families``.
    share
        Part of the training customers in it, 0 to 1.
    customers
        How many those were.
    traits
        What sets it apart, most defining first, as short phrases.
    """

    name: str
    share: float
    customers: int
    traits: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form, ``asdict``."""
        return cls(data["name"], float(data["share"]), int(data["customers"]), tuple(data["traits"]))


@dataclass(frozen=True, slots=True)
class Axis:
    """How one feature becomes coordinates.

    Numeric (no ``categories``): missing becomes ``fill``; then ``t(x) = sign(x) log(1 + |x|)`` where ``log``;
    then ``weight * clip((t(x) - center) / scale, -limit, limit)``: one coordinate. Categorical: one
    coordinate per category, ``weight`` where the value is that category, else 0.
    """

    name: str
    fill: float = 0.0
    log: bool = False
    center: float = 0.0
    scale: float = 1.0
    limit: float = 3.0
    weight: float = 1.0
    categories: tuple[str, ...] = ()

    def coordinates(self, value: object) -> list[float]:
        """Return the coordinates of one value; None and NaN are missing."""
        if self.categories:
            return [self.weight * float(value == category) for category in self.categories]
        number = float(value) if isinstance(value, (bool, int, float)) else math.nan
        number = self.fill if math.isnan(number) else number
        shaped = math.copysign(math.log1p(abs(number)), number) if self.log else number
        return [self.weight * min(max((shaped - self.center) / self.scale, -self.limit), self.limit)]


@dataclass(frozen=True, slots=True)
class Personas:
    """A segmentation: axes, one centre per persona, and the personas.

    Parameters
    ----------
    axes
        The features it reads, in order.
    centres
        One tuple of coordinates per persona, all of the axes' total length.
    personas
        Aligned to ``centres``.
    """

    axes: tuple[Axis, ...]
    centres: tuple[tuple[float, ...], ...]
    personas: tuple[Persona, ...]

    def point(self, values: Mapping[str, object]) -> NDArray[np.float64]:
        """Return the coordinates of one customer, shape ``(d,)``."""
        return np.array([c for axis in self.axes for c in axis.coordinates(values.get(axis.name))])

    def place(self, values: Mapping[str, object]) -> int:
        """Return the index of the nearest centre; the first of equals."""
        distances = ((np.asarray(self.centres) - self.point(values)) ** 2).sum(axis=1)
        return int(distances.argmin())

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        return cls(
            axes=tuple(Axis(**{**axis, "categories": tuple(axis["categories"])}) for axis in data["axes"]),
            centres=tuple(tuple(map(float, centre)) for centre in data["centres"]),
            personas=tuple(Persona.from_json(persona) for persona in data["personas"]),
        )
