"""The stores beside the operational database that know customers: the online store and the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.erasure import (
    erase_from_lake,
    erase_from_quarantine,
    erase_from_snapshots,
    erase_from_training_sets,
)
from moment.home import Home
from serving.ports import Erasure

if TYPE_CHECKING:
    from features.store import FeatureStore


@dataclass(frozen=True, slots=True)
class OtherStore:
    """A store of customers: its name in receipts, and what takes one out of it and counts the rows."""

    name: str
    erase: Callable[[Erasure], int]


def other_stores(home: Home, store: FeatureStore) -> tuple[OtherStore, ...]:
    """Return the stores in the order in which they are cleared: those that decisions read come first."""
    return (
        OtherStore("online_features", lambda one: store.forget([one.customer_id], one.online_refs)),
        OtherStore("lake", lambda one: erase_from_lake(home, one.customer_id)),
        OtherStore("quarantine", lambda one: erase_from_quarantine(home, one.customer_id)),
        OtherStore("snapshots", lambda one: erase_from_snapshots(home, one.customer_id)),
        OtherStore("training_sets", lambda one: erase_from_training_sets(home, one.customer_id)),
    )
