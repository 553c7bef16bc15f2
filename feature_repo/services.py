"""Feast's feature services, one per contract."""

from __future__ import annotations

from collections.abc import Mapping

from feast import FeatureService, FeatureView

from features.contract import FeatureContract


def feature_service(contract: FeatureContract, views: Mapping[str, FeatureView]) -> FeatureService:
    """Return the service of a contract: its features, and nothing else, of the views by name."""
    wanted: dict[str, list[str]] = {}
    for spec in contract:
        wanted.setdefault(spec.view, []).append(spec.name)
    return FeatureService(
        name=contract.name,
        features=[views[view][names] for view, names in wanted.items()],
        description="The customer as models and rules know them",
        tags={"contract": contract.digest()},
    )
