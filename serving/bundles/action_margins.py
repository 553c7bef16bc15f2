"""A logistic model that is asked of the same actions again and again: what they add is computed once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.layout import ColumnSource, RowLayout, places_together
from serving.bundles.linear import LinearModel, Numbers, Words, summed


class ActionMargins:
    """Log-odds of rows about some actions, bit for bit as `LinearModel.margins` returns them.

    What each column adds is kept in the order in which it is summed, and what a customer adds is written over
    it: so the sum is the very same.

    Parameters
    ----------
    model
        The model; its cross columns are numeric.
    rows
        Shape (actions, columns): of a customer nothing is known of.
    layout
        Where a row has the customer's own columns, and the cross columns.
    """

    def __init__(self, model: LinearModel, rows: NDArray[np.float32], layout: RowLayout) -> None:
        customer, crosses = layout.places(ColumnSource.CUSTOMER), layout.places(ColumnSource.CROSS)
        columns, everywhere = model.columns, range(len(model.columns))
        numbers, words = Numbers.of(columns, everywhere), Words.of(columns, everywhere)
        own, crossing = ([columns[place] for place in places] for places in (customer, crosses))
        self._intercept = model.intercept
        own_numbers, self._own_words = Numbers.of(own, range(len(own))), Words.of(own, range(len(own)))
        self._own = own_numbers.index
        self._telling, self._crossing = [own[place] for place in self._own], crossing
        self._told = self._told_of(len(rows))
        parts = numbers.parts(rows)
        at = {place: position for position, place in enumerate(numbers.index.tolist())}
        told = {*customer, *crosses}
        self._own_at = places_together([at[place] for place in customer if place in at])
        self._crossing_at = places_together([at[place] for place in crosses])
        self._rest_at = places_together([position for place, position in at.items() if place not in told])
        self._rest, self._uncrossed = parts[:, self._rest_at].copy(), parts[:1, self._crossing_at]
        self._width = parts.shape[1]
        self._words = words.parts(rows)
        self._words_at = places_together(
            [position for position, place in enumerate(words.index.tolist()) if place in told]
        )

    def _told_of(self, rows: int) -> Numbers:
        """Return all that a request tells side by side, so that it goes through the arithmetic at once.

        The customer's own numbers, and the cross columns of one row after another, of as many or fewer rows.
        """
        columns = self._telling + self._crossing * rows
        return Numbers.of(columns, range(len(columns)))

    def of(
        self, customer: NDArray[np.float32], crosses: NDArray[np.float32] | None, actions: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return log-odds, shape ``(n,)``.

        Parameters
        ----------
        customer
            Shape (customer columns,).
        crosses
            Shape (n, cross columns); None where all are missing.
        actions
            Shape (n,): places of the actions.
        """
        own = self._own
        told = np.empty(len(own) + (0 if crosses is None else crosses.size))
        told[: len(own)] = customer.take(own)
        if crosses is not None:
            told[len(own) :].reshape(crosses.shape)[:] = crosses
        telling = self._told
        if len(told) > len(telling.index):  # an action may come with each of its treatments
            telling = self._told = self._told_of(len(actions))
        telling.added(told)
        numbers = np.empty((len(actions), self._width))
        numbers[:, self._own_at] = told[: len(own)]
        numbers[:, self._rest_at] = self._rest.take(actions, axis=0)
        crossed = self._uncrossed if crosses is None else told[len(own) :].reshape(crosses.shape)
        numbers[:, self._crossing_at] = crossed
        words = self._words.take(actions, axis=0)
        words[:, self._words_at] = self._own_words.parts(customer[np.newaxis])
        return summed(self._intercept, numbers, words)
