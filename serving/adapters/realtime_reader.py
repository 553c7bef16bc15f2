"""What customers do right now, from the states in the feature store."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from features.contract import FeatureContract, FeatureValue
from features.realtime import EMPTY, State, merge, newest_at
from features.realtime_features import REALTIME_V1, VIEW, values
from features.realtime_state import loads
from moment.errors import DependencyError, MomentError
from serving.adapters.database import PerThread
from serving.adapters.realtime_push import online_ref
from serving.adapters.sqlite_events import state_name
from serving.adapters.sqlite_reserving import identities
from serving.adapters.vault import Vault
from serving.decision.values import FeatureState
from serving.ports import CustomerFacts
from serving.records import Mode

if TYPE_CHECKING:
    from features.store import FeatureStore


class RealtimeReader:
    """The port `RealtimeFeatures` on a feature store.

    The operational database tells with whom a profile is linked, and has the keys to their states.
    """

    def __init__(self, store: FeatureStore, database: Path | PerThread, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._readers = PerThread.of(database)

    @property
    def contract(self) -> FeatureContract:
        """The features it serves."""
        return REALTIME_V1

    def read(self, profile: str, *, mode: Mode, now: datetime) -> CustomerFacts:
        """Read the states of a profile and of those it is linked with, merged, at a time."""
        try:
            connection = self._readers.get()
            refs, _, _ = identities(connection, self._vault.ref(profile), mode)
            online = self._store.states([online_ref(ref, mode) for ref in refs])
            if online.count(None) == len(online):
                return _NOTHING
            states = self._opened(connection, refs, online, mode)
        except MomentError:
            raise
        except Exception as error:
            # Feast lets its stores' own errors through: whatever it is, there is no answer
            raise DependencyError(
                f"the real-time features cannot be read ({type(error).__name__}); try again later"
            ) from error
        return facts_of(merge(*states), now)

    def close(self) -> None:
        """Close what reads."""
        self._readers.close()

    def _opened(
        self, connection: sqlite3.Connection, refs: Sequence[str], online: Sequence[bytes | None], mode: Mode
    ) -> list[State]:
        """Return the states that are there and whose key is."""
        states = []
        for ref, sealed in zip(refs, online, strict=True):
            if sealed is not None:
                text = self._vault.open_sealed(connection, ref, sealed, about=state_name(mode))
                states += [] if text is None else [loads(text)]
        return states


def facts_of(state: State, now: datetime) -> CustomerFacts:
    """Return what a state tells at a time."""
    newest = newest_at(state)
    # Most customers have not done anything lately
    return _NOTHING if newest is None else _facts(values(state, now), {VIEW: min(newest, now)})


def _facts(found: Mapping[str, FeatureValue], event_times: Mapping[str, datetime]) -> CustomerFacts:
    states = {name: FeatureState.MISSING for name, value in found.items() if value is None}
    return CustomerFacts(bool(event_times), found, states, event_times)


_NOTHING = _facts(values(EMPTY, datetime(1970, 1, 1, tzinfo=UTC)), {})
"""What the state before any event tells, at any time."""
