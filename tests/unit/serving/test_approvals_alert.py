"""What the book warns of is heard where it is acted on: in the log, and in who decides for customers."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from serving.lifecycle import Severity, StopKind
from serving.succession import Succession
from tests.unit.serving.test_succession import Place, follow


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_approval_that_ends_is_in_the_log_once_a_day(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    line = place.open()
    version = place.champion(place.propensity(1))
    for number, days in enumerate((0, 336, 0, 1, 63)):
        place.house.clock.forward(days=days)
        place.house.life.stop(StopKind.ACTION, f"a{number}", "wrong", place.house.carl)
        follow(line)
    name = f"propensity {version.version}"
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [one.partition(";")[0] for one in said] == [
        f"{name}: its approval ends within 29 days, on 2027-05-04",
        f"{name}: its approval ends within 28 days, on 2027-05-04",
        f"{name}: its approval ended on 2027-05-04, it serves on",
    ]


def test_a_challenger_that_a_finding_holds_back_decides_for_nobody(place: Place) -> None:
    line = place.open()
    version = place.challenger(place.propensity(1))
    life, carl = place.house.life, place.house.carl
    life.challenge(version.model, version.digest, shadow=0.5, routed=0.25, by=carl)
    follow(line)
    assert arms(line) == [0.25]
    found = life.add_finding(
        version.model, severity=Severity.HIGH, section="data", blocks=True, reason="leak", by=carl
    )
    follow(line)
    assert arms(line) == []
    assert [one.share for one in line.state.now.shadows] == [0.5], "it goes on beside the champion"
    life.close_finding(found.finding_id, "no leak", place.house.ada)
    follow(line)
    assert arms(line) == [0.25]


def arms(line: Succession) -> list[float]:
    return [one.share for one in line.state.now.arms]
