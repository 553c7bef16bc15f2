"""Who features are about."""

from __future__ import annotations

from feast import Entity, ValueType

CUSTOMER = Entity(
    name="customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="A person, household or business that buys",
)
