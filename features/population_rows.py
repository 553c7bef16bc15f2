"""Model rows of many customers at once, equal bit for bit to what `RowEncoder` makes of them one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.contract import FeatureContract
from features.crosses import CROSS_INPUTS
from features.layout import ActionFacts, ColumnKind, ColumnSource, RowColumn, RowLayout
from features.rows import ContextValue, RowEncoder
from moment.errors import InvariantViolation

if TYPE_CHECKING:
    import pyarrow as pa


class PopulationEncoder:
    """Builds the matrices of one layout for tables of customers; keep one per model.

    Parameters
    ----------
    layout
        The columns of every matrix.
    contract
        The features the tables hold.
    actions
        The actions rows may be about; they are named by their place here.
    """

    def __init__(self, layout: RowLayout, contract: FeatureContract, actions: Sequence[ActionFacts]) -> None:
        self._encoder = RowEncoder(layout, actions)
        self._customer_columns = tuple(c for c in layout.columns if c.source is ColumnSource.CUSTOMER)
        wanted = (*(c.name for c in self._customer_columns), *(CROSS_INPUTS if self._encoder.crossed else ()))
        missing = set(wanted) - set(contract.names)
        if missing:
            raise InvariantViolation(f"the customer has no {min(missing)!r}; the model's layout names it")

    def customers(self, table: pa.Table) -> Customers:
        """Return what rows about the customers of a table are built from.

        Parameters
        ----------
        table
            ``n`` rows with the contract's features by name, null where missing or expired.
        """
        block = np.empty((table.num_rows, len(self._customer_columns)), dtype=np.float32)
        for place, column in enumerate(self._customer_columns):
            block[:, place] = _numbers(table[column.name], column)
        inputs = table.select(list(CROSS_INPUTS)).to_pylist() if self._encoder.crossed else []
        return Customers(block, inputs)

    def matrix(
        self,
        customers: Customers,
        rows: NDArray[np.intp],
        actions: Sequence[NDArray[np.intp]],
        context: Mapping[str, ContextValue],
    ) -> NDArray[np.float32]:
        """Return the matrices of some customers, one after another.

        Parameters
        ----------
        customers
            As `customers` returned them.
        rows
            Shape (m,): whose rows, by place in the table.
        actions
            m arrays: the places of each one's actions.
        context
            The layout's context columns by name, the same for all.

        Returns
        -------
        NDArray[float32]
            (total of actions, columns), C-contiguous; categories as codes, missing and unseen as NaN.
        """
        counts = [len(places) for places in actions]
        action = np.concatenate(actions) if actions else np.empty(0, dtype=np.intp)
        encoder = self._encoder
        matrix = encoder.of_actions(action, context)
        matrix[:, encoder.places(ColumnSource.CUSTOMER)] = customers.block[np.repeat(rows, counts)]
        if encoder.crossed and len(action):
            crosses = [
                encoder.crosses(customers.inputs[row], own)
                for row, own in zip(rows.tolist(), actions, strict=True)
            ]
            matrix[:, encoder.places(ColumnSource.CROSS)] = np.concatenate(crosses)
        return matrix


class Customers:
    """The customers' part of model rows.

    Parameters
    ----------
    block
        (customers, customer columns), as models read them.
    inputs
        What cross columns are computed from, one mapping per customer; empty where the layout has none.
    """

    __slots__ = ("block", "inputs")

    def __init__(self, block: NDArray[np.float32], inputs: Sequence[Mapping[str, Any]]) -> None:
        self.block = block
        self.inputs = inputs


def _numbers(values: pa.ChunkedArray, column: RowColumn) -> NDArray[np.float32]:
    """Return one column as models read it: numbers, or the categories' codes; null is NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.kind is ColumnKind.CATEGORICAL:
        values = pc.index_in(values, value_set=pa.array(column.categories, pa.string()), skip_nulls=True)
    numbers: NDArray[np.float64] = pc.cast(values, pa.float64(), safe=False).to_numpy()
    return numbers.astype(np.float32)
