"""What is counted of decisions, and how the counts of several workers become one."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, values

from serving.adapters.prometheus import PrometheusTelemetry, exposition, forget_dead
from serving.decision.reasons import Reason
from serving.records import DecisionRecord, Mode
from serving.telemetry import Answered
from tests.service.kit import Shop, ask, caller

LIMITED = "\ncontact_policies:\n  once: {limit: 1, window: 7d}\n"


@pytest.fixture
def shop() -> Shop:
    return Shop(more=LIMITED)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    # Another library may have switched this process to files, which all its registries share
    monkeypatch.setattr(values, "ValueClass", values.MutexValue)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry: CollectorRegistry) -> PrometheusTelemetry:
    return PrometheusTelemetry(registry)


def changed(record: DecisionRecord, **changes: object) -> DecisionRecord:
    return msgspec.structs.replace(record, **changes)


def test_a_decision_is_counted_by_what_came_of_it(
    shop: Shop, registry: CollectorRegistry, telemetry: PrometheusTelemetry
) -> None:
    record = shop.decide(caller(), ask())
    before = registry.get_sample_value("moment_decisions_total", {"mode": "test", "profile": "known"}) or 0
    telemetry.decision(record, shop.catalogue)
    count = registry.get_sample_value("moment_decisions_total", {"mode": "test", "profile": "known"})
    assert count == before + 1
    for stage in record.latency_ms:
        assert registry.get_sample_value("moment_decision_stage_seconds_count", {"stage": stage})
    age = registry.get_sample_value("moment_feature_age_seconds_bucket", {"view": "profile", "le": "86400.0"})
    assert age == 1
    younger = {"view": "profile", "le": "21600.0"}
    assert registry.get_sample_value("moment_feature_age_seconds_bucket", younger) == 0


def test_what_went_wrong_is_counted_by_name(
    shop: Shop, registry: CollectorRegistry, telemetry: PrometheusTelemetry
) -> None:
    record = changed(shop.decide(caller(Mode.LIVE), ask()), attempt=3, degraded=("contacts", "consents"))
    telemetry.decision(record, shop.catalogue)
    assert registry.get_sample_value("moment_decision_conflicts_total", {"mode": "live"}) == 2
    for name in ("contacts", "consents"):
        assert registry.get_sample_value("moment_degraded_total", {"mode": "live", "name": name}) == 1


def test_a_policy_that_stopped_actions_is_counted_once_a_decision(
    shop: Shop, registry: CollectorRegistry, telemetry: PrometheusTelemetry
) -> None:
    shop.decide(caller(Mode.LIVE), ask())
    record = shop.decide(caller(Mode.LIVE), ask())
    assert record.considered.reason.count(Reason.LIMIT_REACHED) == 2
    telemetry.decision(record, shop.catalogue)
    labels = {"mode": "live", "policy": "once"}
    assert registry.get_sample_value("moment_limit_reached_total", labels) == 1
    assert registry.get_sample_value("moment_offers_total", {"mode": "live", "pick": "fallback"}) == 1


def test_how_a_pick_was_made_is_told_apart(
    shop: Shop, registry: CollectorRegistry, telemetry: PrometheusTelemetry
) -> None:
    record = shop.decide(caller(), ask(placements=(("home", 1),)))
    (placement,) = record.placements
    (offer,) = placement.offers
    assert offer.priority is not None
    drawn = msgspec.structs.replace(offer, action_probability=0.1, priority=0.001)
    explored = msgspec.structs.replace(placement, offers=(drawn,))

    def picked(how: str) -> float:
        return registry.get_sample_value("moment_offers_total", {"mode": "test", "pick": how}) or 0

    telemetry.decision(record, shop.catalogue)
    assert (picked("best"), picked("explored"), picked("control")) == (1, 0, 0)
    telemetry.decision(changed(record, placements=(explored,)), shop.catalogue)
    assert (picked("best"), picked("explored"), picked("control")) == (1, 1, 0)
    telemetry.decision(changed(record, placements=(explored,), control=True), shop.catalogue)
    assert (picked("best"), picked("explored"), picked("control")) == (1, 1, 1)


def test_a_decision_of_somebody_erased_can_be_counted(
    shop: Shop, registry: CollectorRegistry, telemetry: PrometheusTelemetry
) -> None:
    telemetry.decision(changed(shop.decide(caller(), ask()), personal=None), shop.catalogue)
    assert registry.get_sample_value("moment_decisions_total", {"mode": "test", "profile": "known"}) == 1


def test_nothing_of_the_customer_is_in_any_label(
    shop: Shop, registry: CollectorRegistry, telemetry: PrometheusTelemetry
) -> None:
    record = shop.decide(caller(), ask("anna", context={"weather": "rain"}))
    telemetry.decision(record, shop.catalogue)
    values = {
        value for family in registry.collect() for one in family.samples for value in one.labels.values()
    }
    assert values
    assert not values & {"anna", "rain", "large & loud", record.decision_id, "web", "Families"}


def test_versions_that_no_longer_decide_are_0(
    shop: Shop, registry: CollectorRegistry, telemetry: PrometheusTelemetry
) -> None:
    old = shop.live.now.champion.versions
    new = msgspec.structs.replace(old, propensity="f" * 64)
    telemetry.opened(old)
    telemetry.opened(new)
    shown = {
        one.labels["propensity"]: one.value
        for family in registry.collect()
        for one in family.samples
        if one.name == "moment_info"
    }
    assert shown == {old.propensity[:12]: 0, "f" * 12: 1}


def test_the_life_of_models_is_shown(registry: CollectorRegistry, telemetry: PrometheusTelemetry) -> None:
    telemetry.followed(41)
    telemetry.followed(42)
    telemetry.acts(43)
    telemetry.refused("propensity", "digest")
    telemetry.approval("propensity", 29.5)
    telemetry.approval("segmentation", None)
    telemetry.shadow("propensity", "written")
    telemetry.shadow("propensity", "dropped")
    telemetry.shadow("propensity", "dropped")

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("moment_ledger_seq") == 42
    assert value("moment_ledger_last_seq") == 43
    assert value("moment_bundles_refused_total", model="propensity", reason="digest") == 1
    assert value("moment_approval_days_left", model="propensity") == 29.5
    assert math.isnan(value("moment_approval_days_left", model="segmentation") or 0)
    assert value("moment_shadows_total", model="propensity", fate="dropped") == 2
    assert value("moment_shadows_total", model="propensity", fate="written") == 1


WORKER = """
import sys
from serving.adapters.prometheus import PrometheusTelemetry, set_aside
from serving.telemetry import Answered
from pathlib import Path

set_aside(Path(sys.argv[1]))
telemetry = PrometheusTelemetry()
for _ in range(int(sys.argv[2])):
    telemetry.request(Answered("POST", "/v1/decisions", 200, "", 0.004))
telemetry.waiting(int(sys.argv[2]))
telemetry.dependency("features", up=int(sys.argv[2]) != 5)
print("ready", flush=True)
sys.stdin.read()
"""


def test_workers_are_added_up_and_the_dead_no_longer_shown(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), count],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for count in ("3", "5")
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    text = exposition(tmp_path).decode()
    counted = 'moment_requests_total{code="",method="POST",route="/v1/decisions",status="200"} 8.0'
    assert counted in text
    assert 'moment_request_seconds_bucket{le="0.005",route="/v1/decisions"} 8.0' in text
    assert "moment_writes_waiting 8.0" in text
    assert 'moment_dependency_up{name="features"} 0.0' in text
    # Room was taken before it was needed: nothing is written into a hole of a full disk
    assert all(file.stat().st_blocks * 512 >= 2**20 for file in tmp_path.glob("counter_*.db"))
    for worker in workers:
        worker.kill()
        worker.communicate()
        text = exposition(tmp_path).decode()
    assert counted in text
    assert "moment_writes_waiting 8.0" not in text
    assert "moment_dependency_up{" not in text


def test_without_any_worker_there_is_nothing_to_show(tmp_path: Path) -> None:
    assert exposition(tmp_path) == exposition(tmp_path / "nowhere") == b""


def test_only_what_dead_workers_showed_is_taken_out(tmp_path: Path) -> None:
    for name in ("gauge_livesum_1.db", "gauge_livesum_22.db", "counter_22.db", "gauge_livesum_x.db"):
        (tmp_path / name).touch()
    forget_dead(tmp_path, alive=lambda pid: pid == 1)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"gauge_livesum_1.db", "counter_22.db", "gauge_livesum_x.db"}


def test_a_request_is_counted_and_timed(registry: CollectorRegistry, telemetry: PrometheusTelemetry) -> None:
    telemetry.request(Answered("GET", "/v1/customers/{customer_id}", 429, "rate-limited", 0.002))
    labels = {
        "method": "GET",
        "route": "/v1/customers/{customer_id}",
        "status": "429",
        "code": "rate-limited",
    }
    assert registry.get_sample_value("moment_requests_total", labels) == 1
