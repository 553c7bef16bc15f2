"""Each thing a decision depends on goes wrong in each way: the answer comes, says what it lacks, and is kept.

The real database is locked, broken and filled; what no file stands for is wrapped (`faults.Faulty`).
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moment.errors import DependencyError
from serving.decision.consent_ledger import ConsentStatus
from serving.decision.values import ProfileKind
from serving.records import DecisionRecord, Mode
from serving.use_cases.asking import Ask
from serving.use_cases.decide import RECORDING
from tests.reliability.faults import FULL, Fault, Faulty, GarbageScorer, SmallService, small_home
from tests.service.kit import Shop, ask, caller

SECONDS = 0.5
"""The deadline here."""

SLACK = 4
"""How many deadlines a loaded machine may take over one; what hangs would take two hundred."""

ASKED = 50 if FULL else 6

NAMES = {
    "features": ["features"],
    "segmenter": ["segmentation"],
    "scorer": ["propensity"],
    "consents": ["consents"],
    "ledger": ["contacts"],
}
RECALL = """
  service:
    purposes: [service]
    treatments:
      web: {channel: web, placements: [home], content: {title: "{{ action.label }}"}}
    groups:
      notices:
        actions:
          new-hours: {label: We open earlier, value: 0.5, volume: {total: 1000}}
          recall: {label: Do not eat the pate, value: 0.0, mandatory: legal_obligation}
"""


class Unplugged(Exception):
    """What a store's driver may raise, of no kind we know."""


WAYS: dict[str, Callable[[], Fault]] = {
    "failing": lambda: Fault(error=Unplugged("canary")),
    "refusing": lambda: Fault(error=DependencyError("gone")),
    "slow": lambda: Fault(seconds=4 * SECONDS),
    "hanging": lambda: Fault(mended=threading.Event()),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    service = SmallService(small_home(tmp_path), more=RECALL)
    service.agree("anna")
    service.close()
    return tmp_path


@contextlib.contextmanager
def opened(folder: Path, **ports: object) -> Iterator[SmallService]:
    service = SmallService(small_home(folder), seconds=SECONDS, more=RECALL, **ports)
    try:
        yield service
    finally:
        service.close()


async def answer(service: SmallService, asked: Ask | None = None) -> DecisionRecord:
    """Ask, and see that the answer or refusal comes in time while the loop goes on."""
    started = time.monotonic()
    try:
        return await service.decide.answer(caller(Mode.LIVE), asked or ask())
    finally:
        assert time.monotonic() - started < SLACK * SECONDS


def answers(service: SmallService, count: int = ASKED) -> list[DecisionRecord]:
    async def often() -> list[DecisionRecord]:
        return [await answer(service) for _ in range(count)]

    return asyncio.run(often())


def actions(record: DecisionRecord) -> list[str]:
    return [offer.action for placement in record.placements for offer in placement.offers]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("port", NAMES)
def test_whatever_goes_wrong_an_answer_comes_and_names_it(folder: Path, port: str, way: str) -> None:
    shop = Shop()
    with opened(folder) as whole:
        sound = {
            "features": shop.features,
            "segmenter": shop.live.now.champion.segmenter,
            "scorer": shop.scorer,
        }
        sound |= {"consents": whole.consents, "ledger": whole.ledger}
        assert answers(whole, 1)[0].degraded == ()
        fault = WAYS[way]()
        with opened(folder, **{port: Faulty(sound[port], fault)}) as service:
            records = answers(service)
            assert {record.degraded for record in records} == {tuple(NAMES[port])}
            assert all("recall" in actions(record) for record in records)
            assert all(service.records.find(record.decision_id) == record for record in records)
            if port in {"scorer", "ledger"}:
                assert {tuple(actions(record)) for record in records} == {("recall", "hello")}
            if port == "features":
                assert {record.profile for record in records} == {ProfileKind.NONE}
            assert service.decide.hands.threads <= 4 + 4
            if fault.mended is not None:
                fault.mended.set()


@pytest.mark.parametrize("scores", [(), (2.0,), (-0.1,), (float("nan"),)])
def test_a_model_that_answers_garbage_is_gone(folder: Path, scores: tuple[float, ...]) -> None:
    with opened(folder, scorer=GarbageScorer(scores)) as service:
        assert [(one.degraded, actions(one)) for one in answers(service)] == [
            (("propensity",), ["recall", "hello"])
        ] * ASKED


@pytest.mark.parametrize(
    ("table", "name"), [("consents", "consents"), ("contact_versions", "contacts"), ("decisions", None)]
)
def test_a_table_that_is_gone(folder: Path, table: str, name: str | None) -> None:
    with opened(folder) as service:
        with contextlib.closing(sqlite3.connect(small_home(folder).database)) as database:
            database.execute(f"ALTER TABLE {table} RENAME TO gone")
        if name == "consents":
            record = answers(service, 1)[0]
            assert (record.degraded, actions(record)[0]) == ((name,), "recall")
            return
        # What cannot be reserved or recorded is not answered
        with pytest.raises(DependencyError):
            answers(service, 1)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Somebody else writes, and does not end."""
    with contextlib.closing(sqlite3.connect(small_home(folder).database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """No file of this process may grow."""
    log = small_home(folder).database.with_name("moment.db-wal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("fault", [locked, full])
def test_what_cannot_be_recorded_is_not_answered_and_once_it_can_it_is(
    folder: Path, fault: Callable[[Path], contextlib.AbstractContextManager[None]]
) -> None:
    with opened(folder) as service:
        answers(service, 1)

        async def refused() -> None:
            for number in range(max(ASKED, RECORDING.failures + 1)):
                with pytest.raises(DependencyError):
                    await answer(service, ask(request_id=f"r{number}"))
            with pytest.raises(DependencyError, match="cannot be recorded"):
                service.desk().check()

        async def answered_again() -> DecisionRecord:
            for _ in range(600):
                with contextlib.suppress(DependencyError):
                    return await answer(service, ask(request_id="r0"))
                await asyncio.sleep(0.05)
            raise AssertionError("it never recovered")

        with fault(folder):
            asyncio.run(refused())
        first, again = asyncio.run(answered_again()), asyncio.run(answered_again())
        assert first == again == service.records.find(first.decision_id)
        assert first.degraded == ()
        service.desk().check()


def test_the_event_loop_goes_on_while_a_store_hangs(folder: Path) -> None:
    fault = WAYS["hanging"]()
    with opened(folder, features=Faulty(Shop().features, fault)) as service:

        async def tick_meanwhile() -> int:
            asking, ticks = asyncio.ensure_future(answer(service)), 0
            while not asking.done():
                ticks += 1
                await asyncio.sleep(0.005)
            assert asking.result().degraded == ("features",)
            return ticks

        assert asyncio.run(tick_meanwhile()) > 3
        assert fault.mended is not None
        fault.mended.set()


def test_many_at_once_are_answered_though_a_store_hangs(folder: Path) -> None:
    fault = WAYS["hanging"]()
    with opened(folder, features=Faulty(Shop().features, fault)) as service:

        async def crowd() -> list[DecisionRecord | BaseException]:
            return list(await asyncio.gather(*(answer(service) for _ in range(30)), return_exceptions=True))

        found = asyncio.run(crowd())
        # Nobody waits longer than the deadline: answered without features, or told to ask again
        answered = [one for one in found if isinstance(one, DecisionRecord)]
        assert answered
        # In a crowd another store may be late as well, and is named too
        assert all("features" in one.degraded for one in answered)
        assert all(isinstance(one, DependencyError | DecisionRecord) for one in found)
        assert {one.degraded for one in answers(service)} == {("features",)}
        assert fault.mended is not None
        fault.mended.set()


def test_what_comes_back_is_asked_again(folder: Path) -> None:
    fault = Fault(error=Unplugged())
    with opened(folder, features=Faulty(Shop().features, fault)) as service:
        assert {one.degraded for one in answers(service)} == {("features",)}
        fault.error = None

        async def until_whole() -> None:
            while (await answer(service)).degraded:
                await asyncio.sleep(0.05)

        asyncio.run(asyncio.wait_for(until_whole(), 60))


def test_a_withdrawal_is_seen_though_features_are_gone(folder: Path) -> None:
    with opened(folder, features=Faulty(Shop().features, Fault(error=Unplugged()))) as service:
        service.agree("anna", status=ConsentStatus.DENIED)
        record = answers(service, 1)[0]
        assert record.personal is not None
        assert "profiling" not in (record.personal.purposes or ())
