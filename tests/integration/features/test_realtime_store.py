"""Real-time states in Feast: pushed, never replaced by an older one, apart from what is materialized."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from features.realtime_features import VIEW
from features.store import FeatureStore, PushedState
from tests.integration.features.conftest import Served

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def pushed(profile: str, state: bytes, *, later: timedelta = timedelta(0)) -> PushedState:
    return PushedState(profile, state, NOON + later)


def test_a_pushed_state_is_what_is_read_by_every_reader(served: Served) -> None:
    other = FeatureStore(served.home)
    served.store.push([pushed("one", b"\x00first\xff"), pushed("two", b"2")])
    for store in (served.store, other):
        assert store.states(["two", "nobody", "one"]) == [b"2", None, b"\x00first\xff"]
    other.push([pushed("one", b"second", later=timedelta(microseconds=1))])
    assert served.store.states(["one"]) == [b"second"]


def test_an_older_push_never_replaces_a_newer_one(served: Served) -> None:
    served.store.push([pushed("three", b"newer", later=timedelta(seconds=1))])
    # A whole second sorts before its own fractions
    served.store.push([pushed("three", b"older"), pushed("four", b"first")])
    assert served.store.states(["three", "four"]) == [b"newer", b"first"]
    served.store.push([pushed("three", b"same time", later=timedelta(seconds=1))])
    assert served.store.states(["three"]) == [b"newer"]
    served.store.push([])


def test_materializing_leaves_pushed_states_alone(served: Served) -> None:
    served.store.push([pushed("five", b"kept")])
    served.store.apply()
    served.store.materialize(served.now)
    assert served.store.states(["five"]) == [b"kept"]
    assert VIEW not in {spec.view for spec in served.store.contract}
    assert VIEW not in served.store.population(served.now).contract.names
