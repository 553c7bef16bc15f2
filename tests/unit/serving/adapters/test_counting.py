"""What is counted aside is counted once, and soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, values

from serving.adapters.counting import SOON_SECONDS, CountsSoon
from serving.telemetry import Answered
from tests.service.kit import Shop, ask, caller

LIVE = Answered("GET", "/livez", 200, "", 0.001)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    monkeypatch.setattr(values, "ValueClass", values.MutexValue)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return CollectorRegistry()


def counted(registry: CollectorRegistry) -> tuple[float, float]:
    requests = {"method": "GET", "route": "/livez", "status": "200", "code": ""}
    decisions = {"mode": "test", "profile": "known"}
    return (
        registry.get_sample_value("moment_requests_total", requests) or 0,
        registry.get_sample_value("moment_decisions_total", decisions) or 0,
    )


def test_what_waits_is_counted_soon_and_once(registry: CollectorRegistry) -> None:
    telemetry, shop = CountsSoon(registry), Shop()
    record = shop.decide(caller(), ask())
    for _ in range(50):
        telemetry.request(LIVE)
        telemetry.decision(record, shop.catalogue)
    assert counted(registry)[0] < 50
    end = time.monotonic() + 100 * SOON_SECONDS
    while counted(registry) != (50, 50):
        assert time.monotonic() < end
        time.sleep(0.01)
    telemetry.settle()
    assert counted(registry) == (50, 50)


def test_it_can_be_counted_at_once(registry: CollectorRegistry) -> None:
    telemetry = CountsSoon(registry)
    telemetry.request(LIVE)
    telemetry.settle()
    assert counted(registry) == (1, 0)
