from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field

import pytest

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.identifiers import utc_now
from serving.adapters.memory_consents import MemoryErasures, MemoryTurns
from serving.ports import Erasure, Scope
from serving.records import Mode
from serving.use_cases.deadline import Aside
from serving.use_cases.erase import EraseCustomer
from serving.use_cases.erasing import Erasing
from tests.service.kit import Shop, caller, spent


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Shelf:
    """A store of customers, shipped nowhere: what it holds is in a list."""

    name: str
    kept: list[str] = field(default_factory=list)
    is_gone: bool = False
    is_killed: bool = False
    at_once: bool = False
    let_go: threading.Event | None = None

    def held(self, erasure: Erasure) -> dict[str, int]:
        if self.is_gone:
            raise DependencyError("the shelf is away")
        return {"all": self.kept.count(erasure.customer_id)}

    def erase(self, erasure: Erasure) -> None:
        if self.let_go is not None:
            assert self.let_go.wait(10)
        self.kept = [one for one in self.kept if one != erasure.customer_id]
        if self.is_killed:
            raise Killed


def erasing(*shelves: Shelf) -> EraseCustomer:
    return EraseCustomer(MemoryErasures(), shelves, MemoryTurns(), utc_now)


def test_a_store_that_was_away_is_cleared_when_asked_again_and_the_receipt_is_of_the_whole() -> None:
    first, second = Shelf("first", ["anna", "ben"]), Shelf("second", ["anna", "anna"], is_gone=True)
    erase = erasing(first, second)
    with pytest.raises(DependencyError):
        erase(caller(Mode.LIVE), "anna")
    second.is_gone = False
    receipt = erase(caller(Mode.LIVE), "anna")
    assert dict(receipt.rows) == {"first": 1, "second": 2}
    assert first.kept == ["ben"]


def test_one_that_was_killed_after_it_took_something_has_counted_it() -> None:
    shelf = Shelf("files", ["anna", "anna", "ben"], is_killed=True)
    erase = erasing(shelf)
    with pytest.raises(Killed):
        erase(caller(Mode.LIVE), "anna")
    shelf.is_killed = False
    assert dict(erase(caller(Mode.LIVE), "anna").rows) == {"files": 2}


def test_asked_again_it_looks_again_and_the_receipt_is_the_same_unless_more_was_found() -> None:
    shelf = Shelf("files", ["anna"])
    erase = erasing(shelf)
    first = erase(caller(Mode.LIVE), "anna")
    assert erase(caller(Mode.LIVE), "anna") == first
    shelf.kept = ["anna", "anna"]  # a backup was restored
    more = erase(caller(Mode.LIVE), "anna")
    assert dict(more.rows) == {"files": 3}
    assert (more.tombstone_id, more.asked_at) == (first.tombstone_id, first.asked_at)
    assert more.finished_at > first.finished_at


def test_what_decisions_read_is_cleared_before_the_files_and_after_them() -> None:
    online, files = Shelf("online", ["anna"], at_once=True), Shelf("files", ["anna"], is_gone=True)
    erase = erasing(files, online)
    with pytest.raises(DependencyError):
        erase(caller(Mode.LIVE), "anna")
    assert online.kept == []
    files.is_gone, online.kept = False, ["anna"]  # loaded from the files meanwhile
    erasure = erase.begin(caller(Mode.LIVE), "anna")
    online.kept = ["anna"]
    assert dict(erase.finish(erasure).rows) == {"files": 1, "online": 3}
    assert online.kept == []


def test_over_http_what_takes_long_goes_on_and_asking_again_joins_it() -> None:
    let_go = threading.Event()
    online, files = Shelf("online", ["anna"], at_once=True), Shelf("files", ["anna", "ben"], let_go=let_go)
    http = Erasing(erasing(online, files), Aside(), seconds=0.05)
    live = caller(Mode.LIVE)

    async def ask() -> None:
        for who in ("anna", "anna", "ben"):
            with pytest.raises(DependencyError, match=r"goes on \(under way: an erasure\): ask again"):
                await http(live, who)
        assert online.kept == []
        http.seconds = 10
        again = asyncio.gather(*(http(live, who) for who in ("anna", "ben", "anna")))
        await asyncio.sleep(0.05)
        let_go.set()
        anna, ben, same = await again
        assert anna == same == await http(live, "anna")
        assert dict(anna.rows) == {"online": 1, "files": 1}
        assert dict(ben.rows) == {"online": 0, "files": 1}
        assert http.erase.erasures.unfinished() == ()

    asyncio.run(ask())
    assert files.kept == []


def test_what_was_interrupted_goes_on_when_the_service_starts_again() -> None:
    erase = erasing(Shelf("files", ["anna", "ben"]))
    erase.start("anna")
    Erasing(erase, Aside()).resume()
    end = time.monotonic() + 10
    while erase.erasures.unfinished() and time.monotonic() < end:
        time.sleep(0.01)
    known = erase.erasures.receipt("anna")
    assert known is not None
    assert (known.rows, known.finished_at is not None) == ({"files": 1}, True)


def test_over_http_what_fails_is_told_and_begun_anew() -> None:
    files = Shelf("files", ["anna"], is_gone=True)
    http = Erasing(erasing(files), Aside())

    async def ask() -> None:
        with pytest.raises(DependencyError, match="the shelf is away"):
            await http(caller(Mode.LIVE), "anna")
        files.is_gone = False
        assert dict((await http(caller(Mode.LIVE), "anna")).rows) == {"files": 1}

    asyncio.run(ask())


def test_a_test_key_and_one_without_the_scope_may_not() -> None:
    erase = erasing()
    with pytest.raises(InvalidRequest) as refused:
        erase(caller(Mode.TEST), "anna")
    assert refused.value.code == "live-only"
    with pytest.raises(InvalidRequest) as refused:
        erase(caller(Mode.LIVE, scopes=frozenset({Scope.DECIDE})), "anna")
    assert refused.value.code == "scope-missing"


def test_an_erased_customer_exports_as_nobody() -> None:
    shop = Shop()
    desk = shop.desk()
    before = desk.export(caller(Mode.LIVE), "anna")
    desk.erase(caller(Mode.LIVE), "anna")
    after = desk.export(caller(Mode.LIVE), "anna")
    assert (before.facts.found, len(before.consents)) == (True, 1)
    nobody = desk.export(caller(Mode.LIVE), "nobody")
    assert (after.facts.found, after.consents) == (nobody.facts.found, nobody.consents) == (False, ())


def test_an_erasure_counts_as_asking_about_the_customer() -> None:
    with pytest.raises(InvalidRequest) as refused:
        erasing()(spent(Mode.LIVE), "anna")
    assert refused.value.code == "too-many-customers"


def test_a_key_of_one_channel_exports_nobody() -> None:
    with pytest.raises(InvalidRequest) as refused:
        Shop().desk().export(caller(Mode.LIVE, channel="web"), "anna")
    assert refused.value.code == "channel-not-allowed"
