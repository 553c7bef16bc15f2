"""One set of versions per answer; stops, approvals and challengers' arms in it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from serving.adapters.memory import FixedClock, MemoryCatalogues, MemoryFeatures, TableScorer
from serving.adapters.memory_models import MemoryModels
from serving.api.answers import decision_answer
from serving.decision.actions import Candidate
from serving.decision.decision import Scores
from serving.decision.values import Scalar
from serving.lifecycle import Actor, Approval, Model, Stop, StopKind
from serving.ports import CustomerFacts
from serving.records import ExperimentArm, Mode
from serving.use_cases.recall import Recall
from serving.use_cases.replay import Replay, ReplayVerdict
from serving.use_cases.standstill import Standstill
from serving.use_cases.version_set import Challenger, Live, LiveState, worst_approval
from tests.service.kit import CONTRACT, CUSTOMERS, NOW, Shop, agreeing, ask, caller, catalogue, version_set

ADA = Actor("key_1", "Ada Byron", "risk_officer")
DIGEST = "c" * 64


def other(**propensities: float) -> TableScorer:
    """Another version of the model."""
    liked = {name.replace("_", "-"): value for name, value in propensities.items()}
    return TableScorer(liked, version=DIGEST)


def stop(kind: StopKind, name: str) -> Stop:
    return Stop(f"stop_{kind}_{name}", kind, name, "wrong", ADA, NOW)


def stopped(shop: Shop, *stops: Stop) -> None:
    shop.live.swap(replace(shop.live.now, standstill=Standstill.of(stops)))


def routed(shop: Shop, share: float) -> Challenger:
    """Let a scorer that likes soup decide for a share of customers."""
    champion = shop.live.now.champion
    scorer = other(coupon_jam=0.9)
    by = version_set(champion.catalogue, scorer, champion.segmenter)
    arm = Challenger(Model.PROPENSITY, DIGEST, share, by)
    shop.live.swap(replace(shop.live.now, arms=(arm,)))
    return arm


def crowd(count: int) -> Shop:
    names = [f"c{number}" for number in range(count)]
    known = dict.fromkeys(names, CUSTOMERS["anna"])
    return Shop(features=MemoryFeatures(CONTRACT, known), consents=agreeing(*names))


def shown(record: object) -> list[str]:
    return [offer.action for one in record.placements for offer in one.offers]  # type: ignore[attr-defined]


def test_a_request_is_decided_by_what_was_live_when_it_came_however_many_attempts_it_takes() -> None:
    class Swapping:
        """Swaps what is live, and lets another decision come first, while it scores."""

        version = "table"
        shop: Shop | None = None

        def score(
            self,
            customer: CustomerFacts,
            contenders: Sequence[Candidate],
            context: Mapping[str, Scalar],
            slots: int,
        ) -> Scores:
            if self.shop is not None:
                shop, self.shop = self.shop, None
                shop.decide(caller(), ask())
                shop.swap(catalogue=catalogue(change=("label: Jam", "label: Marmalade")), scorer=other())
            return TableScorer({"coupon-tea": 0.3}).score(customer, contenders, context, slots)

    scorer = Swapping()
    shop = Shop(scorer=scorer)
    before = shop.live.now.champion.versions
    scorer.shop = shop

    record = shop.decide(caller(), ask())

    assert record.attempt == 2
    assert record.versions == before
    after = shop.decide(caller(), ask())
    assert after.versions == shop.live.now.champion.versions != before


def test_what_is_stopped_is_in_no_answer_and_in_the_record() -> None:
    shop = Shop()
    assert "coupon-tea" in shown(shop.decide(caller(), ask()))
    stopped(shop, stop(StopKind.ACTION, "coupon-tea"))
    record = shop.decide(caller(), ask())
    assert "coupon-tea" not in shown(record)
    assert [(one.kind, one.name) for one in record.stops] == [("action", "coupon-tea")]
    assert record.degraded == ()


@pytest.mark.parametrize("model", ["propensity", "segmentation", "next-best-action"])
def test_a_model_that_is_stopped_is_not_asked_and_the_decision_replays(model: str) -> None:
    shop = Shop()
    usual = shop.decide(caller(), ask())
    assert usual.segment == "Families"
    stopped(shop, stop(StopKind.MODEL, model))
    record = shop.decide(caller(), ask())
    assert record.degraded == ()
    assert (record.segment is None) == (model == "segmentation")
    assert (record.scored.candidate == []) == (model != "segmentation")
    assert (shown(record) == ["hello"]) == (model != "segmentation")
    assert Replay(shop.recall, shop.models, "test").of(record).verdict is ReplayVerdict.IDENTICAL
    view = shop.view_customer(caller(), "anna")
    assert (view.segment is None) == (model == "segmentation")


def test_approvals_are_judged_at_the_time_of_the_decision() -> None:
    shop = Shop()
    ends = NOW + timedelta(days=1)
    approvals = dict.fromkeys(Model, Approval(ADA, NOW - timedelta(days=3), ends))
    champion = replace(shop.live.now.champion, approvals=approvals)
    shop.live.swap(replace(shop.live.now, champion=champion))
    before = shop.decide(caller(), ask())
    # A test key's time is not the real one
    later = shop.decide(caller(), ask(time=ends + timedelta(days=9)))
    shop.decide = replace(shop.decide, clock=FixedClock(ends))
    after = shop.decide(caller(), ask())
    assert [decision_answer(one).approval for one in (before, later, after)] == [
        "approved",
        "approved",
        "expired",
    ]
    assert after.approvals == dict.fromkeys(("segmentation", "propensity", "next-best-action"), "expired")


def test_the_worst_approval_is_told() -> None:
    assert worst_approval({"a": "approved", "b": "none", "c": "expired"}) == "expired"
    assert worst_approval({"a": "approved", "b": "none"}) == "none"
    assert worst_approval({"a": "approved"}) == "approved"
    assert worst_approval({}) == "none"


def test_a_share_of_customers_is_decided_for_by_a_challenger_as_an_experiment() -> None:
    shop = crowd(400)
    arm = routed(shop, 0.25)
    records = [shop.decide(caller(Mode.LIVE), ask(f"c{number}", body_sha256=b"")) for number in range(400)]
    in_arm = [record for record in records if record.experiments]
    assert 60 <= len(in_arm) <= 140
    for record in records:
        mine = record in in_arm
        assert record.experiments == ((ExperimentArm("models", "propensity", arm.version),) if mine else ())
        assert record.versions.propensity == (DIGEST if mine else "table")
        assert (shown(record)[0] == "coupon-jam") == mine


def test_a_routed_decision_replays_by_the_versions_it_cites() -> None:
    shop = crowd(40)
    routed(shop, 0.5)
    records = [shop.decide(caller(Mode.LIVE), ask(f"c{number}")) for number in range(40)]
    models = MemoryModels((shop.scorer, other(coupon_jam=0.9)), (shop.live.now.champion.segmenter,), CONTRACT)
    shop.live.swap(replace(shop.live.now, arms=()))
    replay = Replay(Recall(shop.records, MemoryCatalogues((shop.catalogue,))), models, "test")
    assert {len(record.experiments) for record in records} == {0, 1}
    assert {replay.of(record).verdict for record in records} == {ReplayVerdict.IDENTICAL}
    assert all(shop.recall.of(record).considered() for record in records)


def test_test_traffic_control_and_the_holdout_are_in_no_arm() -> None:
    shop = crowd(200)
    more = "control: {share: 0.3, salt: c}\nholdout: {share: 0.2, salt: h}\n"
    shop.swap(catalogue=catalogue(more))
    routed(shop, 1.0)
    for number in range(200):
        live = shop.decide(caller(Mode.LIVE), ask(f"c{number}"))
        assert bool(live.experiments) != (live.control or live.held_out)
        assert shop.decide(caller(Mode.TEST), ask(f"c{number}")).experiments == ()


def test_a_share_that_grows_keeps_whom_it_had_and_another_version_is_another_draw() -> None:
    shop = Shop()
    champion = shop.live.now.champion
    units = [f"u{number}" for number in range(500)]

    def drawn(share: float, digest: str = DIGEST) -> set[str]:
        live = Live(champion, arms=(Challenger(Model.PROPENSITY, digest, share, champion),))
        return {unit for unit in units if live.assigned(unit)[1]}

    assert drawn(0.1) < drawn(0.3) < drawn(1.0) == set(units)
    assert drawn(0.0) == set()
    other = drawn(0.3, "d" * 64)
    assert len(other & drawn(0.3)) < 0.6 * len(other)


def test_two_challengers_never_have_the_same_customer() -> None:
    shop = Shop()
    champion = shop.live.now.champion
    live = Live(
        champion,
        arms=(
            Challenger(Model.PROPENSITY, "a" * 64, 0.4, champion),
            Challenger(Model.NEXT_BEST_ACTION, "b" * 64, 0.2, champion),
        ),
    )
    counts = Counter(
        arms[0].experiment if arms else "" for arms in (live.assigned(f"u{n}")[1] for n in range(2000))
    )
    assert 700 <= counts["propensity"] <= 900
    assert 320 <= counts["next-best-action"] <= 480


def test_a_linked_profile_is_crossed_by_the_challengers_that_go_on_alone() -> None:
    shop = crowd(1)
    routed(shop, 1.0)
    in_arm = shop.decide(caller(Mode.LIVE), ask("c0"))
    assert in_arm.experiments
    identify = shop.desk().identify
    assert identify._crossed("c0", "c0") == []
    shop.live.swap(replace(shop.live.now, arms=()))
    assert identify._crossed("c0", "c0") == []


def test_outcomes_that_an_earlier_catalogue_declared_are_still_taken() -> None:
    shop = Shop()
    own = catalogue(change=("label: Jam", "label: Jam\n            outcome: tasted"))
    now = shop.live.now
    shop.live.swap(replace(now, champion=version_set(own, shop.scorer, now.champion.segmenter)))
    assert "tasted" in shop.live.kinds()
    before = shop.live.now
    state = LiveState(replace(now, earlier=before.earlier.union(before.kinds)))
    assert "tasted" in state.kinds()
    assert len(state.kinds()) == len(set(state.kinds()))


def test_the_answer_on_the_event_loop_is_of_one_set_too() -> None:
    shop = Shop()
    stopped(shop, stop(StopKind.ISSUE, "sales"))
    record = asyncio.run(shop.decide.answer(caller(), ask()))
    assert shown(record) == ["hello"]
    assert [one.name for one in record.stops] == ["sales"]
