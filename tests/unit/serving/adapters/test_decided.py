"""What of recorded decisions training may learn from, and what it may not; and their way into the lake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from features import lake
from features.contract import FeatureValue
from features.ingest import IngestReport, ingest
from features.realtime_features import REALTIME_V1
from features.sources.decision_records import DecidedOffer, DecisionRecords
from features.sources.folder import FolderSource
from moment.errors import DependencyError
from moment.home import Home
from serving.adapters.catalogue_files import CatalogueFiles
from serving.adapters.decided import open_decided
from serving.adapters.ingest_ledger import customer_ledger
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_erasures import SqliteErasures
from serving.adapters.sqlite_outcomes import SqliteOutcomes
from serving.adapters.sqlite_records import SqliteRecords
from serving.adapters.vault import Vault
from serving.catalogue.feature_columns import feature_columns
from serving.decision.decision import OfferKind
from serving.decision.values import FeatureState, Purpose
from serving.ports import Entry, OutcomeReport, Reporter, Verdict
from serving.records import DecisionRecord, Mode
from tests.service.kit import CATALOGUE, CONTRACT, NOW, catalogue
from tests.unit.serving.adapters.test_stores import a_record

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
WINDOW = timedelta(days=14)
SHOP = Reporter("key_1", Mode.LIVE, None)


@dataclass
class House:
    """A home that decides and is told outcomes."""

    home: Home
    number: int = 0
    vault: Vault = field(init=False)

    def __post_init__(self) -> None:
        self.vault = Vault.open(self.home)
        self.records = SqliteRecords(self.home.database, self.vault)
        self.ledger = SqliteContacts(self.home.database, self.records.writer, self.vault)
        self.outcomes = SqliteOutcomes(self.home.database, self.records.writer, self.vault)
        source = self.home.root / "shop.yaml"
        source.write_text(CATALOGUE)
        columns = feature_columns(CONTRACT) | feature_columns(REALTIME_V1)
        CatalogueFiles(self.home.root / "catalogues").keep(source, catalogue(), columns)

    def close(self) -> None:
        self.outcomes.close()
        self.ledger.close()
        self.records.close()

    def decide(
        self,
        customer: str | None = "anna",
        *,
        kinds: tuple[OfferKind, OfferKind] = (OfferKind.ARBITRATED, OfferKind.ARBITRATED),
        mode: Mode = Mode.LIVE,
        at: datetime = NOW,
        **changes: object,
    ) -> DecisionRecord:
        """Record a decision with two offers of tea and ham."""
        self.number += 1
        made = a_record()
        assert made.personal is not None
        (placement,) = made.placements
        offers = tuple(
            msgspec.structs.replace(offer, kind=kind, tracking_id=f"d{self.number}.{offer.rank}")
            for offer, kind in zip(placement.offers, kinds, strict=True)
        )
        fields: dict[str, object] = {
            "decision_id": f"d{self.number}",
            "mode": mode,
            "request_id": None,
            "received_at": at,
            "decided_at": at,
            "placements": (msgspec.structs.replace(placement, offers=offers),),
            "personal": msgspec.structs.replace(made.personal, customer_id=customer),
            **changes,
        }
        record = msgspec.structs.replace(made, **fields)
        self.records.append(Entry(record, b"body")).result(5)
        return record

    def tell(
        self,
        record: DecisionRecord,
        rank: int,
        kind: str,
        after: timedelta = MINUTE,
        *,
        by: Reporter = SHOP,
        value: float | None = None,
    ) -> Verdict:
        """Report an outcome of an offer some time after it was decided."""
        at = record.decided_at + after
        report = OutcomeReport(
            tracking_id=f"{record.decision_id}.{rank}",
            decision_id=record.decision_id,
            kind=kind,
            event_id=f"{record.decision_id}-{rank}-{kind}",
            occurred_at=at,
            reported_at=at,
            value=value,
        )
        return self.outcomes.append([report], by=by, received_at=at).result(5)[0]

    def show(self, record: DecisionRecord, *ranks: int) -> None:
        for rank in ranks or (1, 2):
            assert self.tell(record, rank, "presented") is Verdict.RECORDED

    def erase(self, customer: str) -> None:
        erasures = SqliteErasures(self.home.database, self.records.writer, self.vault)
        erasures.begin(customer, NOW)
        erasures.close()

    def offers(
        self, *, now: datetime = NOW + 30 * DAY, since: datetime | None = None
    ) -> dict[str, DecidedOffer]:
        with open_decided(self.home, since=since, now=now) as decided:
            return {offer.tracking_id: offer for offer in decided.offers()}

    def digest(self, now: datetime = NOW + 30 * DAY) -> str:
        with open_decided(self.home, now=now) as decided:
            return decided.digest()

    def know_customers(self) -> None:
        """Ingest a source of customers: whoever presentations speak of."""
        shop = self.home.root / "shop"
        shop.mkdir()
        (shop / "customers.csv").write_text("customer_id,party_type\nanna,person\nben,person\n")
        (shop / "source.toml").write_text('[tables.customers]\nhistory = "snapshot"\nknown_at = "ingest"\n')
        with customer_ledger(self.home) as ledger:
            ingest(self.home, FolderSource.open(shop), ledger=ledger)

    def ingest(self, now: datetime = NOW + 30 * DAY) -> IngestReport:
        with open_decided(self.home, now=now) as decided, customer_ledger(self.home) as ledger:
            return ingest(self.home, DecisionRecords(decided), ledger=ledger)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    (tmp_path / "home").mkdir()
    made = House(Home(tmp_path / "home", tmp_path / "mlruns"))
    yield made
    made.close()


def test_an_offer_that_was_shown_is_a_row_with_its_chance_its_window_and_what_was_consented(
    house: House,
) -> None:
    record = house.decide()
    house.show(record, 1)

    (offer,) = house.offers().values()

    assert offer == DecidedOffer(
        tracking_id="d1.1",
        customer_id="anna",
        action_id="coupon-tea",
        treatment_id="coupon-tea-web",
        channel="web",
        placement="home",
        action_group="grocery",
        action_probability=record.placements[0].offers[0].action_probability,
        purposes=(Purpose.PROFILING, Purpose.SERVICE),
        offers_together=2,
        presented_at=NOW + MINUTE,
        window_ends_at=NOW + MINUTE + WINDOW,
        known_at=NOW + MINUTE,
    )


@pytest.mark.parametrize("kind", [OfferKind.FALLBACK, OfferKind.MANDATORY, OfferKind.FORCED])
def test_what_no_arbitration_picked_is_none(house: House, kind: OfferKind) -> None:
    house.show(house.decide(kinds=(kind, OfferKind.ARBITRATED)))
    assert {name: offer.offers_together for name, offer in house.offers().items()} == {"d1.2": 1}


def test_test_traffic_and_what_nobody_saw_are_none(house: House) -> None:
    tester = Reporter("key_2", Mode.TEST, None)
    tried = house.decide(mode=Mode.TEST)
    assert house.tell(tried, 1, "presented", by=tester) is Verdict.RECORDED
    house.tell(house.decide(), 1, "clicked")
    house.show(house.decide(None))
    assert house.offers() == {}


def test_the_control_group_counts(house: House) -> None:
    house.show(house.decide(control=True), 1)
    assert list(house.offers()) == ["d1.1"]


def test_a_report_of_somebody_elses_key_counts_for_nothing(house: House) -> None:
    record = house.decide()
    other = Reporter("key_9", Mode.LIVE, "app")
    assert house.tell(record, 1, "presented", by=other) is Verdict.UNKNOWN
    assert house.offers() == {}


def test_until_its_window_has_closed_nobody_knows_whether_it_is_answered(house: House) -> None:
    house.show(house.decide(), 1)
    closes = NOW + MINUTE + WINDOW
    assert house.offers(now=closes - MINUTE)["d1.1"].window_ends_at is None
    assert house.offers(now=closes)["d1.1"].window_ends_at == closes
    assert house.digest(closes - MINUTE) != house.digest(closes)
    assert house.digest(closes) == house.digest(closes + DAY)


def test_since_leaves_out_what_was_decided_before(house: House) -> None:
    house.show(house.decide(at=NOW - 5 * DAY), 1)
    house.show(house.decide(), 1)
    assert list(house.offers(since=NOW - DAY)) == ["d2.1"]


def test_who_was_erased_is_gone(house: House) -> None:
    house.show(house.decide("anna"), 1)
    house.show(house.decide("ben"), 1)
    before = house.digest()
    house.erase("anna")
    assert [offer.customer_id for offer in house.offers().values()] == ["ben"]
    assert house.digest() != before


def test_a_presentation_counts_from_the_decision_at_the_earliest(house: House) -> None:
    record = house.decide()
    house.tell(record, 1, "presented", -2 * MINUTE)
    assert house.offers()["d1.1"].presented_at == NOW


def test_answers_are_those_of_offers_that_were_shown(house: House) -> None:
    record = house.decide()
    house.show(record, 1)
    house.tell(record, 1, "accepted", DAY, value=3.5)
    house.tell(record, 2, "accepted", DAY)
    with open_decided(house.home, now=NOW + 30 * DAY) as decided:
        (answer,) = decided.outcomes()
    assert (answer.tracking_id, answer.kind, answer.value) == ("d1.1", "accepted", 3.5)
    assert (answer.occurred_at, answer.known_at) == (NOW + DAY, NOW + DAY)
    assert "d1-1-accepted" not in answer.outcome_id


def test_pages_of_many_decisions_are_read_to_the_end(house: House) -> None:
    for _ in range(410):
        house.show(house.decide(), 1)
    assert len(house.offers()) == 410


def test_features_say_what_was_seen_and_what_was_hidden(house: House) -> None:
    house.show(house.decide(), 1)
    with open_decided(house.home, now=NOW + DAY) as decided:
        (found,) = decided.features(10)
    assert (found.customer_id, found.decided_at) == ("anna", NOW)
    spend: FeatureValue = found.values["spend"]
    assert spend == 80.0
    assert "last_location_id" in found.hidden
    assert "minutes_since_activity" not in found.hidden
    assert FeatureState.MISSING not in found.hidden


def test_ingest_writes_canonical_rows_once(house: House) -> None:
    house.know_customers()
    record = house.decide()
    house.show(record)
    house.tell(record, 2, "accepted", DAY)

    first = house.ingest()

    assert {table.table: (table.rows, table.rejected) for table in first.tables} == {
        "presentations": (2, 0),
        "outcomes": (1, 0),
    }
    assert house.ingest().unchanged
    rows = pq.read_table(lake.table_file(house.home, "presentations", "decision-records")).to_pylist()
    assert {row["exposure"] for row in rows} == {"observed"}
    assert {row["purposes"] for row in rows} == {"profiling,service"}
    assert [row["window_ends_at"].replace(tzinfo=UTC) for row in rows] == [NOW + MINUTE + WINDOW] * 2
    assert [row["known_at"].replace(tzinfo=UTC) for row in rows] == [NOW + MINUTE] * 2


def test_a_new_answer_is_ingested_and_the_lake_is_another_one(house: House) -> None:
    house.know_customers()
    record = house.decide()
    house.show(record)
    house.ingest()
    before = lake.digest(house.home)
    house.tell(record, 1, "accepted", DAY)
    assert not house.ingest().unchanged
    assert lake.digest(house.home) != before


def test_nothing_consented_to_is_told_apart_from_nothing_recorded(house: House) -> None:
    house.know_customers()
    made = a_record()
    assert made.personal is not None
    house.show(house.decide(personal=msgspec.structs.replace(made.personal, purposes=())), 1)
    house.ingest()
    rows = pq.read_table(lake.table_file(house.home, "presentations", "decision-records")).to_pylist()
    assert [row["purposes"] for row in rows] == ["none"]


def test_nothing_recorded_is_an_empty_source(house: House) -> None:
    house.know_customers()
    report = house.ingest()
    assert [table.rows for table in report.tables] == [0, 0]


def test_without_the_catalogue_that_decided_nobody_knows_the_window(house: House) -> None:
    house.show(house.decide(), 1)
    for file in (house.home.root / "catalogues").iterdir():
        file.unlink()
    with pytest.raises(DependencyError, match=r"catalogue [0-9a-f]{12} that made decision d1 is not in"):
        house.offers()
