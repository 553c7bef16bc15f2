"""Which persona a customer is: a scaled point and the nearest of k centres, on numpy alone.

``training.models.segmentation`` fits it and exports this value; :meth:`Personas.place` is the one place
where it is applied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

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


class _Prepared(NamedTuple):
    """An axis as `Personas.point` reads it: a number's constants, or every category's coordinates.

    `of_category` is None for a number; `of_others` is what any value has that is none of the categories.
    """

    name: str
    fill: float
    log: bool
    center: float
    scale: float
    lowest: float
    highest: float
    weight: float
    of_category: Mapping[str, list[float]] | None
    of_others: list[float]

    @classmethod
    def of(cls, axis: Axis) -> Self:
        def coordinates(value: str | None) -> list[float]:
            return [axis.weight * float(value == category) for category in axis.categories]

        known = {category: coordinates(category) for category in axis.categories} or None
        numbers = axis.fill, axis.log, axis.center, axis.scale, -axis.limit, axis.limit, axis.weight
        return cls(axis.name, *numbers, known, coordinates(None))


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
    _prepared: tuple[_Prepared, ...] = field(init=False, repr=False, compare=False)
    _centres: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_prepared", tuple(map(_Prepared.of, self.axes)))
        object.__setattr__(self, "_centres", np.asarray(self.centres))

    def point(self, values: Mapping[str, object]) -> NDArray[np.float64]:
        """Return the coordinates of one customer, shape ``(d,)``; None and NaN are missing."""
        point: list[float] = []
        get, log1p, copysign = values.get, math.log1p, math.copysign
        # One loop without calls of our own: it runs for every customer
        for name, fill, log, center, scale, lowest, highest, weight, of_category, of_others in self._prepared:
            value = get(name)
            if of_category is not None:
                point += of_category.get(value, of_others) if isinstance(value, str) else of_others
                continue
            number = float(value) if isinstance(value, (int, float)) else fill
            number = fill if number != number else number  # noqa: PLR0124 - NaN is missing
            shaped = copysign(log1p(abs(number)), number) if log else number
            scaled = (shaped - center) / scale
            point.append(weight * (lowest if scaled < lowest else min(scaled, highest)))
        return np.array(point)

    def place(self, values: Mapping[str, object]) -> int:
        """Return the index of the nearest centre; the first of equals."""
        apart = self._centres - self.point(values)
        apart *= apart
        return int(np.add.reduce(apart, 1).argmin())

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "axes": tuple(map(asdict, self.axes)),
            "centres": self.centres,
            "personas": tuple(map(asdict, self.personas)),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        return cls(
            axes=tuple(Axis(**{**axis, "categories": tuple(axis["categories"])}) for axis in data["axes"]),
            centres=tuple(tuple(map(float, centre)) for centre in data["centres"]),
            personas=tuple(Persona.from_json(persona) for persona in data["personas"]),
        )
