"""Customers from the feature store."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from features.contract import FeatureContract
from moment.errors import DependencyError, MomentError
from serving.decision.values import FeatureState
from serving.ports import NOBODY, CustomerFacts

if TYPE_CHECKING:
    from features.store import FeatureStore

_STATES = {state.value: state for state in FeatureState}


class FeastReader:
    """The port `CustomerFeatures` on a feature store."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    @property
    def store(self) -> FeatureStore:
        """The store it reads."""
        return self._store

    @property
    def contract(self) -> FeatureContract:
        """The features the store serves."""
        return self._store.contract

    def read(self, customer_id: str, now: datetime) -> CustomerFacts:
        """Read one customer online."""
        try:
            row = self._store.online([customer_id], now)[0]
        except MomentError:
            raise
        except Exception as error:
            # Feast lets its stores' own errors through: whatever it is, the store did not answer
            raise DependencyError(
                f"the feature store does not answer ({type(error).__name__}); see whether it is up"
            ) from error
        if not row.found:
            return NOBODY
        return CustomerFacts(
            found=True,
            values=row.values,
            states={name: _STATES[state] for name, state in row.states.items()},
            event_times=row.event_times,
        )

    def newest(self) -> datetime:
        """Return the time of the newest features online."""
        return self._store.newest_event_time()
