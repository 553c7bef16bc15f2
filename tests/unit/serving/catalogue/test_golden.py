"""Golden decisions of a catalogue: those that are shipped hold; what is wrong in others is told by line."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

import serving.catalogue
from features.definitions import customer_contract
from features.realtime_features import REALTIME_V1
from moment.errors import ConfigurationError
from serving.catalogue import load
from serving.catalogue.feature_columns import feature_columns
from serving.catalogue.golden import golden_beside, hold, missed, read_golden
from serving.decision.catalogue import Catalogue
from serving.decision.epsilon_uniform import EpsilonUniform

EXAMPLES = Path(serving.catalogue.__file__).parent / "examples"
FEATURES = feature_columns(customer_contract()) | feature_columns(REALTIME_V1)
BEST = "worth-times-chance"
GROCERIES = load(EXAMPLES / "groceries.yaml", FEATURES)


@pytest.mark.parametrize(("name", "fewest"), [("groceries", 12), ("bank", 25)])
def test_the_examples_decide_as_is_written_beside_them(name: str, fewest: int) -> None:
    file = EXAMPLES / f"{name}.yaml"
    catalogue = load(file, FEATURES)
    golden = read_golden(golden_beside(file), catalogue, FEATURES)

    assert len(golden.decisions) >= fewest
    assert [str(one) for one in missed(golden, catalogue)] == []
    assert len({one.concept for one in golden.decisions}) == len(golden.decisions)


@pytest.mark.parametrize(
    ("name", "text", "change", "missing"),
    [
        ("groceries", "label: Beef coupon\n            value: 5.99", "label: B\n            value: 1", BEST),
        ("groceries", "context.weekday <> 'sunday'", "context.weekday <> 'monday'", "no-fish-on-sunday"),
        ("groceries", "same-coupon: {limit: 3", "same-coupon: {limit: 4", "three-times-a-week-is-enough"),
        ("bank", "- &not_vulnerable NOT vulnerable", "- &not_vulnerable \"TRUE\"", "vulnerable-customer"),
        ("bank", "mandatory: contract  # guarding", "# guarding", "fraud-warning-first"),
    ],
)  # fmt: skip
def test_a_change_that_matters_is_noticed(
    name: str, text: str, change: str, missing: str, tmp_path: Path
) -> None:
    written = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    assert text in written
    file = tmp_path / "changed.yaml"
    file.write_text(written.replace(text, change), encoding="utf-8")
    catalogue = load(file, FEATURES)
    golden = read_golden(EXAMPLES / f"{name}.golden.yaml", catalogue, FEATURES)

    found = missed(golden, catalogue)

    assert missing in {one.decision.name for one in found}
    told = next(str(one) for one in found if one.decision.name == missing)
    assert told.startswith(f"{name}.golden.yaml:")
    assert "expected" in told


def golden_file(folder: Path, text: str) -> Path:
    file = folder / "shop.golden.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def faults_of(folder: Path, text: str, catalogue: Catalogue = GROCERIES) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_golden(golden_file(folder, text), catalogue, FEATURES)
    return [str(fault) for fault in caught.value.faults]


WRONG = """\
decisions:
  one:
    concept: A typo in every line
    given:
      customer:
        days_since_purchas: 4
        baskets_90d: many
        kids: "17"
      consents: [marketng]
      zone: Middle/Earth
      contacts:
        - {action: coupon-beaf, at: 2018-01-05T17:00:00Z}
        - {action: coupon-beef, at: yesterday}
      merge: {}
    when:
      at: 2018-01-10
      channel: web
      placements: {hoem: 1}
      context: {weather: rain}
      propensities: {coupon-beff: 0.5, coupon-beef: 5}
      stopped: {model: [propensity]}
    then:
      actions: {home: [coupon-beaf]}
      reasons: {hoem: {coupon-beef: limit_reach}}
  two:
    when: {at: 2018-01-10T17:00:00Z, placements: {home: 1}}
    then: {}
"""


TOLD = """\
shop.golden.yaml:6: one, given.customer.days_since_purchas: there is no feature `days_since_purchas`; did you mean `days_since_purchase`?
shop.golden.yaml:7: one, given.customer.baskets_90d: must be int64, or null where it is not known
shop.golden.yaml:8: one, given.customer.kids: must be one of 0, 1, 2, 3+, or null
shop.golden.yaml:9: one, given.consents.0: there is no purpose `marketng`; did you mean `marketing`?
shop.golden.yaml:10: one, given.zone: there is no time zone `Middle/Earth`; write one such as Europe/Berlin
shop.golden.yaml:12: one, given.contacts.0.action: there is no action `coupon-beaf`; did you mean `coupon-beef`?
shop.golden.yaml:13: one, given.contacts.1.at: must be an instant such as 2026-11-30T08:00:00Z
shop.golden.yaml:14: one, given.merge: there is no such thing; did you mean `merged`?
shop.golden.yaml:16: one, when.at: must be an instant such as 2026-11-30T08:00:00Z
shop.golden.yaml:18: one, when.placements.hoem: there is no placement `hoem`; did you mean `home`?
shop.golden.yaml:19: one, when.context.weather: there is no context value `weather`; one of channel, device, fulfilment, hour, month, weekday
shop.golden.yaml:20: one, when.propensities.coupon-beef: must be a number, and a propensity one from 0 to 1
shop.golden.yaml:20: one, when.propensities.coupon-beff: there is no action or treatment `coupon-beff`; did you mean `coupon-beef`?
shop.golden.yaml:21: one, when.stopped.model: there is no such thing; did you mean `models`?
shop.golden.yaml:23: one, then.actions.home.0: there is no action `coupon-beaf`; did you mean `coupon-beef`?
shop.golden.yaml:23: one, then.actions.home: is not asked for; did you mean `hoem`?
shop.golden.yaml:24: one, then.reasons.hoem.coupon-beef: there is no reason `limit_reach`; did you mean `limit_reached`?
shop.golden.yaml:25: two: needs a concept: what it is about, in words
shop.golden.yaml:27: two, then: a case states what must come of it
"""  # noqa: E501


def test_every_fault_is_told_at_once_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    assert faults_of(tmp_path, WRONG) == TOLD.splitlines()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("decisions: {}", "shop.golden.yaml:1: decisions: needs at least one decision"),
        ("decision: {}", "shop.golden.yaml:1: decisions: is missing"),
        ("decisions:\n  one: 3", "shop.golden.yaml:2: one, the case: must be a mapping of names to values"),
        (
            "decisions:\n  one: {concept: c, when: [], then: {refused: no}}",
            "shop.golden.yaml:2: one, when: must be a mapping of names to values",
        ),
        (
            "decisions:\n  one: {concept: c, given: {contacts: 3}, when: {at: 1}, then: {offers: 1}}",
            "shop.golden.yaml:2: one, given.contacts: must be a list",
        ),
        (
            "decisions:\n  one: {concept: c, when: {at: 1}, then: {offers: 1}}",
            "shop.golden.yaml:2: one, then.offers: must be a mapping of placements to what is there",
        ),
        ("decisions: a: b", "shop.golden.yaml:1: mapping values are not allowed"),
    ],
)
def test_what_is_no_golden_decision_at_all_is_a_fault_and_no_accident(
    text: str, fault: str, tmp_path: Path
) -> None:
    assert any(one.startswith(fault) for one in faults_of(tmp_path, text))


def test_an_anchor_under_shared_is_no_decision(tmp_path: Path) -> None:
    text = """\
shared: [&who {age: 4}]
decisions:
  one:
    concept: A stranger gets the flyer
    when: {at: 2018-01-10T17:00:00Z, placements: {home: 1}}
    then: {actions: {home: [weekly-flyer]}, not_offered: [coupon-beef]}
"""
    golden = read_golden(golden_file(tmp_path, text), GROCERIES, FEATURES)

    assert [(one.name, one.place) for one in golden.decisions] == [("one", "shop.golden.yaml:3")]
    assert missed(golden, GROCERIES) == ()


def test_without_a_seed_nothing_is_left_to_chance(tmp_path: Path) -> None:
    text = """\
decisions:
  certain:
    concept: Beef comes first
    when: {at: 2018-01-10T17:00:00Z, placements: {home: 1}, propensities: {coupon-beef: 0.9, coupon-bacon: 0}}
    then: {actions: {home: [coupon-beef]}, probabilities: [1.0]}
  drawn:
    concept: Chance is drawn where a seed says how
    when:
      {at: 2018-01-10T17:00:00Z, placements: {home: 1}, seed: 1,
       propensities: {coupon-beef: 0.9, coupon-bacon: 0.1}}
    then: {probabilities: [0.5]}
"""
    exploring = replace(GROCERIES, exploration=EpsilonUniform(1.0))

    assert missed(read_golden(golden_file(tmp_path, text), exploring, FEATURES), exploring) == ()


def test_a_refusal_nobody_stated_is_told(tmp_path: Path) -> None:
    text = """\
decisions:
  one:
    concept: A device nobody has
    when: {at: 2018-01-10T17:00:00Z, placements: {home: 1}, context: {device: fridge}}
    then: {actions: {home: [weekly-flyer]}}
"""
    (one,) = missed(read_golden(golden_file(tmp_path, text), GROCERIES, FEATURES), GROCERIES)

    assert one.differences[0].startswith("it is refused: ")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("given", "customer", "balance_change_90d"), 10**400),
        (("given", "contacts", 0, "action"), []),
        (("given", "contacts", 0, "shown"), 5),
        (("when", "at"), datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
        (("when", "placements", "call_list"), ""),
        (("when", "context"), [[]]),
        (("then", "reasons"), {"call_list": 5}),
    ],
)
def test_what_cannot_be_decided_as_it_is_written_is_a_fault_with_its_place(
    tmp_path: Path, place: tuple[str | int, ...], value: object
) -> None:
    catalogue, golden = load(EXAMPLES / "bank.yaml"), EXAMPLES / "bank.golden.yaml"
    case = yaml.safe_load(golden.read_text(encoding="utf-8"))["decisions"]["a-call-a-month"]
    *above, last = place
    part = case
    for key in above:
        part = part[key]
    part[last] = value
    file = tmp_path / "odd.golden.yaml"
    file.write_text(yaml.safe_dump({"decisions": {"a-call-a-month": case}}), encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        hold(file, catalogue)

    assert [fault.place for fault in caught.value.faults] == ["odd.golden.yaml:2"]
    assert "cannot be decided as it is written" in caught.value.faults[0].message
