"""Every golden decision, one concept each: tests/golden/decisions/*.yaml."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from serving.decision.explanation import explain
from serving.decision.reasons import Reason
from tests.golden.cases import FOLDER, decided, read, run

CASES = sorted((FOLDER / "decisions").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden_decision(path: Path) -> None:
    case = read(path)

    assert run(case) == [], case["concept"]


def test_there_are_enough_cases_and_no_concept_comes_twice() -> None:
    concepts = Counter(read(path)["concept"] for path in CASES)

    assert len(CASES) >= 60
    assert [concept for concept, times in concepts.items() if times > 1] == []


def test_every_reason_there_is_comes_up_and_has_its_words() -> None:
    cases = [read(path) for path in CASES]
    decisions = [decided(case) for case in cases if "refused" not in case["then"]]
    told = [one for decision in decisions for one in explain(decision.considered).candidates]

    assert {one.reason for one in told} == set(Reason) - {Reason.UNDECIDED}
    assert all(one.text.startswith(f"{one.stage}: ") for one in told)


@pytest.mark.parametrize(
    ("part", "name", "place"),
    [
        ("then", {"ofers": {"home": []}}, "then.ofers"),
        ("when", {"tiem": 1}, "when.tiem"),
        ("given", {"custmer": {}}, "given.custmer"),
        ("then", {"reasons": {"home": {"chese": "shown"}}}, "then.reasons.home.chese"),
        ("then", {"reasons": {"home": {"cheese": "show"}}}, "then.reasons.home.cheese"),
        ("then", {"reasons": {"hoem": {"cheese": "shown"}}}, "then.reasons.hoem"),
        ("then", {"not_offered": ["chese"]}, "then.not_offered.0"),
        ("then", {"not_offered": ["cheese"]}, ".not_offered"),
        ("given", {"consents": ["marketng"]}, "given.consents.0"),
        ("given", {"contacts": [{"action": "chese", "at": "now"}]}, "given.contacts.0.action"),
        ("given", {"zone": "Mars"}, "given.zone"),
        ("when", {"context": {"devise": "phone"}}, "when.context.devise"),
        ("when", {"propensities": {"cheese": 1.5, "milk": 0.5, "bread": 0.1}}, "when.propensities.cheese"),
        ("when", {"stopped": {"issues": ["sel"]}}, "when.stopped.issues.0"),
        ("when", {"force": {"action": "chese"}}, "when.force.action"),
        ("then", {"context": {"devise": None}}, ".context.devise"),
        ("then", {"refused": "unknown-channel"}, ".refused"),
    ],
)
def test_a_name_that_is_not_known_fails_the_case(part: str, name: dict[str, object], place: str) -> None:
    case = read(FOLDER / "decisions" / "highest_priority_wins.yaml")
    assert run(case) == []
    case[part] = {**(case.get(part) or {}), **name}

    told = run(case)

    assert told[0].startswith(f"{place}: ")


def test_a_case_that_states_nothing_fails() -> None:
    case = read(FOLDER / "decisions" / "highest_priority_wins.yaml") | {"then": {}}

    assert run(case) == ["then: a case states what must come of it"]
