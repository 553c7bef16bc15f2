"""Recorded decisions as a source: what was decided here, shown, and answered, to learn from.

Only decisions of live traffic, only offers that arbitration picked (no fallback, no mandatory message,
nothing forced), only customers who are known and were not erased. Whoever was in the control group counts:
those picks were uniform, and their probability is on record.

Where decisions are recorded is none of this room's business: whoever runs an ingest hands in what reads them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from features.contract import FeatureValue
from features.sources import Batch, Declaration
from features.sources.known_at import KnownFromColumn
from features.tables import TABLES
from moment.errors import Fault

if TYPE_CHECKING:
    import duckdb

NAME = "decision-records"
"""Name of the source, and of its files in the lake."""

_MAPPING = "2"
"""Counts up when the mapping below changes, so that what was ingested before is ingested anew."""

_BATCH_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class DecidedOffer:
    """One offer of a recorded decision that was shown.

    Parameters
    ----------
    tracking_id, customer_id, action_id, treatment_id, channel, placement
        The offer, who it was shown to and where.
    action_group
        The action's group in the catalogue that decided.
    action_probability
        π: the chance the policy gave this pick.
    purposes
        What the customer had consented to when it was decided.
    offers_together
        How many offers that decision made of which a model may learn.
    presented_at
        When it was shown, UTC: never before the decision, never after the report.
    window_ends_at
        When its action's attribution window ends. None while that is still to come: until then nobody knows
        whether it will be answered.
    known_at
        When the report of its presentation came.
    """

    tracking_id: str
    customer_id: str
    action_id: str
    treatment_id: str
    channel: str
    placement: str
    action_group: str
    action_probability: float
    purposes: tuple[str, ...]
    offers_together: int
    presented_at: datetime
    window_ends_at: datetime | None
    known_at: datetime


@dataclass(frozen=True, slots=True)
class DecidedOutcome:
    """One answer to a shown offer; `outcome_id` is the reporter's, blinded."""

    outcome_id: str
    tracking_id: str
    kind: str
    occurred_at: datetime
    value: float | None
    known_at: datetime


@dataclass(frozen=True, slots=True)
class DecidedFeatures:
    """What a decision saw of its customer: the features that were present, and what hid the others.

    Parameters
    ----------
    customer_id, decided_at
        Whose, and when.
    values
        By name, as used. None is what the store had no value for.
    hidden
        Features whose value was masked or had expired: what the store had is not on record.
    """

    customer_id: str
    decided_at: datetime
    values: Mapping[str, FeatureValue]
    hidden: frozenset[str]


class Decided(Protocol):
    """Recorded decisions and their outcomes. The same digest means the same rows, in the same order."""

    def digest(self) -> str:
        """Return a SHA-256 over everything the rows depend on."""
        ...

    def offers(self) -> Iterator[DecidedOffer]:
        """Yield what was shown, in the order of the decisions."""
        ...

    def outcomes(self) -> Iterator[DecidedOutcome]:
        """Yield what was answered to these offers, in the order of the decisions."""
        ...

    def features(self, most: int) -> Iterator[DecidedFeatures]:
        """Yield what the newest decisions behind these offers saw, at most so many."""
        ...


@dataclass(frozen=True, slots=True)
class DecisionRecords:
    """The source ``decision-records``.

    Parameters
    ----------
    decided
        Reads them.
    """

    decided: Decided

    @property
    def name(self) -> str:
        """Return ``decision-records``."""
        return NAME

    @property
    def declarations(self) -> Mapping[str, Declaration]:
        """Return the declarations: both tables know when what they say was reported."""
        return {
            "presentations": Declaration(KnownFromColumn(), "decisions"),
            "outcomes": Declaration(KnownFromColumn(), "outcome_reports"),
        }

    def digest(self) -> str:
        """Return the SHA-256 over what is recorded and this mapping."""
        return hashlib.sha256(f"{_MAPPING}\n{self.decided.digest()}".encode()).hexdigest()

    def faults(self) -> list[Fault]:
        """Return none: what reads the records has opened them already."""
        return []

    def batches(
        self,
        table: str,
        engine: duckdb.DuckDBPyConnection,  # noqa: ARG002 - the port's; nothing is mapped by SQL here
    ) -> Iterator[Batch]:
        """Yield the rows of a table, numbered in the order of the decisions."""
        rows = (
            map(_presentation, self.decided.offers())
            if table == "presentations"
            else map(_outcome, self.decided.outcomes())
        )
        first, place, schema = 1, self.declarations[table].place, TABLES[table].arrow_schema()
        while some := list(islice(rows, _BATCH_ROWS)):
            data = pa.Table.from_pylist(some, schema=schema)
            yield Batch(place, np.arange(first, first + len(some)), data)
            first += len(some)


def _presentation(offer: DecidedOffer) -> dict[str, Any]:
    return {
        "presentation_id": offer.tracking_id,
        "customer_id": offer.customer_id,
        "action_id": offer.action_id,
        "treatment_id": offer.treatment_id,
        "channel": offer.channel,
        "placement": offer.placement,
        "occurred_at": _plain(offer.presented_at),
        "exposure": "observed",
        "action_probability": offer.action_probability,
        "action_group": offer.action_group,
        "window_ends_at": None if offer.window_ends_at is None else _plain(offer.window_ends_at),
        "offers_together": offer.offers_together,
        "purposes": joined(offer.purposes),
        "known_at": _plain(offer.known_at),
    }


def _outcome(outcome: DecidedOutcome) -> dict[str, Any]:
    return {
        "outcome_id": outcome.outcome_id,
        "presentation_id": outcome.tracking_id,
        "kind": outcome.kind,
        "occurred_at": _plain(outcome.occurred_at),
        "value": outcome.value,
        "known_at": _plain(outcome.known_at),
    }


def joined(purposes: Sequence[str]) -> str:
    """Return purposes as the lake holds them: sorted, with commas; ``none`` where there were none."""
    return ",".join(sorted(purposes)) or "none"


def _plain(instant: datetime) -> datetime:
    """Return an instant as the lake holds it: UTC, without a zone."""
    return instant.astimezone(UTC).replace(tzinfo=None)
