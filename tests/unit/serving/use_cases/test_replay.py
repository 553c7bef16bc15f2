"""Replay: identical from the record alone, and whatever was changed is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
import pytest

from features.realtime_features import REALTIME_V1
from moment.errors import DependencyError, InvalidRequest
from serving.adapters.catalogue_files import CatalogueFiles
from serving.adapters.memory import MemoryCatalogues, MemoryFeatures, RuleSegmenter
from serving.adapters.memory_models import MemoryModels
from serving.catalogue.feature_columns import feature_columns
from serving.decision.actions import Action, Candidate
from serving.decision.contact_plan import Lookback
from serving.decision.decision import Scores
from serving.decision.reasons import Reason
from serving.decision.values import ActionId, Forced, Scalar
from serving.ports import CustomerFacts, Scorer, Segmenter, Standing
from serving.records import DecisionRecord, Mode, dump, load
from serving.use_cases.deciding_again import ScoresFrom
from serving.use_cases.differences import DifferenceKind
from serving.use_cases.lifetimes import BATCH_KEY, lasting, living
from serving.use_cases.recall import Recall
from serving.use_cases.replay import Against, Present, Replay, Replayed, ReplayVerdict
from tests.service.kit import CATALOGUE, CONTRACT, NOW, Shop, agreeing, ask, caller, catalogue, facts

POLICIES = """
  service:
    purposes: [service]
    treatments:
      web: {channel: web, placements: [home], content: {title: "{{ action.label }}"}}
      app: {channel: app, placements: [home], content: {title: "{{ action.label }}"}}
    groups:
      notices:
        actions:
          new-hours: {label: We open earlier, value: 0.5}
          recall: {label: Do not eat the pate, value: 0.0, mandatory: legal_obligation, eligible: "age < 30"}
  gifts:
    treatments:
      mug: {channel: web, placements: [home, checkout], content: {title: A mug}}
      big: {channel: web, placements: [home], content: {title: "A mug, {{ customer.size }}"}}
    groups:
      mugs:
        actions:
          mug:
            label: A mug
            value: 6.0
            volume: {total: 60}
            context_weights: [{when: "age > 30", weight: 1.5}]
contact_policies:
  twice: {limit: 2, window: 7d, per: action, issues: [sales]}
  no: {suppress: 9d, after: {outcome: rejected}}
control: {share: 0.1, salt: c}
holdout: {share: 0.05, salt: h}
experiments:
  ranking:
    sweet:
      arms:
        pushed: {share: 0.4, levers: {actions: {coupon-jam: 3}}}
        bold: {share: 0.3, exploration: {policy: softmax, temperature: 0.5}}
"""
EXPLORING = ("exploration: greedy", "exploration: {policy: epsilon_uniform, share: 0.5}")


@dataclass(frozen=True)
class CurveScorer:
    """A model of age, spend and action, with digits enough that its last bit counts."""

    slope: float = 0.013
    version: str = "curve"

    def score(
        self,
        customer: CustomerFacts,
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],  # noqa: ARG002
        slots: int,
    ) -> Scores:
        age, spend = (customer.values.get(name) or 1 for name in ("age", "spend"))
        assert isinstance(age, int | float)
        assert isinstance(spend, int | float)
        worth = np.array([len(one.action.label) + one.action.value for one in contenders])
        raw = 1 / (1 + np.exp(-(self.slope * age + np.log1p(spend) / (3 + slots) - worth / 7)))
        return Scores(raw=raw, propensity=raw**1.1, evidence=worth * 10)


class FlakyScorer(CurveScorer):
    """The same model, which may be away."""

    away = False

    def score(
        self,
        customer: CustomerFacts,
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],
        slots: int,
    ) -> Scores:
        if type(self).away:
            raise DependencyError("the model is away")
        return super().score(customer, contenders, context, slots)


SEGMENTER = RuleSegmenter(lambda known: "Spenders" if (known.values.get("spend") or 0) > 50 else None)  # type: ignore[operator]


def people(count: int) -> dict[str, CustomerFacts]:
    """Customers of all kinds, some of whom little is known."""
    rng = np.random.default_rng(5)
    made = {}
    for number in range(count):
        values = {
            "spend": round(float(rng.gamma(2, 40)), 7),
            "age": int(rng.integers(14, 90)),
            "size": str(rng.choice(["<small>", "large & loud"])),
            "category_names": ("TEA", "HAM")[: int(rng.integers(3))],
        }
        known = {name: value for name, value in values.items() if rng.random() > 0.1}
        made[f"c{number}"] = facts(**known)  # type: ignore[arg-type]
    return made


def shop_of(known: Mapping[str, CustomerFacts], change: tuple[str, str] = EXPLORING) -> Shop:
    shop = Shop(
        more=POLICIES,
        change=change,
        features=MemoryFeatures(CONTRACT, known),
        scorer=FlakyScorer(),
        consents=agreeing(*list(known)[::2]),
    )
    shop.swap(segmenter=SEGMENTER)
    return shop


def replay_of(shop: Shop, *, scorers: tuple[Scorer, ...] | None = None, code: str = "test") -> Replay:
    models = MemoryModels((shop.scorer,) if scorers is None else scorers, (SEGMENTER,), CONTRACT)
    present = Present(shop.catalogue, shop.scorer, SEGMENTER, shop.live.now.champion.versions)
    return Replay(shop.recall, models, code, present)


def kinds(replayed: Replayed) -> set[DifferenceKind]:
    return {one.kind for one in replayed.differences}


@lru_cache
def a_thousand() -> tuple[Shop, tuple[DecisionRecord, ...]]:
    """Decide a thousand times: each way a decision can go, each record through its stored form."""
    rng = np.random.default_rng(7)
    shop = shop_of(people(60))
    steady = shop.contacts.read
    made = []
    for number in range(1000):
        customer = f"c{rng.integers(66)}" if rng.random() > 0.05 else None
        shop.clock.at += timedelta(minutes=float(rng.integers(1, 90)))
        channel, placements = (
            (("app"), (("home", None),)) if number % 4 == 0 else ("web", (("home", 2), ("checkout", 1)))
        )
        sent = {"weather": str(rng.choice(["sun", "rain"])), "basket_value": round(float(rng.random()), 9)}
        asked = ask(
            customer,
            channel=channel,
            placements=placements,
            context={} if rng.random() < 0.3 else sent,
            request_id=f"r{number}",
        )
        mode = Mode.LIVE if rng.random() < 0.8 else Mode.TEST
        if mode is Mode.TEST and number % 3 == 0:
            asked = replace(asked, force=Forced(ActionId("new-hours")))
        disturb(shop, number, steady)
        record = shop.decide(caller(mode), asked)
        shop.contacts.read = steady  # type: ignore[method-assign]
        shop.features.broken = FlakyScorer.away = False
        made.append(record)
        report(shop, record, rng)
    return shop, tuple(load(dump(record)) for record in made)


def disturb(shop: Shop, number: int, steady: Callable[..., Standing]) -> None:
    """Now and then a store or the model is gone, or somebody else decides for the customer meanwhile."""
    FlakyScorer.away = number % 25 == 5
    shop.features.broken = number % 25 == 6
    if number % 25 == 3:

        def gone(*_: object, **__: object) -> Standing:
            raise DependencyError("the contact store is gone")

        shop.contacts.read = gone  # type: ignore[method-assign]
    if number % 25 == 4:
        stale = [1, 3][number % 2]

        def outdated(customer_id: str | None, **options: object) -> Standing:
            nonlocal stale
            standing = steady(customer_id, **options)
            stale -= 1
            return replace(standing, version=standing.version - 1) if stale >= 0 else standing

        shop.contacts.read = outdated  # type: ignore[method-assign]


def report(shop: Shop, record: DecisionRecord, rng: np.random.Generator) -> None:
    """Tell what became of some of the offers."""
    for placement in record.placements:
        for offer in placement.offers:
            at = shop.clock() + timedelta(minutes=2)
            if rng.random() < 0.5:
                shop.contacts.present(offer.tracking_id, occurred_at=at, reported_at=at)
            if rng.random() < 0.1:
                shop.contacts.record_outcome(
                    offer.tracking_id, "rejected", outcome_id="o", occurred_at=at, reported_at=at
                )


def test_a_thousand_recorded_decisions_replay_identical() -> None:
    shop, records = a_thousand()
    replay = replay_of(shop)

    replayed = [replay.of(record) for record in records]

    wrong = [one for one in replayed if one.verdict is not ReplayVerdict.IDENTICAL]
    assert not wrong, wrong[0].differences
    assert len(replayed) == 1000


def test_the_thousand_went_every_way_a_decision_can() -> None:
    _, records = a_thousand()
    offers = [offer for record in records for placement in record.placements for offer in placement.offers]
    reasons = {reason for record in records for reason in record.considered.reason}

    assert {record.attempt for record in records} >= {1, 2, 4}
    assert {offer.kind for offer in offers} == {"arbitrated", "mandatory", "fallback", "forced"}
    assert {name for record in records for name in record.degraded} >= {"contacts", "features", "propensity"}
    assert {arm.arm for record in records for arm in record.experiments} == {"pushed", "bold"}
    assert any(record.control for record in records)
    assert any(record.held_out for record in records)
    assert any(0 < offer.action_probability < 1 for offer in offers)
    assert reasons >= {
        Reason.VOLUME_REACHED,
        Reason.NOT_ELIGIBLE,
        Reason.ELIGIBILITY_UNKNOWN,
        Reason.LIMIT_REACHED,
        Reason.SUPPRESSED,
        Reason.CONTACT_STORE_GONE,
        Reason.OUTRANKED,
        Reason.SHOWN,
    }


@dataclass(frozen=True)
class Mutation:
    """What was changed after a decision, and what the replay must call it."""

    change: Callable[[DecisionRecord], DecisionRecord]
    kind: DifferenceKind
    subject: str


def altered(**fields: object) -> Callable[[DecisionRecord], DecisionRecord]:
    return lambda record: msgspec.structs.replace(record, **fields)


def other_context(record: DecisionRecord) -> DecisionRecord:
    told = record.personal
    assert told is not None
    context = told.context | {"hour": 3}
    return msgspec.structs.replace(record, personal=msgspec.structs.replace(told, context=context))


def other_reason(record: DecisionRecord) -> DecisionRecord:
    reason = list(record.considered.reason)
    reason[reason.index(Reason.NOT_ELIGIBLE)] = Reason.OUTRANKED
    considered = msgspec.structs.replace(record.considered, reason=reason)
    return msgspec.structs.replace(record, considered=considered)


def other_offer(**fields: object) -> Callable[[DecisionRecord], DecisionRecord]:
    def change(record: DecisionRecord) -> DecisionRecord:
        home = record.placements[0]
        offers = (msgspec.structs.replace(home.offers[0], **fields), *home.offers[1:])
        placements = (msgspec.structs.replace(home, offers=offers), *record.placements[1:])
        return msgspec.structs.replace(record, placements=placements)

    return change


def other_score(record: DecisionRecord) -> DecisionRecord:
    propensity = [0.123, *record.scored.propensity[1:]]
    return msgspec.structs.replace(
        record, scored=msgspec.structs.replace(record.scored, propensity=propensity)
    )


def other_words(record: DecisionRecord) -> DecisionRecord:
    told = record.personal
    assert told is not None
    content = [told.content[0] | {"title": "Free money"}, *told.content[1:]]
    return msgspec.structs.replace(record, personal=msgspec.structs.replace(told, content=content))


MUTATIONS = {
    "clock": Mutation(
        lambda record: msgspec.structs.replace(record, decided_at=record.decided_at + timedelta(hours=9)),
        DifferenceKind.TIME,
        "context.hour",
    ),
    "clock by a second": Mutation(
        lambda record: msgspec.structs.replace(record, decided_at=record.decided_at + timedelta(seconds=1)),
        DifferenceKind.TIME,
        "home rank 1 expires_at",
    ),
    "context": Mutation(other_context, DifferenceKind.TIME, "context.hour"),
    "seed": Mutation(altered(seed=1), DifferenceKind.SEED, "seed"),
    "segment": Mutation(altered(segment="Kings"), DifferenceKind.SEGMENT, "persona"),
    "reason": Mutation(other_reason, DifferenceKind.REASON, "home/coupon-ham-web"),
    "score": Mutation(other_score, DifferenceKind.SCORE, "coupon-jam-web propensity"),
    "offer": Mutation(other_offer(treatment="coupon-ham-web"), DifferenceKind.OFFER, "home rank 1"),
    "chance": Mutation(
        other_offer(action_probability=0.5), DifferenceKind.PROBABILITY, "home rank 1 action probability"
    ),
    "lever": Mutation(other_offer(lever=0.5), DifferenceKind.PRIORITY, "home rank 1 lever"),
    "words": Mutation(other_words, DifferenceKind.CONTENT, "home rank 1 title"),
    "control": Mutation(altered(control=True), DifferenceKind.EXPERIMENT, "control"),
    "joint chance": Mutation(
        altered(joint_probability=0.9), DifferenceKind.PROBABILITY, "the answer as a whole"
    ),
}


def one_decision(shop: Shop) -> DecisionRecord:
    return load(dump(shop.decide(caller(), ask("ben"))))


def small_shop() -> Shop:
    """The corner shop with a model, and one customer who may have two of its coupons."""
    shop = Shop(scorer=CurveScorer())
    shop.swap(segmenter=SEGMENTER)
    return shop


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_was_changed_in_a_record_is_named(name: str) -> None:
    mutation, shop = MUTATIONS[name], small_shop()
    record = one_decision(shop)
    assert replay_of(shop).of(record).verdict is ReplayVerdict.IDENTICAL

    replayed = replay_of(shop).of(mutation.change(record))

    assert replayed.verdict is ReplayVerdict.DIFFERENT
    assert (mutation.kind, mutation.subject) in {(one.kind, one.subject) for one in replayed.differences}


def test_another_seed_is_named_with_what_it_draws_otherwise() -> None:
    shop, records = a_thousand()
    chosen = [record for record in records if 0 < record.joint_probability < 0.5][:20]

    replayed = [replay_of(shop).of(msgspec.structs.replace(record, seed=99)) for record in chosen]

    assert all(DifferenceKind.SEED in kinds(one) for one in replayed)
    assert any(DifferenceKind.OFFER in kinds(one) for one in replayed)


def test_causes_come_before_effects() -> None:
    shop = small_shop()
    record = msgspec.structs.replace(one_decision(shop), seed=1, joint_probability=0.9, segment="Kings")

    told = [one.kind for one in replay_of(shop).of(record).differences]

    assert told == [DifferenceKind.SEED, DifferenceKind.SEGMENT, DifferenceKind.PROBABILITY]


def test_a_model_that_scores_otherwise_under_the_same_digest_is_named_by_each_score() -> None:
    shop = small_shop()
    record = one_decision(shop)

    replayed = replay_of(shop, scorers=(CurveScorer(slope=0.02),)).of(record)

    assert {DifferenceKind.SCORE, DifferenceKind.PRIORITY} <= kinds(replayed)
    scores = {one.subject: one for one in replayed.differences if one.kind is DifferenceKind.SCORE}
    jam = scores["coupon-jam-web propensity"]
    assert jam.recorded == repr(record.scored.propensity[0])
    assert jam.replayed != jam.recorded


def test_a_bundle_that_is_gone_is_said_so_and_its_recorded_scores_decide() -> None:
    shop = small_shop()
    record = one_decision(shop)

    replayed = replay_of(shop, scorers=()).of(record)

    assert (replayed.verdict, replayed.scores) == (ReplayVerdict.IDENTICAL, ScoresFrom.RECORD)
    assert "Propensity bundle curve is not here any more" in replayed.notes[0]
    assert replay_of(shop).of(record).scores is ScoresFrom.MODEL


class Damaged:
    """An archive whose models are not what they were."""

    def scorer(self, digest: str, actions: Sequence[Action]) -> Scorer | None:  # noqa: ARG002
        raise DependencyError("bundle propensity/abc refused (digest): restore the folder or train again")

    def segmenter(self, digest: str) -> Segmenter | None:  # noqa: ARG002
        raise DependencyError("bundle segmentation/abc refused (digest): restore the folder or train again")

    def contract(self, propensity: str) -> None:  # noqa: ARG002
        raise AssertionError("nobody asks a model that was refused")


def test_a_bundle_that_was_changed_is_named() -> None:
    shop = small_shop()
    record = one_decision(shop)

    replayed = replace(replay_of(shop), models=Damaged()).of(record)

    assert replayed.verdict is ReplayVerdict.DIFFERENT
    assert kinds(replayed) == {DifferenceKind.PROPENSITY_BUNDLE, DifferenceKind.SEGMENTATION_BUNDLE}
    assert replayed.scores is ScoresFrom.RECORD
    assert "refused (digest)" in replayed.notes[0]


def test_another_feature_contract_is_named() -> None:
    shop = small_shop()
    record = one_decision(shop)
    versions = msgspec.structs.replace(record.versions, contract="0" * 64)

    replayed = replay_of(shop).of(msgspec.structs.replace(record, versions=versions))

    assert [(one.kind, one.recorded) for one in replayed.differences] == [
        (DifferenceKind.FEATURE_CONTRACT, "0" * 64)
    ]


def test_another_code_version_is_a_remark_where_nothing_differs_and_a_difference_where_something_does() -> (
    None
):
    shop = small_shop()
    record = one_decision(shop)
    newer = replay_of(shop, code="newer")

    same, other = newer.of(record), newer.of(msgspec.structs.replace(record, segment="Kings"))

    assert same.verdict is ReplayVerdict.IDENTICAL
    assert same.notes == ("Decided by Moment test, replayed by Moment newer.",)
    assert [one.kind for one in other.differences] == [DifferenceKind.CODE_VERSION, DifferenceKind.SEGMENT]


def test_against_todays_catalogue_the_changed_rule_is_named_and_what_follows() -> None:
    shop = small_shop()
    record = one_decision(shop)
    stricter = catalogue(change=('eligible: "spend >= 10"', 'eligible: "spend >= 90"'))
    versions = msgspec.structs.replace(record.versions, catalogue=stricter.digest)
    replay = replace(replay_of(shop), present=Present(stricter, CurveScorer(), SEGMENTER, versions))

    replayed = replay.of(record, Against.CURRENT)

    told = {(one.kind, one.subject): (one.recorded, one.replayed) for one in replayed.differences}
    assert told[DifferenceKind.CATALOGUE, "catalogue"] == (record.versions.catalogue, stricter.digest)
    assert told[DifferenceKind.REASON, "home/coupon-tea-web"][1] == "not_eligible: spend >= 90"
    rules = [one for one in replayed.differences if one.kind is DifferenceKind.RULE]
    assert [(one.subject, one.recorded, one.replayed) for one in rules] == [
        ("coupon-tea", "eligible: spend >= 10", None),
        ("coupon-tea", None, "eligible: spend >= 90"),
    ]
    assert replay.of(record).verdict is ReplayVerdict.IDENTICAL


CHANGES = {
    "a limit": (("limit: 2", "limit: 5"), "contact policy twice limit: 2, now 5"),
    "a suppression": (("suppress: 9d", "suppress: 3d"), "contact policy no rests: 9d, now 3d"),
    "what is not limited any more": (
        ("  twice: {limit: 2, window: 7d, per: action, issues: [sales]}\n", ""),
        "contact policy twice: in the catalogue, now none",
    ),
    "quiet hours": (
        ("  twice:", "  night: {quiet_hours: {from: '21:00', to: '08:00'}}\n  twice:"),
        "contact policy night: none, now in the catalogue",
    ),
    "an exclusion": (
        ("      notices:\n", "      notices:\n        exclusions: [one-a-week]\n"),
        "exclusion one-a-week: none, now in the catalogue",
    ),
    "a volume": (("volume: {total: 60}", "volume: {total: 5}"), "action mug volume.total: 60, now 5"),
    "a purpose": (
        ("purposes: [service]", "purposes: [marketing]"),
        "action recall purposes: service, now marketing",
    ),
    "a value": (("value: 6.0", "value: 7.5"), "action mug value: 6, now 7.5"),
    "a weight": (
        ("weight: 1.5", "weight: 2.5"),
        "action mug context_weights: 1.5 where `age > 30`, now 2.5 where `age > 30`",
    ),
    "an arm's lever": (
        ("coupon-jam: 3", "coupon-jam: 4"),
        "arm ranking > sweet > pushed levers.coupon-jam: 3, now 4",
    ),
    "the exploration": (("ture: 0.5", "ture: 0.9"), "arm ranking > sweet > bold exploration: "),
    "the holdout": (
        ("holdout: {share: 0.05", "holdout: {share: 0.5"),
        "catalogue holdout.share: 0.05, now 0.5",
    ),
}


DECLARED = {
    "quiet hours": "channels: {app: {outbound: true}}\n",
    "an exclusion": "exclusions: {one-a-week: {}}\n",
}


@pytest.mark.parametrize("name", CHANGES)
def test_against_todays_catalogue_each_changed_policy_is_named(name: str) -> None:
    change, said = CHANGES[name]
    shop = shop_of(people(3))
    record = load(dump(shop.decide(caller(), ask("c1"))))
    other = catalogue(POLICIES.replace(*change) + DECLARED.get(name, ""), EXPLORING)
    versions = msgspec.structs.replace(record.versions, catalogue=other.digest, policy="p" * 64)
    replay = replace(replay_of(shop), present=Present(other, CurveScorer(), SEGMENTER, versions))

    replayed = replay.of(record, Against.CURRENT)

    named = [one for one in replayed.differences if one.kind is DifferenceKind.POLICY]
    assert any(one.text.startswith(said) for one in named), [one.text for one in named]
    assert {one.is_score for one in named} == {name in ("a value", "a weight", "an arm's lever")}
    assert replayed.differences[0].text == f"catalogue: {record.versions.catalogue}, now {other.digest}"
    assert replayed.differences[1].text == f"policy bundle: , now {'p' * 64}"
    assert DifferenceKind.RULE not in kinds(replayed)


def test_numbers_that_the_catalogue_does_not_have_are_told_and_never_an_error() -> None:
    shop = small_shop()
    record, considered = one_decision(shop), one_decision(shop).considered
    size = len(considered.candidate)
    recall = Recall(shop.records, MemoryCatalogues((shop.catalogue,)))
    replay = replace(replay_of(shop), recall=recall)
    wrong: tuple[dict[str, object], ...] = (
        {"considered": msgspec.structs.replace(considered, candidate=[99] * size)},
        {"considered": msgspec.structs.replace(considered, candidate=[-1] * size)},
        {"considered": msgspec.structs.replace(considered, placement=[9] * size)},
        {"considered": msgspec.structs.replace(considered, reason=[7] * size)},
        {"scored": msgspec.structs.replace(record.scored, candidate=[99] * len(record.scored.candidate))},
    )
    for changed in wrong:
        damaged = msgspec.structs.replace(record, **changed)
        replayed = replay.of(damaged)
        assert replayed.verdict is ReplayVerdict.IMPOSSIBLE
        assert [one.kind for one in replayed.differences] == [DifferenceKind.CATALOGUE]
        assert "does not have" in replayed.notes[0]
        with pytest.raises(DependencyError, match="is damaged: its numbers name"):
            recall.of(damaged)


def test_a_batchs_offers_live_again_as_long_as_they_were_reserved() -> None:
    shop = small_shop()
    shop.swap(catalogue=living(shop.catalogue, "web", "home", timedelta(hours=48)))
    record = one_decision(shop)
    assert record.placements[0].offers[0].expires_at == NOW + timedelta(hours=48)
    replay = replay_of(small_shop())

    assert DifferenceKind.TIME in kinds(replay.of(record))
    told = load(dump(lasting(record, timedelta(hours=48))))
    assert replay.of(told).verdict is ReplayVerdict.IDENTICAL
    before = msgspec.structs.replace(record, format=5, key_id=BATCH_KEY)
    replayed = replay.of(before)
    assert replayed.verdict is ReplayVerdict.IDENTICAL
    assert replayed.notes[0].startswith("Recorded in format 5, in which nothing vouches")


def test_against_todays_model_it_is_named_with_its_scores() -> None:
    shop = small_shop()
    record = one_decision(shop)
    newer = CurveScorer(slope=0.02, version="steeper")
    versions = msgspec.structs.replace(record.versions, propensity="steeper")
    replay = replace(replay_of(shop), present=Present(shop.catalogue, newer, SEGMENTER, versions))

    replayed = replay.of(record, Against.CURRENT)

    first = replayed.differences[0]
    assert (first.kind, first.recorded, first.replayed) == (
        DifferenceKind.PROPENSITY_BUNDLE,
        "curve",
        "steeper",
    )
    assert DifferenceKind.SCORE in kinds(replayed)


def test_a_request_todays_catalogue_refuses_is_told() -> None:
    shop = small_shop()
    record = one_decision(shop)
    gone = catalogue(change=("home: {slots: 2", "home: {slots: 1"))
    versions = msgspec.structs.replace(record.versions, catalogue=gone.digest)
    replay = replace(replay_of(shop), present=Present(gone, CurveScorer(), SEGMENTER, versions))

    replayed = replay.of(record, Against.CURRENT)

    assert replayed.verdict is ReplayVerdict.DIFFERENT
    assert any("1 to 1 slots" in (one.replayed or "") for one in replayed.differences)


def test_what_was_erased_is_not_decided_again() -> None:
    shop = small_shop()
    record = msgspec.structs.replace(one_decision(shop), personal=None)

    replayed = replay_of(shop).of(record)

    assert (replayed.verdict, replayed.differences) == (ReplayVerdict.ERASED, ())


def test_without_its_catalogue_nothing_is_decided_and_the_catalogue_named() -> None:
    shop = small_shop()
    record = one_decision(shop)
    replay = replace(replay_of(shop), recall=Recall(shop.records, MemoryCatalogues(())))

    replayed = replay.of(record)

    assert replayed.verdict is ReplayVerdict.IMPOSSIBLE
    (only,) = replayed.differences
    assert (only.kind, only.recorded) == (DifferenceKind.CATALOGUE, record.versions.catalogue)
    assert only.text == f"catalogue: {record.versions.catalogue}, now gone"


def test_an_archived_catalogue_that_was_changed_is_named(tmp_path: Path) -> None:
    shop = small_shop()
    record = one_decision(shop)
    path = tmp_path / "shop.yaml"
    path.write_text(CATALOGUE, "utf-8")
    CatalogueFiles(tmp_path).keep(path, shop.catalogue, feature_columns(CONTRACT))
    kept = tmp_path / f"{shop.catalogue.digest}.yaml"
    kept.write_text(CATALOGUE.replace("spend >= 10", "spend >= 11"), "utf-8")
    replay = replace(replay_of(shop), recall=Recall(shop.records, CatalogueFiles(tmp_path)))

    replayed = replay.of(record)

    assert replayed.verdict is ReplayVerdict.IMPOSSIBLE
    assert kinds(replayed) == {DifferenceKind.CATALOGUE}
    assert "was changed" in replayed.notes[0]


def test_a_decision_of_another_channel_is_not_found() -> None:
    shop = small_shop()
    record = shop.decide(caller(), ask("ben"))

    with pytest.raises(InvalidRequest) as refused:
        replay_of(shop)(caller(channel="app"), record.decision_id)
    assert refused.value.code == "not-found"
    assert replay_of(shop)(caller(), record.decision_id).verdict is ReplayVerdict.IDENTICAL


def test_a_replay_leaves_no_trace() -> None:
    shop = small_shop()
    record = shop.decide(caller(), ask("ben"))
    back = Lookback(contacts=NOW - timedelta(days=9), outcomes=None, day=NOW.date())
    before = shop.contacts.read("ben", mode=Mode.TEST, now=NOW, back=back)

    replay_of(shop)(caller(), record.decision_id, Against.CURRENT)

    assert shop.contacts.read("ben", mode=Mode.TEST, now=NOW, back=back) == before
    assert shop.records.find(record.decision_id) == record


def test_a_catalogue_read_back_from_its_archive_decides_the_same(tmp_path: Path) -> None:
    shop, records = a_thousand()
    path = tmp_path / "shop.yaml"
    path.write_text(CATALOGUE.replace(*EXPLORING, 1) + POLICIES, "utf-8")
    archive = CatalogueFiles(tmp_path / "kept")
    archive.keep(path, shop.catalogue, feature_columns(CONTRACT) | feature_columns(REALTIME_V1))
    anew = CatalogueFiles(tmp_path / "kept")
    replay = replace(replay_of(shop), recall=Recall(shop.records, anew))

    verdicts = {replay.of(record).verdict for record in records[:200]}

    assert verdicts == {ReplayVerdict.IDENTICAL}
