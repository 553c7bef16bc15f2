"""What an answer takes: limits, budgets, conflicts, a contact store that is gone, and who is in which arm."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from moment.errors import DependencyError, InvalidRequest
from serving.adapters.memory import TableScorer
from serving.adapters.memory_contacts import MemoryContacts
from serving.decision.actions import Candidate
from serving.decision.contact_plan import Lookback
from serving.decision.decision import OfferKind, Scores
from serving.decision.reasons import Reason
from serving.decision.values import Contact, Scalar
from serving.ports import CustomerFacts, Scope, Standing, Verdict
from serving.records import DecisionRecord, ExperimentArm, Mode, RecordedUsed, dump, load
from serving.use_cases.decide import ATTEMPTS, seed_of
from serving.use_cases.question import customer_of
from tests.service.kit import NOW, Shop, ask, caller, facts

SERVICE = """
  service:
    purposes: [service]
    treatments:
      web: {channel: web, placements: [home], content: {title: "{{ action.label }}"}}
    groups:
      notices:
        actions:
          new-hours: {label: We open earlier, value: 0.5}
          recall: {label: Do not eat the pate, value: 0.0, mandatory: legal_obligation}
"""
TWICE = """
contact_policies:
  twice-a-week: {limit: 2, window: 7d}
"""
ONE_TEA = """
contact_policies:
  one-tea: {limit: 1, window: 7d, actions: [coupon-tea]}
"""
SCARCE = """
  gifts:
    treatments:
      web: {channel: web, placements: [home], content: {title: A mug}}
    groups:
      mugs:
        actions:
          mug: {label: A mug, value: 100.0, volume: {total: 1}}
"""
IN_ARMS = """
experiments:
  ranking:
    sweet:
      arms:
        pushed: {share: 1.0, levers: {actions: {coupon-jam: 100}}}
"""


def shown(record: DecisionRecord) -> list[str]:
    return [offer.action for placement in record.placements for offer in placement.offers]


def reasons(shop: Shop, record: DecisionRecord) -> dict[str, Reason]:
    recalled = shop.recall(caller(record.mode), record.decision_id).considered()
    return {str(one.candidate.action.action_id): one.reason for one in recalled}


def held(shop: Shop, customer_id: str = "anna", mode: Mode = Mode.TEST) -> tuple[Contact, ...]:
    back = Lookback(contacts=NOW - timedelta(days=30), outcomes=None, day=NOW.date())
    return shop.contacts.read(customer_id, mode=mode, now=shop.clock(), back=back).history.contacts


@dataclass
class Rival:
    """A scorer in whose time the same customer is decided for elsewhere, `times` times."""

    times: int
    request_id: str | None = None
    customer_id: str = "anna"
    shop: Shop = field(init=False)
    version: str = "rival"
    calls: int = 0
    busy: bool = False

    def score(
        self,
        customer: CustomerFacts,
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],
        slots: int,
    ) -> Scores:
        self.calls += 1
        if self.times and not self.busy:
            self.times -= 1
            self.busy = True
            self.shop.decide(caller(), ask(self.customer_id, request_id=self.request_id))
            self.busy = False
        return TableScorer({"coupon-tea": 0.3, "coupon-ham": 0.1}).score(customer, contenders, context, slots)


def shop_with_rival(
    times: int, more: str = "", *, request_id: str | None = None, customer_id: str = "anna"
) -> tuple[Shop, Rival]:
    rival = Rival(times, request_id, customer_id)
    shop = Shop(more=more, scorer=rival)
    rival.shop = shop
    return shop, rival


class GoneContacts(MemoryContacts):
    """A contact store that does not answer."""

    def read(self, customer_id: str | None, *, mode: Mode, now: datetime, back: Lookback) -> Standing:
        raise DependencyError(f"the ledger of contacts does not answer {customer_id, mode, now, back}")


def test_an_offer_is_reserved_until_its_presentation_may_still_be_reported() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask())
    (placement,) = record.placements
    assert {offer.expires_at for offer in placement.offers} == {NOW + timedelta(minutes=30)}
    assert {offer.reserved_until for offer in placement.offers} == {NOW + timedelta(minutes=40)}
    assert [(one.tracking_id, one.reserved_until) for one in held(shop)] == [
        (offer.tracking_id, offer.reserved_until) for offer in placement.offers
    ]


def test_a_fallback_reserves_nothing() -> None:
    shop = Shop()
    record = shop.decide(caller(), ask("nobody"))
    offers = record.placements[0].offers
    assert [(offer.kind, offer.reserved_until is None) for offer in offers] == [
        (OfferKind.ARBITRATED, False),
        (OfferKind.FALLBACK, True),
    ]
    assert [one.action_id for one in held(shop, "nobody")] == ["coupon-jam"]


def test_a_limit_holds_over_decisions_in_a_row_and_says_what_it_counted() -> None:
    shop = Shop(more=TWICE)
    records = [shop.decide(caller(), ask()) for _ in range(3)]
    assert [shown(record) for record in records] == [
        ["coupon-tea", "coupon-ham"],
        ["coupon-tea", "coupon-ham"],
        ["coupon-jam", "hello"],
    ]
    assert reasons(shop, records[2])["coupon-tea"] is Reason.LIMIT_REACHED
    recalled = shop.recall(caller(), records[2].decision_id).considered()
    tea = next(one for one in recalled if one.candidate.action.action_id == "coupon-tea")
    assert (tea.policy, tea.measured) == (0, 2.0)


def test_what_expired_unseen_no_longer_counts_and_what_was_seen_does() -> None:
    shop = Shop(more=TWICE)
    first = shop.decide(caller(), ask())
    tea = first.placements[0].offers[0].tracking_id
    assert shop.contacts.present(tea, occurred_at=NOW, reported_at=NOW) is Verdict.RECORDED
    shop.decide(caller(), ask())
    shop.clock.at = NOW + timedelta(hours=1)
    later = shop.decide(caller(), ask())
    assert shown(later) == ["coupon-tea", "coupon-ham"]
    again = shop.decide(caller(), ask())
    assert shown(again) == ["coupon-ham", "coupon-jam"]


def test_who_only_looks_keeps_to_limits_and_takes_nothing() -> None:
    shop = Shop(more=ONE_TEA)
    looks = [shop.decide(caller(), ask(reserves=False)) for _ in range(2)]
    assert [shown(look) for look in looks] == 2 * [["coupon-tea", "coupon-ham"]]
    assert held(shop) == ()
    shop.decide(caller(), ask())
    assert shown(shop.decide(caller(), ask(reserves=False))) == ["coupon-ham", "coupon-jam"]


def test_test_and_live_traffic_have_limits_of_their_own() -> None:
    shop = Shop(more=ONE_TEA)
    shop.decide(caller(), ask())
    assert "coupon-tea" not in shown(shop.decide(caller(), ask()))
    assert "coupon-tea" in shown(shop.decide(caller(Mode.LIVE), ask()))


def test_what_changed_meanwhile_is_decided_again_on_what_is_there_now() -> None:
    shop, rival = shop_with_rival(times=1, more=ONE_TEA)
    record = shop.decide(caller(), ask())
    assert (record.attempt, rival.calls, record.degraded) == (2, 3, ())
    assert record.seed == seed_of(record.decision_id, 2) != seed_of(record.decision_id)
    assert shown(record) == ["coupon-ham", "coupon-jam"]
    assert reasons(shop, record)["coupon-tea"] is Reason.LIMIT_REACHED
    assert [str(one.action_id) for one in held(shop)].count("coupon-tea") == 1
    assert record.personal is not None
    assert [one.action_id for one in record.personal.contacts or ()] == ["coupon-tea", "coupon-ham"]


def test_after_three_conflicts_the_answer_is_the_fallback_and_takes_nothing() -> None:
    shop, rival = shop_with_rival(times=ATTEMPTS)
    record = shop.decide(caller(), ask())
    assert (record.attempt, record.degraded, shown(record)) == (ATTEMPTS + 1, ("contacts",), ["hello"])
    assert rival.calls == 2 * ATTEMPTS
    assert set(reasons(shop, record).values()) <= {
        Reason.CONTACT_STORE_GONE,
        Reason.NOT_ELIGIBLE,
        Reason.ELIGIBILITY_UNKNOWN,
    }
    assert not {one.tracking_id.partition(".")[0] for one in held(shop)} & {record.decision_id}
    assert record.personal is not None
    assert (record.personal.contacts, record.used) == (None, {})
    assert load(dump(record)) == record


def test_the_same_answer_comes_to_who_waits_without_holding_up_the_loop() -> None:
    shop, _ = shop_with_rival(times=1, more=ONE_TEA)
    record = asyncio.run(shop.decide.answer(caller(), ask()))
    assert (record.attempt, shown(record)) == (2, ["coupon-ham", "coupon-jam"])
    shop, _ = shop_with_rival(times=ATTEMPTS)
    assert asyncio.run(shop.decide.answer(caller(), ask())).degraded == ("contacts",)


@pytest.mark.parametrize("times", [1, ATTEMPTS])
def test_a_request_decided_elsewhere_meanwhile_is_answered_with_that_decision(times: int) -> None:
    shop, _ = shop_with_rival(times=times, request_id="r1")
    record = shop.decide(caller(), ask(request_id="r1"))
    assert record.attempt == 1
    assert record == shop.decide(caller(), ask(request_id="r1"))
    assert [one.tracking_id for one in held(shop)] == [
        shop.tracking.sign(record.decision_id, number) for number in (1, 2)
    ]


def test_a_repeated_request_reserves_once() -> None:
    shop = Shop(more=ONE_TEA)
    first, again = (shop.decide(caller(), ask(request_id="r1")) for _ in range(2))
    assert first == again
    assert len(held(shop)) == 2
    with pytest.raises(InvalidRequest):
        shop.decide(caller(), ask(request_id="r1", body_sha256=b"another"))
    assert len(held(shop)) == 2


def test_without_the_contact_store_there_is_service_but_no_marketing() -> None:
    shop = Shop(more=SERVICE, contacts=GoneContacts())
    record = shop.decide(caller(), ask())
    assert record.degraded == ("contacts",)
    offers = record.placements[0].offers
    assert [(offer.action, offer.kind) for offer in offers] == [
        ("recall", OfferKind.MANDATORY),
        ("new-hours", OfferKind.ARBITRATED),
    ]
    # They count from now on, though on no version
    assert [offer.reserved_until for offer in offers] == [NOW + timedelta(minutes=40)] * 2
    assert reasons(shop, record)["coupon-tea"] is Reason.CONTACT_STORE_GONE
    alone = Shop(contacts=GoneContacts()).decide(caller(), ask())
    assert shown(alone) == ["hello"]


def test_a_mandatory_message_goes_first_and_out_even_after_conflicts() -> None:
    shop, _ = shop_with_rival(times=ATTEMPTS, more=SERVICE)
    record = shop.decide(caller(), ask())
    assert shown(record) == ["recall", "hello"]
    assert record.degraded == ("contacts",)


def test_marketing_needs_a_consent_that_nobody_has_given_yet() -> None:
    asking = SERVICE.replace("purposes: [service]", "purposes: [marketing]")
    record = Shop(more=asking).decide(caller(), ask())
    assert shown(record) == ["recall", "coupon-tea"]
    shop = Shop(more=asking)
    assert reasons(shop, shop.decide(caller(), ask()))["new-hours"] is Reason.NO_CONSENT


def test_a_visitor_nobody_knows_takes_from_volumes_but_leaves_no_contact() -> None:
    shop = Shop(more=SCARCE)
    first, second = (shop.decide(caller(), ask(None)) for _ in range(2))
    assert shown(first) == ["mug", "coupon-jam"]
    assert [offer.reserved_until is None for offer in first.placements[0].offers] == [False, True]
    assert shown(second) == ["coupon-jam", "hello"]
    assert reasons(shop, second)["mug"] is Reason.VOLUME_REACHED
    assert second.used == {"mug": RecordedUsed(0.0, 0.0, 1, 1)}
    assert "mug" not in shown(shop.decide(caller(), ask("anna")))
    assert "mug" in shown(shop.decide(caller(Mode.LIVE), ask("anna")))


def test_a_volume_that_ran_out_meanwhile_is_decided_again() -> None:
    shop, _ = shop_with_rival(times=1, more=SCARCE, customer_id="ben")
    record = shop.decide(caller(), ask(None))
    assert (record.attempt, shown(record)) == (2, ["coupon-jam", "hello"])


def test_what_was_looked_back_on_is_recorded_and_reads_back_the_same() -> None:
    suppressed = "\ncontact_policies:\n  after-a-no: {suppress: 30d, after: {outcome: rejected}}\n"
    shop = Shop(more=suppressed + TWICE.replace("\ncontact_policies:\n", ""))
    tea = shop.decide(caller(), ask()).placements[0].offers[0].tracking_id
    shop.contacts.present(tea, occurred_at=NOW, reported_at=NOW)
    shop.contacts.record_outcome(tea, "rejected", outcome_id="o1", occurred_at=NOW, reported_at=NOW)
    record = shop.decide(caller(), ask())
    assert "coupon-tea" not in shown(record)
    told = record.personal
    assert told is not None
    assert [(one.action_id, one.presented_at) for one in told.contacts or ()] == [
        ("coupon-tea", NOW),
        ("coupon-ham", None),
    ]
    assert [(one.kind, one.action_id, one.at) for one in told.outcomes or ()] == [
        ("rejected", "coupon-tea", NOW)
    ]
    assert (told.purposes, told.unit) == (("profiling", "service"), None)
    assert load(dump(record)) == record


def test_live_customers_are_in_experiments_and_test_traffic_is_not() -> None:
    shop = Shop(more=IN_ARMS)
    live, test = shop.decide(caller(Mode.LIVE), ask()), shop.decide(caller(), ask())
    assert live.experiments == (ExperimentArm("ranking", "sweet", "pushed"),)
    assert shown(live)[0] == "coupon-jam"
    assert live.placements[0].offers[0].lever == 100
    assert (test.experiments, shown(test)[0]) == ((), "coupon-tea")
    assert shop.decide(caller(Mode.LIVE), ask(None)).experiments == ()
    jam = shop.recall(caller(Mode.LIVE), live.decision_id).considered()[1]
    assert (jam.candidate.action.action_id, jam.lever) == ("coupon-jam", 100)


def test_control_and_holdout_are_drawn_by_the_live_customer() -> None:
    held_out = Shop(more="\nholdout: {share: 1.0, salt: h}\n")
    assert shown(held_out.decide(caller(), ask())) == ["coupon-tea", "coupon-ham"]
    record = held_out.decide(caller(Mode.LIVE), ask())
    assert (record.held_out, record.control, shown(record)) == (True, False, ["hello"])
    control = Shop(more="\ncontrol: {share: 1.0, salt: c}\n").decide(caller(Mode.LIVE), ask())
    assert (control.control, control.exploration) == (True, "uniform")
    assert control.placements[0].offers[0].action_probability == pytest.approx(1 / 3)
    assert control.personal is not None
    assert control.personal.unit == "anna"


def test_only_a_trusted_key_may_say_what_is_for_systems() -> None:
    declared = "\n  credit_ok: {type: bool, set_by: system, meaning: The credit check passed}"
    shop = Shop(change=("\ncontext:", "\ncontext:" + declared))
    said = ask(context={"credit_ok": True})
    record = shop.decide(caller(), said)
    assert record.personal is not None
    assert record.personal.context["credit_ok"] is True
    with pytest.raises(InvalidRequest) as refused:
        shop.decide(caller(scopes=frozenset(Scope) - {Scope.ASSERT_CONTEXT}), said)
    assert (refused.value.code, refused.value.field) == ("context-not-settable", "context.credit_ok")


def test_zone_and_language_come_from_the_features_where_they_have_them() -> None:
    known = facts()
    known = CustomerFacts(
        True, {**known.values, "timezone": "Asia/Tokyo", "language": "ja"}, known.states, known.event_times
    )
    customer = customer_of(caller(Mode.LIVE), ask(), known, None, ())
    assert (customer.timezone, customer.language, customer.unit) == ("Asia/Tokyo", "ja", "anna")
    customer = customer_of(caller(), ask(), facts(), None, ())
    assert (customer.timezone, customer.language, customer.unit) == (None, None, None)
