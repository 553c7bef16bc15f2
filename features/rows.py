"""The one definition of a model's row: customer x action x context.

Training builds a frame of many rows, serving a matrix for the candidates of one request. Both go through the
same arithmetic, so a model cannot see one thing in training and another when it is asked.

Importing this module is cheap: numpy and the contract only. pandas is imported where a frame is built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from features.contract import FeatureValue
from features.crosses import CROSS_INPUTS, Block, cross_values
from features.layout import (
    ActionFacts,
    ColumnKind,
    ColumnSource,
    RowColumn,
    RowLayout,
    customer_layout,
    propensity_layout,
)
from moment.errors import InvariantViolation

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ActionFacts",
    "ColumnKind",
    "ColumnSource",
    "ContextValue",
    "RowColumn",
    "RowEncoder",
    "RowLayout",
    "customer_frame",
    "customer_layout",
    "propensity_layout",
    "request_matrix",
    "training_frame",
]

ContextValue = bool | int | float | str | None
"""One value of the context a row is built in; None is unknown."""

_ACTION_FIELDS = frozenset(field.name for field in fields(ActionFacts))


def training_frame(
    customers: pd.DataFrame, actions: Sequence[ActionFacts], context: pd.DataFrame, layout: RowLayout
) -> pd.DataFrame:
    """Return the rows a model is trained on.

    Parameters
    ----------
    customers
        ``n`` rows with the contract's columns, as `features.store.FeatureStore.historical` returns them. Rows
        of one customer at one time should share their list values: the cross columns are then computed once.
    actions
        ``n`` actions, one a row.
    context
        ``n`` rows with the layout's context columns.
    layout
        The columns wanted.

    Returns
    -------
    pandas.DataFrame
        ``n`` rows with the layout's columns in order and the index of ``customers``: float32, or Categorical
        with the layout's categories. Missing and unseen are NaN.

    Raises
    ------
    InvariantViolation
        Lengths differ, or a column the layout names is missing.
    """
    import pandas as pd

    if not len(customers) == len(actions) == len(context):
        raise InvariantViolation(
            f"a row is one customer, action and context, but there are {len(customers)}, {len(actions)} and "
            f"{len(context)} of them; align the three"
        )
    crosses = _cross_columns(customers, actions, layout)
    columns: dict[str, Any] = {}
    for column in layout.columns:
        if column.source is ColumnSource.CROSS:
            columns[column.name] = crosses[column.name].astype(np.float32)
        elif column.source is ColumnSource.ACTION:
            columns[column.name] = _series([_action_value(facts, column) for facts in actions], column)
        else:
            frame = customers if column.source is ColumnSource.CUSTOMER else context
            columns[column.name] = _series(_column_of(frame, column.name), column)
    return pd.DataFrame(columns, columns=list(layout.names)).set_axis(customers.index)


def customer_frame(customers: pd.DataFrame, layout: RowLayout) -> pd.DataFrame:
    """Return rows about customers alone, for a layout such as `customer_layout` gives.

    Parameters
    ----------
    customers
        Rows with the contract's columns.
    layout
        The columns wanted, all from the customer.

    Returns
    -------
    pandas.DataFrame
        As `training_frame`.

    Raises
    ------
    InvariantViolation
        A column the layout names is missing, or is not the customer's.
    """
    import pandas as pd

    others = [column.name for column in layout.columns if column.source is not ColumnSource.CUSTOMER]
    if others:
        raise InvariantViolation(f"column {others[0]} is not the customer's; use training_frame")
    columns = {c.name: _series(_column_of(customers, c.name), c) for c in layout.columns}
    return pd.DataFrame(columns, columns=list(layout.names)).set_axis(customers.index)


def request_matrix(
    customer: Mapping[str, FeatureValue] | None,
    actions: Sequence[ActionFacts],
    context: Mapping[str, ContextValue],
    layout: RowLayout,
) -> NDArray[np.float32]:
    """Return the matrix a model scores for one request, (actions, columns), C-contiguous.

    See `RowEncoder`, which a service keeps and asks again and again.
    """
    return RowEncoder(layout).matrix(customer, actions, context)


class RowEncoder:
    """Builds the matrices of one layout; keep one per model.

    Parameters
    ----------
    layout
        The columns of every matrix.
    """

    def __init__(self, layout: RowLayout) -> None:
        self.layout = layout
        self._columns = {
            source: tuple(column for column in layout.columns if column.source is source)
            for source in ColumnSource
        }
        self._places = {
            source: np.array(
                [i for i, column in enumerate(layout.columns) if column.source is source], dtype=np.intp
            )
            for source in ColumnSource
        }
        self._codes = {column.name: _codes(column) for column in layout.columns}
        self._actions: dict[str, tuple[ActionFacts, NDArray[np.float32]]] = {}

    def matrix(
        self,
        customer: Mapping[str, FeatureValue] | None,
        actions: Sequence[ActionFacts],
        context: Mapping[str, ContextValue],
    ) -> NDArray[np.float32]:
        """Return the matrix for one request.

        Parameters
        ----------
        customer
            Every feature of the contract by name, None where missing, expired or masked; None for a customer
            nobody knows: all of its columns and the cross columns are NaN.
        actions
            The candidates' actions.
        context
            The layout's context columns by name.

        Returns
        -------
        NDArray[float32]
            (actions, columns), C-contiguous; categories as codes, missing and unseen as NaN.

        Raises
        ------
        InvariantViolation
            A column the layout names is missing.
        """
        matrix = np.full((len(actions), len(self.layout.columns)), np.nan, dtype=np.float32)
        matrix[:, self._places[ColumnSource.CONTEXT]] = self.context_row(context)
        if actions:
            matrix[:, self._places[ColumnSource.ACTION]] = [self.action_row(facts) for facts in actions]
        if customer is not None:
            matrix[:, self._places[ColumnSource.CUSTOMER]] = self._encode(customer, ColumnSource.CUSTOMER)
            if self._columns[ColumnSource.CROSS]:
                matrix[:, self._places[ColumnSource.CROSS]] = self.crosses(customer, actions)
        return matrix

    def places(self, source: ColumnSource) -> NDArray[np.intp]:
        """Return where the columns from a source are in a row."""
        return self._places[source]

    def crosses(
        self, customer: Mapping[str, FeatureValue], actions: Sequence[ActionFacts]
    ) -> NDArray[np.float64]:
        """Return the cross columns of one customer, (actions, cross columns)."""
        values = cross_values(customer, actions)
        return np.stack([values[column.name] for column in self._columns[ColumnSource.CROSS]], axis=1)

    def _encode(self, values: Mapping[str, Any], source: ColumnSource) -> NDArray[np.float32]:
        try:
            row = [_number(values[column.name], self._codes[column.name]) for column in self._columns[source]]
        except KeyError as missing:
            raise InvariantViolation(f"the {source} has no {missing}; the model's layout names it") from None
        return np.array(row, dtype=np.float32)

    def context_row(self, context: Mapping[str, ContextValue]) -> NDArray[np.float32]:
        """Return the context columns, (context columns,)."""
        return self._encode(context, ColumnSource.CONTEXT)

    def action_row(self, facts: ActionFacts) -> NDArray[np.float32]:
        """Return an action's columns, (action columns,); they are computed once."""
        known, row = self._actions.get(facts.action_id, (None, None))
        if row is None or known is not facts:
            columns = self._columns[ColumnSource.ACTION]
            numbers = [_number(_action_value(facts, column), self._codes[column.name]) for column in columns]
            row = np.array(numbers, dtype=np.float32)
            self._actions[facts.action_id] = (facts, row)
        return row


def _cross_columns(
    customers: pd.DataFrame, actions: Sequence[ActionFacts], layout: RowLayout
) -> dict[str, Block]:
    wanted = [column.name for column in layout.columns if column.source is ColumnSource.CROSS]
    result = {name: np.empty(len(actions)) for name in wanted}
    if not wanted:
        return result
    needed = {name: _column_of(customers, name).to_numpy(dtype=object) for name in CROSS_INPUTS}
    identities = zip(*(map(_identity, values) for values in needed.values()), strict=True)
    rows_of: dict[tuple[object, ...], list[int]] = {}
    for row, identity in enumerate(identities):
        rows_of.setdefault(identity, []).append(row)
    for rows in rows_of.values():
        customer = {name: values[rows[0]] for name, values in needed.items()}
        crosses = cross_values(customer, [actions[row] for row in rows])
        for name in wanted:
            result[name][rows] = crosses[name]
    return result


def _identity(value: object) -> object:
    """Return what two rows of one customer share: the very list, or the number."""
    return id(value) if isinstance(value, (tuple, list, np.ndarray)) else str(value)


def _column_of(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in frame.columns:
        raise InvariantViolation(f"the rows have no column {name}; the model's layout names it")
    return frame[name]


def _series(values: Any, column: RowColumn) -> Any:  # noqa: ANN401 - what pandas takes and gives
    import pandas as pd

    if column.kind is ColumnKind.CATEGORICAL:
        objects = np.asarray(values, dtype=object)
        known = set(column.categories)
        words = [value if isinstance(value, str) and value in known else None for value in objects]
        return pd.Categorical(words, categories=list(column.categories))
    return pd.array(values, dtype="Float64").to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32)


def _number(value: object, codes: Mapping[str, int] | None) -> float:
    if codes is not None:
        return codes.get(value, np.nan) if isinstance(value, str) else np.nan
    return np.nan if value is None else float(cast("float", value))


def _codes(column: RowColumn) -> dict[str, int] | None:
    if column.kind is ColumnKind.NUMERIC:
        return None
    return {category: code for code, category in enumerate(column.categories)}


def _action_value(facts: ActionFacts, column: RowColumn) -> str | float | None:
    name = column.name.removeprefix("action_")
    if name not in _ACTION_FIELDS:
        raise InvariantViolation(
            f"no fact of an action is called {name}; the model's layout names {column.name}"
        )
    value: str | float | None = getattr(facts, name)
    return value
