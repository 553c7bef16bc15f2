"""Every mistake in a catalogue is told at once: its line, whose it is, and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from moment.errors import ConfigurationError
from serving.catalogue import load
from serving.decision.actions import Distinct, SetBy
from tests.golden.cases import FEATURES

SOUND = """\
catalogue: shop
currency: EUR
timezone: Europe/Berlin
context:
  hour: {type: int64, set_by: moment, meaning: Hour of the day}
placements:
  web:
    home: {slots: 2, distinct: group, fallback: flyer}
fallbacks:
  flyer:
    label: Flyer
    treatments:
      web: {channel: web, placements: [home], content: {title: Flyer}}
defaults:
  window_days: 30
  treatments:
    web: {channel: web, placements: [home], content: {title: "{{ action.label }}"}}
issues:
  sell:
    groups:
      dairy:
        attributes: {shelf: cold}
        eligible: age >= 18
        actions:
          cheese:
            label: Cheese
            value: 4
            attributes: {grams: 200}
            eligible:
              - context.hour BETWEEN 8 AND 20
              - action.shelf = 'cold'
            applicable: NOT vegan
            starts_at: 2026-03-01
            ends_at: 2026-04-01T12:00:00Z
          milk: {label: Milk, value: 1.5, attributes: {grams: 1000.5}, window_days: 7}
"""

TEN_MISTAKES = """\
catalogue: shop
currency: euro
context:
  hour: {type: int64, set_by: moment, meaning: Hour of the day}
  moon: {type: string, set_by: moment, meaning: Phase of the moon}
placements:
  web:
    home: {slots: 0, fallback: flyre}
fallbacks:
  flyer:
    label: Flyer
    treatments:
      web: {channel: web, placements: [hoem], content: {title: Flyer}}
defaults:
  window_days: 30
  treatments:
    web: {channel: wep, placements: [home], content: {title: "{{ action.lable }}"}}
issues:
  sell:
    groups:
      dairy:
        eligible: agee >= 18 AND context.hours > 8
        actions:
          cheese: {label: Cheese, value: -4, elligible: age > 3}
          milk: {value: 1.5, starts_at: 2026-05-01, ends_at: 2026-04-01}
      bakery:
        actions:
          cheese: {label: Cheese again, value: 1}
"""


def written(text: str, folder: Path) -> Path:
    path = folder / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_sound_catalogue_is_read_whole(tmp_path: Path) -> None:
    shop = load(written(SOUND, tmp_path), FEATURES)
    cheese, milk = shop.actions

    assert [rule.text for rule in shop.rules] == [
        "NOT vegan",
        "action.shelf = 'cold'",
        "age >= 18",
        "context.hour BETWEEN 8 AND 20",
    ]
    assert [(use.tier.value, use.level.value, use.rule_id) for use in cheese.rules] == [
        ("eligible", "group", 2),
        ("eligible", "action", 3),
        ("eligible", "action", 1),
        ("applicable", "action", 0),
    ]
    assert (cheese.issue, cheese.group, cheese.value, cheese.window.days) == ("sell", "dairy", 4.0, 30)
    assert cheese.attributes == {"shelf": "cold", "grams": 200}
    assert [str(instant) for instant in (cheese.starts_at, cheese.ends_at)] == [
        "2026-03-01 00:00:00+01:00",
        "2026-04-01 12:00:00+00:00",
    ]
    assert (milk.window.days, milk.treatments[0].treatment_id) == (7, "milk-web")
    home = shop.placement("web", "home")
    assert home is not None
    assert home.fallback is not None
    assert (home.slots, home.distinct, home.fallback.treatment.treatment_id) == (
        2,
        Distinct.GROUP,
        "flyer-web",
    )
    assert shop.context[0].set_by is SetBy.MOMENT
    assert [action.action_id for action in shop.fallbacks] == ["flyer"]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(written(TEN_MISTAKES, tmp_path), FEATURES)

    assert [str(fault) for fault in caught.value.faults] == [
        "shop.yaml:2: currency: is three capital letters such as EUR",
        "shop.yaml:5: context moon, set_by: Moment cannot derive `moon`; did you mean `month`?",
        "shop.yaml:8: placement web home, fallback: there is no fallback `flyre`; did you mean `flyer`?",
        "shop.yaml:8: placement web home, slots: must be a whole number, 1 or more",
        (
            "shop.yaml:13: fallback flyer, treatment web, placements: channel web has no `hoem`; "
            "did you mean `home`?"
        ),
        "shop.yaml:17: defaults, treatment web, channel: there is no channel `wep`; did you mean `web`?",
        (
            "shop.yaml:17: defaults, treatment web, content: title: there is no `action.lable`; "
            "did you mean `action.label`?"
        ),
        "shop.yaml:22: group dairy, eligible: there is no column `agee`; did you mean `age`?",
        (
            "shop.yaml:22: group dairy, eligible: there is no column `context.hours`; "
            "did you mean `context.hour`?"
        ),
        "shop.yaml:24: action cheese, elligible: there is no such entry; did you mean `eligible`?",
        "shop.yaml:24: action cheese, value: must be 0 or more",
        "shop.yaml:25: action milk, ends_at: is not after starts_at",
        "shop.yaml:25: action milk, label: is missing",
        "shop.yaml:28: action cheese: the name is taken on line 24; names are unique",
    ]
    assert str(caught.value).splitlines()[0].endswith("has 14 faults")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "timezone: Europe/Berlin",
            "timezone: Europe/Berlni",
            "3: timezone: `Europe/Berlni` is no time zone",
        ),
        ("slots: 2,", "slots: two,", "8: placement web home, slots: must be a whole number, 1 or more"),
        (
            "distinct: group",
            "distinct: groups",
            "8: placement web home, distinct: `groups` is not known; did you",
        ),
        (
            "set_by: moment",
            "set_by: shop",
            "5: context hour, set_by: `shop` is not known; one of channel, moment",
        ),
        ("type: int64", "type: string", "5: context hour, type: `hour` is int64"),
        ("window_days: 30", "window_days: 0", "15: defaults, window_days: must be more than 0"),
        ("window_days: 30", "", "25: action cheese, window_days: is missing here and above"),
        (
            "attributes: {grams: 200}",
            "attributes: {grams: heavy}",
            "grams` is float64 here but string before",
        ),
        ("attributes: {grams: 200}", "attributes: {value: 2}", "`value` is taken by the action's own value"),
        (
            "attributes: {grams: 200}",
            "attributes: [1]",
            "28: action cheese, attributes: must be a mapping of",
        ),
        ("value: 4", "value: .nan", "27: action cheese, value: must be a number"),
        ("label: Cheese", "label: 3", "26: action cheese, label: must be text; put it in quotes"),
        (
            "label: Cheese",
            "label: Cheese\n            label: Brie",
            "27: `label` is written twice here; keep one",
        ),
        (
            "action.shelf = 'cold'",
            "action.shelf = 'hot'",
            "31: action cheese, eligible: `action.shelf` is never",
        ),
        (
            "{{ action.label }}",
            "{{ action.label }",
            "17: defaults, treatment web, content: title: a place is",
        ),
        (
            "{{ action.label }}",
            "{{ label }}",
            "title: `label` begins with none of action., context., customer.",
        ),
        (
            "{{ action.label }}",
            "{{ customer.agee }}",
            "there is no `customer.agee`; did you mean `customer.age`?",
        ),
        (
            "catalogue: shop",
            "catalogue: shop\nexploration: greeedy",
            "there is no policy `greeedy`; did you mean",
        ),
        (
            "catalogue: shop",
            "catalogue: shop\ncurency: EUR",
            "2: curency: there is no such entry; did you mean",
        ),
        ("          cheese:", "          Cheese!:", "a name is made of a-z, 0-9, - and _"),
        (
            "placements: [home], content: {title: Flyer}",
            "placements: [], content: {title: Flyer}",
            "needs at least one",
        ),
    ],
)
def test_each_mistake_has_its_place_and_a_way_out(old: str, new: str, fault: str, tmp_path: Path) -> None:
    assert old in SOUND
    with pytest.raises(ConfigurationError) as caught:
        load(written(SOUND.replace(old, new, 1), tmp_path), FEATURES)

    told = "\n".join(str(found) for found in caught.value.faults)
    assert f"shop.yaml:{fault}" in told or fault in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a: [1", "is not YAML"),
        ("- 1", "must be a mapping of names to values"),
        ("\ta: 1", "is not YAML"),
    ],
)
def test_what_is_no_catalogue_at_all_is_one_error(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(written(text, tmp_path), FEATURES)


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "nowhere.yaml", FEATURES)


def test_the_digest_does_not_see_comments_order_or_layout(tmp_path: Path) -> None:
    lines = SOUND.splitlines()
    milk = lines.pop()
    moved = "\n".join([*lines[:24], milk, *lines[24:]]).replace("label: Cheese", "label: 'Cheese'  # tasty")

    assert load(written(moved, tmp_path), FEATURES).digest == load(written(SOUND, tmp_path), FEATURES).digest


def test_without_features_the_same_catalogue_is_read(tmp_path: Path) -> None:
    path = written(SOUND, tmp_path)

    assert load(path).digest == load(path, FEATURES).digest


def test_spaces_fold_in_a_rule_but_not_in_its_words(tmp_path: Path) -> None:
    text = SOUND.replace("eligible: age >= 18", "eligible: \"age   >=\\n 18 OR city = 'a  b'\"")
    rules = [rule.text for rule in load(written(text, tmp_path), FEATURES).rules]

    assert "age >= 18 OR city = 'a  b'" in rules


def test_aliases_cannot_blow_up_the_reader(tmp_path: Path) -> None:
    bomb = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else '1'}]" for n in range(30))

    with pytest.raises(ConfigurationError, match="more than 1,000,000 values, with what aliases repeat"):
        load(written(bomb, tmp_path), FEATURES)
