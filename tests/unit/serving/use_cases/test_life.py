"""One test a rule: what may be done to a model, by whom, when; and what is said when it may not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from moment.errors import InvalidRequest
from serving.lifecycle import (
    GateVerdict,
    Model,
    Severity,
    State,
    StopKind,
    Submitted,
    Verdict,
    Version,
    warnings,
)
from serving.ports import Role
from serving.ports.life import Signer
from serving.use_cases.life import Life
from tests.unit.serving.life_kit import (
    FAILED,
    MACHINE,
    NOW,
    PASSED,
    POLICY,
    PROPENSITY,
    UNSURE,
    House,
    bundle,
    personal,
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "bundles")


@contextmanager
def refusal(code: str, said: str) -> Iterator[None]:
    """See that something is refused with this code, in words that hold `said`."""
    with pytest.raises(InvalidRequest, match=re.escape(said)) as caught:
        yield
    assert caught.value.code == code


def refused(code: str, said: str, what: Callable[[], object]) -> None:
    """See that a call is refused."""
    with refusal(code, said):
        what()


class TestBecomingAChallenger:
    """Submitted, judged, accepted."""

    def test_a_bundle_becomes_a_candidate_with_what_is_said_of_it(self, house: House) -> None:
        folder = bundle(house.bundles, "1")
        made = house.life.submit(
            folder, house.carl, registered="7", tier=1, use_class="credit", owner="Carl", data_digest="d"
        )
        assert (made.state, made.made_by, made.since) == (State.CANDIDATE, house.carl.actor, NOW)
        told = made.submitted
        assert (told.run_id, told.registered, told.tier, told.use_class) == ("run-1", "7", 1, "credit")
        assert house.life.folder(made) == folder
        refused("not-now", "in the ledger already, as candidate", lambda: house.candidate("1"))

    def test_only_bundles_that_lie_where_they_are_served_from_enter(
        self, house: House, tmp_path: Path
    ) -> None:
        elsewhere = bundle(tmp_path / "elsewhere", "1")
        refused(
            "not-now", "enters where it will be served from", lambda: house.life.submit(elsewhere, MACHINE)
        )

    def test_a_tier_is_one_of_three(self, house: House) -> None:
        folder = bundle(house.bundles, "1")
        refused("not-now", "a tier is 1", lambda: house.life.submit(folder, house.carl, tier=4))

    @pytest.mark.parametrize(
        ("gates", "state"),
        [(PASSED, State.CHALLENGER), (UNSURE, State.CHALLENGER), (FAILED, State.CANDIDATE)],
    )
    def test_one_failure_keeps_it_a_candidate(
        self, house: House, gates: tuple[GateVerdict, ...], state: State
    ) -> None:
        assert house.challenger("1", gates).state is state

    def test_every_gate_is_told_once_and_one_at_least(self, house: House) -> None:
        made = house.candidate("1")
        for gates in ((), (*PASSED, *PASSED)):
            with refusal("not-now", "told once"):
                house.life.judge(*key(made), gates, MACHINE)

    def test_a_risk_officer_takes_a_failure_on_by_name(self, house: House) -> None:
        made = house.challenger("1", FAILED)
        taken = house.life.accept(*key(made), ["slope"], "few answers yet", house.ada)
        assert taken.state is State.CHALLENGER
        assert taken.accepted == (("slope", house.ada.actor, "few answers yet"),)
        assert taken.verdict is Verdict.FAIL, "what was found stays to be seen"
        assert taken.unaccepted == ()

    def test_an_acceptance_needs_a_role_a_reason_and_a_gate_that_waits(self, house: House) -> None:
        made, life = house.challenger("1", FAILED), house.life
        with refusal("role-missing", "may not take gates upon themselves"):
            life.accept(*key(made), ["slope"], "x", house.carl)
        refused("invalid-value", "say why", lambda: life.accept(*key(made), ["slope"], " ", house.ada))
        refused("not-now", "name the gates", lambda: life.accept(*key(made), [], "x", house.ada))
        refused("not-now", "no gate 'auc'", lambda: life.accept(*key(made), ["auc"], "x", house.ada))

    def test_who_made_it_does_not_answer_for_its_gates(self, house: House) -> None:
        made = house.challenger("1", UNSURE, house.ada)
        refused(
            "four-eyes", "Ada Byron made", lambda: house.life.accept(*key(made), ["slope"], "x", house.ada)
        )

    def test_what_was_accepted_goes_with_the_result_it_was_accepted_for(self, house: House) -> None:
        made = house.challenger("1", UNSURE)
        house.life.accept(*key(made), ["slope"], "x", house.ada)
        again = house.life.judge(*key(made), UNSURE, MACHINE)
        assert (again.accepted, len(again.unaccepted)) == ((), 1)

    def test_support_tells_no_gates(self, house: House) -> None:
        made = house.candidate("1")
        refused("role-missing", "support", lambda: house.life.judge(*key(made), PASSED, house.sam))
        refused("role-missing", "support", lambda: house.candidate("2", house.sam))


class TestApproval:
    """Four eyes, bound to the content, with an end."""

    def test_another_person_approves_until_a_day(self, house: House) -> None:
        made = house.approved("1", days=90)
        assert made.approval is not None
        assert made.approval.by == house.ada.actor
        ends = NOW + timedelta(days=90)
        assert made.approval.expires_at == ends
        assert [made.approved(ends - timedelta(seconds=1)), made.approved(ends)] == ["approved", "expired"]

    def test_nobody_approves_what_they_made_under_whatever_key(self, house: House) -> None:
        other_key = personal(house.keys, " ada  BYRON", Role.RISK_OFFICER)
        made = house.challenger("1", by=house.ada)
        refused("four-eyes", "made propensity", lambda: approve(house, made, other_key))
        assert approve(house, made, house.rosa).approved(NOW) == "approved"

    def test_only_a_risk_officer_approves_and_the_machine_never(self, house: House) -> None:
        made = house.challenger("1")
        for by in (house.carl, house.olga, house.sam, MACHINE):
            with refusal("role-missing", "approve versions"):
                approve(house, made, by)

    def test_a_failed_a_rejected_and_a_retired_one_are_not_approved(self, house: House) -> None:
        failed, rejected, retired = (house.challenger(one, FAILED) for one in "123")
        house.life.reject(*key(rejected), "no", house.ada)
        house.life.retire(*key(retired), "", house.olga)
        for one in (failed, rejected, retired):
            with refusal("not-now", "only what no gate failed"):
                approve(house, one, house.ada)

    @pytest.mark.parametrize("days", [0, -1, 731, 10**9])
    def test_an_approval_ends_within_two_years(self, house: House, days: int) -> None:
        made = house.challenger("1")
        refused("not-now", "ends in the future", lambda: approve(house, made, house.ada, days=days))

    def test_its_end_is_an_instant_with_its_zone(self, house: House) -> None:
        made, bare = house.challenger("1"), NOW.replace(tzinfo=None) + timedelta(days=9)
        refused("not-now", "with its zone", lambda: house.life.approve(*key(made), until=bare, by=house.ada))
        until = NOW + timedelta(days=9)
        assert house.life.approve(*key(made), until=until, by=house.ada).approved(until) == "expired"

    def test_it_falls_when_the_gates_are_asked_anew_and_find_less(self, house: House) -> None:
        made = house.approved("1")
        assert house.life.judge(*key(made), PASSED, MACHINE).approval == made.approval
        assert house.life.judge(*key(made), UNSURE, MACHINE).approval is None
        other = house.approved("2")
        missing = (PASSED[0].__class__(gate="brier", title="Brier", verdict=Verdict.PASS, value=0.1),)
        assert house.life.judge(*key(other), missing, MACHINE).approval is None

    def test_what_serves_keeps_its_approval_whatever_is_found(self, house: House) -> None:
        made = house.champion("1")
        again = house.life.judge(*key(made), FAILED, MACHINE)
        assert (again.state, again.approval) == (State.CHAMPION, made.approval)

    def test_its_end_unloads_nothing_and_is_said_thirty_days_ahead(self, house: House) -> None:
        made = house.champion("1", days=90)
        name = f"propensity {made.version}"
        assert warnings(house.life.book(), NOW + timedelta(days=59)) == ()
        soon = warnings(house.life.book(), NOW + timedelta(days=70, hours=1))
        assert soon == (
            f"{name}: its approval ends within 20 days, on 2026-08-02; `moment models approve {name}`",
        )
        house.clock.forward(days=91)
        (ended,) = warnings(house.life.book(), house.clock())
        assert ended.startswith(f"{name}: its approval ended on 2026-08-02, it serves on")
        assert house.life.book().champion(PROPENSITY) == made
        renewed = approve(house, made, house.ada)
        assert (renewed.state, renewed.approved(house.clock())) == (State.CHAMPION, "approved")
        assert warnings(house.life.book(), house.clock()) == ()


class TestPromotion:
    """What it takes to serve."""

    def test_the_one_before_becomes_a_former(self, house: House) -> None:
        first, second = house.champion("1"), house.champion("2")
        book = house.life.book()
        assert book.champion(PROPENSITY) == second
        former = book.former(PROPENSITY)
        assert former is not None
        assert (former.digest, former.state) == (first.digest, State.FORMER)

    def test_nothing_is_promoted_without_an_approval_that_holds(self, house: House) -> None:
        bare, ended = house.challenger("1"), house.approved("2", days=10)
        house.clock.forward(days=10)
        refused("four-eyes", "no approval that holds (none)", lambda: promote(house, bare))
        refused("four-eyes", "no approval that holds (expired)", lambda: promote(house, ended))

    def test_nothing_is_promoted_with_a_gate_nobody_answers_for(self, house: House) -> None:
        made = house.challenger("1", UNSURE)
        approve(house, made, house.ada)
        refused("not-now", "gates nobody answers for: slope (inconclusive)", lambda: promote(house, made))
        house.life.accept(*key(made), ["slope"], "known", house.rosa)
        assert promote(house, made).state is State.CHAMPION

    @pytest.mark.parametrize("of_version", [True, False])
    def test_a_blocking_finding_stops_it_until_it_is_closed(self, house: House, *, of_version: bool) -> None:
        made = house.approved("1")
        found = find(house, made if of_version else None)
        refused("not-now", f"held back by {found}", lambda: promote(house, made))
        house.life.close_finding(found, "mended", house.ada)
        assert promote(house, made).state is State.CHAMPION

    def test_other_findings_stop_nothing(self, house: House) -> None:
        other, made = house.challenger("2"), house.approved("1")
        find(house, other)
        find(house, None, blocks=False)
        find(house, None, model=POLICY)
        assert promote(house, made).state is State.CHAMPION

    def test_candidates_rejected_retired_and_the_champion_are_not_promoted(self, house: House) -> None:
        candidate, rejected, champion = house.candidate("1"), house.challenger("2"), house.champion("3")
        house.life.reject(*key(rejected), "no", house.ada)
        for one in (candidate, rejected, champion):
            with refusal("not-now", "only a challenger is promoted"):
                promote(house, one)

    def test_support_promotes_nothing(self, house: House) -> None:
        made = house.approved("1")
        refused("role-missing", "support", lambda: house.life.promote(*key(made), "", house.sam))

    def test_a_version_that_is_not_there_is_named(self, house: House) -> None:
        gone = "0" * 64
        refused("unknown-version", "no version 000000000000", lambda: promote_digest(house, gone))


class TestTheMachine:
    """What nobody does by name: as long as nobody is in charge."""

    def test_it_installs_what_passed_and_takes_on_what_was_unsure(self, house: House) -> None:
        passed = house.challenger("1", by=MACHINE)
        assert house.life.install(*key(passed), reason="demo").state is State.CHAMPION
        unsure = house.challenger("2", UNSURE, by=MACHINE)
        installed = house.life.install(*key(unsure), reason="demo")
        assert installed.accepted == (("slope", MACHINE.actor, "demo"),)
        assert installed.approved(NOW) == "none"
        assert warnings(house.life.book(), NOW) == (), "nobody is in charge, so nobody is told"

    def test_it_takes_no_failure_on(self, house: House) -> None:
        made = house.challenger("1", FAILED, by=MACHINE)
        refused("not-now", "is candidate", lambda: house.life.install(*key(made), reason="demo"))
        refused(
            "role-missing",
            "failed slope: only a risk officer",
            lambda: house.life.accept(*key(made), ["slope"], "demo", MACHINE),
        )
        assert house.life.seq() == 2, "all or nothing"

    @pytest.mark.parametrize(
        "act",
        [
            lambda house, made: house.life.approve(*key(made), reason="", by=house.ada),
            lambda house, made: house.life.challenge(*key(made), shadow=0.1, by=house.carl),
            lambda house, _: find(house, None, blocks=False),
            lambda house, _: house.candidate("other"),
        ],
    )
    def test_it_promotes_nothing_once_a_person_is_in_charge(
        self, house: House, act: Callable[[House, Version], object]
    ) -> None:
        made = house.challenger("1", by=MACHINE)
        act(house, made)
        refused("four-eyes", "people are in charge", lambda: house.life.install(*key(made), reason="demo"))
        refused("four-eyes", "people are in charge", lambda: house.life.promote(*key(made), "", MACHINE))
        assert made.model in house.life.book().claimed

    def test_another_model_is_not_claimed_with_it(self, house: House) -> None:
        house.champion("1")
        made = house.candidate("p", MACHINE, POLICY)
        house.life.judge(*key(made), PASSED, MACHINE)
        assert house.life.install(*key(made), reason="demo").state is State.CHAMPION

    def test_a_model_that_is_claimed_without_approval_is_warned_of(self, house: House) -> None:
        made = house.challenger("1", by=MACHINE)
        house.life.install(*key(made), reason="demo")
        house.candidate("2")
        (line,) = warnings(house.life.book(), NOW)
        assert line.startswith(f"propensity {made.version}: it serves without an approval")

    def test_it_rolls_back_only_what_is_its_own(self, house: House) -> None:
        first, second = (house.challenger(one, by=MACHINE) for one in "12")
        for one in (first, second):
            house.life.install(*key(one), reason="demo")
        assert house.life.roll_back(PROPENSITY, None, "worse", MACHINE).digest == first.digest
        house.life.install(*key(second), reason="demo")
        house.candidate("3")
        refused("four-eyes", "roll back", lambda: house.life.roll_back(PROPENSITY, None, "x", MACHINE))

    def test_it_rejects_retires_stops_and_finds_nothing(self, house: House) -> None:
        made, life = house.challenger("1", by=MACHINE), house.life
        for what in (
            lambda: life.reject(*key(made), "x", MACHINE),
            lambda: life.retire(*key(made), "x", MACHINE),
            lambda: life.stop(StopKind.ACTION, "tea", "x", MACHINE),
            lambda: life.add_finding(
                PROPENSITY, severity=Severity.LOW, section="data", reason="x", by=MACHINE
            ),
        ):
            refused("role-missing", "only people", what)


class TestGoingBack:
    """Rollback: one command, to what served before."""

    def test_it_goes_back_step_by_step_and_forward_by_promotion(self, house: House) -> None:
        first, second, third = (house.champion(one) for one in "123")
        assert roll_back(house).digest == second.digest
        assert roll_back(house).digest == first.digest
        refused("not-now", "no former champion", lambda: roll_back(house))
        refused("not-now", "anything else is promoted", lambda: roll_back(house, third))
        assert promote(house, third).state is State.CHAMPION
        assert roll_back(house).digest == first.digest

    def test_it_goes_back_to_a_named_one(self, house: House) -> None:
        first, *_ = (house.champion(one) for one in "123")
        assert roll_back(house, first).digest == first.digest
        assert house.life.book().former(PROPENSITY) is None

    def test_an_approval_that_ended_does_not_keep_anybody_from_safety(self, house: House) -> None:
        first = house.champion("1", days=10)
        house.champion("2")
        house.clock.forward(days=20)
        back = roll_back(house)
        assert (back.digest, back.approved(house.clock())) == (first.digest, "expired")
        assert "ended on" in warnings(house.life.book(), house.clock())[0]

    def test_promoting_a_former_again_takes_an_approval_that_holds(self, house: House) -> None:
        first = house.champion("1", days=10)
        house.champion("2")
        house.clock.forward(days=20)
        refused("four-eyes", "expired", lambda: promote(house, first))

    def test_a_retired_one_and_one_found_wrong_by_name_are_passed_over(self, house: House) -> None:
        first, second, third, _ = (house.champion(one) for one in "1234")
        house.life.retire(*key(third), "", house.olga)
        found = find(house, second)
        former = house.life.book().former(PROPENSITY)
        assert former is not None
        assert former.digest == first.digest
        refused("not-now", found, lambda: roll_back(house, second))
        find(house, None)
        assert roll_back(house).digest == first.digest, "what is wrong with all keeps nobody from going back"

    def test_it_needs_a_role_and_a_reason(self, house: House) -> None:
        for one in "12":
            house.champion(one)
        refused("role-missing", "support", lambda: house.life.roll_back(PROPENSITY, None, "worse", house.sam))
        refused("invalid-value", "say why", lambda: house.life.roll_back(PROPENSITY, None, "", house.carl))

    def test_a_hundred_swaps_leave_a_short_line(self, house: House) -> None:
        first, second = house.champion("1"), house.champion("2")
        for _ in range(50):
            assert roll_back(house).digest == first.digest
            assert promote(house, second).digest == second.digest
        assert house.life.book().champions[PROPENSITY] == (first.digest, second.digest)


class TestChallengers:
    """Shares."""

    def test_customers_are_given_to_an_approved_challenger_alone(self, house: House) -> None:
        made, life = house.challenger("1"), house.life
        shadowed = life.challenge(*key(made), shadow=0.5, by=MACHINE)
        assert (shadowed.shadow, shadowed.routed) == (0.5, 0.0)
        refused("four-eyes", "approved", lambda: life.challenge(*key(made), routed=0.1, by=house.carl))
        approve(house, made, house.ada)
        refused("four-eyes", "in charge", lambda: life.challenge(*key(made), routed=0.1, by=MACHINE))
        life.challenge(*key(made), shadow=0.5, routed=0.1, by=house.carl)
        assert [one.routed for one in life.book().routed(PROPENSITY, NOW)] == [0.1]

    def test_its_customers_go_when_its_approval_ends_or_a_finding_blocks(self, house: House) -> None:
        made, life = house.approved("1", days=10), house.life
        life.challenge(*key(made), routed=0.1, by=house.carl)
        assert life.book().routed(PROPENSITY, NOW + timedelta(days=10)) == ()
        found = find(house, made)
        assert life.book().routed(PROPENSITY, NOW) == ()
        refused("not-now", found, lambda: life.challenge(*key(made), routed=0.2, by=house.carl))

    def test_shares_are_shares_and_all_customers_are_given_once(self, house: House) -> None:
        one, other, life = house.approved("1"), house.approved("2"), house.life
        for share in (-0.1, 1.1, float("nan")):
            with refusal("not-now", "0 to 1"):
                life.challenge(*key(one), shadow=share, by=house.carl)
        life.challenge(*key(one), routed=0.6, by=house.carl)
        refused("not-now", "60%", lambda: life.challenge(*key(other), routed=0.5, by=house.carl))
        assert life.challenge(*key(one), routed=0.9, by=house.carl).routed == 0.9

    def test_what_is_no_challenger_any_more_loses_its_shares(self, house: House) -> None:
        made, life = house.challenger("1"), house.life
        life.challenge(*key(made), shadow=0.5, by=house.carl)
        assert life.judge(*key(made), FAILED, MACHINE).shadow == 0.0
        assert life.judge(*key(made), PASSED, MACHINE).shadow == 0.0
        champion = house.champion("2")
        refused("not-now", "no challenger", lambda: life.challenge(*key(champion), shadow=0.1, by=house.carl))


class TestTheEnd:
    """Rejected, retired."""

    def test_a_rejected_one_is_asked_nothing_more(self, house: House) -> None:
        made = house.challenger("1")
        assert house.life.reject(*key(made), "unfair", house.ada).state is State.REJECTED
        refused("not-now", "nothing more", lambda: house.life.judge(*key(made), PASSED, MACHINE))
        refused("not-now", "is rejected", lambda: house.life.reject(*key(made), "unfair", house.ada))

    def test_what_serves_is_neither_rejected_nor_retired(self, house: House) -> None:
        made = house.champion("1")
        refused("not-now", "what has served", lambda: house.life.reject(*key(made), "x", house.ada))
        refused("not-now", "promote another", lambda: house.life.retire(*key(made), "x", house.ada))

    def test_only_a_risk_officer_rejects_and_says_why(self, house: House) -> None:
        made = house.challenger("1")
        refused("role-missing", "reject", lambda: house.life.reject(*key(made), "x", house.carl))
        refused("invalid-value", "say why", lambda: house.life.reject(*key(made), "", house.ada))


class TestFindings:
    """What is wrong, and who may say it is no more."""

    def test_a_risk_officer_who_did_not_make_it_closes_it_once(self, house: House) -> None:
        made = house.challenger("1", by=house.ada)
        found = find(house, made)
        refused("role-missing", "close", lambda: house.life.close_finding(found, "x", house.carl))
        refused("four-eyes", "made", lambda: house.life.close_finding(found, "x", house.ada))
        closed = house.life.close_finding(found, "mended", house.rosa)
        assert closed.closed == (house.rosa.actor, NOW, "mended")
        refused("not-now", "closed already", lambda: house.life.close_finding(found, "x", house.rosa))
        refused("unknown-finding", "no finding", lambda: house.life.close_finding("f", "x", house.rosa))

    def test_it_is_about_something_there_is(self, house: House) -> None:
        refused("unknown-version", "no version", lambda: find_digest(house, "0" * 64))


class TestStops:
    """Off by one, on by two."""

    def test_anybody_with_a_key_stops_at_once(self, house: House) -> None:
        stop = house.life.stop(StopKind.ACTION, "coupon-beef", "wrong price", house.sam)
        assert house.life.book().stops == {stop.stop_id: stop}
        with refusal("not-now", f"stopped already, as {stop.stop_id}"):
            house.life.stop(StopKind.ACTION, "coupon-beef", "x", house.ada)
        assert house.life.book().claimed == frozenset()

    def test_a_stop_has_a_reason_a_name_and_a_model_that_is_one(self, house: House) -> None:
        refused("invalid-value", "say why", lambda: house.life.stop(StopKind.ISSUE, "growth", "", house.sam))
        refused("not-now", "say which", lambda: house.life.stop(StopKind.ISSUE, " ", "x", house.sam))
        refused(
            "unknown-model",
            "no model 'uplift'",
            lambda: house.life.stop(StopKind.MODEL, "uplift", "x", house.sam),
        )

    def test_two_different_people_resume(self, house: House) -> None:
        stop = house.life.stop(StopKind.CHANNEL, "app", "x", house.ada)
        asked = house.life.resume(stop.stop_id, house.ada)
        assert asked is not None
        assert asked.asked == house.ada.actor
        other_key = personal(house.keys, "ADA byron", Role.OPERATOR)
        for by in (house.ada, other_key):
            with refusal("two-people", "two people"):
                house.life.resume(stop.stop_id, by)
        assert house.life.resume(stop.stop_id, house.olga) is None
        assert house.life.book().stops == {}
        refused("unknown-stop", "nothing is stopped", lambda: house.life.resume(stop.stop_id, house.olga))

    def test_only_operations_resume(self, house: House) -> None:
        stop = house.life.stop(StopKind.MODEL, "propensity", "x", house.sam)
        for by in (house.sam, house.carl, MACHINE):
            with refusal("role-missing", "resume"):
                house.life.resume(stop.stop_id, by)


class TestFinding:
    """A version by the first digits of its digest."""

    def test_four_digits_are_enough_where_they_are_one(self, house: House) -> None:
        made = house.candidate("1")
        assert house.life.find(PROPENSITY, made.digest[:4].upper()) == made
        assert house.life.find(PROPENSITY, made.digest) == made

    def test_a_miss_names_the_nearest(self, house: House) -> None:
        made = house.candidate("1")
        near = "0" + made.version[1:]
        refused("unknown-version", made.version, lambda: house.life.find(PROPENSITY, near))
        refused("unknown-version", made.version, lambda: house.life.find(PROPENSITY, made.digest[:3]))
        refused("unknown-version", "no version zzzz", lambda: house.life.find(POLICY, "zzzz"))

    def test_a_beginning_of_two_is_neither(self, house: House) -> None:
        one, other = (Submitted(model=PROPENSITY, digest=f"abcd{last}" + "0" * 59) for last in "12")
        house.ledger.append(lambda _: [one, other], MACHINE)
        refused("unknown-version", "more than one", lambda: house.life.find(PROPENSITY, "abcd"))
        assert house.life.find(PROPENSITY, "abcd2").digest == other.digest


class TestTheOffice:
    """What training asks of it."""

    def test_it_enters_a_bundle_in_one_go(self, house: House) -> None:
        folder = bundle(house.bundles, "1")
        entered = house.life.enter(folder, UNSURE, registered="3", owner="Carl", reason="schedule")
        assert (entered.state, entered.made_by) == (State.CHALLENGER, MACHINE.actor)
        assert (entered.submitted.registered, entered.submitted.reason) == ("3", "schedule")
        assert house.life.seq() == 2

    def test_entering_again_tells_new_figures_and_nothing_twice(self, house: House) -> None:
        folder = bundle(house.bundles, "1")
        house.life.enter(folder, UNSURE)
        house.life.enter(folder, UNSURE)
        assert house.life.seq() == 2
        assert house.life.enter(folder, FAILED).state is State.CANDIDATE
        assert house.life.seq() == 3

    def test_it_acts_for_whose_key_lies_in_the_file(self, house: House, tmp_path: Path) -> None:
        signed: list[Path] = []
        life = Life(
            house.ledger,
            house.bundles,
            house.clock,
            MACHINE,
            sign=signed.append,
            person={tmp_path / "carl.key": house.carl}.__getitem__,
        )
        folder = bundle(house.bundles, "1")
        entered = life.enter(folder, PASSED, key_file=tmp_path / "carl.key")
        assert (entered.made_by, signed) == (house.carl.actor, [folder])


def key(version: Version) -> tuple[Model, str]:
    return version.model, version.digest


def approve(house: House, version: Version, by: Signer, days: int = 365) -> Version:
    return house.life.approve(*key(version), days=days, reason="", by=by)


def promote(house: House, version: Version) -> Version:
    return promote_digest(house, version.digest)


def promote_digest(house: House, digest: str) -> Version:
    return house.life.promote(PROPENSITY, digest, "", house.olga)


def roll_back(house: House, to: Version | None = None) -> Version:
    return house.life.roll_back(PROPENSITY, None if to is None else to.digest, "worse", house.olga)


def find(house: House, version: Version | None, *, blocks: bool = True, model: Model = PROPENSITY) -> str:
    return find_digest(house, None if version is None else version.digest, blocks=blocks, model=model)


def find_digest(house: House, digest: str | None, *, blocks: bool = True, model: Model = PROPENSITY) -> str:
    found = house.life.add_finding(
        model, digest, severity=Severity.HIGH, section="data", blocks=blocks, reason="leak", by=house.carl
    )
    return found.finding_id
