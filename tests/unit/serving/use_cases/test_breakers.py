from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from serving.use_cases.breakers import Breaker, Breakers, Condition, State, Tolerance

TOLERANCE = Tolerance(failures=3, rest=1.0, longest_rest=4.0, late=2)


@dataclass
class Watch:
    """A clock that is set."""

    at: float = 0.0

    def __call__(self) -> float:
        return self.at


def opened(watch: Watch) -> Breaker:
    breaker = Breaker(TOLERANCE, watch)
    for _ in range(TOLERANCE.failures):
        assert breaker.admit()
        breaker.failed()
    return breaker


def test_a_breaker_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker(TOLERANCE, Watch())
    for _ in range(2):
        assert breaker.admit()
        breaker.failed()
    assert breaker.admit()
    breaker.succeeded()
    for _ in range(2):
        assert breaker.admit()
        breaker.failed()
    assert breaker.condition == Condition(failures=2)
    assert breaker.admit()
    breaker.failed()
    assert breaker.condition.state is State.OPEN
    assert not breaker.admit()


def test_when_it_has_rested_one_call_is_tried_and_closes_it() -> None:
    watch = Watch()
    breaker = opened(watch)
    watch.at = 0.999
    assert not breaker.would_admit()
    watch.at = 1.0
    assert breaker.would_admit()
    assert breaker.admit()
    assert breaker.condition.state is State.HALF_OPEN
    assert not breaker.admit()
    breaker.succeeded()
    assert breaker.condition == Condition()


def test_a_trial_that_had_no_chance_is_made_again_at_once() -> None:
    watch = Watch()
    breaker = opened(watch)
    watch.at = 1.0
    assert breaker.admit()
    breaker.withdrew()
    assert breaker.admit()
    assert not breaker.admit()
    closed = Breaker(TOLERANCE, watch)
    assert closed.admit()
    closed.withdrew()
    assert closed.condition == Condition()


def test_each_trial_that_fails_doubles_the_rest_up_to_the_longest() -> None:
    watch = Watch()
    breaker = opened(watch)
    for rest in (1.0, 2.0, 4.0, 4.0):
        assert breaker.condition.rest == rest
        watch.at += rest
        assert breaker.admit()
        breaker.failed()


def test_a_call_that_began_before_it_opened_proves_nothing() -> None:
    watch = Watch()
    breaker = Breaker(TOLERANCE, watch)
    calls = [breaker.admit() for _ in range(4)]
    assert all(calls)
    for _ in range(3):
        breaker.failed()
    before = breaker.condition
    breaker.succeeded()
    assert breaker.condition == before


def test_while_as_many_are_late_as_may_be_nothing_is_let_through() -> None:
    watch = Watch()
    breaker = Breaker(replace(TOLERANCE, failures=10), watch)
    for _ in range(2):
        assert breaker.admit()
        breaker.gave_up()
    assert (breaker.condition.state, breaker.condition.late) == (State.CLOSED, 2)
    assert not breaker.admit()
    breaker.returned()
    assert breaker.admit()


def test_who_is_told_hears_of_opening_and_closing_once_each() -> None:
    watch, told = Watch(), list[tuple[str, bool]]()
    breakers = Breakers(TOLERANCE, watch, lambda name, up: told.append((name, up)))
    for _ in range(5):
        if breakers["features"].admit():
            breakers["features"].failed()
    assert told == [("features", False)]
    watch.at = 1.0
    assert breakers["features"].admit()
    assert told == [("features", False)]
    breakers["features"].succeeded()
    assert told == [("features", False), ("features", True)]
    assert breakers.conditions() == {"features": Condition()}


CALLS = st.lists(
    st.tuples(st.sampled_from(("begin", "succeed", "fail", "give up", "return")), st.floats(0, 3))
)


@given(CALLS)
def test_whatever_happens_it_keeps_its_promises(steps: list[tuple[str, float]]) -> None:
    """One trial at a time; never more late ones than it bears; something gone is tried again in the end."""
    watch = Watch()
    breaker = Breaker(TOLERANCE, watch)
    out = late = in_a_row = trials = 0
    for step, pause in steps:
        watch.at += pause
        before = breaker.condition
        if step == "begin":
            admitted = breaker.admit()
            assert admitted == before.admits(TOLERANCE, watch.at)
            assert not (admitted and late >= TOLERANCE.late)
            assert not (admitted and before.state is State.HALF_OPEN)
            trials += admitted and before.state is not State.CLOSED
            out += admitted
        elif step == "return" and late:
            breaker.returned()
            late -= 1
        elif step != "return" and out:
            out -= 1
            late += step == "give up"
            {"succeed": breaker.succeeded, "fail": breaker.failed, "give up": breaker.gave_up}[step]()
            in_a_row = 0 if step == "succeed" else in_a_row + 1
        after = breaker.condition
        assert after.late == late
        assert after.state is not State.OPEN or after.reopens_at <= watch.at + TOLERANCE.longest_rest
        if before.state is State.CLOSED:
            opens = in_a_row >= TOLERANCE.failures
            assert (after.state is State.OPEN) == opens
        elif after.state is State.CLOSED:
            assert (before.state, step) == (State.HALF_OPEN, "succeed")
            in_a_row = 0
    while late:
        breaker.returned()
        late -= 1
    watch.at += TOLERANCE.longest_rest
    assert breaker.admit() or breaker.condition.state is State.HALF_OPEN


@given(st.lists(st.sampled_from(["admit", "succeeded", "failed", "withdrew", "gave_up", "returned"])))
def test_a_breaker_becomes_what_its_conditions_say_without_any_short_way(events: list[str]) -> None:
    watch, plain, changes = Watch(), Condition(), list[bool]()
    told: list[bool] = []
    breaker = Breaker(TOLERANCE, watch, told.append)
    for event in events:
        watch.at += 0.3
        was = plain.state
        match event:
            case "admit":
                admitted = plain.admits(TOLERANCE, watch.at)
                assert breaker.admit() is admitted
                plain = plain.begun() if admitted else plain
            case "succeeded":
                plain = plain.succeeded()
                breaker.succeeded()
            case "failed":
                plain = plain.failed(TOLERANCE, watch.at)
                breaker.failed()
            case "withdrew":
                plain = plain.withdrawn(watch.at)
                breaker.withdrew()
            case "gave_up":
                plain = plain.failed(TOLERANCE, watch.at)
                plain = replace(plain, late=plain.late + 1)
                breaker.gave_up()
            case _:
                plain = replace(plain, late=plain.late - 1)
                breaker.returned()
        assert breaker.condition == plain
        if event not in ("admit", "withdrew") and plain.state not in (was, State.HALF_OPEN):
            changes.append(plain.state is State.CLOSED)
    assert told == changes
