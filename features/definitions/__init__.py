"""Every feature of the customer, by theme, and the contract they make."""

from __future__ import annotations

from features.contract import FeatureContract
from features.definition import View
from features.definitions import categories, habits, household, responses, spending

BUILT_IN: tuple[View, ...] = (spending.VIEW, habits.VIEW, household.VIEW, responses.VIEW, categories.VIEW)
"""The views Moment ships, in the contract's order."""

CUSTOMER_V1 = FeatureContract("customer_v1", tuple(spec for view in BUILT_IN for spec in view.specs))
"""The contract of the views Moment ships."""
