"""A batch decides as single decisions do, whatever its chunks; reserves once, whatever happens to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from moment.home import Home
from moment.progress import SILENT
from serving.adapters.bundles import BundleScorer, BundleSegmenter
from serving.adapters.feast_reader import FeastReader
from serving.adapters.memory import FixedClock
from serving.adapters.sqlite_consents import SqliteConsents
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_keys import SqliteKeys
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.vault import Vault
from serving.batch.models import Models
from serving.batch.opening import decision_id
from serving.batch.starting import Batch, Typed, start
from serving.bootstrap import load_catalogue, open_tracking
from serving.commands.batch import batch
from serving.life_room import open_life
from serving.lifecycle import StopKind
from serving.ports import Role, Scope
from serving.records import DecisionRecord, Mode
from serving.use_cases.access import Caller
from serving.use_cases.asking import Ask
from serving.use_cases.decide import Decide
from serving.use_cases.deciding_again import Models as ModelsAgain
from serving.use_cases.deciding_again import decide_again
from serving.use_cases.differences import differences
from serving.use_cases.lifetimes import BATCH_KEY
from serving.use_cases.recall import Recalled
from serving.use_cases.standstill import Standstill
from serving.use_cases.version_set import Live, LiveState, VersionSet
from tests.integration.serving.conftest import AT, CUSTOMERS, SETTINGS, YESTERDAY, Served
from tests.unit.serving.life_kit import personal

ROW = ("customer_id", "rank", "action", "treatment", "kind", "propensity", "priority", "action_probability",
       "reason")  # fmt: skip


@contextmanager
def deciding(crowd: Served, database: Path, at: datetime) -> Iterator[tuple[Decide, SqliteContacts]]:
    """Open the use case that answers single requests, on a database of its own."""
    contract = crowd.store.contract
    catalogue = load_catalogue(SETTINGS, contract)
    models = Models.open(crowd.home, contract)
    vault = Vault.open(crowd.home)
    records = SqliteRecords(database, vault)
    ledger = SqliteContacts(database, records.writer, vault)
    # Consents are those of the crowd, whatever database it is decided on
    consents = SqliteConsents(crowd.home.database, None, vault)
    champion = VersionSet(
        catalogue,
        BundleScorer(models.propensity, catalogue.actions),
        BundleSegmenter(models.segmentation),
        models.versions(catalogue),
    )
    with open_life(Home(database.parent, database.parent)) as life:
        standstill = Standstill.of(life.book().stops.values())
    decide = Decide(
        live=LiveState(Live(champion, standstill=standstill)),
        features=FeastReader(crowd.store),
        ledger=ledger,
        records=records,
        clock=FixedClock(at),
        ids=lambda _: "",
        consents=consents,
        tracking=open_tracking(vault),
    )
    yield decide, ledger
    records.close()
    consents.close()
    ledger.close()


def ask_one(decide: Decide, customer: str, decision_id: str, slots: int | None = None) -> DecisionRecord:
    single = replace(decide, ids=lambda _: decision_id)
    caller = Caller("single", Mode.LIVE, frozenset(Scope))
    return single(caller, Ask(customer, "web", (("home", slots),)))


@pytest.fixture(scope="module")
def contacted(crowd: Served) -> Home:
    """The home, after every third customer was decided for yesterday, was shown some of it, and answered."""
    with deciding(crowd, crowd.home.database, YESTERDAY) as (decide, ledger):
        for place, customer in enumerate(CUSTOMERS[::3]):
            record = ask_one(decide, customer, f"yesterday-{customer}", slots=2)
            for offer in record.placements[0].offers[: place % 3]:
                if offer.reserved_until is None:
                    continue
                moment = YESTERDAY + timedelta(minutes=place % 90)
                ledger.present(offer.tracking_id, occurred_at=moment, reported_at=moment)
                if place % 4 == 0:
                    ledger.record_outcome(
                        offer.tracking_id, "rejected", outcome_id="o", occurred_at=moment, reported_at=moment
                    )
    return crowd.home


def copied(home: Home, root: Path) -> Home:
    """Return the same home with a database of its own."""
    copy = Home(root / "home", root / "mlruns")
    copy.root.mkdir(parents=True)
    for part in ("snapshots", "feast", "bundles", "keys"):
        (copy.root / part).symlink_to(home.root / part)
    with closing(sqlite3.connect(home.database)) as old, closing(sqlite3.connect(copy.database)) as new:
        old.backup(new)
    return copy


def begin(asked: Typed, home: Home) -> Batch:
    return start(asked, home, SETTINGS, FixedClock(AT))


def typed(out: Path, **changes: Any) -> Typed:  # noqa: ANN401
    standard = Typed("home", out, channel="web", at=AT, mode=Mode.LIVE, workers=1)
    return replace(standard, **changes)


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(out).to_pylist()
    return found


def id_of(begun: Batch, customer: str) -> str:
    return decision_id(Vault.open(begun.setup.home), AT, begun.setup.batch_id, customer)


def told(record: DecisionRecord) -> list[dict[str, Any]]:
    """Return the rows a record would be in a batch's file."""
    (placement,) = record.placements
    customer = record.personal.customer_id if record.personal else None
    return [
        {
            "customer_id": customer,
            "rank": offer.rank,
            "action": offer.action,
            "treatment": offer.treatment,
            "kind": offer.kind.value,
            "propensity": offer.propensity,
            "priority": offer.priority,
            "action_probability": offer.action_probability,
            "reason": placement.reason.value,
        }
        for offer in placement.offers
    ] or [dict.fromkeys(ROW) | {"customer_id": customer, "reason": placement.reason.value}]


def test_a_plan_is_what_single_decisions_would_be(crowd: Served, contacted: Home, tmp_path: Path) -> None:
    out = tmp_path / "plan.parquet"
    begun = begin(typed(out), contacted)
    tally = begun.run(SILENT)
    singles_home = copied(contacted, tmp_path)
    with deciding(crowd, singles_home.database, AT) as (decide, _):
        records = [ask_one(decide, one, id_of(begun, one)) for one in CUSTOMERS]
    expected = [row for record in records for row in told(record)]
    assert [{name: row[name] for name in ROW} for row in rows(out)] == expected
    # and the sample has in it what it is to compare
    assert {"arbitrated", "mandatory", "fallback"} == {row["kind"] for row in expected}
    assert sum(record.control for record in records) > 20
    assert sum(record.held_out for record in records) > 20
    assert {arm.arm for record in records for arm in record.experiments} == {
        "as-is",
        "meat-first",
        "greedily",
    }
    assert tally.reach["yogurt"] == 150 - before(contacted, "yogurt")
    assert {"limit reached: one-in-two-days", "suppressed: after-a-no", "cooling off: breathing-space",
            "recently excluded: drinks", "held out", "volume reached", "budget spent today",
            } <= set(tally.stopped)  # fmt: skip
    assert any(0 < row["action_probability"] < 0.2 for row in expected)


def before(home: Home, action: str) -> int:
    with closing(sqlite3.connect(home.database)) as connection:
        query = "SELECT COUNT(*) FROM contacts WHERE action_id = ? AND charge_state = 'kept'"
        count: int = connection.execute(query, (action,)).fetchone()[0]
        return count


def test_the_file_does_not_depend_on_chunks_or_processes(contacted: Home, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    begin(typed(whole), contacted).run(SILENT)
    # Small enough that a volume and a budget run out between chunks that two processes decide at once
    begin(typed(cut, workers=2, chunk=101), contacted).run(SILENT)
    assert rows(cut) == rows(whole)
    assert not list(tmp_path.glob("*.part"))
    assert not list(tmp_path.glob("*.json"))


def test_a_plan_writes_nothing_to_the_database(contacted: Home, tmp_path: Path) -> None:
    home = copied(contacted, tmp_path)
    counted = counts(home)
    out = tmp_path / "plan.csv"
    tally = begin(typed(out, where="baskets_365d >= 4", content=True), home).run(SILENT)
    assert counts(home) == counted
    assert 0 < tally.selected < len(CUSTOMERS) == tally.customers
    lines = out.read_text().splitlines()
    assert lines[0].replace('"', "").split(",")[-2:] == ["content_link", "content_title"]
    assert any('"Beef &amp; more"' in line or '"Beef & more"' in line for line in lines)
    (home.database).unlink()
    alone = begin(typed(tmp_path / "alone.parquet"), home).run(SILENT)
    assert not any(name.startswith("limit reached") for name in alone.stopped)
    assert not home.database.exists()


def counts(home: Home) -> tuple[int, int, int]:
    with closing(sqlite3.connect(home.database)) as connection:
        decisions, contacts, reserved = (
            connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
            for table in ("decisions", "contacts", "contacts WHERE presented_at IS NULL")
        )
        return decisions, contacts, reserved


def test_reservations_are_those_of_single_decisions_and_live_as_long_as_asked(
    crowd: Served, contacted: Home, tmp_path: Path
) -> None:
    home = copied(contacted, tmp_path)
    out = tmp_path / "reserved.parquet"
    begun = begin(typed(out, reserve=timedelta(hours=48), chunk=300), home)
    tally = begun.run(SILENT)
    found = rows(out)
    assert tally.earlier == tally.rejected == 0
    given = [row for row in found if row["kind"] in ("arbitrated", "mandatory")]
    assert {row["expires_at"] for row in given} == {AT + timedelta(hours=48)}
    with closing(sqlite3.connect(home.database)) as connection:
        live = "SELECT tracking_id, action_id FROM contacts WHERE reserved_until = ? ORDER BY tracking_id"
        until = int((AT + timedelta(hours=48, minutes=10)).timestamp() * 1e6)
        kept = connection.execute(live, (until,)).fetchall()
    assert kept == sorted((row["tracking_id"], row["action"]) for row in given)
    with deciding(crowd, home.database, AT) as (decide, ledger):
        record = decide.records.find(id_of(begun, given[0]["customer_id"]))
        assert record is not None
        assert record.key_id == BATCH_KEY
        assert record.mode is Mode.LIVE
        assert record.request_id == f"{begun.setup.batch_id}:{given[0]['customer_id']}"
        assert record.segment is not None
        champion = decide.live.now.champion
        models = ModelsAgain(champion.scorer, champion.segmenter)
        again = decide_again(record, champion.catalogue, models)
        assert [one.kind for one in differences(Recalled(record, champion.catalogue), again)] == []
        verdict = ledger.present(
            given[0]["tracking_id"], occurred_at=AT, reported_at=AT + timedelta(hours=47)
        )
        assert verdict.value == "recorded"
    assert tally.reach["yogurt"] <= 150
    plan = tmp_path / "plan.parquet"
    begin(typed(plan), contacted).run(SILENT)
    # The plan's seeds are another batch's; who is in control or held out, and what is theirs by rule, is not
    assert {row["customer_id"] for row in rows(plan)} == {row["customer_id"] for row in found}


class Interrupted(Exception):
    """What a person does."""


class UntilThird:
    """A progress bar at whose third step a person loses patience."""

    def __init__(self) -> None:
        self.steps = 0

    def advance(self, amount: float = 1, *, note: str | None = None) -> None:  # noqa: ARG002
        self.steps += 1
        if self.steps == 3:
            raise Interrupted


def test_an_interrupted_batch_goes_on_and_reserves_nothing_twice(contacted: Home, tmp_path: Path) -> None:
    calm, rough = copied(contacted, tmp_path / "calm"), copied(contacted, tmp_path / "rough")
    out = tmp_path / "reserved.parquet"
    asked = typed(out, reserve=timedelta(hours=48), chunk=150)
    expected_tally = begin(asked, calm).run(SILENT)
    expected = rows(out)
    out.unlink()

    with pytest.raises(Interrupted):
        begin(asked, rough).run(UntilThird())
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [
        "reserved.parquet.unfinished.json"
    ]
    assert counts(rough)[0] == counts(contacted)[0] + 450
    again = begin(replace(asked, at=None), rough)
    assert again.resumed
    tally = again.run(SILENT)
    assert tally.earlier == 450
    assert rows(out) == expected
    assert counts(rough) == counts(calm)
    assert (tally.reach, tally.fallbacks) == (expected_tally.reach, expected_tally.fallbacks)
    # Once more, under the same time: the same file, and not one more reservation
    assert begin(asked, rough).run(SILENT).earlier == len(CUSTOMERS)
    assert rows(out) == expected
    assert counts(rough) == counts(calm)


def test_what_changed_meanwhile_is_decided_again(crowd: Served, contacted: Home, tmp_path: Path) -> None:
    home = copied(contacted, tmp_path)
    pairs = [(f"c{number}", f"c{number + 1}") for number in range(100, 140, 2)]
    with deciding(crowd, home.database, AT) as (_, ledger):
        for one, other in pairs:
            ledger.link(one, other)
    out = tmp_path / "reserved.parquet"
    tally = begin(typed(out, reserve=timedelta(hours=48)), home).run(SILENT)
    # Both of a pair were read before either was reserved for; what one is given is the other's history, too
    assert 10 <= tally.again <= len(pairs)
    given = {(row["customer_id"], row["action"]) for row in rows(out) if row["kind"] == "arbitrated"}
    assert not [
        (one, action)
        for one, other in pairs
        for name, action in given
        if name == one and (other, action) in given
    ]


def stop(home: Home, kind: StopKind, name: str) -> None:
    """Stop something in the name of a person."""
    with open_life(home) as life, closing(SqliteKeys(home.database)) as keys:
        life.stop(kind, name, "the price was wrong", personal(keys, "Ada Byron", Role.RISK_OFFICER))


class AtTheSecondChunk:
    """A progress bar at whose second step somebody does something."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.steps = 0
        self.act = act

    def advance(self, amount: float = 1, *, note: str | None = None) -> None:  # noqa: ARG002
        self.steps += 1
        if self.steps == 2:
            self.act()


def test_what_is_stopped_is_offered_to_nobody_whole_batch_or_single(
    crowd: Served, contacted: Home, tmp_path: Path
) -> None:
    home = copied(contacted, tmp_path)
    stop(home, StopKind.ACTION, "beef")
    out = tmp_path / "plan.parquet"
    begun = begin(typed(out), home)
    tally = begun.run(SILENT)
    with deciding(crowd, copied(home, tmp_path / "single").database, AT) as (decide, _):
        records = [ask_one(decide, one, id_of(begun, one)) for one in CUSTOMERS]
    expected = [row for record in records for row in told(record)]
    assert [{name: row[name] for name in ROW} for row in rows(out)] == expected
    assert "beef" not in {row["action"] for row in expected}
    assert tally.stopped["action stopped"] > 0
    assert {"bacon", "hello"} <= {row["action"] for row in expected}


def test_a_stop_holds_from_the_next_thousand_of_a_running_batch(contacted: Home, tmp_path: Path) -> None:
    home = copied(contacted, tmp_path)
    out = tmp_path / "reserved.parquet"
    begun = begin(typed(out, reserve=timedelta(hours=48), chunk=250), home)
    begun.run(AtTheSecondChunk(lambda: stop(home, StopKind.CHANNEL, "web")))
    given = [row["customer_id"] for row in rows(out) if row["action"] is not None]
    assert given
    assert set(given) <= set(CUSTOMERS[:500])
    after = SqliteRecords(home.database, Vault.open(home)).find(id_of(begun, CUSTOMERS[-1]))
    assert after is not None
    assert [(stop.kind, stop.name) for stop in after.stops] == [("channel", "web")]


def test_without_the_propensity_model_what_must_go_out_and_fallbacks_are_left(
    contacted: Home, tmp_path: Path
) -> None:
    home = copied(contacted, tmp_path)
    stop(home, StopKind.MODEL, "propensity")
    stop(home, StopKind.MODEL, "segmentation")
    out = tmp_path / "reserved.parquet"
    begun = begin(typed(out, reserve=timedelta(hours=48)), home)
    begun.run(SILENT)
    assert {row["kind"] for row in rows(out)} <= {"mandatory", "fallback", None}
    record = SqliteRecords(home.database, Vault.open(home)).find(id_of(begun, CUSTOMERS[1]))
    assert record is not None
    assert (record.segment, record.scored.candidate) == (None, [])


def test_the_command_says_what_it_came_to_and_what_to_do_next(
    contacted: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOMENT_HOME", str(contacted.root))
    monkeypatch.setenv("MOMENT_CATALOGUE", str(SETTINGS.catalogue))
    out = tmp_path / "plan.csv"
    asked = ["--placement", "letter", "--out", str(out), "--at", f"{AT:%Y-%m-%dT%H:%M}", "--workers", "1"]
    done = CliRunner().invoke(batch, asked)
    assert done.exit_code == 0, done.output
    assert "email letter, as of 2018-01-05 17:30 UTC (test mode" in done.stdout
    assert "Customers with at least one action that is: 1,000 considered → " in done.stdout
    assert "This is a plan: nothing was reserved or recorded" in done.stdout
    assert "--reserve 48h" in done.stdout
    summary = json.loads(CliRunner().invoke(batch, [*asked, "--json"]).stdout)
    assert (summary["customers"], summary["decided"], summary["rejected"]) == (1000, 1000, 0)
    assert summary["offered"] + summary["nothing"] == 1000
    # At night nobody is written to: quiet hours are the customer's
    night = [*asked[:5], "2018-01-05T03:00", "--json"]
    assert json.loads(CliRunner().invoke(batch, night).stdout)["stopped"]["quiet hours: night"] > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--at", "tomorrow"], "'tomorrow' is no time; write e.g. 2018-01-02T18:00:00Z"),
        (["--reserve", "2 days"], "'2 days' is no span of time; write e.g. 48h or 7d"),
        (["--reserve", "0h"], "'0h' is no span of time"),
    ],
)
def test_what_cannot_be_read_says_how_to_write_it(changes: list[str], message: str) -> None:
    done = CliRunner().invoke(batch, ["--placement", "home", "--out", "o.csv", *changes])
    assert done.exit_code == 2
    assert message in done.output
