"""The one runtime client of Feast, offline and online.

Feast is held to the contract: as many rows out as in and in their order, columns and dtypes as the contract
says, and no value older than its ``max_age``. Feast drops, reorders and recasts on occasion, and serves
expired values; nothing of that leaves this module.

Feast is imported when a `FeatureStore` is made, which takes seconds; importing this module is cheap.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from features.contract import FeatureContract
from features.online import CustomerRow, OnlineRows
from features.population import MATERIALIZE_FIRST, LoadedView, Population
from features.realtime_features import STATE, VIEW
from features.snapshot_files import as_of_column, newest_served, snapshot_file, snapshot_times
from features.store_columns import asked_of, distinct, features_of, in_order, nobody, numbered
from features.store_session import duckdb_in_utc, quiet
from moment.errors import StepMissing
from moment.home import Home
from moment.progress import SILENT, Step
from moment.turns import turn

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

BUILD_FIRST = "moment features build"
APPLY_FIRST = "moment features apply"


@dataclass(frozen=True, slots=True)
class PushedState:
    """The state of a real-time fold on its way to the online store.

    Parameters
    ----------
    profile_ref
        Whose it is.
    state
        The state, sealed: of no meaning to Feast.
    as_of
        Rises with every change of it; an older one never replaces a newer.
    """

    profile_ref: str
    state: bytes
    as_of: datetime


class FeatureStore:
    """Feast, held to the contract.

    An instance may be shared between threads: each reads for itself, and those that push take turns.

    Parameters
    ----------
    home
        Where snapshots, registry and online store are.
    """

    contract: FeatureContract
    """The features, in order: those Moment ships and those installed packages add."""

    def __init__(self, home: Home) -> None:
        from feast import FeatureStore as Feast

        from features.definitions import all_views, contract_of

        self.home = home
        self._views = all_views()
        self.contract = contract_of(self._views)
        self._by_view = {view.name: view.specs for view in self._views}
        self._rows = OnlineRows(self._by_view)
        self._feast = Feast(config=_configuration(home))
        self._online_views: dict[str, Any] | None = None
        self._realtime: Any = None
        self._customers: Any = None
        self._states: Any = None
        self._turn = Lock()

    def apply(self) -> None:
        """Write entities, sources, views and services to the registry and make the online tables.

        Idempotent. Views that are no longer defined are taken away.

        Raises
        ------
        StepMissing
            There are no snapshots for a view to be read from.
        """
        from feature_repo.entities import CUSTOMER, PROFILE
        from feature_repo.services import feature_service
        from feature_repo.views import feature_view, realtime_view

        for view in self._views:
            self._snapshot_times(view.name)
        views = {view.name: feature_view(view, self.home) for view in self._views}
        service = feature_service(self.contract, views)
        kept = [*views.values(), realtime_view(self.home)]
        names = {view.name for view in kept}
        gone = [view for view in self._feast.list_feature_views() if view.name not in names]
        with quiet():
            self._feast.apply([CUSTOMER, PROFILE, *kept, service], objects_to_delete=gone, partial=False)
        self._forget_views()
        # Readers go on while a materialization writes
        with contextlib.closing(sqlite3.connect(self.home.feast / "online.db")) as connection:
            connection.execute("PRAGMA journal_mode=WAL")

    def materialize(self, until: datetime, *, step: Step = SILENT) -> datetime:
        """Load the newest snapshot that was served by a time into the online store.

        Parameters
        ----------
        until
            The time, UTC.
        step
            Told of each view done.

        Returns
        -------
        datetime
            What the features are as of.

        Raises
        ------
        StepMissing
            There are no snapshots yet, none was served by then, or the registry knows none of the views.
        DependencyError
            The files of the home are being written by somebody else all the time.
        """
        # Whom an erasure takes out of a snapshot that is being loaded would be online again
        with turn(self.home, "a load of the online features"):
            return self._materialize(until, step)

    def _materialize(self, until: datetime, step: Step) -> datetime:
        at = newest_served(self.snapshot_times(), until)
        if at is None:
            raise StepMissing(f"no snapshot was served by {until:%Y-%m-%dT%H:%MZ}", run=BUILD_FIRST)
        self.refresh()
        self._overwrite_what_goes()
        for name in self._applied_views():
            with quiet(), duckdb_in_utc(self.home):
                self._feast.materialize(at - timedelta(seconds=1), at, feature_views=[name])
            step.advance(1, note=name)
        return at

    def snapshot_times(self) -> tuple[datetime, ...]:
        """Return the times that every view has a snapshot of, oldest first.

        Raises
        ------
        StepMissing
            There is none.
        """
        shared = set.intersection(*(set(self._snapshot_times(view.name)) for view in self._views))
        if not shared:
            raise StepMissing("no time has a snapshot of every view", run=BUILD_FIRST)
        return tuple(sorted(shared))

    def historical(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the features as they were served at each row's time.

        Parameters
        ----------
        rows
            Columns ``customer_id`` (string) and ``at`` (datetime, UTC); any others and duplicates are fine.

        Returns
        -------
        pandas.DataFrame
            As many rows, in the same order, with the index of ``rows`` and the contract's columns:
            ``boolean``, ``Int64``, ``float64``, ``object`` of str, ``object`` of tuples. Missing and expired
            are NA or None. Rows of one customer and time share their tuples.

        Raises
        ------
        StepMissing
            The registry knows none of the views.
        InvariantViolation
            Feast returned other rows or columns than were asked for.
        """
        places, wanted = distinct(asked_of(rows))
        # Feast cannot be asked for nothing
        found = self._pull(wanted if len(wanted) else nobody())
        return features_of(found, self.contract, places, rows.index)

    def online(self, customer_ids: Sequence[str], now: datetime) -> list[CustomerRow]:
        """Return what is known of each customer, in the order asked; unknown ones are not found.

        Parameters
        ----------
        customer_ids
            The customers.
        now
            The time of reading, UTC, by which values expire.

        Raises
        ------
        StepMissing
            The registry knows none of the views.
        """
        reader = self._customer_reader()
        return [self._rows.row(customer_id, now, reader.read(customer_id)) for customer_id in customer_ids]

    def push(self, states: Sequence[PushedState]) -> None:
        """Make the states of real-time folds the ones online, all together.

        Where a newer one is there already, it stays.

        Raises
        ------
        StepMissing
            The registry does not know the view.
        """
        if not states:
            return
        view = self._realtime_view()
        rows = [
            (_profile_key(one.profile_ref), {STATE: _bytes(one.state)}, one.as_of, None) for one in states
        ]
        with self._turn:
            self._overwrite_what_goes()
            self._feast.provider.online_write_batch(self._feast.config, view, rows, None)

    def states(self, profile_refs: Sequence[str]) -> list[bytes | None]:
        """Return the state pushed last of each profile, in the order asked; None where none was.

        Raises
        ------
        StepMissing
            The registry does not know the view.
        """
        reader = self._state_reader()
        found = map(reader.read, profile_refs)
        return [None if message is None else message.bytes_val for message in found]

    def known(self, customer_ids: Sequence[str], profile_refs: Sequence[str]) -> dict[str, int]:
        """Return how many rows each table of the online store has of customers and real-time states."""
        from features.erasure import held_in_online_store

        return held_in_online_store(self.home.feast / "online.db", self._keys(customer_ids, profile_refs))

    def forget(self, customer_ids: Sequence[str], profile_refs: Sequence[str]) -> int:
        """Take customers and real-time states out of the online store; return how many rows there were."""
        from features.erasure import erase_from_online_store

        return erase_from_online_store(self.home.feast / "online.db", self._keys(customer_ids, profile_refs))

    def _keys(self, customer_ids: Sequence[str], profile_refs: Sequence[str]) -> list[bytes]:
        from feast.infra.key_encoding_utils import serialize_entity_key

        version = self._feast.config.entity_key_serialization_version
        named = [*map(_entity_key, customer_ids), *map(_profile_key, profile_refs)]
        return [serialize_entity_key(key, version) for key in named]

    def _overwrite_what_goes(self) -> None:
        """Let Feast's own connection overwrite what it replaces, so that erasing later leaves no copy."""
        provider = self._feast.provider
        connection = provider.online_store._get_conn(self._feast.config)  # noqa: SLF001 - Feast gives no other
        connection.execute("PRAGMA secure_delete=ON")

    def newest_event_time(self) -> datetime:
        """Return what the newest features online are as of.

        Raises
        ------
        StepMissing
            Nothing has been materialized.
        """
        return min(self._loaded().values())

    def population(self, at: datetime) -> Population:
        """Return every customer as `online` would serve them at a time; nothing is read yet.

        Parameters
        ----------
        at
            The time of reading, UTC, by which values expire.

        Raises
        ------
        StepMissing
            Nothing has been materialized, or the snapshots it came from are gone.
        InvalidRequest
            The features online are of later than ``at``.
        """
        views = tuple(
            LoadedView(name, snapshot_file(self.home, name, as_of), as_of)
            for name, as_of in self._loaded().items()
        )
        return Population.online(self.contract, views, at)

    def _loaded(self) -> dict[str, datetime]:
        """Return the time that what is online of each view is as of."""
        self.refresh()
        loads = {name: view.materialization_intervals for name, view in self._applied_views().items()}
        if not all(loads.values()):
            raise StepMissing("nothing has been loaded into the online store", run=MATERIALIZE_FIRST)
        # The last load counts, not the latest time: an earlier snapshot may have been loaded since
        return {name: intervals[-1][1].astimezone(UTC) for name, intervals in loads.items()}

    def refresh(self) -> None:
        """Take notice of what others wrote to the registry since; reading never does."""
        self._feast.refresh_registry()
        self._forget_views()

    def _forget_views(self) -> None:
        self._online_views = None
        self._realtime = None
        self._customers = None
        self._states = None

    def _applied_views(self) -> dict[str, Any]:
        if self._online_views is None:
            applied = {view.name: view for view in self._feast.list_feature_views()}
            missing = [name for name in self._by_view if name not in applied]
            if missing:
                raise StepMissing(f"Feast's registry does not know the view {missing[0]}", run=APPLY_FIRST)
            service = self._feast.get_feature_service(self.contract.name)
            if service.tags.get("contract") != self.contract.digest():
                raise StepMissing("features were defined anew since Feast was told", run=APPLY_FIRST)
            self._online_views = {name: applied[name] for name in self._by_view}
        return self._online_views

    def _realtime_view(self) -> Any:  # noqa: ANN401 - Feast's view
        if self._realtime is None:
            found = [view for view in self._feast.list_feature_views() if view.name == VIEW]
            if not found:
                raise StepMissing(f"Feast's registry does not know the view {VIEW}", run=APPLY_FIRST)
            self._realtime = found[0]
        return self._realtime

    def _customer_reader(self) -> Any:  # noqa: ANN401 - of feature_repo, which imports Feast
        reader = self._customers
        if reader is None:
            views, feast = tuple(self._applied_views().values()), self._feast
            reader = feast.provider.online_store.view_reader(feast.config, views, "customer_id")
            if reader.names != self._rows.read:
                raise StepMissing("features were defined anew since Feast was told", run=APPLY_FIRST)
            self._customers = reader
        return reader

    def _state_reader(self) -> Any:  # noqa: ANN401 - of feature_repo, which imports Feast
        reader = self._states
        if reader is None:
            view, feast = self._realtime_view(), self._feast
            reader = feast.provider.online_store.feature_reader(feast.config, view, STATE, "profile_ref")
            self._states = reader
        return reader

    def _snapshot_times(self, view: str) -> tuple[datetime, ...]:
        times = snapshot_times(self.home, view)
        if not times:
            raise StepMissing(f"there are no snapshots of the view {view}", run=BUILD_FIRST)
        return times

    def _pull(self, asked: pd.DataFrame) -> pa.Table:
        """Return one row per customer and time asked for, in the order asked."""
        self._applied_views()
        references = [f"{spec.view}:{spec.name}" for spec in self.contract]
        references += [f"{view}:{as_of_column(view)}" for view in self._by_view]
        with quiet(), duckdb_in_utc(self.home):
            found = self._feast.get_historical_features(
                numbered(asked), references, filter_by_created_timestamp=True
            )
            return in_order(found.to_arrow(), len(asked))


def _configuration(home: Home) -> Any:  # noqa: ANN401 - Feast's RepoConfig
    """Return the repository's configuration with every path in this home."""
    import yaml
    from feast.repo_config import RepoConfig

    import feature_repo

    folder = Path(feature_repo.__file__).parent
    content = yaml.safe_load((folder / "feature_store.yaml").read_text())
    for part in ("registry", "online_store"):
        content[part]["path"] = str(home.feast / content[part]["path"])
    return RepoConfig(**content, repo_path=folder)


def _entity_key(customer_id: str) -> Any:  # noqa: ANN401 - Feast's message
    return _key("customer_id", customer_id)


def _profile_key(profile_ref: str) -> Any:  # noqa: ANN401 - Feast's message
    return _key("profile_ref", profile_ref)


def _key(name: str, value: str) -> Any:  # noqa: ANN401 - Feast's message
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    return EntityKey(join_keys=[name], entity_values=[Value(string_val=value)])


def _bytes(content: bytes) -> Any:  # noqa: ANN401 - Feast's message
    from feast.protos.feast.types.Value_pb2 import Value

    return Value(bytes_val=content)
