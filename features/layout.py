"""What a model's row is made of: its columns in order, and what is known of an action.

A layout is a frozen value with a JSON form; it travels in the model's bundle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.contract import DType, FeatureContract, FeatureSpec


class ColumnKind(StrEnum):
    """How a model reads a column."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


class ColumnSource(StrEnum):
    """Where a column's value comes from."""

    CUSTOMER = "customer"
    ACTION = "action"
    CROSS = "cross"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class RowColumn:
    """One column of a model's row.

    Parameters
    ----------
    name
        Unique in its layout.
    kind
        ``numeric`` or ``categorical``.
    source
        Who supplies the value.
    categories
        For a categorical column: its values in order; a value's position is its code. Empty otherwise.
    """

    name: str
    kind: ColumnKind
    source: ColumnSource
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The columns of a model's row, in order. It travels in the model's bundle."""

    columns: tuple[RowColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(column.name for column in self.columns)

    @property
    def customer_columns(self) -> int:
        """How many come before the first that is not the customer's: they are the same for all actions."""
        others = (n for n, column in enumerate(self.columns) if column.source is not ColumnSource.CUSTOMER)
        return next(others, len(self.columns))

    def places(self, source: ColumnSource) -> list[int]:
        """Return where the columns from a source are in a row."""
        return [place for place, column in enumerate(self.columns) if column.source is source]

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON form."""
        return hashlib.sha256(self.dumps().encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"columns": [asdict(column) for column in self.columns]}

    def dumps(self) -> str:
        """Return the canonical JSON text: sorted keys, no white space."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        return cls(
            tuple(
                RowColumn(
                    item["name"],
                    ColumnKind(item["kind"]),
                    ColumnSource(item["source"]),
                    tuple(item["categories"]),
                )
                for item in data["columns"]
            )
        )

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read the canonical JSON text."""
        return cls.from_json(json.loads(text))


@dataclass(frozen=True, slots=True)
class ActionFacts:
    """What a model knows of an action; the catalogue supplies it, so a new action is scored at once.

    Parameters
    ----------
    action_id
        The action.
    group
        Its group in the catalogue.
    category
        The product category it is about, as transactions name it; None when about none.
    department
        The department of that category.
    typical_price
        Median unit price, in currency.
    penetration
        Share of customers who bought the category in the last 365 days, 0 to 1.
    value
        What its positive outcome is worth, in currency.
    products
        How many products it is valid for.
    """

    action_id: str
    group: str
    category: str | None = None
    department: str | None = None
    typical_price: float | None = None
    penetration: float | None = None
    value: float | None = None
    products: float | None = None


ACTION_NUMBERS = ("typical_price", "penetration", "value", "products")
"""Fields of `ActionFacts` that are numeric columns, each named ``action_<field>``."""

CONTEXT_COLUMNS = (
    RowColumn("window_days", ColumnKind.NUMERIC, ColumnSource.CONTEXT),
    RowColumn("offers_together", ColumnKind.NUMERIC, ColumnSource.CONTEXT),
    RowColumn("exposure", ColumnKind.CATEGORICAL, ColumnSource.CONTEXT, ("observed", "imputed")),
)
"""Length of the attribution window in days, how many offers came together, how exposure is known."""

CROSS_COLUMNS: Mapping[str, str] = {
    "cross_category_days_since": "Days since the customer last bought the action's category",
    "cross_category_baskets_90d": "Baskets with the category in the last 90 days",
    "cross_category_baskets_365d": "Baskets with the category in the last 365 days",
    "cross_category_spend_365d": "Spend on the category in the last 365 days, currency",
    "cross_category_spend_share": "Category's share of the customer's spend of 365 days",
    "cross_category_basket_share": "Share of the customer's baskets of 365 days that hold the category",
    "cross_category_overdue": "Days since the category, in units of the customer's own mean interval",
    "cross_category_coupons_365d": "Baskets of 365 days in which a coupon was used in the category",
    "cross_department_spend_share": "The action's department's share of the customer's spend of 365 days",
    "cross_action_presented": "How often this action was presented before, expected number",
    "cross_action_answered": "How often this action was answered before",
    "cross_group_presented": "How often actions of this group were presented before, expected number",
    "cross_group_answered": "How often actions of this group were answered before",
}
"""Columns computed from a customer's list features and an action's facts, with their meaning."""


def customer_layout(contract: FeatureContract) -> RowLayout:
    """Return the layout of a row about the customer alone: the contract's scalar features in order."""
    return RowLayout(tuple(_customer_column(spec) for spec in contract.scalars))


def propensity_layout(contract: FeatureContract, actions: Iterable[ActionFacts]) -> RowLayout:
    """Return the layout of a row customer x action x context.

    Parameters
    ----------
    contract
        Names the customer's features; its scalars become columns, its lists feed the cross columns.
    actions
        The catalogue's actions; they fix the categories of ``action_group`` and ``action_department``.
    """
    known = tuple(actions)
    groups = tuple(sorted({facts.group for facts in known}))
    departments = tuple(sorted({facts.department for facts in known if facts.department is not None}))
    action, cross = ColumnSource.ACTION, ColumnSource.CROSS
    return RowLayout(
        (
            *customer_layout(contract).columns,
            RowColumn("action_group", ColumnKind.CATEGORICAL, action, groups),
            RowColumn("action_department", ColumnKind.CATEGORICAL, action, departments),
            *(RowColumn(f"action_{name}", ColumnKind.NUMERIC, action) for name in ACTION_NUMBERS),
            *(RowColumn(name, ColumnKind.NUMERIC, cross) for name in CROSS_COLUMNS),
            *CONTEXT_COLUMNS,
        )
    )


def places_together(places: Sequence[int]) -> slice | NDArray[np.intp]:
    """Return places in a row; as a slice where they are side by side, which is quicker to read and write."""
    if list(places) == list(range(places[0], places[-1] + 1) if places else ()):
        return slice(places[0], places[-1] + 1) if places else slice(0, 0)
    return np.array(places, dtype=np.intp)


def _customer_column(spec: FeatureSpec) -> RowColumn:
    if spec.dtype is DType.STRING:
        return RowColumn(spec.name, ColumnKind.CATEGORICAL, ColumnSource.CUSTOMER, spec.categories)
    return RowColumn(spec.name, ColumnKind.NUMERIC, ColumnSource.CUSTOMER)
