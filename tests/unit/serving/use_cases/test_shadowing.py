"""Challengers beside the champion: asked after the answer, on a share, kept as long as the decision."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from serving.adapters.database import migrate
from serving.adapters.memory import MemoryFeatures, RuleSegmenter, TableScorer
from serving.adapters.memory_shadows import MemoryShadows
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.sqlite_retention import SqliteRetention
from serving.adapters.sqlite_shadows import SqliteShadows
from serving.lifecycle import Model, StopKind
from serving.ports import Entry, Expiry
from serving.ports.shadows import Shadow, ShadowOffers, ShadowRecords, ShadowScores, ShadowSegment
from serving.records import Mode
from serving.telemetry import Untold
from serving.use_cases.shadowing import Shadowing
from serving.use_cases.standstill import Standstill
from serving.use_cases.version_set import Challenger, VersionSet
from tests.service.kit import (
    CONTRACT,
    CUSTOMERS,
    NOW,
    VAULT,
    Shop,
    agreeing,
    ask,
    caller,
    catalogue,
    version_set,
)
from tests.unit.serving.use_cases.test_version_set import stop

DIGEST = "d" * 64


@dataclass
class Counts(Untold):
    """Telemetry that counts shadows."""

    fates: Counter[tuple[str, str]] = field(default_factory=Counter)

    def shadow(self, model: str, fate: str) -> None:
        """Count it."""
        self.fates[model, fate] += 1


class Bench:
    """A shop with a challenger beside its champion."""

    def __init__(
        self, model: Model, share: float = 1.0, records: ShadowRecords | None = None, **parts: object
    ) -> None:
        names = [f"c{number}" for number in range(60)]
        self.shop = Shop(
            features=MemoryFeatures(CONTRACT, dict.fromkeys((*names, "anna"), CUSTOMERS["anna"])),
            consents=agreeing(*names, "anna"),
        )
        self.kept = MemoryShadows() if records is None else records
        self.counts = Counts()
        now = self.shop.live.now
        self.shop.live.swap(
            replace(now, shadows=(Challenger(model, DIGEST, share, beside(now.champion, model)),))
        )
        self.shadowing = Shadowing(self.kept, self.counts, **({"delay": 0.0} | parts))  # type: ignore[arg-type]
        self.shop.decide = replace(self.shop.decide, shadowing=self.shadowing)

    def close(self) -> None:
        self.shadowing.close()


def beside(champion: VersionSet, model: Model) -> VersionSet:
    """Return the champion with another version of one model."""
    decides, scorer, segmenter = champion.catalogue, champion.scorer, champion.segmenter
    match model:
        case Model.PROPENSITY:
            scorer = TableScorer({"coupon-jam": 0.7}, version=DIGEST)
        case Model.SEGMENTATION:
            segmenter = RuleSegmenter(lambda _: "Others", DIGEST)
        case Model.NEXT_BEST_ACTION:
            decides = catalogue(change=("value: 2.0", "value: 200.0"))
    return version_set(decides, scorer, segmenter)


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    made: list[Bench] = []
    yield made
    for one in made:
        one.close()


def test_each_model_says_what_it_would_have_and_the_answer_is_the_champions(benches: list[Bench]) -> None:
    for model in Model:
        bench = Bench(model)
        benches.append(bench)
        record = bench.shop.decide(caller(Mode.LIVE), ask())
        assert record.placements == Shop().decide(caller(Mode.LIVE), ask()).placements
        assert bench.shadowing.settle()
        (shadow,) = bench.kept.beside(record.decision_id)
        assert (shadow.model, shadow.digest, shadow.at) == (model.value, DIGEST, record.received_at)
        told = shadow.told
        if isinstance(told, ShadowSegment):
            assert (record.segment, told.segment) == ("Families", "Others")
        elif isinstance(told, ShadowScores):
            assert told.candidate == record.scored.candidate
            names = [str(bench.shop.catalogue.candidates[one].action.action_id) for one in told.candidate]
            assert dict(zip(names, told.propensity, strict=True))["coupon-jam"] == 0.7
            assert told.propensity != record.scored.propensity
        else:
            assert isinstance(told, ShadowOffers)
            assert told.catalogue != record.versions.catalogue
            assert told.offers[0].action == "coupon-jam" != record.placements[0].offers[0].action
            assert (told.offers[0].action_probability, told.joint_probability) == (1.0, 1.0)
        assert bench.counts.fates == {(model.value, "written"): 1}
        assert bench.kept.said(model.value, DIGEST) == (shadow,)


def test_a_share_of_decisions_is_shadowed_and_never_test_traffic(benches: list[Bench]) -> None:
    bench = Bench(Model.PROPENSITY, share=0.3)
    benches.append(bench)
    for number in range(60):
        bench.shop.decide(caller(Mode.LIVE), ask(f"c{number}"))
    assert bench.shadowing.settle()
    asked = bench.kept.said("propensity", DIGEST)
    assert 6 <= len(asked) <= 32
    for number in range(60):
        bench.shop.decide(caller(Mode.TEST), ask(f"c{number}"))
    assert bench.shadowing.settle()
    assert bench.kept.said("propensity", DIGEST) == asked


def test_a_model_that_is_stopped_is_not_asked_beside_either(benches: list[Bench]) -> None:
    bench = Bench(Model.PROPENSITY)
    benches.append(bench)
    off = Standstill.of((stop(StopKind.MODEL, "propensity"),))
    bench.shop.live.swap(replace(bench.shop.live.now, standstill=off))
    record = bench.shop.decide(caller(Mode.LIVE), ask())
    assert bench.shadowing.settle()
    assert bench.kept.beside(record.decision_id) == ()


class Stuck(MemoryShadows):
    """A store that does not answer until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.going = threading.Event()

    def append(self, shadows: Sequence[Shadow]) -> Future[int]:
        assert self.going.wait(30)
        return super().append(shadows)


def test_what_does_not_fit_is_dropped_and_counted_and_no_answer_waits(benches: list[Bench]) -> None:
    stuck = Stuck()
    bench = Bench(Model.PROPENSITY, records=stuck, most_waiting=5)
    benches.append(bench)
    for number in range(60):
        bench.shop.decide(caller(Mode.LIVE), ask(f"c{number}"))
    dropped = bench.counts.fates["propensity", "dropped"]
    assert dropped >= 40
    stuck.going.set()
    assert bench.shadowing.settle()
    assert bench.counts.fates["propensity", "written"] == 60 - dropped


def test_a_challenger_that_fails_hurts_nobody_and_is_told_once(
    benches: list[Bench], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        version = DIGEST

        def assign(self, customer: object) -> str | None:  # noqa: ARG002
            raise ZeroDivisionError("anna")

    bench = Bench(Model.SEGMENTATION)
    benches.append(bench)
    now = bench.shop.live.now
    by = version_set(now.champion.catalogue, now.champion.scorer, Broken())
    bench.shop.live.swap(replace(now, shadows=(Challenger(Model.SEGMENTATION, DIGEST, 1.0, by),)))
    for number in range(3):
        assert bench.shop.decide(caller(Mode.LIVE), ask(f"c{number}")).placements[0].offers
    assert bench.shadowing.settle()
    assert bench.counts.fates == {("segmentation", "failed"): 3}
    assert caplog.messages == ["a challenger could not be asked beside a decision: ZeroDivisionError"]


def test_on_the_disk_a_shadow_names_nobody_and_goes_with_its_decision(tmp_path: Path) -> None:
    path = tmp_path / "moment.db"
    migrate(path)
    records = SqliteRecords(path, VAULT)
    with closing(SqliteShadows(path, records.writer)) as shadows:
        record = Shop().decide(caller(Mode.LIVE), ask())
        told = ShadowScores([0, 1], [0.1, None], [0.2, None])
        beside_it = Shadow(record.decision_id, "propensity", DIGEST, record.received_at, told)
        orphan = Shadow("gone", "propensity", DIGEST, record.received_at, told)
        records.append(Entry(record, b"body")).result()

        assert shadows.append([beside_it, orphan, beside_it]).result() == 1
        assert shadows.beside(record.decision_id) == (beside_it,)
        assert shadows.said("propensity", DIGEST) == (beside_it,)
        assert shadows.said("propensity", DIGEST, after=record.decision_id) == ()
        with closing(sqlite3.connect(path)) as connection:
            kept = connection.execute("SELECT * FROM shadows").fetchall()
        assert "anna" not in str(kept)

        retention = SqliteRetention(path)
        late = NOW + timedelta(days=1)
        retention.prune(Expiry(late, late, late), 10)
        assert shadows.beside(record.decision_id) == ()
        retention.close()
    records.close()
