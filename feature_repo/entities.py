"""Who features are about."""

from __future__ import annotations

from feast import Entity, ValueType

CUSTOMER = Entity(
    name="customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="A person, household or business that buys",
)

PROFILE = Entity(
    name="profile",
    join_keys=["profile_ref"],
    value_type=ValueType.STRING,
    description="A customer or an identity nobody has linked yet, by a keyed hash",
)
