"""Where a customer falls among personas, against the formula of `Axis` written plainly."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.bundles.personas import Axis, Persona, Personas

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
VALUES = st.none() | NUMBERS | st.integers(-(2**60), 2**60) | st.booleans() | st.sampled_from(["a", "b", "z"])
UNITS = st.floats(0.01, 100.0)


def plainly(axis: Axis, value: object) -> list[float]:
    if axis.categories:
        return [axis.weight * float(value == category) for category in axis.categories]
    number = float(value) if isinstance(value, (bool, int, float)) else math.nan
    number = axis.fill if math.isnan(number) else number
    shaped = math.copysign(math.log1p(abs(number)), number) if axis.log else number
    return [axis.weight * min(max((shaped - axis.center) / axis.scale, -axis.limit), axis.limit)]


@st.composite
def segmentations(draw: st.DrawFn) -> Personas:
    categories = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3, unique=True).map(tuple)
    finite = st.floats(-1e6, 1e6)
    axes = [
        Axis(
            name,
            draw(finite),
            draw(st.booleans()),
            draw(finite),
            draw(UNITS),
            draw(UNITS),
            draw(UNITS),
            kinds,
        )
        for name, kinds in zip("pqrs", draw(st.lists(categories, min_size=1, max_size=4)), strict=False)
    ]
    width = sum(len(axis.categories) or 1 for axis in axes)
    centre = st.tuples(*[st.floats(-5, 5)] * width)
    centres = draw(st.lists(centre, min_size=1, max_size=5))
    return Personas(tuple(axes), tuple(centres), tuple(Persona("one", 0.0, 0) for _ in centres))


@given(segmentations(), st.dictionaries(st.sampled_from("pqrst"), VALUES))
def test_a_customer_falls_where_the_formula_says_to_the_bit(
    model: Personas, values: dict[str, object]
) -> None:
    point = np.array([c for axis in model.axes for c in plainly(axis, values.get(axis.name))])
    distances = ((np.asarray(model.centres) - point) ** 2).sum(axis=1)

    assert model.point(values).tobytes() == point.tobytes()
    assert model.place(values) == int(distances.argmin())


@given(segmentations())
def test_the_json_form_is_the_fields_alone(model: Personas) -> None:
    assert list(model.to_json()) == ["axes", "centres", "personas"]
    assert Personas.from_json(model.to_json()) == model
