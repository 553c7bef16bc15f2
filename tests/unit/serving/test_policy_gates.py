"""The gates of a policy: each passes, fails or cannot tell for the reason it is there for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
import pytest

from moment.errors import ConfigurationError, DependencyError
from serving.adapters.memory import MemoryFeatures
from serving.catalogue.golden import Golden, read_golden
from serving.decision.actions import Action, Candidate
from serving.decision.catalogue import Catalogue
from serving.decision.decision import Scores
from serving.decision.values import ActionId, Forced, Scalar
from serving.lifecycle import GateVerdict, Verdict, overall
from serving.policies.gates import PolicyBounds, policy_gates, read_bounds
from serving.policies.requests import representative
from serving.ports import CustomerFacts, Scorer
from serving.records import DecisionRecord, Mode, RecordedStop
from tests.service.kit import CONTRACT, Shop, agreeing, ask, caller, catalogue, facts

PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
COLUMNS = frozenset(spec.name for spec in CONTRACT.scalars)
BOUNDS = PolicyBounds(latency_p99_ms_at_most=1000.0)
TIGHTER = ('eligible: "spend >= 10"', 'eligible: "spend >= 60"')
STRICT = ("  sales:\n", "  sales:\n    eligible: spend > 60\n")
NO_JAM = ('eligible: "context.hour BETWEEN 6 AND 22"', 'eligible: "age > 199"')
CAKE = """
  cakes:
    treatments: {web: {channel: web, placements: [home], content: {title: Cake}}}
    groups: {cakes: {actions: {cake: {label: A cake, value: 900}}}}
"""
GOLDEN = """
decisions:
  tea-for-spenders:
    concept: Who spends enough sees the tea
    given: {customer: {age: 40, spend: 20.0}}
    when: {at: 2026-05-01T18:30:00Z, placements: {home: 1}, propensities: {coupon-tea: 0.9}}
    then: {actions: {home: [coupon-tea]}}
  greeting:
    concept: A stranger at night is greeted
    when: {at: 2026-05-01T23:30:00Z, placements: {home: 1}, propensities: {coupon-tea: 0.9}}
    then: {actions: {home: [hello]}}
"""


def customers(count: int) -> dict[str, CustomerFacts]:
    rng = np.random.default_rng(3)
    return {
        f"c{number}": facts(age=int(rng.integers(10, 80)), spend=float(rng.gamma(2, 25)))
        for number in range(count)
    }


@lru_cache
def recorded(count: int = 120) -> tuple[Shop, tuple[DecisionRecord, ...]]:
    """Live requests of sixty customers, early in the morning as well, when only tea is open."""
    known = customers(60)
    shop = Shop(features=MemoryFeatures(CONTRACT, known), consents=agreeing(*known))
    records = []
    for number in range(count):
        shop.clock.at += timedelta(hours=5, minutes=1)
        records.append(shop.decide(caller(Mode.LIVE), ask(f"c{number % 60}", request_id=f"r{number}")))
    return shop, tuple(records)


def golden(folder: Path, decides: Catalogue, text: str = GOLDEN) -> Golden:
    file = folder / "shop.golden.yaml"
    file.write_text(text, encoding="utf-8")
    return read_golden(file, decides)


def gates(
    decides: Catalogue,
    *,
    written: Golden | None = None,
    records: Sequence[DecisionRecord] | None = None,
    champion: Catalogue | None = None,
    scorer: Scorer | None = None,
    bounds: PolicyBounds = BOUNDS,
    features: frozenset[str] = COLUMNS,
) -> dict[str, GateVerdict]:
    found = policy_gates(
        decides,
        golden=written,
        champion=champion,
        recorded=recorded()[1] if records is None else records,
        scorer=None if scorer is None else lambda _digest, _actions: scorer,
        bounds=bounds,
        features=features,
    )
    return {one.gate: one for one in found}


def test_the_same_catalogue_passes_and_changes_nothing(tmp_path: Path) -> None:
    now = recorded()[0].catalogue

    found = gates(now, written=golden(tmp_path, now), champion=now)

    assert list(found) == ["catalogue.check", "golden", "latency.p99_ms", "reach", "starved", "changed"]
    assert overall(found.values()) is PASS
    assert (found["golden"].value, found["catalogue.check"].value) == (1.0, 0.0)
    reach, changed = found["reach"], found["changed"]
    assert (reach.value, reach.low, reach.high, changed.value) == (1.0, 1.0, 1.0, 0.0)
    assert reach.note.startswith("of 120 recorded requests ")
    latency = found["latency.p99_ms"]
    assert latency.low is not None
    assert latency.high is not None
    assert 0 < latency.low <= (latency.value or 0) <= latency.high
    assert latency.note == "over 100 recorded requests"


def test_a_policy_that_reaches_few_fails_and_tells_whom_it_starves() -> None:
    now = recorded()[0].catalogue

    found = gates(catalogue(change=STRICT), champion=now)

    reach = found["reach"]
    assert reach.verdict is FAIL
    assert reach.high is not None
    assert reach.high < 0.9
    starved = gates(catalogue(change=NO_JAM), champion=now)["starved"]
    assert starved.note == "offered before and never now: coupon-jam"
    assert found["changed"].value is not None
    assert 0 < found["changed"].value < 1
    assert found["changed"].low is not None
    assert found["changed"].low < found["changed"].value


def test_a_policy_that_reaches_some_fewer_cannot_be_told_from_one_that_is_just_as_good() -> None:
    now = recorded()[0].catalogue
    found = gates(catalogue(change=NO_JAM), champion=now)["reach"]
    assert found.low is not None
    assert found.value is not None

    near = PolicyBounds(reach_at_least=(found.low + found.value) / 2, latency_p99_ms_at_most=1000)

    assert gates(catalogue(change=NO_JAM), champion=now, bounds=near)["reach"].verdict is UNSURE


def test_a_limit_that_was_lost_shows_as_too_much_reach() -> None:
    strict, now = catalogue(change=STRICT), recorded()[0].catalogue
    bounds = PolicyBounds(reach_at_most=1.01, latency_p99_ms_at_most=1000)

    assert gates(now, champion=strict, bounds=bounds)["reach"].verdict is FAIL


def test_without_a_champion_it_is_held_against_what_was_answered() -> None:
    shop, records = recorded()
    found = policy_gates(
        catalogue(change=STRICT),
        golden=None,
        champion=None,
        recorded=records,
        scorer=None,
        bounds=BOUNDS,
        features=COLUMNS,
        catalogues=lambda digest: shop.catalogue if digest == shop.catalogue.digest else None,
    )

    reach = next(one for one in found if one.gate == "reach")
    assert reach.verdict is FAIL
    assert reach.note.endswith(" then")
    same = gates(recorded()[0].catalogue)
    assert (same["reach"].value, same["changed"].value) == (1.0, 0.0)


@pytest.mark.parametrize(("count", "note"), [(0, "no recorded requests yet"), (49, "50 requests are needed")])
def test_too_few_recorded_requests_are_inconclusive_so_that_somebody_must_accept_it(
    count: int, note: str, tmp_path: Path
) -> None:
    now = recorded()[0].catalogue

    found = gates(now, written=golden(tmp_path, now), champion=now, records=recorded()[1][:count])

    assert found["reach"].verdict is UNSURE
    assert note in found["reach"].note
    assert overall(found.values()) is UNSURE
    if not count:
        assert found["latency.p99_ms"].note == "over 2 golden decisions"
        assert found["latency.p99_ms"].verdict is PASS


def test_nothing_to_time_and_nothing_written_fail() -> None:
    found = gates(recorded()[0].catalogue, records=())

    assert (found["golden"].verdict, found["golden"].value) == (FAIL, None)
    assert "NAME.golden.yaml" in found["golden"].note
    assert (found["latency.p99_ms"].verdict, found["latency.p99_ms"].value) == (FAIL, None)


def test_a_golden_decision_that_comes_out_otherwise_fails_by_name(tmp_path: Path) -> None:
    strict = catalogue(change=TIGHTER)

    found = gates(strict, written=golden(tmp_path, strict))["golden"]

    assert (found.verdict, found.value) == (FAIL, 0.5)
    assert found.note.startswith(
        "shop.golden.yaml:3: tea-for-spenders: .actions.home: expected 'coupon-tea'"
    ) or ("tea-for-spenders" in found.note)
    half = PolicyBounds(golden_at_least=0.5, latency_p99_ms_at_most=1000)
    assert gates(strict, written=golden(tmp_path, strict), bounds=half)["golden"].verdict is PASS


def test_a_column_no_feature_computes_fails() -> None:
    found = gates(recorded()[0].catalogue, features=COLUMNS - {"spend"})["catalogue.check"]

    assert (found.verdict, found.value) == (FAIL, 1.0)
    assert "spend" in found.note


def test_a_policy_that_is_too_slow_fails() -> None:
    bounds = PolicyBounds(latency_p99_ms_at_most=1e-6)

    assert gates(recorded()[0].catalogue, bounds=bounds)["latency.p99_ms"].verdict is FAIL


@dataclass
class CakeLover:
    """A model that thinks the world of cake; it counts how often it is asked."""

    version: str = "table"
    asked: list[int] = field(default_factory=list)

    def score(
        self,
        customer: CustomerFacts,
        contenders: Sequence[Candidate],
        context: Mapping[str, Scalar],  # noqa: ARG002
        slots: int,  # noqa: ARG002
    ) -> Scores:
        self.asked.append(len(contenders))
        assert customer.values
        propensity = np.array([0.9 if one.action.action_id == "cake" else 0.0 for one in contenders])
        return Scores(propensity, propensity)


def test_an_action_nobody_scored_then_is_scored_by_the_model_the_record_cites() -> None:
    shop, _ = recorded()
    more, lover = catalogue(CAKE), CakeLover()

    unasked = gates(more, champion=shop.catalogue)
    asked = gates(more, champion=shop.catalogue, scorer=lover)

    assert "120 contenders could not be scored" in unasked["reach"].note
    assert unasked["changed"].value == 0.0
    assert (asked["changed"].value, asked["starved"].value) != (0.0, unasked["starved"].value)
    assert asked["changed"].value == 1.0
    assert "could not be scored" not in asked["reach"].note
    assert len(lover.asked) >= 120


def test_a_model_that_is_gone_or_broken_is_none() -> None:
    shop, records = recorded()

    def broken(digest: str, actions: Sequence[Action]) -> Scorer | None:
        raise DependencyError("the bundle was changed")

    found = policy_gates(
        catalogue(CAKE),
        golden=None,
        champion=shop.catalogue,
        recorded=records,
        scorer=broken,
        bounds=BOUNDS,
        features=COLUMNS,
    )

    assert "could not be scored" in next(one.note for one in found if one.gate == "reach")


def test_a_channel_that_is_gone_reaches_nobody_who_asks_on_it() -> None:
    shop, records = recorded()
    elsewhere = [msgspec.structs.replace(one, channel="television") for one in records]

    found = gates(shop.catalogue, records=elsewhere)["reach"]

    assert (found.verdict, found.value) == (FAIL, 0.0)
    assert "120 ask for what the catalogue does not have" in found.note


def test_requests_whose_scores_nobody_can_read_are_left_out() -> None:
    shop, records = recorded()
    lost = [
        msgspec.structs.replace(one, versions=msgspec.structs.replace(one.versions, catalogue="lost"))
        for one in records[:60]
    ]

    mixed = gates(shop.catalogue, champion=shop.catalogue, records=[*lost, *records[60:]])["reach"]
    none = gates(shop.catalogue, champion=shop.catalogue, records=lost)["reach"]

    assert (mixed.verdict, mixed.value) == (PASS, 1.0)
    assert "60 more are left out" in mixed.note
    assert (none.verdict, none.value) == (UNSURE, None)


def test_only_live_requests_that_nothing_hindered_say_something_of_a_policy() -> None:
    _, records = recorded()
    record = records[0]

    def changed(**fields: object) -> DecisionRecord:
        return msgspec.structs.replace(record, **fields)

    unfit = [
        changed(mode=Mode.TEST),
        changed(personal=None),
        changed(degraded=("contacts",)),
        changed(attempt=4),
        changed(stops=(RecordedStop("s", "model", "propensity"),)),
    ]
    shop, _ = recorded()
    forced = shop.decide(caller(Mode.TEST), ask("c1", force=Forced(ActionId("coupon-jam"))))

    assert representative([*unfit, forced], 10) == ()
    assert representative([changed(stops=(RecordedStop("s", "action", "coupon-tea"),))], 10) != ()
    newest = representative(records, 7)
    assert [one.decision_id for one in newest] == [one.decision_id for one in records[-7:]]


def test_what_was_stopped_then_says_nothing_of_the_policy() -> None:
    shop, records = recorded()
    stopped = [msgspec.structs.replace(one, stops=(RecordedStop("s", "issue", "sales"),)) for one in records]

    assert gates(shop.catalogue, champion=shop.catalogue, records=stopped)["reach"].value == 1.0


def test_the_packaged_bounds_are_read_and_a_deployment_may_have_its_own(tmp_path: Path) -> None:
    assert read_bounds() == PolicyBounds()
    own = tmp_path / "mine.yaml"
    own.write_text("reach: {at_least: 0.5, requests: 90}\nstarved: {at_most: 0.3}\n", encoding="utf-8")

    bounds = read_bounds(own)

    assert (bounds.reach_at_least, bounds.reach_at_most, bounds.requests) == (0.5, None, 90)
    assert (bounds.starved_at_most, bounds.golden_at_least) == (0.3, 1.0)


def test_a_bound_on_starved_actions_is_held() -> None:
    now = recorded()[0].catalogue
    starving = catalogue(change=NO_JAM)
    share = gates(starving, champion=now)["starved"].value
    assert share is not None

    def verdict(most: float, records: Sequence[DecisionRecord] | None = None) -> Verdict:
        bounds = PolicyBounds(starved_at_most=most, latency_p99_ms_at_most=1000)
        return gates(starving, champion=now, bounds=bounds, records=records)["starved"].verdict

    assert (verdict(share), verdict(share - 0.01)) == (PASS, FAIL)
    assert verdict(0.0, recorded()[1][:10]) is UNSURE


def test_faults_in_bounds_are_told_by_line(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("golden: {at_leest: 1}\nreach: {at_least: much}\nreech: {}\n", encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        read_bounds(own)

    assert [str(one) for one in caught.value.faults] == [
        "mine.yaml:1: golden, at_leest: there is no such entry; did you mean `at_least`?",
        "mine.yaml:2: reach, at_least: must be a number",
        "mine.yaml:3: reech: there is no such entry; did you mean `reach`?",
    ]
