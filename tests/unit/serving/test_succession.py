"""What decides follows the ledger: swaps, stops, refusals, the last good bundle, the ledger away."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from features.rows import ColumnKind, ColumnSource, RowColumn, RowLayout
from moment.errors import ConfigurationError, DependencyError, MomentError, StepMissing
from serving import succession
from serving.adapters.catalogue_files import CatalogueFiles
from serving.adapters.life_chain import broken
from serving.adapters.shelf import Bundle, Shelf
from serving.bundles import (
    About,
    Axis,
    Calibration,
    GoldenRows,
    Kind,
    Persona,
    Personas,
    PriorModel,
    PropensityContent,
    make_current,
    open_policy,
    open_propensity,
    open_segmentation,
    write_policy,
    write_propensity,
    write_segmentation,
)
from serving.bundles.manifest import read_manifest
from serving.bundles.signing import BundleKey, Trust, sign_bundle
from serving.catalogue import load
from serving.lifecycle import Book, Model, StopKind, Version
from serving.opening import catalogue_columns, check_catalogue_choice
from serving.settings import Settings
from serving.succession import Succession
from serving.telemetry import Untold
from tests.service.kit import CATALOGUE, CONTRACT
from tests.unit.serving.life_kit import NOW, PASSED, House

ABOUT = About(created_at=NOW.isoformat())
COLUMNS = catalogue_columns(CONTRACT)
LAYOUT = RowLayout((RowColumn("spend", ColumnKind.NUMERIC, ColumnSource.CUSTOMER),))


class UnprovedShelf(Shelf):
    """Opens bundles without a child process, and when it is let: what a proof finds is tested elsewhere."""

    def __init__(self, bundles: Path, archive: CatalogueFiles | None = None) -> None:
        super().__init__(bundles, Trust({}), CONTRACT, COLUMNS, archive)
        self.opened: Counter[str] = Counter()
        self.going = threading.Event()
        self.going.set()

    def open(self, model: Model, digest: str) -> Bundle:
        """Open it when it is let."""
        assert self.going.wait(30)
        self.opened[digest] += 1
        return super().open(model, digest)

    def _proved(self, model: Model, folder: Path, digest: str | None) -> Bundle:  # noqa: ARG002
        opens: dict[Model, Callable[[Path], Bundle]] = {
            Model.SEGMENTATION: open_segmentation,
            Model.PROPENSITY: open_propensity,
            Model.NEXT_BEST_ACTION: open_policy,
        }
        return opens[model](folder)


@dataclass
class Told(Untold):
    """Telemetry that remembers what it is told of models."""

    refusals: list[tuple[str, str]] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    days: dict[str, float | None] = field(default_factory=dict)
    up: list[bool] = field(default_factory=list)
    broken: list[bool] = field(default_factory=list)

    def refused(self, model: str, reason: str) -> None:
        """Remember it."""
        self.refusals.append((model, reason))

    def followed(self, seq: int) -> None:
        """Remember it."""
        self.seqs.append(seq)

    def approval(self, model: str, days: float | None) -> None:
        """Remember it."""
        self.days[model] = days

    def dependency(self, name: str, *, up: bool) -> None:
        """Remember it."""
        assert name == "models"
        self.up.append(up)

    def ledger(self, *, broken: bool) -> None:
        """Remember it."""
        self.broken.append(broken)


class Place:
    """A folder of bundles, the people who see to them, and what decides there."""

    def __init__(self, root: Path) -> None:
        self.bundles = root / "bundles"
        self.archive = CatalogueFiles(root / "catalogues")
        self.house = House(self.bundles)
        self.shelf = UnprovedShelf(self.bundles, self.archive)
        self.told = Told()
        self.root = root
        for folder in (self.propensity(0), self.segmentation(0)):
            make_current(folder)

    def propensity(self, number: int) -> Path:
        """Write a propensity model; another number, another version."""
        content = PropensityContent(
            kind=Kind.PRIOR,
            model=PropensityContent.of_prior(PriorModel(-2.0 - number)),
            layout=LAYOUT,
            contract=CONTRACT,
            calibration=Calibration(1.0, 0.0),
            golden=GoldenRows(np.zeros((1, 1), np.float32), ("grocery",), ("coupon-tea",)),
            libraries={"numpy": np.__version__},
        )
        return write_propensity(self.bundles, content, ABOUT)

    def segmentation(self, number: int) -> Path:
        """Write a segmentation model."""
        personas = Personas((Axis("spend", scale=1.0 + number),), ((0.0,),), (Persona("All", 1.0, 9),))
        golden = [{"spend": 1.0}]
        return write_segmentation(self.bundles, model=personas, contract=CONTRACT, golden=golden, about=ABOUT)

    def policy(self, number: int, change: tuple[str, str] = ("", "")) -> Path:
        """Write a policy."""
        source = self.root / f"shop-{number}.yaml"
        text = CATALOGUE.replace("catalogue: corner shop", f"catalogue: corner shop {number}")
        source.write_text(text.replace(*change, 1), "utf-8")
        return write_policy(self.bundles, source, load(source, COLUMNS), COLUMNS, about=ABOUT)

    def challenger(self, folder: Path) -> Version:
        """Bring a bundle to be an approved challenger."""
        life = self.house.life
        made = life.submit(folder, self.house.carl)
        life.judge(made.model, made.digest, PASSED, self.house.carl)
        return life.approve(made.model, made.digest, days=365, reason="read it", by=self.house.ada)

    def promote(self, version: Version) -> Version:
        """Make it the champion."""
        return self.house.life.promote(version.model, version.digest, "better", self.house.olga)

    def champion(self, folder: Path) -> Version:
        """Bring a bundle to serve."""
        return self.promote(self.challenger(folder))

    def open(self) -> Succession:
        """Return what decides here; nothing watches yet."""
        source = self.root / "shop.yaml"
        source.write_text(CATALOGUE, "utf-8")
        return Succession(
            self.house.ledger,
            self.shelf,
            lambda: load(source, COLUMNS),
            code_version="test",
            clock=self.house.clock,
            telemetry=self.told,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def follow(line: Succession) -> None:
    """Ask the ledger, and open whatever is missing."""
    line.look()
    while line.open_one():
        pass


def digests(line: Succession) -> tuple[str, str, str]:
    versions = line.state.now.champion.versions
    return versions.segmentation, versions.propensity, versions.policy


def current_of(place: Place, model: str) -> str:
    return (place.bundles / model / "CURRENT").read_text().strip()


def digest_of(folder: Path) -> str:
    return read_manifest(folder).digest


@contextmanager
def watching(line: Succession) -> Iterator[None]:
    line.start()
    try:
        yield
    finally:
        line.close()


def until(reached: Callable[[], bool], seconds: float = 10.0) -> float:
    started = time.monotonic()
    while not reached():
        assert time.monotonic() - started < seconds
        time.sleep(0.005)
    return time.monotonic() - started


def test_without_a_champion_the_last_good_bundles_and_the_named_catalogue_decide(place: Place) -> None:
    line = place.open()
    assert digests(line) == (digest_of(place.segmentation(0)), digest_of(place.propensity(0)), "")
    assert line.state.now.champion.catalogue.name == "corner shop"
    assert set(line.state.now.champion.approved(NOW).values()) == {"none"}


def test_a_champion_decides_once_it_is_open_and_is_the_last_good_one_from_then_on(place: Place) -> None:
    line = place.open()
    before = digests(line)
    version = place.champion(place.propensity(1))
    line.look()
    assert digests(line) == before
    assert line.open_one()
    assert not line.open_one()
    assert digests(line) == (before[0], version.digest, "")
    assert current_of(place, "propensity") == version.version
    champion = line.state.now.champion
    assert champion.scorer.version == version.digest
    assert champion.approved(NOW)["propensity"] == "approved"
    assert place.told.days["propensity"] == pytest.approx(365)
    assert place.told.days["segmentation"] is None
    assert place.told.seqs[-1] == place.house.ledger.seq() == line.state.now.seq


def test_a_policy_brings_its_whole_catalogue_which_stays_readable(place: Place) -> None:
    line = place.open()
    version = place.champion(place.policy(7))
    follow(line)
    champion = line.state.now.champion
    assert (champion.catalogue.name, champion.versions.policy) == ("corner shop 7", version.digest)
    assert CatalogueFiles(place.root / "catalogues").find(champion.versions.catalogue) is not None
    assert current_of(place, "next-best-action") == version.version


def test_a_stop_holds_at_once_while_a_bundle_is_still_being_opened(place: Place) -> None:
    line = place.open()
    before = digests(line)
    with watching(line):
        place.shelf.going.clear()
        version = place.champion(place.propensity(1))
        until(lambda: line.state.now.seq == place.house.ledger.seq())
        place.house.life.stop(StopKind.ACTION, "coupon-tea", "the price is wrong", place.house.carl)
        took = until(lambda: "coupon-tea" in line.state.now.standstill.stopped.actions)
        assert took < 1
        assert digests(line) == before
        place.shelf.going.set()
        until(lambda: digests(line)[1] == version.digest)
        assert "coupon-tea" in line.state.now.standstill.stopped.actions


def test_champions_change_together_or_not_at_all(place: Place) -> None:
    line = place.open()
    sets = {digests(line)}
    scorer = place.champion(place.propensity(1))
    policy = place.champion(place.policy(1))
    line.look()
    while line.open_one():
        sets.add(digests(line))
    assert sets == {
        (digest_of(place.segmentation(0)), digest_of(place.propensity(0)), ""),
        (digest_of(place.segmentation(0)), scorer.digest, policy.digest),
    }


def test_a_rollback_needs_no_opening(place: Place) -> None:
    line = place.open()
    first = place.champion(place.propensity(1))
    follow(line)
    place.champion(place.propensity(2))
    follow(line)
    place.house.life.roll_back(Model.PROPENSITY, None, "worse", place.house.olga)
    line.look()
    assert digests(line)[1] == first.digest
    assert place.shelf.opened[first.digest] == 1
    assert current_of(place, "propensity") == first.version


def test_a_refused_champion_leaves_the_last_good_one_and_is_told_once(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = place.open()
    before = digests(line)
    folder = place.propensity(1)
    version = place.challenger(folder)
    sound = (folder / "model.json").read_bytes()
    (folder / "model.json").write_bytes(b"{}")
    place.promote(version)
    follow(line)
    place.house.life.stop(StopKind.CHANNEL, "app", "rest", place.house.carl)
    follow(line)
    assert digests(line) == before
    assert current_of(place, "propensity") != version.version
    assert place.told.refusals == [("propensity", "digest")]
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"bundle propensity/{version.version} refused (digest)")
    assert warnings[0].endswith("the last good propensity goes on deciding")
    # What is restored is found by itself, after a while
    (folder / "model.json").write_bytes(sound)
    follow(line)
    assert digests(line) == before
    monkeypatch.setattr(succession, "RETRY_SECONDS", 0.0)
    follow(line)
    assert digests(line)[1] == version.digest


def test_a_refused_champion_does_not_keep_another_models_from_deciding(place: Place) -> None:
    line = place.open()
    folder = place.propensity(1)
    version = place.challenger(folder)
    (folder / "golden.json").write_bytes(b"{}")
    place.promote(version)
    policy = place.champion(place.policy(1))
    follow(line)
    assert digests(line)[1:] == (digest_of(place.propensity(0)), policy.digest)


def test_at_start_a_refused_champion_gives_way_to_the_last_good_one(place: Place) -> None:
    good = place.champion(place.propensity(1))
    follow(place.open())
    folder = place.propensity(2)
    version = place.challenger(folder)
    (folder / "model.json").unlink()
    place.promote(version)
    line = place.open()
    assert digests(line)[1] == good.digest
    assert place.told.refusals == [("propensity", "missing_file")]


def test_at_start_without_any_good_bundle_it_says_what_to_do(place: Place) -> None:
    (place.bundles / "propensity" / "CURRENT").unlink()
    with pytest.raises(StepMissing, match="no propensity model is trained"):
        place.open()


def test_a_challenger_is_opened_for_its_shares_and_put_back_without(place: Place) -> None:
    line = place.open()
    version = place.challenger(place.propensity(1))
    life = place.house.life
    life.challenge(version.model, version.digest, shadow=0.5, routed=0.25, by=place.house.carl)
    follow(line)
    live = line.state.now
    (arm,), (shadow,) = live.arms, live.shadows
    assert (arm.share, shadow.share) == (0.25, 0.5)
    assert arm.versions.versions.propensity == version.digest != live.champion.versions.propensity
    assert arm.versions.approved(NOW)["propensity"] == "approved"
    life.challenge(version.model, version.digest, by=place.house.carl)
    follow(line)
    assert (line.state.now.arms, line.state.now.shadows) == ((), ())
    assert place.shelf.opened[version.digest] == 1


def test_a_policy_that_would_refuse_requests_is_given_no_customers(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    line = place.open()
    narrow = place.challenger(place.policy(1, ("home: {slots: 2, fallback: hello}", "home: {slots: 1}")))
    other = place.challenger(place.policy(2))
    for version in (narrow, other):
        place.house.life.challenge(version.model, version.digest, routed=0.2, by=place.house.carl)
    follow(line)
    assert [arm.digest for arm in line.state.now.arms] == [other.digest]
    assert "decides for nobody" in caplog.text


def test_a_ledger_that_is_away_leaves_what_decides_and_is_told_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    line = place.open()
    ledger = place.house.ledger
    seq, away = ledger.seq, threading.Event()

    def asked() -> int:
        if away.is_set():
            raise DependencyError("the ledger of models does not answer (disk I/O error); try again")
        return seq()

    ledger.seq = asked  # type: ignore[method-assign]
    with watching(line):
        away.set()
        until(lambda: place.told.up.count(False) >= 2)
        assert line.state.now.champion.versions.code == "test"
        away.clear()
        place.house.life.stop(StopKind.ISSUE, "sales", "rest", place.house.carl)
        until(lambda: "sales" in line.state.now.standstill.stopped.issues)
        until(lambda: place.told.up[-1])
    assert sum("cannot be followed" in message for message in caplog.messages) == 1


def test_a_broken_ledger_leaves_champions_and_stops_as_they_were_and_is_told(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    line = place.open()
    version = place.champion(place.propensity(1))
    place.house.life.stop(StopKind.ACTION, "coupon-tea", "wrong", place.house.carl)
    follow(line)
    ledger = place.house.ledger

    class Emptied:
        seq = staticmethod(lambda: 0)

        def book(self) -> Book:
            raise broken("the ledger of models was emptied")

    line._ledger = Emptied()
    with watching(line):
        until(lambda: place.told.up.count(False) >= 2)
        assert line.state.now.standstill.stopped.actions == {"coupon-tea"}
        assert digests(line)[1] == version.digest
        assert place.told.broken == [True]
        line._ledger = ledger
        until(lambda: place.told.broken == [True, False])
    (told,) = (one for one in caplog.records if "cannot be followed" in one.message)
    assert told.levelname == "ERROR"
    assert told.message.endswith("the ledger of models was emptied; restore moment.db from a backup")


def test_kinds_of_outcomes_outlive_the_catalogue_that_declared_them(place: Place) -> None:
    line = place.open()
    place.champion(place.policy(1, ("label: Jam", "label: Jam\n            outcome: tasted")))
    follow(line)
    assert "tasted" in line.state.kinds()
    place.champion(place.policy(2))
    follow(line)
    assert "tasted" in line.state.kinds()


def test_what_is_about_to_decide_is_rehearsed_before_it_does(place: Place) -> None:
    line = place.open()
    rehearsed: list[tuple[str, str]] = []
    line.rehearse = lambda live: rehearsed.append(
        (live.champion.versions.propensity, line.state.now.champion.versions.propensity)
    )
    before = digests(line)[1]
    version = place.champion(place.propensity(1))
    follow(line)
    place.house.life.stop(StopKind.ACTION, "coupon-tea", "wrong", place.house.carl)
    follow(line)
    assert rehearsed == [(version.digest, before)]


def test_champions_that_cannot_decide_at_all_never_meet_a_customer(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    line = place.open()
    before = digests(line)
    place.champion(place.propensity(1))

    def fails(live: object) -> None:
        raise ZeroDivisionError(live)

    line.rehearse = fails
    follow(line)
    place.house.life.stop(StopKind.ACTION, "coupon-tea", "wrong", place.house.carl)
    follow(line)
    assert digests(line) == before
    assert line.state.now.standstill.stopped.actions == {"coupon-tea"}
    assert caplog.messages == ["the new champions cannot decide, the last go on: ZeroDivisionError"]


def test_a_catalogue_from_the_environment_gives_way_to_the_ledger(place: Place) -> None:
    named = Settings(catalogue=place.root / "own.yaml")
    check_catalogue_choice(named, Book())
    version = place.challenger(place.policy(1))
    with pytest.raises(ConfigurationError, match=r"own\.yaml, but the ledger of models says what decides"):
        check_catalogue_choice(named, place.house.life.book())
    place.promote(version)
    with pytest.raises(ConfigurationError, match="unset it"):
        check_catalogue_choice(named, place.house.life.book())
    check_catalogue_choice(Settings(), place.house.life.book())


def test_the_shelf_opens_what_is_signed_and_of_these_features_only(place: Place) -> None:
    key = BundleKey.new()
    trusted = Trust({key.public_key: "this machine"})
    shelf = Shelf(place.bundles, trusted, CONTRACT, COLUMNS)
    folder = place.segmentation(0)
    with pytest.raises(DependencyError, match=r"refused \(unsigned\)"):
        shelf.open(Model.SEGMENTATION, digest_of(folder))
    sign_bundle(folder, key)
    assert shelf.open(Model.SEGMENTATION, digest_of(folder)).digest == digest_of(folder)
    fewer = replace(CONTRACT, features=CONTRACT.features[:1])
    with pytest.raises(MomentError, match="trained on other features than are served"):
        Shelf(place.bundles, trusted, fewer, COLUMNS).open(Model.SEGMENTATION, digest_of(folder))
    policy = place.policy(1)
    sign_bundle(policy, key)
    with pytest.raises(MomentError, match="reads age, size, spend of the customer"):
        Shelf(place.bundles, trusted, CONTRACT, {}).open(Model.NEXT_BEST_ACTION, digest_of(policy))


def test_an_approval_that_ends_is_told_and_changes_nothing_else(place: Place) -> None:
    line = place.open()
    version = place.champion(place.propensity(1))
    follow(line)
    place.house.clock.forward(days=400)
    place.house.life.stop(StopKind.ACTION, "coupon-tea", "wrong", place.house.carl)
    follow(line)
    champion = line.state.now.champion
    assert champion.versions.propensity == version.digest
    assert champion.approved(NOW + timedelta(days=400))["propensity"] == "expired"
    assert place.told.days["propensity"] == 0
