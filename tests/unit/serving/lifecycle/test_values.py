"""What a gate's number comes to, and when two keys are one person's."""

from __future__ import annotations

import pytest

from serving.lifecycle import Actor, GateVerdict, Verdict, judged, overall

NAN = float("nan")


@pytest.mark.parametrize(
    ("number", "bounds", "verdict"),
    [
        ((None, None, None), {"at_least": 0.7}, Verdict.FAIL),
        ((NAN, 0.8, 0.9), {"at_least": 0.7}, Verdict.FAIL),
        ((0.8, NAN, 0.9), {"at_least": 0.7}, Verdict.FAIL),
        ((0.8, 0.9, 0.7), {"at_least": 0.7}, Verdict.FAIL),
        ((0.8, 0.7, 0.9), {"at_least": 0.7}, Verdict.PASS),
        ((0.8, 0.69, 0.9), {"at_least": 0.7}, Verdict.INCONCLUSIVE),
        ((0.6, 0.5, 0.69), {"at_least": 0.7}, Verdict.FAIL),
        ((0.6, 0.5, 0.7), {"at_least": 0.7}, Verdict.INCONCLUSIVE),
        ((1.0, 0.9, 1.1), {"at_least": 0.8, "at_most": 1.2}, Verdict.PASS),
        ((1.0, 0.7, 1.1), {"at_least": 0.8, "at_most": 1.2}, Verdict.INCONCLUSIVE),
        ((1.5, 1.3, 1.7), {"at_least": 0.8, "at_most": 1.2}, Verdict.FAIL),
        ((0.7, None, None), {"at_least": 0.7}, Verdict.PASS),
        ((0.7, 0.6, None), {"at_least": 0.7}, Verdict.PASS),
        ((0.6, None, None), {"at_least": 0.7}, Verdict.FAIL),
        ((9.0, None, None), {}, Verdict.PASS),
    ],
)
def test_a_number_is_held_against_its_bounds(
    number: tuple[float | None, float | None, float | None], bounds: dict[str, float], verdict: Verdict
) -> None:
    assert judged(*number, **bounds) is verdict


def test_the_worst_gate_speaks_for_all() -> None:
    gates = {one: GateVerdict(gate=one, title=one, verdict=one) for one in Verdict}
    assert overall([]) is Verdict.FAIL
    assert overall([gates[Verdict.PASS]]) is Verdict.PASS
    assert overall([gates[Verdict.PASS], gates[Verdict.INCONCLUSIVE]]) is Verdict.INCONCLUSIVE
    assert overall(gates.values()) is Verdict.FAIL


@pytest.mark.parametrize("name", ["Ada Byron", " ada  byron ", "ADA BYRON", "Ａda Byron"])  # noqa: RUF001
def test_a_person_is_one_under_any_spelling_and_key(name: str) -> None:
    ada = Actor("key_1", "Ada Byron", "risk_officer")
    assert ada.is_same_person(Actor("key_2", name, "data_scientist"))


def test_the_machine_is_no_person_and_nobody_is_another() -> None:
    ada, machine = Actor("key_1", "Ada Byron"), Actor("machine")
    assert not ada.is_same_person(Actor("key_1", "Eva Byron"))
    assert not machine.is_same_person(machine)
    assert not ada.is_same_person(machine)
    assert not machine.is_same_person(ada)
