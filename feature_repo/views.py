"""Feast's feature views, one per view of the definitions."""

from __future__ import annotations

from feast import FeatureView, Field
from feast.types import Array, Bool, Bytes, Float64, Int64, String

from feature_repo.entities import CUSTOMER, PROFILE
from feature_repo.sources import realtime_source, snapshot_source
from features.contract import DType, FeatureSpec
from features.definition import View
from features.realtime import LONGEST
from features.realtime_features import STATE, VIEW
from features.snapshot_files import as_of_column
from moment.home import Home

PUSHED = "pushed"
"""Tags a view that is pushed to; its online rows are only ever replaced by newer ones."""

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


def realtime_view(home: Home) -> FeatureView:
    """Return the view that keeps the state of the real-time fold: pushed, never materialized.

    The state is sealed with the customer's own key; the features are computed from it when it is read.
    """
    return FeatureView(
        name=VIEW,
        entities=[PROFILE],
        ttl=LONGEST,
        schema=[
            Field(name="profile_ref", dtype=String),
            Field(name=STATE, dtype=Bytes, description="The state of the fold over events, sealed"),
        ],
        source=realtime_source(home),
        online=True,
        description="What the customer does right now",
        owner="events",
        tags={PUSHED: "state"},
    )


def _field(spec: FeatureSpec) -> Field:
    tags = {"unit": spec.unit, "purpose": spec.purpose.value}
    if spec.from_snapshot:
        tags["leak_warning"] = "the source keeps no history"
    return Field(name=spec.name, dtype=_TYPES[spec.dtype], description=spec.meaning, tags=tags)
