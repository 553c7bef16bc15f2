"""The whole population as the online store would serve it at a time, read in spans of customer ids.

Nothing of Feast is needed for reading: the snapshots that were loaded into the online store lie beside it. A
`Population` is a small value, so that several processes can each read their own spans of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.contract import DType, FeatureContract, FeatureSpec
from features.snapshot_files import as_of_column
from moment.errors import InvalidRequest, StepMissing

if TYPE_CHECKING:
    import pyarrow as pa

MATERIALIZE_FIRST = "moment features materialize"

EXPIRED = "expired:"
"""Before a feature's name: the column that says whether a value was there and had expired."""

_TYPES = {
    DType.BOOL: "BOOLEAN",
    DType.INT64: "BIGINT",
    DType.FLOAT64: "DOUBLE",
    DType.STRING: "VARCHAR",
    DType.STRING_LIST: "VARCHAR[]",
    DType.FLOAT_LIST: "DOUBLE[]",
}


@dataclass(frozen=True, slots=True)
class LoadedView:
    """What of a view is online: the snapshot it was loaded from, and the time that is as of (UTC)."""

    name: str
    file: Path
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """Customers from one id to another, both included, in the order of their bytes; how many there are."""

    first: str
    last: str
    customers: int


@dataclass(frozen=True, slots=True)
class Population:
    """Every customer, as served at a time.

    Parameters
    ----------
    contract
        The features.
    views
        What is online of each view the contract names.
    at
        The time of reading, UTC, by which values expire.
    """

    contract: FeatureContract
    views: tuple[LoadedView, ...]
    at: datetime

    @classmethod
    def online(cls, contract: FeatureContract, views: tuple[LoadedView, ...], at: datetime) -> Population:
        """Return what is online as it would be served at a time.

        Raises
        ------
        InvalidRequest
            The features online are of later than ``at``.
        StepMissing
            The snapshots they came from are gone.
        """
        population = cls(contract, views, at)
        if population.as_of > at:
            raise InvalidRequest(
                f"the features online are of {population.as_of:%Y-%m-%dT%H:%M:%SZ}, later than "
                f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}; take a later time, or load earlier ones with "
                f"`{MATERIALIZE_FIRST} --until TIME`",
                code="time-before-features",
            )
        gone = [view.name for view in views if not view.file.is_file()]
        if gone:
            raise StepMissing(f"the snapshot of {gone[0]} that is online is gone", run=MATERIALIZE_FIRST)
        return population

    @property
    def as_of(self) -> datetime:
        """What the oldest of its views is as of."""
        return min(view.as_of for view in self.views)

    def spans(self, connection: Any, size: int) -> tuple[Span, ...]:  # noqa: ANN401 - DuckDB carries no types
        """Return all customers in spans of ``size`` and a rest, in the order of their ids.

        Parameters
        ----------
        connection
            To a DuckDB database.
        size
            Customers in a span.
        """
        found = connection.execute(
            f"""
            SELECT min(customer_id), max(customer_id), count(*) FROM (
                SELECT customer_id, (row_number() OVER (ORDER BY customer_id) - 1) // {size} AS part
                FROM (SELECT DISTINCT customer_id FROM read_parquet(?))
            ) GROUP BY part ORDER BY part
            """,  # noqa: S608 - a number
            [[str(view.file) for view in self.views]],
        ).fetchall()
        return tuple(Span(*row) for row in found)

    def read(self, connection: Any, span: Span, where: str = "") -> pa.Table:  # noqa: ANN401
        """Return the customers of a span, in the order of their ids.

        Parameters
        ----------
        connection
            To a DuckDB database.
        span
            Which customers.
        where
            A predicate in DuckDB's SQL over the contract's features; all customers where it is empty.

        Returns
        -------
        pyarrow.Table
            ``customer_id`` (string); every feature of the contract by name, missing, NaN and expired as null;
            ``<view>_as_of`` (int64, epoch seconds), null where the view does not know the customer; and
            ``expired:<feature>`` (bool) for the features of views that have expired.
        """
        sources = ", ".join(self._source(place, span) for place in range(len(self.views)))
        joined = " ".join(f"LEFT JOIN v{place} USING (customer_id)" for place in range(len(self.views)))
        everybody = " UNION ".join(f"SELECT customer_id FROM v{p}" for p in range(len(self.views)))  # noqa: S608
        columns = ", ".join(
            (
                "customer_id",
                *(column for spec in self.contract for column in self._columns(spec)),
                *(f'"{as_of_column(view.name)}"' for view in self.views),
            )
        )
        query = (
            f"WITH {sources}, served AS (SELECT {columns} FROM ({everybody}) {joined}) "  # noqa: S608
            f"FROM served {f'WHERE {where}' if where else ''} ORDER BY customer_id"
        )
        table: pa.Table = connection.execute(query).to_arrow_table()
        return table

    def _source(self, place: int, span: Span) -> str:
        view = self.views[place]
        low, high = _text(span.first), _text(span.last)
        return (
            f"v{place} AS (SELECT customer_id, {self._named(view.name)} FROM "  # noqa: S608
            f"read_parquet({_text(str(view.file))}) WHERE customer_id BETWEEN {low} AND {high})"
        )

    def _named(self, view: str) -> str:
        names = [spec.name for spec in self.contract if spec.view == view]
        return ", ".join(f'"{name}"' for name in (*names, as_of_column(view)))

    def _columns(self, spec: FeatureSpec) -> Sequence[str]:
        if self._has_expired(spec):
            none = f'CAST(NULL AS {_TYPES[spec.dtype]}) AS "{spec.name}"'
            known = f"NOT isnan({_cast(spec)})" if spec.dtype is DType.FLOAT64 else "true"
            return (none, f'"{spec.name}" IS NOT NULL AND {known} AS "{EXPIRED}{spec.name}"')
        value = _cast(spec)
        if spec.dtype is DType.FLOAT64:
            value = f"CASE WHEN NOT isnan({value}) THEN {value} END"
        return (f'{value} AS "{spec.name}"',)

    def _has_expired(self, spec: FeatureSpec) -> bool:
        as_of = next(view.as_of for view in self.views if view.name == spec.view)
        return self.at - as_of > spec.max_age


def _cast(spec: FeatureSpec) -> str:
    return f'CAST("{spec.name}" AS {_TYPES[spec.dtype]})'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
