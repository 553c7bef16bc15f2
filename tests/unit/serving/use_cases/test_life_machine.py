"""Many people at the same models, in any order: nothing serves that does not meet its conditions.

The conditions are told here a second time, from the acts alone: what the book says is not believed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from moment.errors import InvalidRequest
from serving.lifecycle import (
    Accepted,
    Actor,
    Approved,
    Book,
    FindingAdded,
    FindingClosed,
    GateVerdict,
    Judged,
    Model,
    Promoted,
    Rejected,
    ResumeAsked,
    Resumed,
    Retired,
    RolledBack,
    Severity,
    State,
    StopKind,
    Stopped,
    Submitted,
    Verdict,
    Written,
)
from serving.ports import Role
from serving.ports.life import Signer
from tests.unit.serving.life_kit import MACHINE, POLICY, PROPENSITY, House, bundle, digest_of, personal

CONTENTS = "abc"
VERDICTS = st.sampled_from([Verdict.PASS] * 4 + [Verdict.INCONCLUSIVE, Verdict.FAIL])
GATES = st.lists(
    st.builds(GateVerdict, gate=st.sampled_from(["auc", "slope"]), title=st.just("t"), verdict=VERDICTS),
    min_size=1,
    max_size=2,
    unique_by=lambda gate: gate.gate,
)
WHO = st.integers(0, 5)
FOUND = st.sampled_from([None, None, None, True, False])
WHICH = st.tuples(st.sampled_from([PROPENSITY, PROPENSITY, PROPENSITY, POLICY]), st.sampled_from(CONTENTS))


class Models(RuleBasedStateMachine):
    """Ada (twice, under two names of hers), Rosa, Carl, Olga and the machine, and two models."""

    def __init__(self, written: Path) -> None:
        super().__init__()
        self.house = house = House(written)
        other_ada = personal(house.keys, "ada  byron", Role.RISK_OFFICER)
        self.people: list[Signer] = [MACHINE, house.ada, other_ada, house.rosa, house.carl, house.olga]
        self.folders = {
            (model, content): bundle(written, content, model)
            for model in (PROPENSITY, POLICY)
            for content in CONTENTS
        }
        self.digests = {which: digest_of(folder) for which, folder in self.folders.items()}
        self.followed = Book()

    def attempt(self, what: Callable[[], object]) -> None:
        """Do something, or be refused; then nothing was done."""
        before = self.house.life.seq()
        try:
            what()
        except InvalidRequest:
            assert self.house.life.seq() == before

    def of(self, which: tuple[Model, str]) -> tuple[Model, str]:
        return which[0], self.digests[which]

    @initialize(busy=st.booleans())
    def begin(self, *, busy: bool) -> None:
        """Begin with nothing, or with people at work: one champion, one approved, both Carl's."""
        if busy:
            self.house.champion("a")
            self.house.approved("b", days=30)

    @rule(which=WHICH, who=WHO)
    def submit(self, which: tuple[Model, str], who: int) -> None:
        self.attempt(lambda: self.house.life.submit(self.folders[which], self.people[who]))

    @rule(which=WHICH, who=WHO, gates=GATES)
    def judge(self, which: tuple[Model, str], who: int, gates: list[GateVerdict]) -> None:
        self.attempt(lambda: self.house.life.judge(*self.of(which), gates, self.people[who]))

    @rule(which=WHICH, gates=GATES)
    def enter(self, which: tuple[Model, str], gates: list[GateVerdict]) -> None:
        self.attempt(lambda: self.house.life.enter(self.folders[which], gates))

    @rule(which=WHICH, who=WHO)
    def accept(self, which: tuple[Model, str], who: int) -> None:
        version = self.house.life.book().find(*self.of(which))
        names = [one.gate for one in version.unaccepted] if version else ["auc"]
        self.attempt(lambda: self.house.life.accept(*self.of(which), names, "x", self.people[who]))

    @rule(which=WHICH, who=WHO, days=st.integers(1, 60))
    def approve(self, which: tuple[Model, str], who: int, days: int) -> None:
        self.attempt(lambda: self.house.life.approve(*self.of(which), days=days, by=self.people[who]))

    @rule(which=WHICH, who=WHO, routed=st.sampled_from([0.0, 0.4, 0.7]))
    def challenge(self, which: tuple[Model, str], who: int, routed: float) -> None:
        self.attempt(
            lambda: self.house.life.challenge(*self.of(which), shadow=0.5, routed=routed, by=self.people[who])
        )

    @rule(which=WHICH, who=WHO)
    def promote(self, which: tuple[Model, str], who: int) -> None:
        self.attempt(lambda: self.house.life.promote(*self.of(which), "x", self.people[who]))

    @rule(which=WHICH)
    def install(self, which: tuple[Model, str]) -> None:
        self.attempt(lambda: self.house.life.install(*self.of(which), reason="demo"))

    @rule(
        which=WHICH,
        people=st.tuples(WHO, WHO, WHO),
        gates=GATES,
        days=st.sampled_from([0, 0, 25]),
        found=FOUND,
    )
    def bring(
        self,
        which: tuple[Model, str],
        people: tuple[int, int, int],
        gates: list[GateVerdict],
        days: int,
        found: bool | None,
    ) -> None:
        """Do in a row what seldom comes in this order; wait, or find something, before the end."""
        judge, approver, promoter = people
        self.judge(which, judge, gates)
        self.accept(which, approver)
        self.approve(which, approver, 20)
        self.wait(days)
        if found is not None:
            self.add_finding(which, promoter, of_all=found, blocks=True)
        self.promote(which, promoter)

    @rule(which=WHICH, who=WHO, named=st.booleans())
    def roll_back(self, which: tuple[Model, str], who: int, *, named: bool) -> None:
        model, digest = self.of(which)
        self.attempt(
            lambda: self.house.life.roll_back(model, digest if named else None, "x", self.people[who])
        )

    @rule(which=WHICH, who=WHO, retire=st.booleans(), seldom=st.integers(0, 5))
    def end(self, which: tuple[Model, str], who: int, *, retire: bool, seldom: int) -> None:
        life = self.house.life
        if seldom:
            return
        what = life.retire if retire else life.reject
        self.attempt(lambda: what(*self.of(which), "x", self.people[who]))

    @rule(which=WHICH, who=WHO, of_all=st.booleans(), blocks=st.booleans())
    def add_finding(self, which: tuple[Model, str], who: int, *, of_all: bool, blocks: bool) -> None:
        model, digest = self.of(which)
        self.attempt(
            lambda: self.house.life.add_finding(
                model,
                None if of_all else digest,
                severity=Severity.LOW,
                section="data",
                blocks=blocks,
                reason="x",
                by=self.people[who],
            )
        )

    @rule(who=WHO)
    def close_finding(self, who: int) -> None:
        for found in self.house.life.book().findings.values():
            if found.closed is None:
                close = partial(self.house.life.close_finding, found.finding_id, "x", self.people[who])
                self.attempt(close)

    @rule(who=WHO, name=st.sampled_from(["tea", "ham"]))
    def stop(self, who: int, name: str) -> None:
        self.attempt(lambda: self.house.life.stop(StopKind.ACTION, name, "x", self.people[who]))

    @rule(who=WHO)
    def resume(self, who: int) -> None:
        for stop_id in list(self.house.life.book().stops):
            self.attempt(partial(self.house.life.resume, stop_id, self.people[who]))

    @rule(days=st.integers(1, 40))
    def wait(self, days: int) -> None:
        self.house.clock.now += timedelta(days=days)

    @invariant()
    def every_act_was_allowed(self) -> None:
        entries = [one.entry for one in self.house.ledger.entries()]
        for place in range(self.followed.seq, len(entries)):
            self.look_at(entries[place], entries[:place])
            self.followed = self.followed.after(entries[place])

    @invariant()
    def the_book_is_what_the_entries_come_to(self) -> None:
        folded = Book.of(one.entry for one in self.house.ledger.entries())
        assert folded == self.house.life.book() == self.followed
        for model in Model:
            serving = [one for one in folded.of_model(model) if one.state is State.CHAMPION]
            champion = folded.champion(model)
            assert serving == ([] if champion is None else [champion])
            assert sum(one.routed for one in folded.challengers(model)) <= 1

    def teardown(self) -> None:
        assert self.house.life.verify() == self.followed.seq

    def look_at(self, entry: Written, past: list[Written]) -> None:
        """Hold one act against the acts before it, without the book."""
        match entry.act:
            case Promoted() as act:
                look_at_promotion(act, entry, past)
            case RolledBack() as act:
                served = {one.act.digest for one in past if isinstance(one.act, Promoted)}
                assert act.digest in served, "it goes back to what served"
                assert not ends(act.digest, past)
            case Approved() as act:
                (made,) = [
                    one.by for one in past if isinstance(one.act, Submitted) and one.act.digest == act.digest
                ]
                assert entry.by.role == "risk_officer"
                assert not is_same(entry.by, made)
            case Resumed() as act:
                asked = [
                    one.by
                    for one in past
                    if isinstance(one.act, ResumeAsked) and one.act.stop_id == act.stop_id
                ]
                assert asked, "two people"
                assert not is_same(entry.by, asked[-1])
                assert entry.by.role in ("risk_officer", "operator")
            case _:
                pass


def look_at_promotion(act: Promoted, entry: Written, past: list[Written]) -> None:
    """See that what is promoted was judged, answered for, not held back, and approved by another."""
    of_model = [one for one in past if getattr(one.act, "model", None) is act.model]
    mine = [one for one in of_model if getattr(one.act, "digest", None) == act.digest]
    people = any(one.by.person and not isinstance(one.act, Stopped) for one in of_model)
    judged = max(place for place, one in enumerate(mine) if isinstance(one.act, Judged))
    told = mine[judged].act
    assert isinstance(told, Judged)
    unsure = {gate.gate: gate.verdict for gate in told.gates if gate.verdict is not Verdict.PASS}
    for one in mine[judged:]:
        if isinstance(one.act, Accepted):
            for gate in one.act.gates:
                verdict = unsure.pop(gate)
                assert one.by.role == "risk_officer" or verdict is Verdict.INCONCLUSIVE
    assert not unsure, "somebody answers for every gate"
    assert not ends(act.digest, past)
    closed = {one.act.finding_id for one in past if isinstance(one.act, FindingClosed)}
    for one in of_model:
        if isinstance(one.act, FindingAdded) and one.act.blocks and one.act.digest in (None, act.digest):
            assert one.act.finding_id in closed, "nothing holds it back"
    if entry.by.person is None:
        assert not people, "the machine promotes nothing people are in charge of"
        return
    approvals = [one for one in mine if isinstance(one.act, Approved)]
    assert approvals
    last = approvals[-1]
    assert isinstance(last.act, Approved)
    assert entry.at < last.act.expires_at
    assert not is_same(last.by, mine[0].by)


def is_same(one: Actor, other: Actor) -> bool:
    """Whether two keys are one person's here, where names differ by case and spaces alone."""
    return one.person is not None and (one.person.lower().split() == (other.person or "").lower().split())


def ends(digest: str, past: list[Written]) -> bool:
    """Whether a version was rejected or retired."""
    return any(isinstance(one.act, (Rejected, Retired)) and one.act.digest == digest for one in past)


def test_nothing_serves_that_does_not_meet_its_conditions(tmp_path: Path) -> None:
    class Here(Models):
        def __init__(self) -> None:
            super().__init__(tmp_path)

    run_state_machine_as_test(Here, settings=settings(max_examples=60, stateful_step_count=50, deadline=None))
