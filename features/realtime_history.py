"""The same fold over history: canonical tables as events, and real-time features for training rows.

A row of a canonical table is the event a channel would have reported: a line of `transactions`, a page view,
search or visit of `interactions`, a phone call of `contacts`, a post of `social`. Its id is the row's, so
that a state replayed from history is the very state that reporting the rows one by one ends in. Each counts
from when it was known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

import duckdb

from features.contract import DType, FeatureValue
from features.realtime import EMPTY, Attribute, Event, EventKind, State, fold
from features.realtime_features import REALTIME_V1, values

if TYPE_CHECKING:
    import pandas as pd

_EVENTS = """
SELECT customer_id, kind, event_id, occurred_at, known_at, amount, topic, location_id, resolved FROM (
    SELECT customer_id, 'transaction' AS kind, transaction_id AS event_id, occurred_at, known_at, amount,
           NULL AS topic, location_id, NULL AS resolved FROM transactions
    UNION ALL
    SELECT customer_id, CASE kind WHEN 'visit' THEN 'location' ELSE kind END, event_id, occurred_at, known_at,
           NULL, topic, location_id, NULL FROM interactions
    WHERE kind IN ('page_view', 'search') OR kind = 'visit' AND location_id IS NOT NULL
    UNION ALL
    SELECT customer_id, 'call', contact_id, occurred_at, known_at, NULL, topic, NULL, resolved FROM contacts
    WHERE channel = 'phone'
    UNION ALL
    SELECT customer_id, 'social_mention', post_id, occurred_at, known_at, NULL, topic, NULL, NULL FROM social
) WHERE customer_id IN (SELECT unnest(?)) ORDER BY customer_id, known_at, event_id
"""
_PART = 10_000


@dataclass(frozen=True, slots=True)
class Known:
    """An event of a customer, and from when it could be used."""

    customer_id: str
    known_at: datetime
    event: Event


def history(lake: duckdb.DuckDBPyConnection, customer_ids: Sequence[str]) -> Iterator[Known]:
    """Yield customers' events from the lake, customer by customer, in the order they became known.

    Parameters
    ----------
    lake
        From `features.lake.connect`.
    customer_ids
        The customers.
    """
    cursor = lake.cursor()
    cursor.execute(_EVENTS, [sorted(set(customer_ids))])
    while rows := cursor.fetchmany(_PART):
        for customer_id, kind, event_id, occurred_at, known_at, *told in rows:
            named = zip(("amount", "topic", "location_id", "resolved"), told, strict=True)
            attributes: dict[str, Attribute] = {name: value for name, value in named if value is not None}
            event = Event(event_id, EventKind(kind), occurred_at.replace(tzinfo=UTC), attributes)
            yield Known(customer_id, known_at.replace(tzinfo=UTC), event)


def states_at(lake: duckdb.DuckDBPyConnection, customer_ids: Sequence[str], at: datetime) -> dict[str, State]:
    """Return each customer's state after all events known by a time.

    Parameters
    ----------
    lake
        From `features.lake.connect`.
    customer_ids
        The customers; those without an event are left out.
    at
        The time, UTC.
    """
    known = (one for one in history(lake, customer_ids) if one.known_at <= at)
    return {
        customer_id: fold(EMPTY, (one.event for one in events))
        for customer_id, events in groupby(known, key=lambda one: one.customer_id)
    }


def at_rows(lake: duckdb.DuckDBPyConnection, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the real-time features as they were at each row's time.

    Parameters
    ----------
    lake
        From `features.lake.connect`.
    rows
        Columns ``customer_id`` (string) and ``at`` (datetime, UTC); any others and duplicates are fine.

    Returns
    -------
    pandas.DataFrame
        As many rows, in the same order, with the index of ``rows`` and the columns of `REALTIME_V1`:
        ``Int64``, ``float64``, ``object`` of str; missing are NA or None.
    """
    import pandas as pd

    customers = [str(customer) for customer in rows["customer_id"]]
    times: list[datetime] = [time.to_pydatetime() for time in pd.to_datetime(rows["at"], utc=True)]
    asked: dict[str, list[int]] = {}
    for place in sorted(range(len(times)), key=lambda place: times[place]):
        asked.setdefault(customers[place], []).append(place)
    found: list[dict[str, FeatureValue]] = [values(EMPTY, time) for time in times]
    by_customer = groupby(history(lake, customers), key=lambda one: one.customer_id)
    for customer, events in by_customer:
        for place, state in _along(list(events), [(times[place], place) for place in asked[customer]]):
            found[place] = values(state, times[place])
    columns = {
        spec.name: pd.Series([row[spec.name] for row in found], index=rows.index, dtype=_PANDAS[spec.dtype])
        for spec in REALTIME_V1
    }
    return pd.DataFrame(columns, index=rows.index, columns=list(REALTIME_V1.names))


def _along(events: list[Known], asked: list[tuple[datetime, int]]) -> Iterator[tuple[int, State]]:
    """Yield the state at each time asked for, in order of time."""
    state, done = EMPTY, 0
    for time, place in asked:
        upto = done
        while upto < len(events) and events[upto].known_at <= time:
            upto += 1
        state, done = fold(state, (one.event for one in events[done:upto])), upto
        yield place, state


_PANDAS = {DType.INT64: "Int64", DType.FLOAT64: "float64", DType.STRING: "object"}
