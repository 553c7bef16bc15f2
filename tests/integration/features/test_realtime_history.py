"""Replay over history equals live: real transactions, reported one by one, and folded from the lake."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from features import lake
from features.realtime import EventKind, fold, replay
from features.realtime_features import REALTIME_V1, values
from features.realtime_history import Known, at_rows, history, states_at
from features.realtime_state import dumps, loads
from moment.home import Home
from serving.adapters.database import connect
from serving.adapters.group_commit import GroupCommit
from serving.adapters.realtime_push import RealtimePusher
from serving.adapters.sqlite_events import KeptStates, SqliteEvents, state_name
from serving.adapters.vault import Vault
from serving.ports import JournalEntry
from serving.records import Mode

AT = datetime(2017, 12, 1, tzinfo=UTC)
CUSTOMERS = ["1", "8", "718", "1228"]


@pytest.fixture(scope="module")
def journey(lake_home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(lake_home) as connection:
        yield connection


@pytest.fixture(scope="module")
def known(journey: duckdb.DuckDBPyConnection) -> list[Known]:
    return [one for one in history(journey, CUSTOMERS) if one.known_at <= AT]


def test_replay_over_history_equals_live(
    journey: duckdb.DuckDBPyConnection, known: list[Known], tmp_path: Path
) -> None:
    home = Home(tmp_path, tmp_path / "mlruns")
    vault = Vault.open(home)
    writer = GroupCommit(home.database)
    pusher = RealtimePusher(KeptStates(home.database, writer), lambda _: None)
    journal = SqliteEvents(writer, vault, pusher.announce)
    entries = [JournalEntry(one.customer_id, one.event, one.event.event_id.encode()) for one in known]
    assert len(entries) > 1_000
    entries = [entries[place] for place in np.random.default_rng(7).permutation(len(entries))]
    parts = [entries[start : start + 100] for start in range(0, len(entries), 100)]
    for future in [journal.append(part, mode=Mode.TEST, key_id="key_1", received_at=AT) for part in parts]:
        future.result()
    pusher.close()
    writer.close()
    replayed = states_at(journey, CUSTOMERS, AT)
    connection = connect(home.database)
    live = {}
    for customer in replayed:
        ref = vault.ref(customer)
        (sealed,) = connection.execute(
            "SELECT state FROM realtime_states WHERE customer_ref = ? AND mode = 'test'", (ref,)
        ).fetchone()
        text = vault.open_sealed(connection, ref, sealed, about=state_name(Mode.TEST))
        assert text is not None
        live[customer] = loads(text)
    connection.close()
    assert live == replayed
    assert set(replayed) == {one.customer_id for one in known}
    assert any(values(state, AT)["reported_spend_7d"] for state in live.values())


def test_training_rows_have_what_was_known_by_their_time(
    journey: duckdb.DuckDBPyConnection, known: list[Known]
) -> None:
    times = [AT - timedelta(days=days, minutes=7) for days in (0, 200, 3, 30)]
    rows = pd.DataFrame(
        [(customer, at) for at in times for customer in (*CUSTOMERS, "nobody")],
        columns=["customer_id", "at"],
        index=range(100, 120),
    )
    found = at_rows(journey, rows)
    assert list(found.columns) == list(REALTIME_V1.names)
    assert list(found.index) == list(rows.index)
    for customer, at, spend in zip(rows["customer_id"], rows["at"], found["reported_spend_7d"], strict=True):
        by_then = [one.event for one in known if one.customer_id == customer and one.known_at <= at]
        assert spend == values(replay(by_then), at)["reported_spend_7d"]
    assert (found["reported_spend_7d"] > 0).any()
    assert str(found["views_30m"].dtype) == "Int64"


def test_every_table_of_behaviour_is_history(tmp_path: Path) -> None:
    """What the demo's data has not: interactions, contacts and posts."""
    connection = lake.engine(Home(tmp_path, tmp_path / "mlruns"))
    noon = "TIMESTAMP '2026-05-01 12:00:00'"
    connection.execute(f"""
        CREATE VIEW transactions AS SELECT 'anna' AS customer_id, 't1' AS transaction_id,
            {noon} AS occurred_at, {noon} AS known_at, 12.5::DOUBLE AS amount, '3' AS location_id;
        CREATE VIEW contacts AS SELECT 'anna' AS customer_id, id AS contact_id, channel,
            {noon} AS occurred_at, {noon} AS known_at, 'loan' AS topic, FALSE AS resolved
            FROM (VALUES ('c1', 'phone'), ('c2', 'branch')) AS rows (id, channel);
        CREATE VIEW social AS SELECT 'anna' AS customer_id, 's1' AS post_id,
            {noon} AS occurred_at, {noon} AS known_at, 'service' AS topic;
        CREATE VIEW interactions AS SELECT 'anna' AS customer_id, id AS event_id, kind, place AS location_id,
            {noon} AS occurred_at, {noon} AS known_at, 'tea' AS topic
            FROM (VALUES ('i1', 'page_view', NULL), ('i2', 'search', NULL), ('i3', 'visit', '9'),
                         ('i4', 'visit', NULL), ('i5', 'heart beat', NULL)) AS rows (id, kind, place);
    """)
    events = [one.event for one in history(connection, ["anna", "anna", "nobody"])]
    connection.close()
    assert {one.event_id: one.kind for one in events} == {
        "t1": EventKind.TRANSACTION,
        "c1": EventKind.CALL,
        "s1": EventKind.SOCIAL_MENTION,
        "i1": EventKind.PAGE_VIEW,
        "i2": EventKind.SEARCH,
        "i3": EventKind.LOCATION,
    }
    state = replay(events)
    found = values(state, datetime(2026, 5, 1, 12, tzinfo=UTC))
    assert found == {
        "views_30m": 1,
        "searches_30m": 1,
        "views_24h": 1,
        "searches_24h": 1,
        "reported_spend_24h": 12.5,
        "reported_spend_7d": 12.5,
        "last_search_topic": "tea",
        "minutes_since_activity": 0.0,
        "calls_7d": 1,
        "unresolved_calls_7d": 1,
        "last_location_id": "3",
        "social_mentions_7d": 1,
    }
    assert dumps(fold(loads(dumps(state)), [])) == dumps(state)
