from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.identifiers import utc_now
from serving.adapters.memory_consents import MemoryErasures
from serving.ports import Erasure, Scope
from serving.records import Mode
from serving.use_cases.erase import EraseCustomer
from tests.service.kit import Shop, caller, spent


@dataclass
class Shelf:
    """A store of customers, shipped nowhere: what it holds is in a list."""

    name: str
    held: list[str] = field(default_factory=list)
    is_gone: bool = False

    def erase(self, erasure: Erasure) -> int:
        if self.is_gone:
            raise DependencyError("the shelf is away")
        rows = self.held.count(erasure.customer_id)
        self.held = [one for one in self.held if one != erasure.customer_id]
        return rows


def test_a_store_that_was_away_is_cleared_when_asked_again_and_the_receipt_is_of_the_whole() -> None:
    first, second = Shelf("first", ["anna", "ben"]), Shelf("second", ["anna", "anna"], is_gone=True)
    erase = EraseCustomer(MemoryErasures(), (first, second), utc_now)
    with pytest.raises(DependencyError):
        erase(caller(Mode.LIVE), "anna")
    second.is_gone = False
    receipt = erase(caller(Mode.LIVE), "anna")
    assert dict(receipt.rows) == {"first": 1, "second": 2}
    assert first.held == ["ben"]
    again = erase(caller(Mode.LIVE), "anna")
    assert dict(again.rows) == {"first": 0, "second": 0}
    assert again.tombstone_id == receipt.tombstone_id


def test_a_test_key_and_one_without_the_scope_may_not() -> None:
    erase = EraseCustomer(MemoryErasures(), (), utc_now)
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
        EraseCustomer(MemoryErasures(), (), utc_now)(spent(Mode.LIVE), "anna")
    assert refused.value.code == "too-many-customers"


def test_a_key_of_one_channel_exports_nobody() -> None:
    with pytest.raises(InvalidRequest) as refused:
        Shop().desk().export(caller(Mode.LIVE, channel="web"), "anna")
    assert refused.value.code == "channel-not-allowed"
