"""What every store of keys and of records promises, asked of each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import msgspec
import pytest

from serving.adapters.database import migrate
from serving.adapters.memory import MemoryRecords
from serving.adapters.sqlite_records import SqliteRecords
from serving.ports import DecisionRecords, Entry, Past
from serving.records import DecisionRecord, Mode
from tests.service.kit import VAULT, Shop, ask, caller


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "moment.db"
    migrate(path)
    return path


@pytest.fixture(params=["memory", "sqlite"])
def records(request: pytest.FixtureRequest, database: Path) -> Iterator[DecisionRecords]:
    if request.param == "memory":
        yield MemoryRecords()
        return
    store = SqliteRecords(database, VAULT)
    yield store
    store.close()


@lru_cache
def a_record() -> DecisionRecord:
    return Shop().decide(caller(), ask())


def entry(number: int = 1, **changes: object) -> Entry:
    fields = {"decision_id": f"d{number}", **changes}
    return Entry(msgspec.structs.replace(a_record(), **fields), b"body")


def test_a_record_is_found_by_its_id(records: DecisionRecords) -> None:
    given = entry()
    assert records.append(given).result(5) == given
    assert records.find("d1") == given.record
    assert records.find("d2") is None


def test_the_first_record_stands_for_its_request(records: DecisionRecords) -> None:
    first, second = entry(1, request_id="r"), entry(2, request_id="r")
    assert records.append(first).result(5) == first
    assert records.append(second).result(5) == first
    assert records.find("d2") is None
    assert records.find_request("key_1", "r") == first
    assert records.find_request("key_2", "r") is None


def test_records_without_a_request_id_all_stand(records: DecisionRecords) -> None:
    for number in range(3):
        records.append(entry(number)).result(5)
    assert [records.find(f"d{number}") is not None for number in range(3)] == [True] * 3


def test_one_request_id_asked_by_many_at_once_has_one_answer(records: DecisionRecords) -> None:
    def append(number: int) -> str:
        return records.append(entry(number, request_id="r")).result(10).record.decision_id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(append, range(64)))) == 1


@pytest.mark.parametrize(
    ("mode", "channel", "expected"),
    [(Mode.TEST, None, ["d3", "d1"]), (Mode.TEST, "web", ["d1"]), (Mode.LIVE, None, ["d2"])],
)
def test_recent_records_are_of_one_customer_mode_and_channel(
    records: DecisionRecords, mode: Mode, channel: str | None, expected: list[str]
) -> None:
    personal = a_record().personal
    assert personal is not None
    other = msgspec.structs.replace(personal, customer_id="ben")
    changes: list[dict[str, object]] = [{}, {"mode": Mode.LIVE}, {"channel": "app"}, {"personal": other}]
    for number, change in enumerate(changes, start=1):
        records.append(entry(number, **change)).result(5)
    found = records.history("anna", Past(mode, 10, channel=channel))
    assert [record.decision_id for record in found] == expected
    assert len(records.history("anna", Past(mode, 1, channel=channel))) == 1


def test_what_was_acknowledged_is_there_for_another_process(database: Path) -> None:
    store = SqliteRecords(database, VAULT)
    futures = [store.append(entry(number)) for number in range(200)]
    assert {future.result(10).record.decision_id for future in futures} == {f"d{n}" for n in range(200)}
    other = SqliteRecords(database, VAULT)
    assert all(other.find(f"d{number}") is not None for number in range(200))
    other.close()
    store.close()


def test_closing_writes_what_waits(database: Path) -> None:
    store = SqliteRecords(database, VAULT)
    futures = [store.append(entry(number)) for number in range(50)]
    store.close()
    assert all(future.done() for future in futures)
    reopened = SqliteRecords(database, VAULT)
    assert reopened.find("d49") is not None
    reopened.close()


def test_a_caller_who_gave_up_does_not_stop_the_writer(database: Path) -> None:
    store = SqliteRecords(database, VAULT)
    for number in range(100):
        store.append(entry(number)).cancel()
    assert store.append(entry(100)).result(5).record.decision_id == "d100"
    store.close()
