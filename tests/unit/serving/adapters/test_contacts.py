"""What every ledger of contacts promises, asked of each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from moment.errors import DependencyError, InvariantViolation
from serving.adapters.database import connect, migrate
from serving.adapters.memory import MemoryRecords
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_records import SqliteRecords
from serving.decision.actions import Allowance
from serving.decision.budgets import Charge
from serving.decision.contact_plan import Lookback
from serving.decision.values import ActionId, Contact, History, PastOutcome, Used
from serving.ports import ContactLedger, DecisionRecords, Entry, Reservation, StaleHistory, Verdict
from serving.records import Mode
from tests.service.kit import VAULT
from tests.unit.serving.adapters.test_stores import entry

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TODAY = NOW.date()
MINUTE = timedelta(minutes=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
LOAN = ActionId("loan")


@dataclass
class Store:
    """Records and their ledger, and short ways to ask them."""

    records: DecisionRecords
    ledger: ContactLedger

    def __post_init__(self) -> None:
        self._numbers = count(1)

    def reserve(
        self,
        customer: str | None = "anna",
        *,
        version: int | None = None,
        mode: Mode = Mode.LIVE,
        charge: Charge | None = None,
        request_id: str | None = None,
        **changes: object,
    ) -> Contact:
        """Store a record with one offer, decided on the customer's present version unless told otherwise."""
        number = next(self._numbers)
        made = Contact(f"t{number}", LOAN, "loans", "growth", "web", NOW, NOW + 40 * MINUTE)
        made = replace(made, **changes)  # type: ignore[arg-type]
        if version is None:
            version = self.version(customer, mode)
        charges = () if charge is None else (replace(charge, tracking_id=made.tracking_id),)
        taken = Reservation(customer, mode, version, (made,), charges)
        self.append(entry(number, request_id=request_id, mode=mode), taken)
        return made

    def append(self, given: Entry, taken: Reservation) -> Entry:
        return self.records.append(given, taken).result(10)

    def history(self, customer: str | None = "anna", mode: Mode = Mode.LIVE, **changes: object) -> History:
        back = Lookback(LONG_AGO, LONG_AGO, TODAY)
        return self.ledger.read(customer, mode=mode, now=NOW, back=replace(back, **changes)).history  # type: ignore[arg-type]

    def version(self, customer: str | None = "anna", mode: Mode = Mode.LIVE) -> int:
        back = Lookback(None, None, TODAY)
        return self.ledger.read(customer, mode=mode, now=NOW, back=back).version

    def used(self, now: datetime = NOW, day: date = TODAY, mode: Mode = Mode.LIVE) -> Used:
        back = Lookback(None, None, day, (LOAN,))
        return self.ledger.read(None, mode=mode, now=now, back=back).history.used[LOAN]

    def present(self, contact: Contact, minutes: float = 5, *, reported: float | None = None) -> Verdict:
        """Report a presentation so many minutes after the decision."""
        return self.ledger.present(
            contact.tracking_id,
            occurred_at=NOW + minutes * MINUTE,
            reported_at=NOW + (minutes if reported is None else reported) * MINUTE,
        )

    def answer(
        self, contact: Contact, kind: str = "rejected", outcome_id: str = "o1", minutes: float = 6
    ) -> Verdict:
        at = NOW + minutes * MINUTE
        return self.ledger.record_outcome(
            contact.tracking_id, kind, outcome_id=outcome_id, occurred_at=at, reported_at=at
        )


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        memory = MemoryRecords()
        yield Store(memory, memory.contacts)
        return
    migrate(tmp_path / "moment.db")
    records = SqliteRecords(tmp_path / "moment.db", VAULT)
    ledger = SqliteContacts(tmp_path / "moment.db", records.writer, VAULT)
    yield Store(records, ledger)
    ledger.close()
    records.close()


def charge(
    cost: float = 1.0, *, budget: float | None = None, volume: float | None = None, day: float | None = None
) -> Charge:
    """Return a charge to a budget or volume in total, or to a volume per day."""
    return Charge("", LOAN, TODAY, cost, Allowance(total=budget), Allowance(total=volume, per_day=day))


class TestLedger:
    """One ledger, whichever."""

    def test_nobody_has_no_history(self, store: Store) -> None:
        assert store.history(None) == History()
        assert store.history("anna") == History()
        assert store.version("anna") == 0

    def test_a_reservation_is_read_back_whole(self, store: Store) -> None:
        made = store.reserve(mandatory=True, timezone="Europe/Berlin", channel="app")
        assert store.history() == History((made,))
        assert store.history("ben") == History()

    def test_contacts_come_oldest_first(self, store: Store) -> None:
        later = store.reserve(decided_at=NOW + MINUTE)
        earlier = store.reserve(decided_at=NOW)
        assert store.history().contacts == (earlier, later)

    def test_only_as_far_back_as_asked(self, store: Store) -> None:
        live, shown = store.reserve(), store.reserve()
        store.present(shown, 5)
        store.answer(shown, minutes=6)
        assert store.history(contacts=NOW + 5 * MINUTE, outcomes=None) == History(
            (live, replace(shown, presented_at=NOW + 5 * MINUTE))
        )
        assert store.history(contacts=NOW + 6 * MINUTE).contacts == (live,)
        assert store.history(contacts=NOW + 41 * MINUTE, outcomes=NOW + 7 * MINUTE) == History()
        assert store.history(contacts=None).contacts == ()
        assert len(store.history(outcomes=NOW + 6 * MINUTE).outcomes) == 1

    def test_test_traffic_is_apart(self, store: Store) -> None:
        store.reserve(mode=Mode.TEST, charge=charge(volume=1))
        assert store.history() == History()
        assert store.version() == 0
        assert store.used() == Used()
        assert store.used(mode=Mode.TEST).volume_total == 1

    def test_a_decision_on_an_old_history_is_refused_whole(self, store: Store) -> None:
        store.reserve()
        seen = store.history()
        with pytest.raises(StaleHistory, match="decide again"):
            store.reserve(version=0, charge=charge(volume=5), request_id="r")
        assert store.history() == seen
        assert store.used() == Used()
        assert store.records.find("d2") is None
        assert store.records.find_request("key_1", "r") is None

    def test_each_change_makes_what_was_read_before_stale(self, store: Store) -> None:
        made = store.reserve()
        for change in (
            lambda: store.present(made),
            lambda: store.answer(made),
            lambda: store.ledger.link("anna", "cookie"),
            lambda: store.ledger.unlink("anna", "cookie"),
        ):
            before = store.version()
            change()
            with pytest.raises(StaleHistory):
                store.reserve(version=before)

    def test_a_repeated_request_reserves_once(self, store: Store) -> None:
        made = store.reserve(request_id="r", charge=charge(2.5, budget=10))
        taken = Reservation("anna", Mode.LIVE, store.version(), (replace(made, tracking_id="t9"),))
        stands = store.append(entry(9, request_id="r", mode=Mode.LIVE), taken)
        assert stands.record.decision_id == "d1"
        assert store.history() == History((made,))
        # nor does it ask whether what it was decided on still holds
        store.append(entry(9, request_id="r", mode=Mode.LIVE), replace(taken, version=0))
        assert store.used() == Used(2.5, 2.5, 1, 1)

    def test_one_request_asked_by_many_at_once_reserves_once(self, store: Store) -> None:
        def ask(number: int) -> str:
            made = Contact(f"c{number}", LOAN, "loans", "growth", "web", NOW, NOW + 40 * MINUTE)
            taken = Reservation("anna", Mode.LIVE, 0, (made,))
            return store.append(entry(number, request_id="r", mode=Mode.LIVE), taken).record.decision_id

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(ask, range(64)))) == 1
        assert len(store.history().contacts) == 1

    def test_of_many_at_once_on_one_history_one_is_stored(self, store: Store) -> None:
        def ask(number: int) -> bool:
            try:
                store.reserve(version=0)
            except StaleHistory:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(ask, range(64))) == 1
        assert len(store.history().contacts) == 1

    def test_without_a_history_nothing_is_checked(self, store: Store) -> None:
        store.reserve(charge=charge(volume=1))
        made = Contact("m", LOAN, "loans", "growth", "web", NOW, NOW + 40 * MINUTE, mandatory=True)
        taken = Reservation("anna", Mode.LIVE, None, (made,), (replace(charge(volume=1), tracking_id="m"),))
        store.append(entry(9, mode=Mode.LIVE), taken)
        assert made in store.history().contacts
        assert store.used().volume_total == 2
        assert store.version() == 2

    def test_a_charge_needs_its_contact(self) -> None:
        with pytest.raises(InvariantViolation, match="no contact"):
            Reservation("anna", Mode.LIVE, 0, (), (charge(),))

    @pytest.mark.parametrize(
        ("occurred", "reported", "counted"), [(5, 7, 5), (-3, 7, 0), (50, 7, 7), (5, -1, 0)]
    )
    def test_a_presentation_lies_between_decision_and_report(
        self, store: Store, occurred: float, reported: float, counted: float
    ) -> None:
        made = store.reserve()
        assert store.present(made, occurred, reported=reported) is Verdict.RECORDED
        assert store.history() == History((replace(made, presented_at=NOW + counted * MINUTE),))

    def test_a_late_report_counts_and_says_so(self, store: Store) -> None:
        made = store.reserve()
        assert store.present(made, 5, reported=40) is Verdict.RECORDED_LATE
        shown = replace(made, presented_at=NOW + 5 * MINUTE, recorded_late=True)
        assert store.history() == History((shown,))

    def test_the_first_report_stands(self, store: Store) -> None:
        made = store.reserve()
        assert store.present(made, 5, reported=6) is Verdict.RECORDED
        before, version = store.history(), store.version()
        assert store.present(made, 5, reported=90) is Verdict.DUPLICATE
        assert store.present(made, 9) is Verdict.CONFLICT
        assert store.history() == before
        assert store.version() == version

    def test_a_claim_beyond_the_report_is_known_again(self, store: Store) -> None:
        made = store.reserve()
        store.present(made, 30, reported=6)
        assert store.present(made, 30, reported=8) is Verdict.DUPLICATE
        assert store.present(made, 6, reported=8) is Verdict.CONFLICT

    def test_what_nobody_offered_is_unknown(self, store: Store) -> None:
        stranger = Contact("x", LOAN, "loans", "growth", "web", NOW, NOW)
        assert store.present(stranger) is Verdict.UNKNOWN
        assert store.answer(stranger) is Verdict.UNKNOWN
        assert store.history() == History()

    def test_a_report_is_late_once_the_customer_was_decided_on_without_it(self, store: Store) -> None:
        made = store.reserve()
        store.reserve(decided_at=NOW + 41 * MINUTE, reserved_until=NOW + 80 * MINUTE)
        # by its own clock the report came in time: the decision's was ahead
        assert store.present(made, 5, reported=39) is Verdict.RECORDED_LATE

    def test_a_report_is_late_once_its_budget_was_given_back(self, store: Store) -> None:
        made = store.reserve(None, charge=charge(volume=1))
        store.reserve("ben", charge=charge(volume=1), decided_at=NOW + 41 * MINUTE)
        assert store.present(made, 5, reported=39) is Verdict.RECORDED_LATE
        assert store.used().volume_total == 2

    def test_outcomes_are_what_was_answered_to_what(self, store: Store) -> None:
        made = store.reserve(channel="app")
        assert store.answer(made, "clicked", "o1", 6) is Verdict.RECORDED
        assert store.answer(made, "rejected", "o2", 7) is Verdict.RECORDED
        assert store.history().outcomes == (
            PastOutcome("clicked", LOAN, "loans", "growth", "app", NOW + 6 * MINUTE),
            PastOutcome("rejected", LOAN, "loans", "growth", "app", NOW + 7 * MINUTE),
        )

    def test_an_outcome_is_recorded_once(self, store: Store) -> None:
        made = store.reserve()
        store.answer(made)
        version = store.version()
        assert store.answer(made) is Verdict.DUPLICATE
        assert store.answer(made, "clicked") is Verdict.CONFLICT
        assert store.answer(made, minutes=8) is Verdict.CONFLICT
        assert len(store.history().outcomes) == 1
        assert store.version() == version
        assert store.answer(store.reserve()) is Verdict.RECORDED  # the same id, of another offer

    def test_the_same_told_under_two_ids_is_looked_back_on_once(self, store: Store) -> None:
        made = store.reserve()
        assert store.answer(made, "clicked", "o1", 6) is Verdict.RECORDED
        assert store.answer(made, "clicked", "o2", 6) is Verdict.RECORDED
        assert len(store.history().outcomes) == 1

    def test_an_outcome_lies_between_decision_and_report(self, store: Store) -> None:
        made = store.reserve()
        for number, (occurred, reported) in enumerate([(-5, 6), (9, 6)]):
            store.ledger.record_outcome(
                made.tracking_id,
                "rejected",
                outcome_id=f"o{number}",
                occurred_at=NOW + occurred * MINUTE,
                reported_at=NOW + reported * MINUTE,
            )
        assert [one.at for one in store.history().outcomes] == [NOW, NOW + 6 * MINUTE]

    def test_a_budget_runs_out_to_the_cent(self, store: Store) -> None:
        for _ in range(3):
            store.reserve(charge=charge(0.1, budget=0.3))
        with pytest.raises(StaleHistory, match="`loan` ran out"):
            store.reserve(charge=charge(0.1, budget=0.3))
        assert store.used() == Used(0.3, 0.3, 3, 3)

    def test_days_are_counted_apart(self, store: Store) -> None:
        store.reserve(charge=charge(day=1))
        with pytest.raises(StaleHistory):
            store.reserve(charge=charge(day=1))
        tomorrow = TODAY + timedelta(days=1)
        assert store.used(day=tomorrow) == Used(1.0, 0.0, 1, 0)
        store.reserve(charge=replace(charge(day=1), day=tomorrow))
        assert store.used(day=tomorrow) == Used(2.0, 1.0, 2, 1)

    def test_what_expired_is_free_again_at_once(self, store: Store) -> None:
        store.reserve("ben", charge=charge(2.0, volume=1))
        later = NOW + 40 * MINUTE
        assert store.used(now=later - MINUTE).volume_total == 1
        assert store.used(now=later) == Used()
        store.reserve("cleo", charge=charge(2.0, volume=1), decided_at=later, reserved_until=later + MINUTE)
        assert store.used(now=later) == Used(2.0, 2.0, 1, 1)

    def test_what_was_presented_stays_used(self, store: Store) -> None:
        made = store.reserve(charge=charge(volume=1))
        store.present(made)
        assert store.ledger.release(NOW + 90 * MINUTE) == 0
        assert store.used(now=NOW + 90 * MINUTE).volume_total == 1

    def test_releasing_gives_back_once_and_a_late_presentation_takes_again(self, store: Store) -> None:
        made = store.reserve(charge=charge(3.0, volume=1))
        assert store.ledger.release(NOW + 39 * MINUTE) == 0
        assert store.ledger.release(NOW + 40 * MINUTE) == 1
        assert store.ledger.release(NOW + 41 * MINUTE) == 0
        assert store.used() == Used()
        assert store.present(made, 50) is Verdict.RECORDED_LATE
        assert store.used() == Used(3.0, 3.0, 1, 1)

    def test_somebody_unknown_takes_of_budgets_and_can_report(self, store: Store) -> None:
        made = store.reserve(None, charge=charge(volume=1))
        with pytest.raises(StaleHistory):
            store.reserve(None, charge=charge(volume=1))
        assert store.present(made) is Verdict.RECORDED
        assert store.answer(made) is Verdict.RECORDED
        assert store.history(None) == History(used={})

    def test_linked_ids_have_one_history_and_version(self, store: Store) -> None:
        of_anna = store.reserve("anna")
        of_cookie = store.reserve("cookie", decided_at=NOW + MINUTE)
        store.answer(of_cookie)
        store.ledger.link("anna", "cookie")
        store.ledger.link("cookie", "tablet")
        whole = store.history("anna")
        assert whole.contacts == (of_anna, of_cookie)
        assert len(whole.outcomes) == 1
        assert store.history("cookie") == store.history("tablet") == whole
        assert store.version("anna") == store.version("tablet")
        with pytest.raises(StaleHistory):
            store.reserve("tablet", version=store.version("anna") - 1)
        store.reserve("tablet", version=store.version("anna"))
        assert len(store.history("anna").contacts) == 3

    def test_unlinking_gives_each_its_own_again(self, store: Store) -> None:
        of_anna, of_cookie = store.reserve("anna"), store.reserve("cookie")
        store.ledger.link("anna", "cookie")
        while_linked = store.version("cookie")
        store.ledger.unlink("cookie", "anna")
        assert store.history("anna").contacts == (of_anna,)
        assert store.history("cookie").contacts == (of_cookie,)
        for customer in ("anna", "cookie"):
            assert store.version(customer) > while_linked

    def test_a_link_makes_decisions_of_both_stale_whatever_their_versions(self, store: Store) -> None:
        for _ in range(3):
            store.reserve("cookie")
        store.reserve("anna")
        store.ledger.link("anna", "cookie")
        for customer, version in (("anna", 1), ("cookie", 3)):
            with pytest.raises(StaleHistory):
                store.reserve(customer, version=version)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "moment.db"
    migrate(path)
    return path


def test_one_conflict_does_not_spoil_the_group_it_is_written_with(database: Path) -> None:
    records = SqliteRecords(database, VAULT)
    begun, let_go = threading.Event(), threading.Event()

    def write(_: object) -> None:
        begun.set()
        assert let_go.wait(10)

    busy = records.writer.submit(write)  # all others wait meanwhile, and go into one transaction
    assert begun.wait(10)
    futures = []
    for number in range(20):
        made = Contact(f"t{number}", LOAN, "loans", "growth", "web", NOW, NOW + 40 * MINUTE)
        customer = f"c{number // 2}"  # two for each, both on version 0
        futures.append(records.append(entry(number), Reservation(customer, Mode.LIVE, 0, (made,))))
    let_go.set()
    busy.result(10)
    assert [future.exception(10) is None for future in futures] == [True, False] * 10
    with closing(connect(database)) as connection:
        rows = connection.execute("SELECT customer_ref FROM contacts ORDER BY tracking_id").fetchall()
    assert sorted(rows) == sorted((VAULT.ref(f"c{number}"),) for number in range(10))
    records.close()


def test_an_offer_of_an_id_that_exists_is_refused_alone(database: Path) -> None:
    records = SqliteRecords(database, VAULT)
    made = Contact("t", LOAN, "loans", "growth", "web", NOW, NOW + 40 * MINUTE)
    records.append(entry(1), Reservation("anna", Mode.LIVE, 0, (made,))).result(5)
    with pytest.raises(DependencyError, match="could not be recorded"):
        records.append(entry(2), Reservation("ben", Mode.LIVE, 0, (made,))).result(5)
    assert records.find("d2") is None
    assert records.append(entry(3)).result(5).record.decision_id == "d3"
    records.close()


def test_a_ledger_that_cannot_be_read_says_so(database: Path) -> None:
    records = SqliteRecords(database, VAULT)
    ledger = SqliteContacts(database, records.writer, VAULT)
    connection = connect(database)
    connection.execute("ALTER TABLE contact_versions RENAME TO away")
    with pytest.raises(DependencyError, match="does not answer"):
        Store(records, ledger).version()
    with pytest.raises(DependencyError, match="could not be recorded"):
        ledger.link("anna", "cookie")
    connection.close()
    ledger.close()
    records.close()


def test_one_customer_is_found_by_indices_alone(database: Path) -> None:
    connection = connect(database)
    for sql in (
        "SELECT * FROM contacts WHERE customer_ref = 'a' AND mode = 'live' AND matters_until >= 0",
        "SELECT * FROM outcomes WHERE customer_ref = 'a' AND mode = 'live' AND occurred_at >= 0",
        "SELECT * FROM contact_versions WHERE customer_ref = 'a' AND mode = 'live'",
        "SELECT * FROM contacts WHERE charge_state = 'held' AND mode = 'live' AND reserved_until <= 0",
    ):
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"))
        assert plan.startswith("SEARCH"), plan
    connection.close()
