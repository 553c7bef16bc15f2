"""Columns that cross a customer with an action: their own past with its category, its group and itself."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, repeat
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from features.contract import FeatureValue
from features.layout import CROSS_COLUMNS, ActionFacts
from moment.errors import InvariantViolation

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

_LISTS = (
    ("category_days_since", 0, np.nan),
    ("category_baskets_90d", 0, 0.0),
    ("category_baskets_365d", 0, 0.0),
    ("category_spend_365d", 0, 0.0),
    ("category_coupon_baskets_365d", 0, 0.0),
    ("department_spend_365d", 1, 0.0),
    ("action_presented", 2, 0.0),
    ("action_answered", 2, 0.0),
    ("group_presented", 3, 0.0),
    ("group_answered", 3, 0.0),
)
"""The lists of values: which of `_KEYS` each is aligned to, and its value for a name that is not there."""

_READ = {
    "cross_category_days_since": "category_days_since",
    "cross_category_baskets_90d": "category_baskets_90d",
    "cross_category_baskets_365d": "category_baskets_365d",
    "cross_category_spend_365d": "category_spend_365d",
    "cross_category_spend_share": "category_spend_365d",
    "cross_category_basket_share": "category_baskets_365d",
    "cross_category_overdue": "category_days_since",
    "cross_category_coupons_365d": "category_coupon_baskets_365d",
    "cross_department_spend_share": "department_spend_365d",
    "cross_action_presented": "action_presented",
    "cross_action_answered": "action_answered",
    "cross_group_presented": "group_presented",
    "cross_group_answered": "group_answered",
}
"""The list each cross column begins with."""

_PLACES = {name: place for place, name in enumerate(CROSS_COLUMNS)}
_LIST_OF = np.array([[name for name, _, _ in _LISTS].index(_READ[column]) for column in CROSS_COLUMNS])
_KEY_OF = np.array([key for _, key, _ in _LISTS])[_LIST_OF]
_BASKETS, _OVERDUE = _PLACES["cross_category_baskets_365d"], _PLACES["cross_category_overdue"]
_SPEND_SHARE, _BASKET_SHARE = _PLACES["cross_category_spend_share"], _PLACES["cross_category_basket_share"]
_DEPARTMENT_SHARE = _PLACES["cross_department_spend_share"]

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
        wanted: tuple[list[str | None], ...] = (
            [facts.category for facts in actions],
            [facts.department for facts in actions],
            [facts.action_id for facts in actions],
            [facts.group for facts in actions],
        )
        distinct = [tuple(dict.fromkeys(names)) for names in wanted]
        self._sizes = [len(names) for names in distinct]
        firsts = accumulate(self._sizes, initial=0)
        self._numbers = [
            {name: number for number, name in enumerate(names, first)}
            for names, first in zip(distinct, firsts, strict=False)
        ]
        self._key_of_name = np.repeat(np.arange(len(_KEYS) + 1), [*self._sizes, 1])
        # Shape (keys, actions): the numbers of the names that each action is looked up by
        by_key = [
            [numbers[name] for name in names] for numbers, names in zip(self._numbers, wanted, strict=True)
        ]
        self._of_action = np.array(by_key, dtype=np.intp)

    def block(self, customer: Mapping[str, FeatureValue], actions: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return every cross column for one customer and some of the actions.

        Parameters
        ----------
        customer
            The customer's list features and ``baskets_365d`` by name; None where missing.
        actions
            Shape (n,): places of the actions.

        Returns
        -------
        NDArray[float32]
            Shape (cross columns, n), in the order of `CROSS_COLUMNS`. What never happened is 0 and its time
            NaN; where the lists themselves are missing, all are NaN.
        """
        names = [_list(customer, key) for key in _KEYS]
        lengths = [0 if listed is None else len(listed) for listed in names]
        starts = list(accumulate(lengths, initial=0))
        values, offsets = _laid_out(customer, names, starts)
        found = self._find([listed or () for listed in names], starts, actions)
        block = values.take(found.take(_KEY_OF, axis=0) + offsets.take(_LIST_OF)[:, np.newaxis])
        with np.errstate(invalid="ignore"):
            block[_SPEND_SHARE] /= _total(customer, "category_spend_365d")
            block[_BASKET_SHARE] /= _scalar(customer, "baskets_365d")
            block[_DEPARTMENT_SHARE] /= _total(customer, "department_spend_365d")
            block[_OVERDUE] *= block[_BASKETS]
            block[_OVERDUE] /= YEAR
        told: NDArray[np.float32] = block.astype(np.float32)
        return told

    def _find(
        self, names: Sequence[Sequence[Any]], starts: Sequence[int], actions: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Return where each action's names are, the lists of names one after another: (keys, n).

        A name that is not in its list is where the last of the list before it is.
        """
        unasked, number = len(self._key_of_name) - 1, starts[-1]
        numbers = chain.from_iterable(
            map(known.get, listed, repeat(unasked))
            for known, listed in zip(self._numbers, names, strict=True)
        )
        places = np.array([*(start - 1 for start in starts[:-1]), 0], dtype=np.intp).take(self._key_of_name)
        places[np.fromiter(numbers, np.intp, number)] = np.arange(number)
        return places.take(self._of_action.take(actions, axis=1))


def _laid_out(
    customer: Mapping[str, FeatureValue], names: Sequence[tuple[Any, ...] | None], starts: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the values of all lists one after another, before each what it says of a name not there.

    Also, for each list, how much further back its values lie than their names: see `ActionCrosses._find`.
    """
    values: list[float] = []
    offsets: list[int] = []
    for feature, key, absent in _LISTS:
        listed, of = _list(customer, feature), names[key]
        offsets.append(len(values) + 1 - starts[key])
        if listed is None or of is None:
            values += (np.nan,) * (starts[key + 1] - starts[key] + 1)
            continue
        if len(listed) != len(of):
            raise InvariantViolation(f"{feature} has {len(listed)} values for {len(of)} names; align them")
        values.append(absent)
        values += listed
    return np.array(values, dtype=np.float64), np.array(offsets, dtype=np.intp)


def _total(customer: Mapping[str, FeatureValue], feature: str) -> float:
    """Return the sum of a list; NaN where it is missing, or nothing to take a share of."""
    values = _list(customer, feature)
    return np.nan if values is None else float(sum(values)) or np.nan


def _scalar(customer: Mapping[str, FeatureValue], name: str) -> float:
    """Return a number; NaN where it is missing, or nothing to take a share of."""
    value = _present(customer[name])
    return np.nan if value is None else float(cast("float", value)) or np.nan


def _list(customer: Mapping[str, FeatureValue], feature: str) -> tuple[Any, ...] | None:
    return cast("tuple[Any, ...] | None", _present(customer[feature]))


def _present(value: object) -> object:
    """Return a value, and None for each way pandas and Python have of saying that there is none."""
    if value is None or isinstance(value, (str, tuple)):
        return value
    if isinstance(value, (list, np.ndarray)):
        return tuple(value)
    return value if isinstance(value, numbers.Real) and not math.isnan(value) else None
