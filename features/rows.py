"""The one definition of a model's row: customer x action x context.

Training builds a frame of many rows, serving a matrix for the candidates of one request. Both go through the
same arithmetic, so a model cannot see one thing in training and another when it is asked.

Importing this module is cheap: numpy and the contract only. pandas is imported where a frame is built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from features.contract import FeatureValue
from features.crosses import CROSS_INPUTS, ActionCrosses, has_lists
from features.layout import (
    CROSS_COLUMNS,
    ActionFacts,
    ColumnKind,
    ColumnSource,
    RowColumn,
    RowLayout,
    customer_layout,
    places_together,
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

_CROSS_PLACES = {name: place for place, name in enumerate(CROSS_COLUMNS)}
"""Where each cross column is in `ActionCrosses.block`."""

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
            columns[column.name] = crosses[column.name]
        elif column.source is ColumnSource.ACTION:
            columns[column.name] = _series([_action_value(facts, column.name) for facts in actions], column)
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
    return RowEncoder(layout, actions).matrix(customer, np.arange(len(actions)), context)


class RowEncoder:
    """Builds the matrices of one layout about some actions; keep one per model and catalogue.

    Parameters
    ----------
    layout
        The columns of every matrix.
    actions
        The actions rows may be about; they are named by their place here.
    """

    def __init__(self, layout: RowLayout, actions: Sequence[ActionFacts]) -> None:
        self._values = {source: _Values.of(layout, source) for source in ColumnSource}
        self._crosses = ActionCrosses(actions)
        self._crossing = places_together(
            [_cross_place(name) for name in self._values[ColumnSource.CROSS].names]
        )
        self._rows = np.full((len(actions), len(layout.columns)), np.nan, dtype=np.float32)
        own = self._values[ColumnSource.ACTION]
        for row, facts in zip(self._rows, actions, strict=True):
            row[own.places] = own.row({name: _action_value(facts, name) for name in own.names})

    def matrix(
        self,
        customer: Mapping[str, FeatureValue] | None,
        actions: NDArray[np.intp],
        context: Mapping[str, ContextValue],
    ) -> NDArray[np.float32]:
        """Return the matrix for one request.

        Parameters
        ----------
        customer
            Every feature of the contract by name, None where missing, expired or masked; None for a customer
            nobody knows: all of its columns and the cross columns are NaN.
        actions
            Shape (n,): places of the candidates' actions.
        context
            The layout's context columns by name.

        Returns
        -------
        NDArray[float32]
            (n, columns), C-contiguous; categories as codes, missing and unseen as NaN.

        Raises
        ------
        InvariantViolation
            A column the layout names is missing.
        """
        matrix = self.of_actions(actions, context)
        if customer is not None:
            self.tell(matrix, customer, actions)
        return matrix

    def of_actions(
        self, actions: NDArray[np.intp], context: Mapping[str, ContextValue]
    ) -> NDArray[np.float32]:
        """Return rows (n, columns) that know nothing of a customer yet: those columns are NaN."""
        told = self._values[ColumnSource.CONTEXT]
        matrix = self._rows.take(actions, axis=0)
        matrix[:, told.places] = told.row(context)
        return matrix

    def tell(
        self, matrix: NDArray[np.float32], customer: Mapping[str, FeatureValue], actions: NDArray[np.intp]
    ) -> None:
        """Write what is known of a customer into rows about some actions, as `of_actions` returns them."""
        row, crosses = self.told(customer, actions)
        matrix[:, self.places(ColumnSource.CUSTOMER)] = row
        if crosses is not None:
            matrix[:, self.places(ColumnSource.CROSS)] = crosses

    def told(
        self, customer: Mapping[str, FeatureValue], actions: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return the customer's own columns, (customer columns,), and their `crosses`; None: all are NaN."""
        crossed = self.crossed and has_lists(customer)
        row = self._values[ColumnSource.CUSTOMER].row(customer)
        return row, self.crosses(customer, actions) if crossed else None

    def reads_any(self, customer: Mapping[str, FeatureValue]) -> bool:
        """Return whether rows about the customer differ from nobody's: whether they read anything known."""
        names = self._values[ColumnSource.CUSTOMER].names
        # What should be there and is not counts as known: `matrix` refuses it
        known = any(customer.get(name, name) is not None for name in names)
        return known or (self.crossed and has_lists(customer))

    @property
    def crossed(self) -> bool:
        """Whether the layout has cross columns."""
        return bool(self._values[ColumnSource.CROSS].names)

    def places(self, source: ColumnSource) -> slice | NDArray[np.intp]:
        """Return where the columns from a source are in a row."""
        return self._values[source].places

    def crosses(self, customer: Mapping[str, FeatureValue], actions: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the cross columns of one customer and some actions, by place: (n, cross columns)."""
        return self._crosses.block(customer, actions)[self._crossing].T


@dataclass(frozen=True, slots=True)
class _Values:
    """The columns from one source, read from a mapping.

    Parameters
    ----------
    source
        Who supplies them.
    names
        Names in the order of the layout.
    places
        Where they are in a row; a slice where they are side by side, which is quicker.
    coded
        For each categorical one: its position among these, and the code of each category.
    """

    source: ColumnSource
    names: tuple[str, ...]
    places: slice | NDArray[np.intp]
    coded: tuple[tuple[int, Mapping[str, int]], ...]

    @classmethod
    def of(cls, layout: RowLayout, source: ColumnSource) -> Self:
        found = [(place, column) for place, column in enumerate(layout.columns) if column.source is source]
        coded = [
            (position, {category: code for code, category in enumerate(column.categories)})
            for position, (_, column) in enumerate(found)
            if column.kind is ColumnKind.CATEGORICAL
        ]
        names = tuple(column.name for _, column in found)
        return cls(source, names, places_together([place for place, _ in found]), tuple(coded))

    def row(self, values: Mapping[str, Any]) -> NDArray[np.float32]:
        """Return the numbers a model reads, (columns,): categories as codes, missing and unseen as NaN."""
        try:
            row = [values[name] for name in self.names]
        except KeyError as missing:
            raise InvariantViolation(
                f"the {self.source} has no {missing}; the model's layout names it"
            ) from None
        for position, codes in self.coded:
            value = row[position]
            row[position] = codes.get(value) if isinstance(value, str) else None
        # numpy reads None as NaN
        return np.array(row, dtype=np.float32)


def _cross_columns(
    customers: pd.DataFrame, actions: Sequence[ActionFacts], layout: RowLayout
) -> dict[str, NDArray[np.float32]]:
    wanted = [column.name for column in layout.columns if column.source is ColumnSource.CROSS]
    result = {name: np.empty(len(actions), dtype=np.float32) for name in wanted}
    if not wanted:
        return result
    needed = {name: _column_of(customers, name).to_numpy(dtype=object) for name in CROSS_INPUTS}
    identities = zip(*(map(_identity, values) for values in needed.values()), strict=True)
    rows_of: dict[tuple[object, ...], list[int]] = {}
    for row, identity in enumerate(identities):
        rows_of.setdefault(identity, []).append(row)
    distinct = {facts: place for place, facts in enumerate(dict.fromkeys(actions))}
    crossing, places = ActionCrosses(tuple(distinct)), np.array([distinct[facts] for facts in actions])
    for rows in rows_of.values():
        customer = {name: values[rows[0]] for name, values in needed.items()}
        crosses = crossing.block(customer, places[rows])
        for name in wanted:
            result[name][rows] = crosses[_cross_place(name)]
    return result


def _cross_place(name: str) -> int:
    try:
        return _CROSS_PLACES[name]
    except KeyError:
        raise InvariantViolation(f"there is no cross column {name}; the model's layout names it") from None


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


def _action_value(facts: ActionFacts, column: str) -> str | float | None:
    name = column.removeprefix("action_")
    if name not in _ACTION_FIELDS:
        raise InvariantViolation(f"no fact of an action is called {name}; the model's layout names {column}")
    value: str | float | None = getattr(facts, name)
    return value
