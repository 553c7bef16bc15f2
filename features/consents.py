"""What ingest tells the operational database, and asks of it: consents, and who was erased.

The one ledger of consents is there, and so is the memory of who may not come back. `features` knows neither
the database nor the references under which customers stand in it: whoever runs an ingest hands in what does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from moment.home import Home

if TYPE_CHECKING:
    from features.quarantine import Checked

_ROWS = 50_000
_CUSTOMER = "customer_id"
_PRESENTATION = "presentation_id"


@dataclass(frozen=True, slots=True)
class ToldConsent:
    """One row of the canonical table ``consents``, and which source told it; instants are UTC."""

    customer_id: str
    purpose: str
    channel: str | None
    status: str
    valid_from: datetime
    valid_to: datetime | None
    known_at: datetime
    source: str


class CustomerLedger(Protocol):
    """The operational database, as an ingest sees it."""

    def erased(self, customer_ids: Sequence[str]) -> frozenset[str]:
        """Return which of the customers were erased."""
        ...

    def tell(self, consents: Sequence[ToldConsent]) -> int:
        """Append consents and return how many were new; what was told before changes nothing."""
        ...


OpenLedger = Callable[[Home], AbstractContextManager[CustomerLedger]]
"""Opens it; the command line is given one."""


def told_consents(file: Path, source: str) -> Iterator[list[ToldConsent]]:
    """Yield the consents of a file of the lake, some thousand at a time."""
    for batch in pq.ParquetFile(file).iter_batches(_ROWS):
        yield [
            ToldConsent(
                row["customer_id"],
                row["purpose"],
                row["channel"],
                row["status"],
                _utc(row["valid_from"]),
                None if row["valid_to"] is None else _utc(row["valid_to"]),
                _utc(row["known_at"]),
                source,
            )
            for row in batch.to_pylist()
        ]


@dataclass(slots=True)
class Gone:
    """Keeps an ingest from bringing erased customers back, table by table in the order of the contracts.

    Parameters
    ----------
    ledger
        Knows who was erased; None where nobody can have been.
    rows
        How many rows were left out.
    """

    ledger: CustomerLedger | None
    rows: int = 0
    _identities: set[str] = field(default_factory=set)
    _presentations: set[str] = field(default_factory=set)

    def left(self, table: str, checked: Checked) -> Checked:
        """Return what is left of a batch of a table: no row of an erased customer, rejected ones neither."""
        if self.ledger is None:
            return checked
        gone = self._gone(checked.good)
        self._remember(table, checked.good.filter(pa.array(gone)))
        self.rows += int(gone.sum())
        good = checked.good.filter(pa.array(~gone)) if gone.any() else checked.good
        return replace(checked, rows=checked.rows[~gone], good=good, rejected=self._rejected(checked))

    def _gone(self, rows: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
        gone = np.zeros(rows.num_rows, dtype=np.bool_)
        if _CUSTOMER in rows.column_names:
            named = rows[_CUSTOMER]
            gone |= _among(named, self._erased(named.unique().to_pylist()))
        if "identity" in rows.column_names:
            gone |= _among(rows["identity"], self._identities)
        if _PRESENTATION in rows.column_names:
            gone |= _among(rows[_PRESENTATION], self._presentations)
        return gone

    def _erased(self, customer_ids: Sequence[str | None]) -> frozenset[str]:
        asked = [one for one in customer_ids if one is not None]
        return self.ledger.erased(asked) if self.ledger is not None and asked else frozenset()

    def _remember(self, table: str, gone: pa.Table) -> None:
        if table == "identities":
            self._identities.update(
                f"{row['kind']}:{row['value_hash']}"
                for row in gone.select(["kind", "value_hash"]).to_pylist()
            )
        if table == "presentations":
            self._presentations.update(gone[_PRESENTATION].to_pylist())

    def _rejected(self, checked: Checked) -> tuple[Any, ...]:
        named = [_named(one.content) for one in checked.rejected]
        erased = self._erased(sorted({one for one in named if one is not None}))
        return tuple(
            one for one, who in zip(checked.rejected, named, strict=True) if who is None or who not in erased
        )


def _named(content: str) -> str | None:
    """Return whose a rejected row is, as far as it can be read."""
    try:
        row = json.loads(content)
    except ValueError:
        return None
    who = row.get(_CUSTOMER) if isinstance(row, dict) else None
    return None if who is None else str(who)


def _among(column: pa.ChunkedArray, words: Collection[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    if not words:
        return np.zeros(len(column), dtype=np.bool_)
    found = pc.is_in(column, value_set=pa.array(sorted(words), column.type))
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)
