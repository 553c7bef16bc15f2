"""The stores beside the operational database that know customers: the online store and the files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pyarrow import ArrowException

from features import erasure as files
from moment.errors import DependencyError
from moment.home import Home
from moment.turns import PATIENCE, turn, under_way
from serving.ports import Erasure

if TYPE_CHECKING:
    from features.store import FeatureStore

T = TypeVar("T")

_ONLINE = "online"
"""The turn for the online store."""

_ONLINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class OtherStore:
    """A store of customers: its name in receipts, what counts somebody's rows in it and takes them out."""

    name: str
    held: Callable[[Erasure], Mapping[str, int]]
    erase: Callable[[Erasure], object]
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class FileTurns:
    """The port `ErasingTurns` by locks in the home; `patience` is how many seconds to wait for the files."""

    home: Home
    patience: float = PATIENCE

    def at_once(self) -> AbstractContextManager[None]:
        """Wait for the turn at the online store."""
        return turn(self.home, "an erasure", of=_ONLINE, patience=_ONLINE_SECONDS)

    def files(self) -> AbstractContextManager[None]:
        """Wait for the turn at the files."""
        return files.alone_with_files(self.home, self.patience)

    def under_way(self) -> tuple[str, ...]:
        """Return who has the turn at the files now, in words."""
        return under_way(self.home)


def other_stores(home: Home, store: FeatureStore) -> tuple[OtherStore, ...]:
    """Return the stores in the order in which they are cleared: each is made of those before it."""
    return (
        OtherStore(
            "online_features",
            _told("online features", lambda one: store.known([one.customer_id], one.online_refs)),
            _told("online features", lambda one: store.forget([one.customer_id], one.online_refs)),
            at_once=True,
        ),
        OtherStore(
            "lake",
            _told("lake", lambda one: files.held_in_lake(home, one.customer_id, one.theirs)),
            _told("lake", lambda one: files.erase_from_lake(home, one.customer_id, one.theirs)),
        ),
        OtherStore(
            "quarantine",
            _told("quarantine", lambda one: files.held_in_quarantine(home, one.customer_id, one.theirs)),
            _told("quarantine", lambda one: files.erase_from_quarantine(home, one.customer_id, one.theirs)),
        ),
        _files("snapshots", home, files.held_in_snapshots, files.erase_from_snapshots),
        _files("training_sets", home, files.held_in_training_sets, files.erase_from_training_sets),
    )


def _files(
    name: str, home: Home, held: Callable[[Home, str], files.Held], erase: Callable[[Home, str], int]
) -> OtherStore:
    return OtherStore(
        name,
        _told(name, lambda one: held(home, one.customer_id)),
        _told(name, lambda one: erase(home, one.customer_id)),
    )


def _told(name: str, call: Callable[[Erasure], T]) -> Callable[[Erasure], T]:
    """Have what fails on the way named in Moment's own words: a file's path is nobody's business."""

    def told(erasure: Erasure) -> T:
        try:
            return call(erasure)
        except (OSError, sqlite3.Error, ArrowException) as error:
            raise DependencyError(
                f"the {name.replace('_', ' ')} cannot be cleared ({type(error).__name__}); erase again"
            ) from error

    return told
