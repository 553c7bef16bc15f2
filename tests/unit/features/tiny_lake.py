"""A lake of a few rows written by hand, as canonical tables in DuckDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from features.computation import Computation
from features.definition import View
from features.tables import TABLES

Row = dict[str, Any]


@dataclass(frozen=True)
class TinyLake:
    """An Ibis backend with every canonical table, most of them empty."""

    backend: Any
    tables: Mapping[str, Any]

    def features(self, view: View, at: datetime) -> dict[str, Row]:
        """Compute a view at a time: the features by name, by customer."""
        rows = Computation(self.backend, self.tables, [view]).rows(view, at).to_pylist()
        return {row["customer_id"]: row for row in rows}


def tiny_lake(**rows: Sequence[Row]) -> TinyLake:
    """Make a lake from rows by table; columns left out are null, ``known_at`` is ``occurred_at``."""
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    for name, table in TABLES.items():
        schema = table.arrow_schema()
        filled = [{column: row.get(column) for column in table.names} for row in rows.get(name, ())]
        for row in filled:
            row["known_at"] = row["known_at"] or row.get("occurred_at") or _naive(day(0))
        schema = pa.schema([field.with_nullable(True) for field in schema])
        content = pa.Table.from_pylist(filled, schema=schema)
        connection.register("content", content)
        connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM content')
        connection.unregister("content")
    backend = ibis.duckdb.from_connection(connection)
    return TinyLake(backend, {name: backend.table(name) for name in TABLES})


def day(number: float) -> datetime:
    """Return an instant by its day: day 0 is Monday, the 2nd of January 2017, UTC."""
    return datetime(2017, 1, 2, tzinfo=UTC) + timedelta(days=number)


def line(customer: str, at: float, amount: float = 10.0, **columns: Any) -> Row:  # noqa: ANN401 - any column
    """Return a line of a basket bought on a day."""
    basket = columns.pop("basket", f"{customer}-{at}")
    product = columns.pop("product", "1")
    known = columns.pop("known", at)
    return {
        "transaction_id": f"{basket}:{product}",
        "customer_id": customer,
        "occurred_at": _naive(day(at)),
        "known_at": _naive(day(known)),
        "amount": amount,
        "basket_id": basket,
        "product_id": product,
        "category": "BREAD",
        "department": "GROCERY",
        "brand": "National",
        "location_id": "store-1",
        "discount": 0.0,
        "coupon_discount": 0.0,
        "on_display": False,
        "in_mailer": False,
    } | columns


def offer(customer: str, at: float, action: str = "bread", **columns: Any) -> Row:  # noqa: ANN401 - any column
    """Return a presentation made on a day."""
    campaign = columns.pop("campaign", "1")
    known = columns.pop("known", at)
    return {
        "presentation_id": f"{campaign}-{customer}-{action}",
        "customer_id": customer,
        "action_id": action,
        "action_group": "GROCERY",
        "campaign_id": campaign,
        "channel": "mail",
        "occurred_at": _naive(day(at)),
        "known_at": _naive(day(known)),
        "exposure": "observed",
        "offers_together": 1,
    } | columns


def answer(to: Row, at: float, *, known: float | None = None, kind: str = "redeemed", number: int = 1) -> Row:
    """Return an outcome of a presentation observed on a day."""
    return {
        "outcome_id": f"{to['presentation_id']}-{number}",
        "presentation_id": to["presentation_id"],
        "kind": kind,
        "occurred_at": _naive(day(at)),
        "known_at": _naive(day(at if known is None else known)),
    }


def _naive(instant: datetime) -> datetime:
    return instant.replace(tzinfo=None)
