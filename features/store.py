"""The one runtime client of Feast, offline and online.

Feast is imported when a `FeatureStore` is made, which takes seconds; importing this module is cheap.
Event times are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from features.contract import FeatureContract, FeatureValue
from moment.home import Home

if TYPE_CHECKING:
    import pandas as pd


class ValueState(StrEnum):
    """Why a feature has the value it has."""

    PRESENT = "present"
    MISSING = "missing"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """What the online store knows of one customer.

    Parameters
    ----------
    customer_id
        The customer asked for.
    found
        Whether the store knows the customer at all.
    values
        Every feature of the contract by name, in its order; None where missing or expired.
    states
        Why each value is as it is.
    event_times
        Per view, the time its values are as of, UTC.
    """

    customer_id: str
    found: bool
    values: Mapping[str, FeatureValue]
    states: Mapping[str, ValueState]
    event_times: Mapping[str, datetime]


class FeatureStore:
    """Feast, held to the contract.

    Parameters
    ----------
    home
        Where snapshots, registry and online store are.
    """

    contract: FeatureContract

    def __init__(self, home: Home) -> None:
        self.home = home

    def apply(self) -> None:
        """Write entities, sources, views and services to the registry and make the online tables."""
        raise NotImplementedError

    def materialize(self, until: datetime) -> datetime:
        """Load the newest snapshot that was served by ``until`` into the online store; return its time."""
        raise NotImplementedError

    def historical(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the features as they were served at each row's time.

        Parameters
        ----------
        rows
            Columns ``customer_id`` (string) and ``at`` (datetime, UTC); any others and duplicates are fine.

        Returns
        -------
        pandas.DataFrame
            As many rows, in the same order, with the index of ``rows`` and the contract's columns: ``boolean``,
            ``Int64``, ``float64``, ``object`` of str, ``object`` of tuples. Missing and expired are NA or None.
        """
        raise NotImplementedError

    def online(self, customer_ids: Sequence[str], now: datetime) -> list[CustomerRow]:
        """Return what is known at ``now`` of each customer, in the order asked; unknown ones are not found."""
        raise NotImplementedError

    def newest_event_time(self) -> datetime:
        """Return the time of the newest features online."""
        raise NotImplementedError
