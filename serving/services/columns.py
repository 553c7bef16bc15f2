"""Features as callers send them, held against the contract: a wrong or missing one is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from features.contract import DType, FeatureContract, FeatureSpec, FeatureValue
from moment.errors import InvalidRequest
from serving.decision.values import FeatureState
from serving.ports import NOBODY, CustomerFacts

_LARGEST_INTEGER = 2**53
_NAMES = "_names"


def facts_of(
    features: Mapping[str, object] | None,
    contract: FeatureContract,
    place: str,
    also: FeatureContract | None = None,
) -> CustomerFacts:
    """Return what a caller knows of a customer, every value of the type its feature has.

    Parameters
    ----------
    features
        By name; None for a customer nobody knows.
    contract
        The features that must be there.
    place
        JSON path of the features, for errors.
    also
        Features that may be there; one that is not is missing.

    Raises
    ------
    InvalidRequest
        ``unknown-field``, ``missing-field`` or ``invalid-value``, with the path of the feature.
    """
    if features is None:
        return NOBODY
    known = {spec.name for spec in contract} | {spec.name for spec in also or ()}
    for name in features:
        if name not in known:
            shown = name if len(name) <= 64 and name.isprintable() else "…"
            raise InvalidRequest(
                "the model knows no such feature; leave it out",
                code="unknown-field",
                field=f"{place}.{shown}",
            )
    for spec in contract:
        if spec.name not in features:
            raise InvalidRequest(
                "this feature is missing; send null where its value is not known",
                code="missing-field",
                field=f"{place}.{spec.name}",
            )
    values = {
        spec.name: _value(features.get(spec.name), spec, f"{place}.{spec.name}")
        for spec in (*contract, *(also or ()))
    }
    _check_aligned(values, place)
    states = {name: FeatureState.MISSING for name, value in values.items() if value is None}
    return CustomerFacts(found=True, values=values, states=states, event_times={})


def _check_aligned(values: Mapping[str, FeatureValue], place: str) -> None:
    """Refuse lists that do not belong together: ``category_names`` names each of ``category_…`` once."""
    for name, names in values.items():
        if not name.endswith(_NAMES) or not isinstance(names, tuple):
            continue
        group = name.removesuffix(_NAMES) + "_"
        if len(set(names)) != len(names):
            raise InvalidRequest(
                "a list of names has each of them once", code="invalid-value", field=f"{place}.{name}"
            )
        for other, numbers in values.items():
            if other.startswith(group) and isinstance(numbers, tuple) and len(numbers) != len(names):
                raise InvalidRequest(
                    f"this list must be as long as {name}", code="invalid-value", field=f"{place}.{other}"
                )


def _value(value: object, spec: FeatureSpec, field: str) -> FeatureValue:
    if value is None:
        return None
    if spec.dtype.is_scalar:
        if _is(value, spec.dtype):
            # JSON writes 2.0 and 2 alike
            return float(cast("float", value)) if spec.dtype is DType.FLOAT64 else cast("FeatureValue", value)
    elif isinstance(value, (list, tuple)):
        one = DType.STRING if spec.dtype is DType.STRING_LIST else DType.FLOAT64
        if all(_is(item, one) for item in value):
            return tuple(value)
    raise InvalidRequest(f"this feature is {spec.dtype}, or null", code="invalid-value", field=field)


def _is(value: object, dtype: DType) -> bool:
    match dtype:
        case DType.BOOL:
            return isinstance(value, bool)
        case DType.INT64:
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_INTEGER
        case DType.FLOAT64:
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case _:
            return isinstance(value, str)
