"""Feast's feature views, one per view of the definitions."""

from __future__ import annotations

from feast import FeatureView, Field
from feast.types import Array, Bool, Float64, Int64, String

from feature_repo.entities import CUSTOMER
from feature_repo.sources import snapshot_source
from features.contract import DType, FeatureSpec
from features.definition import View
from features.snapshot_files import as_of_column
from moment.home import Home

_TYPES = {
    DType.BOOL: Bool,
    DType.INT64: Int64,
    DType.FLOAT64: Float64,
    DType.STRING: String,
    DType.STRING_LIST: Array(String),
    DType.FLOAT_LIST: Array(Float64),
}


def feature_view(view: View, home: Home) -> FeatureView:
    """Return the Feast view of a view, its fields described as in the definitions.

    Beside the features it holds ``<view>_as_of``, by which `features.store` checks their age itself.
    """
    return FeatureView(
        name=view.name,
        entities=[CUSTOMER],
        ttl=view.max_age,
        schema=[
            Field(name="customer_id", dtype=String),
            *(_field(spec) for spec in view.specs),
            Field(name=as_of_column(view.name), dtype=Int64, description="Time of the row, epoch seconds"),
        ],
        source=snapshot_source(view, home),
        online=True,
        description=view.meaning,
        owner=view.owner,
        tags={"purpose": view.purpose.value},
    )


def _field(spec: FeatureSpec) -> Field:
    tags = {"unit": spec.unit, "purpose": spec.purpose.value}
    if spec.from_snapshot:
        tags["leak_warning"] = "the source keeps no history"
    return Field(name=spec.name, dtype=_TYPES[spec.dtype], description=spec.meaning, tags=tags)
