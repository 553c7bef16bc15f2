"""What every store of outcomes promises, asked of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import permutations
from pathlib import Path

import pytest

from serving.adapters.database import connect, migrate
from serving.adapters.memory import MemoryRecords
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_outcomes import SqliteOutcomes
from serving.adapters.sqlite_records import SqliteRecords
from serving.decision.contact_plan import Lookback
from serving.decision.values import ActionId, Contact, History
from serving.ports import (
    ContactLedger,
    DecisionRecords,
    OutcomeReport,
    Outcomes,
    Reporter,
    Reservation,
    StaleHistory,
    Verdict,
)
from serving.records import Mode
from tests.service.kit import VAULT
from tests.unit.serving.adapters.test_stores import entry

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
BACK = Lookback(LONG_AGO, LONG_AGO, NOW.date(), ())
SHOP = Reporter("key_1", Mode.LIVE, None)
BROWSER = Reporter()


@dataclass
class House:
    """Records, their ledger and their outcomes on one store."""

    records: DecisionRecords
    ledger: ContactLedger
    outcomes: Outcomes

    def decide(
        self, number: int = 1, *, channel: str = "web", version: int = 0, mode: Mode = Mode.LIVE
    ) -> None:
        """Record a decision with one offer to anna, made at NOW."""
        contact = Contact(
            f"d{number}.1", ActionId("loan"), "loans", "growth", channel, NOW, NOW + 40 * MINUTE
        )
        made = entry(number, channel=channel, mode=mode, decided_at=NOW, request_id=None)
        self.records.append(made, Reservation("anna", mode, version, (contact,))).result(5)

    def report(self, *reports: OutcomeReport, by: Reporter = SHOP) -> list[Verdict]:
        return list(self.outcomes.append(reports, by=by, received_at=NOW + MINUTE).result(5))

    def history(self, mode: Mode = Mode.LIVE) -> History:
        return self.ledger.read("anna", mode=mode, now=NOW + MINUTE, back=BACK).history


@pytest.fixture(params=["memory", "sqlite"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "memory":
        memory = MemoryRecords()
        yield House(memory, memory.contacts, memory.outcomes)
        return
    database = tmp_path / "moment.db"
    migrate(database)
    records = SqliteRecords(database, VAULT)
    ledger = SqliteContacts(database, records.writer, VAULT)
    outcomes = SqliteOutcomes(database, records.writer, VAULT)
    yield House(records, ledger, outcomes)
    records.close()
    ledger.close()
    outcomes.close()


def reported(
    kind: str = "presented", event_id: str = "e1", *, number: int = 1, **changes: object
) -> OutcomeReport:
    made = OutcomeReport(
        tracking_id=f"d{number}.1",
        decision_id=f"d{number}",
        kind=kind,
        event_id=event_id,
        occurred_at=NOW + MINUTE,
        reported_at=NOW + MINUTE,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_presentation_and_an_answer_count_and_are_kept(house: House) -> None:
    house.decide()

    assert house.report(reported(), reported("rejected", "e2", value=2.5)) == [Verdict.RECORDED] * 2

    found = house.history()
    assert [one.presented_at for one in found.contacts] == [NOW + MINUTE]
    assert [(one.kind, one.action_id) for one in found.outcomes] == [("rejected", "loan")]
    kept = house.outcomes.of_decision("d1")
    assert Counter((one.kind, one.value, one.late, one.key_id) for one in kept) == Counter(
        [("presented", None, False, "key_1"), ("rejected", 2.5, False, "key_1")]
    )


@pytest.mark.parametrize(
    ("again", "verdict"),
    [
        ({}, Verdict.DUPLICATE),
        ({"value": 2.0}, Verdict.CONFLICT),
        ({"kind": "accepted"}, Verdict.CONFLICT),
        ({"occurred_at": NOW}, Verdict.CONFLICT),
        ({"event_id": "other"}, Verdict.RECORDED),
    ],
)
def test_a_report_is_told_by_its_event_id(house: House, again: dict[str, object], verdict: Verdict) -> None:
    house.decide()
    first = reported("clicked", value=1.0)
    assert house.report(first) == [Verdict.RECORDED]

    assert house.report(replace(first, **again)) == [verdict]  # type: ignore[arg-type]

    assert len(house.outcomes.of_decision("d1")) == 1 + (verdict is Verdict.RECORDED)


def test_an_offer_is_presented_once_whoever_says_so(house: House) -> None:
    house.decide()

    assert house.report(reported()) == [Verdict.RECORDED]
    assert house.report(reported(event_id="e2"), by=BROWSER) == [Verdict.DUPLICATE]
    assert house.report(reported(event_id="e3", occurred_at=NOW)) == [Verdict.CONFLICT]


def test_a_browser_reports_each_kind_once(house: House) -> None:
    house.decide()

    assert house.report(reported("clicked"), by=BROWSER) == [Verdict.RECORDED]
    assert house.report(reported("clicked", "e2"), by=BROWSER) == [Verdict.DUPLICATE]
    assert house.report(reported("clicked", "e3", occurred_at=NOW), by=BROWSER) == [Verdict.CONFLICT]
    assert house.report(reported("accepted", "e4"), by=BROWSER) == [Verdict.RECORDED]
    assert house.report(reported("clicked", "e5")) == [Verdict.RECORDED]
    assert [one.key_id for one in house.outcomes.of_decision("d1")].count(None) == 2


def test_a_report_twice_in_one_request_counts_once(house: House) -> None:
    house.decide()

    assert house.report(reported(), reported()) == [Verdict.RECORDED, Verdict.DUPLICATE]


def test_late_is_after_the_reservation(house: House) -> None:
    house.decide()
    late = reported(reported_at=NOW + 40 * MINUTE)

    assert house.report(late) == [Verdict.RECORDED_LATE]
    assert [one.recorded_late for one in house.history().contacts] == [True]
    assert [one.late for one in house.outcomes.of_decision("d1")] == [True]


def test_what_is_said_to_precede_the_decision_is_refused_but_for_what_clocks_differ(house: House) -> None:
    house.decide()

    assert house.report(reported(occurred_at=NOW - 6 * MINUTE)) == [Verdict.TOO_EARLY]
    assert house.report(reported(occurred_at=NOW - 4 * MINUTE)) == [Verdict.RECORDED]
    assert [one.presented_at for one in house.history().contacts] == [NOW]


@pytest.mark.parametrize(
    "stranger", [Reporter("key_2", Mode.TEST, None), Reporter("key_3", Mode.LIVE, "app")]
)
@pytest.mark.parametrize("before", [False, True])
def test_what_another_mode_or_channel_was_given_is_nobody_elses(
    house: House, stranger: Reporter, before: bool
) -> None:
    if not before:
        house.decide()
    assert house.report(reported(), by=stranger) == [Verdict.RECORDED if before else Verdict.UNKNOWN]
    if before:
        house.decide()

    assert house.outcomes.of_decision("d1") == ()
    assert [one.presented_at for one in house.history().contacts] == [None]


def test_a_report_waits_for_its_decision_and_counts_when_it_comes(house: House) -> None:
    answers = [reported(), reported("rejected", "e2"), reported("clicked", "e3", number=2)]
    assert house.report(*answers) == [Verdict.RECORDED] * 3
    assert house.report(*answers) == [Verdict.DUPLICATE] * 3
    assert house.history() == History()

    house.decide()

    assert [one.presented_at for one in house.history().contacts] == [NOW + MINUTE]
    assert [one.kind for one in house.history().outcomes] == ["rejected"]
    assert house.report(*answers) == [Verdict.DUPLICATE] * 3


def test_what_waits_goes_on_waiting_when_its_decision_is_not_stored(house: House) -> None:
    house.decide(number=2)
    house.report(reported())

    with pytest.raises(StaleHistory):
        house.decide(number=1, version=0)
    assert [one.presented_at for one in house.history().contacts] == [None]
    house.decide(number=1, version=1)

    assert [one.presented_at for one in house.history().contacts] == [NOW + MINUTE, None]


def test_any_order_ends_the_same(house: House) -> None:
    for number, order in enumerate(permutations(range(4)), start=1):
        standing = house.ledger.read("anna", mode=Mode.LIVE, now=NOW, back=BACK)
        steps: list[Callable[[], object]] = [
            partial(house.decide, number, version=standing.version),
            partial(house.report, reported(number=number)),
            partial(house.report, reported("clicked", "e2", number=number)),
            partial(house.report, reported("rejected", "e3", number=number, value=1.0)),
        ]
        for step in order:
            steps[step]()
        kept = house.outcomes.of_decision(f"d{number}")
        assert {one.kind for one in kept} == {"presented", "clicked", "rejected"}
    found = house.history()
    assert [one.presented_at for one in found.contacts] == [NOW + MINUTE] * 24
    assert {one.kind for one in found.outcomes} == {"clicked", "rejected"}


def test_an_offer_that_is_no_contact_is_kept_all_the_same(house: House) -> None:
    house.records.append(entry(1, decided_at=NOW, mode=Mode.LIVE, request_id=None)).result(5)

    assert house.report(reported(), reported("clicked", "e2")) == [Verdict.RECORDED] * 2
    assert len(house.outcomes.of_decision("d1")) == 2


def test_of_many_that_report_the_same_one_is_recorded(house: House) -> None:
    house.decide()
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda n: house.report(reported(event_id=f"e{n}")), range(24)))

    assert Counter(verdict for (verdict,) in told) == Counter({Verdict.RECORDED: 1, Verdict.DUPLICATE: 23})


def test_nothing_a_reporter_wrote_lies_in_clear(tmp_path: Path) -> None:
    database = tmp_path / "moment.db"
    migrate(database)
    records = SqliteRecords(database, VAULT)
    outcomes = SqliteOutcomes(database, records.writer, VAULT)
    outcomes.append([reported(event_id="canary-anna")], by=SHOP, received_at=NOW).result(5)
    records.close()
    outcomes.close()

    connection = connect(database)
    rows = connection.execute("SELECT * FROM outcome_reports").fetchall()
    connection.close()
    assert len(rows) == 1
    assert "canary" not in str(rows)
