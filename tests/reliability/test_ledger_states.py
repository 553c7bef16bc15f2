"""No interleaving breaks a limit or a budget, or strands a reservation: every ledger, step by step.

Both ledgers go through the same steps and must say the same. What they have let through is kept by the test
and held against the promises. Clocks differ by minutes, answers are lost, requests come again, databases are
closed in between.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from serving.adapters.database import migrate
from serving.adapters.memory import MemoryRecords
from serving.adapters.sqlite_contacts import SqliteContacts
from serving.adapters.sqlite_records import SqliteRecords
from serving.decision.actions import Action, Allowance
from serving.decision.budgets import MILLIONTHS, to_millionths
from serving.decision.contact import CalendarWindow, Counting, Limit, Per
from serving.decision.contact_check import ContactCheck
from serving.decision.contact_plan import Lookback, make_contact_plan
from serving.decision.values import ActionId, Contact, Used
from serving.decision.windows import first_instant, local_day
from serving.ports import ContactLedger, DecisionRecords, Entry, Reservation, StaleHistory, Standing, Verdict
from serving.records import Mode
from tests.service.kit import VAULT
from tests.unit.serving.adapters.test_stores import entry

START = datetime(2026, 3, 28, 22, 15, tzinfo=UTC)  # in Berlin soon midnight, and the day of 23 hours
ZONE = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)
LIFETIME = 40 * MINUTE
CUSTOMERS = ("anna", "ben", "cookie")

HOURS = Limit("hours", 2, timedelta(hours=6), per=Per.ACTION)
DAY = Limit("day", 3, CalendarWindow.DAY, per=Per.ALL)
WEEK = Limit("week", 5, CalendarWindow.WEEK, per=Per.ALL)
DECIDED = Limit("decided", 3, timedelta(hours=3), counts=Counting.DECISIONS, per=Per.GROUP)
LIMITS = (DAY, DECIDED, HOURS, WEEK)


def an_action(name: str, **changes: object) -> Action:
    made = Action(ActionId(name), name, "growth", "loans", 1.0, timedelta(days=30), {}, (), ())
    return replace(made, **changes)  # type: ignore[arg-type]


ACTIONS = (
    an_action("card", cost=0.1, budget=Allowance(total=0.7, per_day=0.3)),
    an_action("loan", volume=Allowance(total=5, per_day=2)),
    an_action("tip"),
)
PLAN = make_contact_plan(ACTIONS, LIMITS, (), frozenset(), "Europe/Berlin")
TIP = ACTIONS[-1]
PAIRS = (("anna", "ben"), ("cookie", "ben"))
SKEWS = st.sampled_from((0, 0, -3, 3))
WISHES = st.permutations(range(len(ACTIONS)))
BOUNDED = {action.action_id: action for action in ACTIONS if action.budget or action.volume}


@dataclass(frozen=True)
class Look:
    """A decision under way: for whom, when, and on what."""

    customer: str | None
    now: datetime
    standing: Standing


@dataclass
class Given:
    """An offer that was let through, as the test knows it."""

    customer: str | None
    contact: Contact
    day: date
    shown_at: datetime | None = None
    in_time: bool = False
    given_back: bool = False

    def is_live(self, now: datetime) -> bool:
        return self.shown_at is None and not self.given_back and now < self.contact.reserved_until


@cache
def empty_database() -> bytes:
    """Return a database with the newest schema and nothing in it."""
    with tempfile.TemporaryDirectory() as folder:
        migrate(Path(folder) / "moment.db")
        return (Path(folder) / "moment.db").read_bytes()


class Ledgers(RuleBasedStateMachine):
    """Steps over both ledgers."""

    looks = Bundle("looks")
    offers = Bundle("offers")
    requests = Bundle("requests")

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "moment.db").write_bytes(empty_database())
        self.now = START
        self.numbers = count(1)
        self.given: dict[str, Given] = {}
        self.links: set[frozenset[str]] = set()
        # When, by the clock that was furthest ahead, somebody decided: what had ended by then has ended
        self.decided: dict[str, datetime] = dict.fromkeys(CUSTOMERS, START)
        self.anybody_decided = START
        self.memory = MemoryRecords()
        self.open_sqlite()

    def open_sqlite(self) -> None:
        self.records = SqliteRecords(self.folder / "moment.db", VAULT)
        self.ledger = SqliteContacts(self.folder / "moment.db", self.records.writer, VAULT)

    def close_sqlite(self) -> None:
        self.ledger.close()
        self.records.close()

    @property
    def ledgers(self) -> tuple[ContactLedger, ContactLedger]:
        return self.memory.contacts, self.ledger

    # Steps

    @rule(minutes=st.sampled_from((1, 10, 37, 38, 39, 40, 179, 360, 720, 1440)))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @rule(target=looks, customer=st.sampled_from((*CUSTOMERS, None)), skew=SKEWS)
    def look_back(self, customer: str | None, skew: int) -> Look:
        return self.look(customer, self.now + skew * MINUTE)

    @rule(target=offers, look=looks, wishes=WISHES, most=st.integers(1, 3))
    def decide(self, look: Look, wishes: list[int], most: int) -> MultipleResults[str]:
        """Decide on what was seen before, however long ago; several may decide on the same."""
        return multiple(*self.append(look, wishes[:most], None))

    @rule(
        target=offers, customer=st.sampled_from(CUSTOMERS), wishes=WISHES, most=st.integers(1, 3), skew=SKEWS
    )
    def decide_at_once(self, customer: str, wishes: list[int], most: int, skew: int) -> MultipleResults[str]:
        look = self.look(customer, self.now + skew * MINUTE)
        stored = self.append(look, wishes[:most], None)
        assert len(stored) == len(self.picks(look, wishes[:most])), "refused, though nothing had changed"
        return multiple(*stored)

    @rule(offer=offers, customer=st.sampled_from((None, *CUSTOMERS)), wishes=WISHES, ago=st.integers(0, 3))
    def decide_as_one_ends(self, offer: str, customer: str | None, wishes: list[int], ago: int) -> None:
        """A reservation is over by the clock of who decides, not by that of who then takes its report."""
        one = self.given[offer]
        self.now = max(self.now, one.contact.reserved_until - MINUTE)
        self.append(self.look(customer or one.customer, self.now + 3 * MINUTE), wishes, None)
        self.present(offer=offer, ago=ago, skew=0)

    @rule(target=requests, look=looks, wish=st.integers(0, len(ACTIONS) - 1))
    def ask(self, look: Look, wish: int) -> str:
        """Decide under a request id; nobody knows whether the answer arrived."""
        request_id = f"r{next(self.numbers)}"
        self.append(look, [wish], request_id)
        return request_id

    @rule(request_id=requests, customer=st.sampled_from(CUSTOMERS), wish=st.integers(0, len(ACTIONS) - 1))
    def ask_again(self, request_id: str, customer: str, wish: int) -> None:
        stands = self.records.find_request("key_1", request_id)
        before = len(self.given)
        self.append(self.look(customer, self.now), [wish], request_id)
        assert stands is None or len(self.given) == before
        assert stands is None or self.records.find_request("key_1", request_id) == stands

    @rule(offer=offers, ago=st.sampled_from((0, 1, 30, 90)), skew=SKEWS)
    def present(self, offer: str, ago: int, skew: int) -> None:
        one, reported = self.given[offer], self.now + skew * MINUTE
        occurred = self.now - ago * MINUTE
        said = {ledger.present(offer, occurred_at=occurred, reported_at=reported) for ledger in self.ledgers}
        assert len(said) == 1
        verdict = said.pop()
        if one.shown_at is not None:
            assert verdict in {Verdict.DUPLICATE, Verdict.CONFLICT}
            return
        one.shown_at = max(one.contact.decided_at, min(occurred, reported))
        one.in_time = verdict is Verdict.RECORDED
        ends = one.contact.reserved_until
        assert verdict is (Verdict.RECORDED if one.in_time else Verdict.RECORDED_LATE)
        assert reported < ends if one.in_time else ends <= max(reported, self.anybody_decided)

    @rule(offer=offers, outcome_id=st.sampled_from(("o1", "o2")))
    def answer(self, offer: str, outcome_id: str) -> None:
        said = {
            ledger.record_outcome(
                offer, "rejected", outcome_id=outcome_id, occurred_at=self.now, reported_at=self.now
            )
            for ledger in self.ledgers
        }
        assert len(said) == 1

    @rule(skew=SKEWS)
    def release(self, skew: int) -> None:
        now = self.now + skew * MINUTE
        expected = self.give_back(now)
        assert [ledger.release(now) for ledger in self.ledgers] == [expected, expected]

    @rule(pair=st.sampled_from(PAIRS))
    def link_or_unlink(self, pair: tuple[str, str]) -> None:
        linked = frozenset(pair) in self.links
        for ledger in self.ledgers:
            (ledger.unlink if linked else ledger.link)(*pair)
        self.links ^= {frozenset(pair)}
        self.note_decision(pair[0], START)

    @rule()
    def close_and_open(self) -> None:
        self.close_sqlite()
        self.open_sqlite()

    # What the steps have in common

    def look(self, customer: str | None, now: datetime) -> Look:
        back = PLAN.lookback(now)
        seen = [ledger.read(customer, mode=Mode.LIVE, now=now, back=back) for ledger in self.ledgers]
        assert seen[0] == seen[1]
        return Look(customer, now, seen[1])

    def picks(self, look: Look, wishes: list[int]) -> list[int]:
        """Return those wishes that policies, budgets and the earlier picks leave."""
        check = ContactCheck(PLAN, look.standing.history, channel="web", now=look.now, zone=ZONE)
        spent, _ = PLAN.budgets.spent(look.standing.history.used)
        rests = check.verdicts().reason if look.customer else np.zeros(len(ACTIONS))
        picked: list[int] = []
        for wish in wishes:
            if not (spent[wish] or rests[wish] or (look.customer and check.used_up().reason[wish])):
                check.take(wish)
                picked.append(wish)
        return picked

    def append(self, look: Look, wishes: list[int], request_id: str | None) -> list[str]:
        """Decide and store; return the offers that were stored."""
        number = next(self.numbers)
        contacts = tuple(
            Contact(
                f"t{number}.{pick}",
                ACTIONS[pick].action_id,
                ACTIONS[pick].group,
                ACTIONS[pick].issue,
                "web",
                look.now,
                look.now + LIFETIME,
                timezone=ZONE.key,
            )
            for pick in self.picks(look, wishes)
        )
        day = local_day(look.now, ZONE)
        charges = PLAN.budgets.charges(contacts, day)
        taken = Reservation(look.customer, Mode.LIVE, look.standing.version, contacts, charges)
        made = entry(number, request_id=request_id, mode=Mode.LIVE)
        stood = [self.stored(records, made, taken) for records in (self.memory, self.records)]
        assert stood[0] == stood[1]
        if stood[1] != made.record.decision_id:
            return []
        if contacts:
            self.note_decision(look.customer, look.now)
        if charges:
            self.give_back(look.now)
        self.given |= {one.tracking_id: Given(look.customer, one, day) for one in contacts}
        return [one.tracking_id for one in contacts]

    def stored(self, records: DecisionRecords, made: Entry, taken: Reservation) -> str | None:
        """Return which decision stands, None when it was refused."""
        try:
            return records.append(made, taken).result(10).record.decision_id
        except StaleHistory:
            assert records.find(made.record.decision_id) is None
            return None

    def note_decision(self, customer: str | None, now: datetime) -> None:
        self.anybody_decided = max(self.anybody_decided, now)
        if customer is not None:
            same = {customer}
            for _ in CUSTOMERS:
                same = same.union(*(link for link in self.links if link & same))
            latest = max(now, *(self.decided[one] for one in CUSTOMERS if one in same), START)
            self.decided |= dict.fromkeys(same, latest)

    def give_back(self, now: datetime) -> int:
        """Note what a release at this time gives back; return how many charges."""
        self.anybody_decided = max(self.anybody_decided, now)
        ended = [
            one
            for one in self.given.values()
            if one.contact.action_id in BOUNDED and not (one.given_back or one.shown_at or one.is_live(now))
        ]
        for one in ended:
            one.given_back = True
        return len(ended)

    # Promises

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        for customer in CUSTOMERS:
            mine = [one for one in self.given.values() if one.customer == customer]
            for limit in LIMITS:
                for action in ACTIONS if limit.per is Per.ACTION else (None,):
                    counted = [
                        one for one in mine if action is None or one.contact.action_id == action.action_id
                    ]
                    self.holds(limit, counted, max(self.now, self.decided[customer]))

    def holds(self, limit: Limit, counted: list[Given], now: datetime) -> None:
        if limit.counts is Counting.DECISIONS:
            times = [one.contact.decided_at for one in counted]
            live = 0
        else:
            times = [one.shown_at for one in counted if one.shown_at and one.in_time]
            live = sum(one.is_live(now) for one in counted)
        for moment in times:  # every window there ever was, by the last instant in it
            since = first_instant(limit.window, moment, ZONE)
            assert sum(since <= time <= moment for time in times) <= limit.most, limit
        since = first_instant(limit.window, now, ZONE)
        assert live + sum(since <= time for time in times) <= limit.most, limit

    @invariant()
    def no_budget_is_exceeded_and_counters_equal_a_recount(self) -> None:
        today = local_day(self.now, ZONE)
        back = Lookback(None, None, today, PLAN.budgets.action_ids)
        read = [ledger.read(None, mode=Mode.LIVE, now=self.now, back=back) for ledger in self.ledgers]
        for action in BOUNDED.values():
            of_it = [one for one in self.given.values() if one.contact.action_id == action.action_id]
            counted = [one for one in of_it if one.shown_at or one.is_live(self.now)]
            promised = [one for one in of_it if one.in_time or one.is_live(self.now)]
            for used in (each.history.used[action.action_id] for each in read):
                assert used == recount(action, counted, today)
            for day in {one.day for one in promised}:
                assert within(action, recount(action, promised, day))

    def teardown(self) -> None:
        """Nothing is held back for ever: long after, only what was shown is used, and every limit is free."""
        if not hasattr(self, "records"):
            return
        self.now = max(self.now, self.anybody_decided) + timedelta(days=10)
        self.no_budget_is_exceeded_and_counters_equal_a_recount()
        self.release(0)
        self.no_budget_is_exceeded_and_counters_equal_a_recount()
        tip = ACTIONS.index(TIP)
        looks = [self.look(customer, self.now) for customer in CUSTOMERS]
        assert [self.picks(look, [tip]) for look in looks] == [[tip]] * len(looks)
        self.close_sqlite()
        shutil.rmtree(self.folder)


def recount(action: Action, counted: list[Given], day: date) -> Used:
    cost, today = to_millionths(action.cost), sum(one.day == day for one in counted)
    return Used(cost * len(counted) / MILLIONTHS, cost * today / MILLIONTHS, len(counted), today)


def within(action: Action, used: Used) -> bool:
    """Whether what is used keeps an action's bounds."""
    budget, volume = action.budget or Allowance(), action.volume or Allowance()
    bounds = (
        (used.budget_total, budget.total),
        (used.budget_today, budget.per_day),
        (used.volume_total, volume.total),
        (used.volume_today, volume.per_day),
    )
    return all(bound is None or amount <= bound + 1e-9 for amount, bound in bounds)


TestLedgers = Ledgers.TestCase
TestLedgers.settings = settings(
    max_examples=600 if os.environ.get("MOMENT_RELIABILITY") == "full" else 30,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
