"""What a catalogue's rules may name of a customer, from the feature contract."""

from __future__ import annotations

from features.contract import FeatureContract
from serving.decision.columns import Column, ColumnType


def feature_columns(contract: FeatureContract) -> dict[str, Column]:
    """Return the contract's single values by name, as rules see them."""
    return {spec.name: Column(ColumnType(spec.dtype.value), spec.categories) for spec in contract.scalars}
