"""Who a cookie or a device stands for: linked, shared, unlinked; and the arms that crossed."""

from __future__ import annotations

import pytest

from moment.errors import InvalidRequest
from serving.decision.values import ProfileKind
from serving.ports import Identity, IdentityKind, Past, Scope
from serving.records import DecisionRecord, Mode
from serving.use_cases.identity import arms
from tests.service.kit import Shop, ask, caller

COOKIE = Identity(IdentityKind.COOKIE, "c6f1")
LIMITED = "contact_policies:\n  once: {limit: 1, window: 7d, per: action}\n"
HALVES = """
experiments:
  ranking:
    bolder:
      arms:
        as-is: {share: 0.5}
        bold: {share: 0.5, exploration: {policy: softmax, temperature: 0.5}}
"""


def decide(shop: Shop, mode: Mode = Mode.TEST, **changes: object) -> DecisionRecord:
    return shop.decide(caller(mode), ask(None, identity=COOKIE, **changes))


def who(record: DecisionRecord) -> str | None:
    assert record.personal is not None
    return record.personal.customer_id


def test_an_identity_nobody_has_linked_is_a_profile_of_its_own() -> None:
    shop = Shop()
    record = decide(shop)
    assert record.profile is ProfileKind.NONE
    assert who(record) == shop.identities.resolve(COOKIE, mode=Mode.TEST).profile
    assert "c6f1" not in repr(COOKIE)


def test_once_linked_it_is_the_customer_and_its_history_is_theirs() -> None:
    shop = Shop(more=LIMITED)
    shown = [offer.action for offer in decide(shop).placements[0].offers]
    shop.desk().identify.link(caller(), COOKIE, "anna")
    record = decide(shop)
    assert (record.profile, who(record)) == (ProfileKind.KNOWN, "anna")
    assert "coupon-jam" in shown
    assert "coupon-jam" not in [offer.action for offer in record.placements[0].offers]
    shop.desk().identify.unlink(caller(), COOKIE, "anna")
    assert "coupon-jam" in [offer.action for offer in shop.decide(caller(), ask()).placements[0].offers]


def test_one_linked_with_two_customers_is_nobodys_until_one_is_left() -> None:
    shop = Shop()
    identify = shop.desk().identify
    assert identify.link(caller(), COOKIE, "anna").customer_id == "anna"
    shared = identify.link(caller(), COOKIE, "ben")
    assert (shared.customer_id, shared.shared) == (None, True)
    assert shop.contacts.members("anna") == {"anna"}
    assert who(decide(shop)) == shared.profile
    assert identify.unlink(caller(), COOKIE, "anna").customer_id == "ben"
    assert shop.contacts.members("ben") == {"ben", shared.profile}


def test_test_links_are_not_live_ones() -> None:
    shop = Shop()
    shop.desk().identify.link(caller(), COOKIE, "anna")
    assert decide(shop, Mode.LIVE).profile is ProfileKind.NONE


def crossing(shop: Shop) -> str:
    """Return a cookie whose profile is in another arm than anna, and have it decided for."""
    for number in range(50):
        cookie = Identity(IdentityKind.COOKIE, f"c{number}")
        profile = shop.identities.resolve(cookie, mode=Mode.LIVE).profile
        if arms(shop.live.now, profile) != arms(shop.live.now, "anna"):
            return cookie.value
    raise AssertionError


def test_the_customers_arm_goes_on_and_crossed_decisions_are_noted_until_unlinked() -> None:
    shop = Shop(more=HALVES)
    cookie = Identity(IdentityKind.COOKIE, crossing(shop))
    before = shop.decide(caller(Mode.LIVE), ask(None, identity=cookie))
    identify = shop.desk().identify
    identify.link(caller(Mode.LIVE), cookie, "anna")
    after = shop.decide(caller(Mode.LIVE), ask(None, identity=cookie))
    own = shop.decide(caller(Mode.LIVE), ask("anna"))
    assert after.experiments == own.experiments != before.experiments
    assert shop.identities.crossed() == {before.decision_id}
    identify.unlink(caller(Mode.LIVE), cookie, "anna")
    assert shop.identities.crossed() == frozenset()
    assert len(shop.records.history("anna", Past(Mode.LIVE, 10))) == 2


def test_linking_needs_its_scope() -> None:
    identify = Shop().desk().identify
    with pytest.raises(InvalidRequest, match="identities:write"):
        identify.link(caller(scopes=frozenset({Scope.DECIDE})), COOKIE, "anna")
