"""docs/policies.md is true: catalogues load, rules parse, tables are complete, outputs are real."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

from moment.errors import ConfigurationError
from serving.catalogue import load
from serving.catalogue.build import OUTCOMES
from serving.catalogue.diff import differences, lines_of
from serving.catalogue.golden import missed, read_golden
from serving.catalogue.golden_check import GIVEN, WHEN
from serving.catalogue.golden_told import THEN
from serving.decision.actions import LawfulBasis, SetBy
from serving.decision.calls import FUNCTION_NAMES
from serving.decision.catalogue import Catalogue
from serving.decision.columns import Column, ColumnType
from serving.decision.context import CONTEXT_PREFIX
from serving.decision.decide import decide
from serving.decision.decision import Scores
from serving.decision.explanation import explain
from serving.decision.explorations import EXPLORATIONS
from serving.decision.functions import USAGE
from serving.decision.parsing import parse_rule
from serving.decision.reasons import Reason
from serving.decision.shortlist import Shortlist
from serving.decision.values import (
    Consent,
    Customer,
    CustomerId,
    History,
    PlacementRequest,
    ProfileKind,
    Purpose,
    Request,
)

TEXT = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
MISTAKES = Path(__file__).parent / "serving" / "catalogue" / "mistakes.txt"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
STARTER = EXAMPLES[0]

Document = dict[str, "Document | object"]


def table(header: str) -> list[list[str]]:
    """Return the cells of the rows of the table whose header begins with this."""
    found = re.search(rf"^\| {re.escape(header)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert found is not None, header
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in found[1].splitlines()]


def after(mark: str) -> str:
    """Return the block of text after a mark."""
    found = re.search(rf"<!-- {mark} -->\n```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, mark
    return found[1]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def merged(base: object, piece: object) -> object:
    """Return a document with a piece of another added to it."""
    if isinstance(base, dict) and isinstance(piece, dict):
        both = {key: merged(base[key], value) if key in base else value for key, value in piece.items()}
        return {**base, **both}
    return piece


def read(document: object, folder: Path, name: str = "first-bank.yaml") -> Catalogue:
    path = folder / name
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return load(path, {})


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    path = tmp_path_factory.mktemp("docs") / "first-bank.yaml"
    path.write_text(STARTER, encoding="utf-8")
    return load(path, {})


@pytest.mark.parametrize("piece", EXAMPLES[1:], ids=range(2, len(EXAMPLES) + 1))
def test_every_example_loads_and_changes_what_is_decided(
    piece: str, starter: Catalogue, tmp_path: Path
) -> None:
    added = read(merged(yaml.safe_load(STARTER), yaml.safe_load(piece)), tmp_path)

    assert added.digest != starter.digest


def test_all_examples_together_load(tmp_path: Path) -> None:
    document: object = {}
    for piece in EXAMPLES:
        document = merged(document, yaml.safe_load(piece))

    assert len(read(document, tmp_path).contact_policies) == 6


def test_every_rule_parses(starter: Catalogue) -> None:
    columns = {CONTEXT_PREFIX + one.name: Column(one.type, one.categories) for one in starter.context}
    columns |= {
        name: Column(ColumnType(said["type"])) for name, said in yaml.safe_load(STARTER)["customer"].items()
    }
    columns["action.value"] = Column(ColumnType.FLOAT)
    rules = [
        line
        for block in re.findall(r"^```sql\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]

    assert len(rules) >= 10
    assert [fault for rule in rules for fault in parse_rule(rule, columns).faults] == []


def test_the_table_of_functions_is_the_parsers() -> None:
    rows = dict(table("function"))
    named = {usage.split("(")[0].strip("`"): usage.strip("`") for usage in rows}

    assert set(named) == set(FUNCTION_NAMES)
    assert {name: named[name] for name in map(str, USAGE)} == {
        str(key): value for key, value in USAGE.items()
    }


def test_the_lists_of_words_are_complete() -> None:
    def told(before: str) -> set[str]:
        return words(re.split(r"[.:;]\s|\|\n", TEXT[TEXT.index(before) + len(before) :], maxsplit=1)[0])

    assert {row[0].strip("`") for row in table("`policy`")} == set(EXPLORATIONS)
    assert {row[0].strip("`") for row in table("`set_by`")} == set(SetBy)
    assert told("must have consented to: ") == set(Purpose)
    assert told("Types are ") == set(ColumnType)
    assert all(basis in TEXT for basis in LawfulBasis)
    assert set(OUTCOMES) <= words({row[0]: row[1] for row in table("entry | says")}["`after`"])


def test_every_reason_is_listed_under_its_stage() -> None:
    listed = {stage: words(reasons) for stage, reasons in table("stage")}
    known: dict[str, set[str]] = {}
    for reason in Reason:
        known.setdefault(reason.stage.value, set()).add(reason.name.lower())

    assert listed == known


def test_the_explanation_is_what_moment_says(starter: Catalogue) -> None:
    assert after("explained") == explanation(starter)


def test_the_golden_decisions_come_out(starter: Catalogue, tmp_path: Path) -> None:
    found = re.search(r"<!-- golden -->\n```yml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    file = tmp_path / "first-bank.golden.yaml"
    file.write_text(found[1], encoding="utf-8")
    customer = yaml.safe_load(STARTER)["customer"]
    columns = {name: Column(ColumnType(said["type"])) for name, said in customer.items()}

    golden = read_golden(file, starter, columns)

    assert len(golden.decisions) == 3
    assert [str(one) for one in missed(golden, starter)] == []


def test_what_a_golden_decision_may_say_is_listed() -> None:
    listed = {words(part).pop(): words(said) for part, said in table("part | may say")}

    assert listed["given"] - {"gone"} == GIVEN
    assert listed["when"] - {"web"} == WHEN
    assert listed["then"] == THEN


def test_every_gate_of_a_policy_is_listed() -> None:
    gates = {words(gate).pop() for gate, *_ in table("gate")}

    assert gates == {"catalogue.check", "golden", "latency.p99_ms", "reach", "starved", "changed"}


def test_the_difference_is_what_moment_says(tmp_path: Path) -> None:
    assert after("differs") == difference(tmp_path)


def test_the_mistakes_are_what_moment_says() -> None:
    said = MISTAKES.read_text(encoding="utf-8").splitlines()
    told = after("mistakes").splitlines()

    assert len(told) >= 10
    assert [line for line in told if f"  {line}" not in said] == []


def test_the_table_of_entries_is_the_readers(tmp_path: Path) -> None:
    assert {where: words(entries) for where, entries in table("where")} == dict(entries(tmp_path))


def explanation(starter: Catalogue) -> str:
    """Return why a customer of the docs' catalogue gets what, in words."""
    customer = Customer(
        CustomerId("17"),
        ProfileKind.KNOWN,
        {"age": 34, "balance": 1200.0, "city": "Berlin", "holds_card": None, "vulnerable": False},
        consent=Consent(frozenset({Purpose.SERVICE, Purpose.MARKETING})),
    )
    request = Request("web", (PlacementRequest("home", 2),), {"device": "phone"})
    at = datetime(2026, 11, 22, 18, tzinfo=UTC)
    decision = decide(request, starter, customer, History(), at, level, np.random.default_rng(1))
    return explain(decision.considered).as_text() + "\n"


def level(shortlist: Shortlist) -> Scores:
    same = np.full(len(shortlist.contenders), 0.02)
    return Scores(same, same)


def difference(folder: Path) -> str:
    """Return what the piece with the levers changes."""
    document = yaml.safe_load(STARTER)
    piece = next(one for one in EXAMPLES if "lever: 1.1" in one)
    found = differences(
        read(document, folder, "live.yaml"),
        read(merged(document, yaml.safe_load(piece)), folder, "new.yaml"),
    )
    return "\n".join(lines_of(found)) + "\n"


PLACES: Mapping[str, str] = {
    "the file": "{}",
    "`channels` > a channel": "channels: {email: {}}",
    "`customer` > a column": "customer: {age: {}}",
    "`context` > a value": "context: {hour: {}}",
    "`arbitration`": "arbitration: {}",
    "`exploration`": "exploration: {policy: epsilon_uniform}",
    "`placements` > a channel > a placement": "placements: {web: {home: {}}}",
    "`fallbacks` > an action": "fallbacks: {advice: {}}",
    "`defaults`": "defaults: {}",
    "an issue": "issues: {growth: {}}",
    "a group": "issues: {growth: {groups: {loans: {}}}}",
    "an action": "issues: {growth: {groups: {loans: {actions: {car-loan: {}}}}}}",
    "a treatment": "defaults: {treatments: {web: {}}}",
    "a context weight": "defaults: {context_weights: {when: age > 1, weight: 2}}",
    "`contact_policies` > a limit": "contact_policies: {one: {limit: 3, window: 7d}}",
    "`contact_policies` > a suppression": (
        "contact_policies: {one: {suppress: 7d, after: {outcome: clicked}}}"
    ),
    "`contact_policies` > a cool-off": "contact_policies: {one: {cool_off: 7d}}",
    "`contact_policies` > quiet hours": (
        "contact_policies: {one: {quiet_hours: {from: '21:00', to: '22:00'}}}"
    ),
    "`exclusions` > a set": "exclusions: {one: {}}",
    "`control`, `holdout`": "control: {share: 0.1}",
    "`experiments` > a layer > an experiment": "experiments: {one: {two: {}}}",
    "an arm": "experiments: {one: {two: {arms: {three: {share: 0.1}}}}}",
}
"""Where entries stand, and a piece in which nothing but that place lacks an entry."""


def entries(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield what each place takes, as the reader says it of an entry it does not know."""
    for where, piece in PLACES.items():
        document = merged(yaml.safe_load(STARTER), with_unknown(yaml.safe_load(piece)))
        with pytest.raises(ConfigurationError) as caught:
            read(document, folder)
        (fault,) = (
            one.message for one in caught.value.faults if "qqq: there is no such entry" in one.message
        )
        yield where, set(fault.partition("; it takes ")[2].split(", "))


def with_unknown(piece: object) -> object:
    """Return a piece with an entry nobody knows in its innermost place."""
    if not isinstance(piece, dict):
        return piece
    deeper = {
        key: value
        for key, value in piece.items()
        if isinstance(value, dict) and key not in ("after", "quiet_hours")
    }
    if deeper:
        return {**piece, **{key: with_unknown(value) for key, value in deeper.items()}}
    return {**piece, "qqq": 1}
