"""Columns that cross a customer with an action: their own past with its category, its group and itself."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import cast

import numpy as np
from numpy.typing import NDArray

from features.contract import FeatureValue
from features.layout import ActionFacts

Block = NDArray[np.float64]

CROSS_INPUTS = (
    "baskets_365d",
    "category_names",
    "category_baskets_90d",
    "category_baskets_365d",
    "category_spend_365d",
    "category_days_since",
    "category_coupon_baskets_365d",
    "department_names",
    "department_spend_365d",
    "action_names",
    "action_presented",
    "action_answered",
    "group_names",
    "group_presented",
    "group_answered",
)
"""The customer's features that cross columns are computed from."""

_KEYS = ("category_names", "department_names", "action_names", "group_names")
"""The lists of names that the others are aligned to."""

YEAR = 365
"""Days the lists look back."""


def has_lists(customer: Mapping[str, FeatureValue]) -> bool:
    """Return whether any list is known; without one, all cross columns are NaN."""
    return any(customer[key] is not None for key in _KEYS)


class ActionCrosses:
    """The cross columns of some actions; the names by which they are looked up are numbered once.

    Parameters
    ----------
    actions
        The actions; they are named by their place here.
    """

    def __init__(self, actions: Sequence[ActionFacts]) -> None:
        self._categories = _Names([facts.category for facts in actions])
        self._departments = _Names([facts.department for facts in actions])
        self._own = _Names([facts.action_id for facts in actions])
        self._groups = _Names([facts.group for facts in actions])

    def values(self, customer: Mapping[str, FeatureValue], actions: NDArray[np.intp]) -> dict[str, Block]:
        """Return every cross column for one customer and some of the actions.

        Parameters
        ----------
        customer
            The customer's list features and ``baskets_365d`` by name; None where missing.
        actions
            Shape (n,): places of the actions.

        Returns
        -------
        dict[str, NDArray[float64]]
            A vector (n,) per name in `CROSS_COLUMNS`. What never happened is 0 and its time NaN; where the
            lists themselves are missing, all are NaN.
        """
        categories = _Lookup(customer, "category_names", self._categories, actions)
        departments = _Lookup(customer, "department_names", self._departments, actions)
        own = _Lookup(customer, "action_names", self._own, actions)
        groups = _Lookup(customer, "group_names", self._groups, actions)
        baskets = categories.values("category_baskets_365d", absent=0.0)
        spend = categories.values("category_spend_365d", absent=0.0)
        days = categories.values("category_days_since", absent=np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "cross_category_days_since": days,
                "cross_category_baskets_90d": categories.values("category_baskets_90d", absent=0.0),
                "cross_category_baskets_365d": baskets,
                "cross_category_spend_365d": spend,
                "cross_category_spend_share": _share(spend, categories.total("category_spend_365d")),
                "cross_category_basket_share": _share(baskets, _scalar(customer, "baskets_365d")),
                "cross_category_overdue": days * baskets / YEAR,
                "cross_category_coupons_365d": categories.values("category_coupon_baskets_365d", absent=0.0),
                "cross_department_spend_share": _share(
                    departments.values("department_spend_365d", absent=0.0),
                    departments.total("department_spend_365d"),
                ),
                "cross_action_presented": own.values("action_presented", absent=0.0),
                "cross_action_answered": own.values("action_answered", absent=0.0),
                "cross_group_presented": groups.values("group_presented", absent=0.0),
                "cross_group_answered": groups.values("group_answered", absent=0.0),
            }


class _Names:
    """What some actions are looked up by: a number per distinct name, and each action's number."""

    __slots__ = ("_numbers", "_of_action")

    def __init__(self, wanted: Sequence[str | None]) -> None:
        self._numbers = {name: number for number, name in enumerate(dict.fromkeys(wanted))}
        self._of_action = np.array([self._numbers[name] for name in wanted], dtype=np.intp)

    def find(self, names: Sequence[str], actions: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return where each action's name is among these, (n,); their number where it is not."""
        unasked = len(self._numbers)
        numbers = np.fromiter(map(self._numbers.get, names, repeat(unasked)), np.intp, len(names))
        places = np.full(unasked + 1, len(names), dtype=np.intp)
        places[numbers] = np.arange(len(names))
        found: NDArray[np.intp] = places[self._of_action[actions]]
        return found


class _Lookup:
    """Aligned lists of one customer, read at the names of some actions."""

    __slots__ = ("_customer", "_number", "_places")

    def __init__(
        self, customer: Mapping[str, FeatureValue], key: str, wanted: _Names, actions: NDArray[np.intp]
    ) -> None:
        names = cast("tuple[str, ...] | None", _present(customer[key]))
        self._customer = customer
        self._number = len(actions)
        self._places = None if names is None else wanted.find(names, actions)

    def values(self, feature: str, *, absent: float) -> Block:
        """Return a value per action: ``absent`` where the list has none, NaN where there is no list."""
        values = self._list(feature)
        if values is None or self._places is None:
            return np.full(self._number, np.nan)
        return np.array((*values, absent), dtype=np.float64)[self._places]

    def total(self, feature: str) -> float:
        """Return the sum of the list; NaN where there is no list."""
        values = self._list(feature)
        return np.nan if values is None else float(sum(values))

    def _list(self, feature: str) -> tuple[float, ...] | None:
        values = cast("tuple[float, ...] | None", _present(self._customer[feature]))
        return None if self._places is None else values


def _share(part: Block, whole: float) -> Block:
    return part / whole if whole else np.full_like(part, np.nan)


def _scalar(customer: Mapping[str, FeatureValue], name: str) -> float:
    value = _present(customer[name])
    return np.nan if value is None else float(cast("float", value))


def _present(value: object) -> object:
    """Return a value, and None for each way pandas and Python have of saying that there is none."""
    if value is None or isinstance(value, (str, tuple)):
        return value
    if isinstance(value, (list, np.ndarray)):
        return tuple(value)
    return value if isinstance(value, numbers.Real) and not math.isnan(value) else None
