from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import pytest

from moment.errors import DependencyError, InvalidRequest, Overloaded
from serving.use_cases.breakers import Breakers, State, Tolerance
from serving.use_cases.deadline import Aside, Deadline, Errand, GivenUp, Gone, recorded, watched
from serving.use_cases.hands import Hands

FOREVER = 60.0


@dataclass
class Hanging:
    """Something that hangs until it is let go; it says when it is being waited for."""

    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    let_go: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> str:
        self.asked.release()
        assert self.let_go.wait(FOREVER)
        return "late"


@dataclass
class Store:
    """Takes what is handed over and never says what became of it."""

    taken: list[Future[None]] = field(default_factory=list)

    def append(self) -> Future[None]:
        self.taken.append(Future())
        return self.taken[-1]


def until(holds: Callable[[], bool]) -> None:
    for _ in range(6000):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came")


def test_half_of_what_is_left_is_waited_for_one_thing() -> None:
    now = [0.0]
    deadline = Deadline(0.1, lambda: now[0])
    assert (deadline.left(), deadline.patience()) == (0.1, 0.05)
    now[0] = 0.098
    assert deadline.patience() == deadline.left() == pytest.approx(0.002)
    now[0] = 5.0
    assert (deadline.left(), deadline.patience()) == (0.0, 0.0)
    assert (Deadline().left(), Deadline().patience()) == (None, None)


def test_what_fails_is_gone_and_named() -> None:
    errand = Errand(Breakers())

    def fail() -> str:
        raise ZeroDivisionError

    assert errand.ask("features", lambda: "here") == "here"
    with pytest.raises(Gone, match="`model`"):
        errand.ask("model", fail)
    assert errand.ask_or("contacts", fail, "none") == "none"
    assert errand.degraded == {"model", "contacts"}


def test_a_callers_mistake_is_not_the_dependencys() -> None:
    breakers = Breakers(Tolerance(failures=1))
    errand = Errand(breakers)

    def refuse() -> None:
        raise InvalidRequest("no", code="invalid-value")

    with pytest.raises(InvalidRequest):
        errand.ask("records", refuse)
    assert breakers["records"].condition.state is State.CLOSED
    assert errand.degraded == set()


def test_what_is_gone_costs_nothing_after_some_failures() -> None:
    breakers = Breakers(Tolerance(failures=2))
    calls = []

    def fail() -> None:
        calls.append(1)
        raise DependencyError("gone")

    for _ in range(10):
        errand = Errand(breakers)
        errand.ask_or("features", fail, None)
        assert errand.degraded == {"features"}
    assert len(calls) == 2


def test_what_hangs_is_given_up_and_the_rest_done_without_it() -> None:
    breakers, hands, store = Breakers(), Hands(2), Hanging()
    asked: list[str] = []

    def work(errand: Errand) -> tuple[str, str, set[str]]:
        asked.append("again")
        first = errand.ask_or("features", store, "default")
        second = errand.ask_or("contacts", lambda: "history", "default")
        return first, second, errand.degraded

    done = asyncio.run(watched(work, hands, breakers, Deadline(0.2)))
    assert done == ("default", "history", {"features"})
    assert len(asked) == 2
    assert breakers["features"].condition.late == 1
    store.let_go.set()
    until(lambda: breakers["features"].condition.late == 0)
    until(lambda: hands.threads <= 2)
    hands.close()


def test_several_that_hang_are_each_given_up() -> None:
    breakers, hands, stores = Breakers(), Hands(1), (Hanging(), Hanging(), Hanging())

    def work(errand: Errand) -> set[str]:
        for name, store in zip("abc", stores, strict=True):
            errand.ask_or(name, store, "default")
        return errand.degraded

    assert asyncio.run(watched(work, hands, breakers, Deadline(0.4))) == {"a", "b", "c"}
    for store in stores:
        store.let_go.set()
    until(lambda: hands.threads <= 1)
    hands.close()


def test_threads_that_hang_do_not_pile_up() -> None:
    breakers, hands, store = Breakers(Tolerance(failures=3, late=3)), Hands(2), Hanging()

    def work(errand: Errand) -> str:
        return errand.ask_or("features", store, "default")

    async def ask_often() -> list[str]:
        return [await watched(work, hands, breakers, Deadline(0.1)) for _ in range(30)]

    assert asyncio.run(ask_often()) == ["default"] * 30
    assert breakers["features"].condition.late == 3
    assert hands.threads <= 2 + 3
    store.let_go.set()
    until(lambda: hands.threads <= 2)
    hands.close()


def test_who_is_given_up_hands_nothing_over() -> None:
    errand, store, records = Errand(Breakers()), Hanging(), Store()
    ends: list[type[Exception]] = []

    def work() -> None:
        try:
            errand.ask("features", store)
        except GivenUp as error:
            ends.append(type(error))

    thread = threading.Thread(target=work)
    thread.start()
    assert store.asked.acquire(timeout=FOREVER)
    assert errand.give_up() == "features"
    assert errand.give_up() is None
    store.let_go.set()
    thread.join()
    assert ends == [GivenUp]
    with pytest.raises(GivenUp):
        errand.commit("records", records.append)
    assert not records.taken


def test_one_that_computes_too_long_is_refused_at_the_deadline_and_hands_nothing_over() -> None:
    hands, computing, records = Hands(1), threading.Event(), Store()

    def work(errand: Errand) -> Future[None]:
        assert computing.wait(FOREVER)
        return errand.commit("records", records.append)

    with pytest.raises(Overloaded):
        asyncio.run(watched(work, hands, Breakers(), Deadline(0.05)))
    computing.set()
    until(lambda: hands.submit(lambda: True).result(FOREVER))
    assert not records.taken
    hands.close()


def test_one_that_hangs_while_it_writes_may_stand_and_another_thread_takes_its_place() -> None:
    breakers, hands, disk = Breakers(Tolerance(failures=1)), Hands(1), Hanging()

    def write() -> Future[str]:
        done: Future[str] = Future()
        done.set_result(disk())
        return done

    with pytest.raises(DependencyError, match="in time"):
        asyncio.run(watched(lambda errand: errand.commit("records", write), hands, breakers, Deadline(0.1)))
    assert breakers["records"].condition.state is State.OPEN
    assert hands.submit(lambda: "decides on").result(FOREVER) == "decides on"
    disk.let_go.set()
    until(lambda: hands.threads <= 1)
    hands.close()


def test_a_record_that_is_not_begun_in_time_is_taken_back() -> None:
    future: Future[str] = Future()
    breakers = Breakers(Tolerance(failures=1))
    with pytest.raises(DependencyError, match="in time"):
        asyncio.run(recorded(future, breakers["records"], Deadline(0.02)))
    assert future.cancelled()
    assert breakers["records"].condition.state is State.OPEN


def test_a_store_that_had_no_time_is_not_to_blame() -> None:
    now = [0.0]
    breakers, deadline = Breakers(Tolerance(failures=1)), Deadline(1.0, lambda: now[0])
    now[0] = 0.99
    with pytest.raises(DependencyError, match="in time"):
        asyncio.run(recorded(Future[str](), breakers["records"], deadline))
    assert breakers["records"].condition.state is State.CLOSED
    errand, store = Errand(breakers), Hanging()
    thread = threading.Thread(target=lambda: errand.ask_or("features", store, ""))
    thread.start()
    assert store.asked.acquire(timeout=FOREVER)
    assert errand.give_up(fair=FOREVER) is None
    store.let_go.set()
    thread.join()
    assert errand.degraded == set()


def test_what_is_not_recorded_counts_against_the_store_of_records() -> None:
    breakers = Breakers(Tolerance(failures=2))
    for _ in range(2):
        future: Future[str] = Future()
        errand = Errand(breakers)
        assert errand.commit("records", lambda made=future: made) is future  # type: ignore[misc]
        future.set_exception(DependencyError("the disk is full"))
    with pytest.raises(Gone):
        Errand(breakers).commit("records", Future)


def test_one_thread_is_left_alone_while_nothing_keeps_it() -> None:
    hands = Hands(4, alone=FOREVER)
    threads = [hands.submit(threading.get_ident) for _ in range(200)]
    assert len({one.result(FOREVER) for one in threads}) == 1
    assert hands.threads == 1
    hands.close()


def test_others_join_while_a_store_takes_its_time_and_leave_when_it_does_not() -> None:
    hands, at_once, most = Hands(4, alone=0.01), threading.Semaphore(0), Hanging()

    def work(errand: Errand) -> str:
        at_once.release()
        return errand.ask_or("features", most, "default")

    async def ask() -> list[str]:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(watched(work, hands, Breakers(), Deadline(FOREVER))) for _ in range(8)]
            for _ in range(4):
                assert await asyncio.to_thread(at_once.acquire, timeout=FOREVER)
            assert hands.threads == 4
            most.let_go.set()
        return [one.result() for one in asked]

    asyncio.run(ask())
    until(lambda: hands.submit(lambda: True).result(FOREVER) and hands.threads == 1)
    hands.close()


def test_what_waits_for_hands_is_estimated() -> None:
    hands, store = Hands(1), Hanging()
    assert hands.wait() == 0
    hands.submit(store)
    assert store.asked.acquire(timeout=FOREVER)
    waiting = [hands.submit(lambda: None) for _ in range(5)]
    store.let_go.set()
    for one in waiting:
        one.result(FOREVER)
    busy = Hanging()
    hands.submit(busy)
    assert busy.asked.acquire(timeout=FOREVER)
    assert hands.wait() == 0
    hands.submit(lambda: None)
    assert hands.wait() > 0
    busy.let_go.set()
    hands.close()


def test_aside_gives_up_what_hangs_and_refuses_when_too_much_does() -> None:
    hands, store = Hands(2, "aside"), Hanging()
    aside = Aside(0.01, hands)

    async def ask() -> None:
        assert await Aside(FOREVER, hands)(lambda: 7) == 7
        refusals = []
        for _ in range(30):
            try:
                await aside(store)
            except DependencyError as refusal:
                refusals.append(type(refusal))
        assert refusals[0] is DependencyError
        assert refusals[-1] is Overloaded

    asyncio.run(ask())
    assert hands.threads <= 10
    store.let_go.set()
    until(lambda: hands.threads <= 2)
    aside.close()
