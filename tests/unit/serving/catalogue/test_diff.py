"""What differs between two catalogues is told thing by thing; order and layout are no difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from serving.catalogue import load
from serving.catalogue.diff import Change, FieldChange, differences, lines_of
from serving.commands.catalogue import catalogue
from serving.decision.catalogue import Catalogue
from tests.unit.serving.catalogue.whole import WHOLE


def read(text: str, folder: Path, name: str = "new.yaml") -> Catalogue:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load(path)


def told(new: str, folder: Path, old: str = WHOLE) -> list[str]:
    return list(lines_of(differences(read(old, folder, "old.yaml"), read(new, folder))))


def backwards(value: object) -> object:
    """Return a document with every mapping, and every list whose order means nothing, turned around."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value[::-1]
    return value


def test_order_comments_and_layout_are_no_difference(tmp_path: Path) -> None:
    turned = yaml.safe_dump(backwards(yaml.safe_load(WHOLE)), sort_keys=False)

    assert turned.index("issues:") < turned.index("currency:")
    assert told(turned, tmp_path) == []
    assert read(turned, tmp_path).digest == read(WHOLE, tmp_path).digest


EDITS = [
    ("catalogue: bank", "catalogue: banks", "name: bank -> banks"),
    ("currency: EUR", "currency: USD", "currency: EUR -> USD"),
    ("timezone: Europe/Berlin", "timezone: Europe/Paris", "timezone: Europe/Berlin -> Europe/Paris"),
    ("language: de", "language: fr", "language: de -> fr"),
    ("propensity_floor: 0.01", "propensity_floor: 0.02", "propensity_floor: 0.01 -> 0.02"),
    ("    * lever", "", "formula: propensity * value * lever -> propensity * value"),
    ("{policy: softmax, temperature: 0.5}", "greedy", "base=greedy)"),
    ("slots: 3", "slots: 2", "slots: 3 -> 2"),
    ("lifetime: 45m", "lifetime: 1h", "lifetime: 45m -> 1h"),
    ("report_within: 90s", "report_within: 0s", "report_within: 90s -> 0s"),
    ("distinct: group,", "", "distinct: group -> action"),
    ("{rests: 1w}", "{rests: 2w}", "rests: 7d -> 14d"),
    ("limit: 3, window: 7d", "limit: 4, window: 7d", "limit: 3 -> 4"),
    ("limit: 3, window: 7d", "limit: 3, window: week", "window: 7d -> week"),
    ("counts: decisions, ", "", "counts: decisions -> presentations"),
    ("per_channel: true", "per_channel: false", "per_channel: true -> false"),
    ("times: 2", "times: 3", "times: 2 -> 3"),
    ("within: 90d", "within: 60d", "within: 90d -> 60d"),
    ("cool_off: 24h", "cool_off: 36h", "rests: 1d -> 36h"),
    ('to: "08:30"', 'to: "08:00"', "to: 08:30 -> 08:00"),
    (", groups: [loans]}", ", groups: [letters]}", "groups: + letters"),
    ("control: {share: 0.05", "control: {share: 0.1", "control.share: 0.05 -> 0.1"),
    ("holdout: {share: 0.02}", "", "holdout.share: 0.02 -> none"),
    ("salt: r1", "salt: r2", "salt: r1 -> r2"),
    ("as-is: {share: 0.25}", "as-is: {share: 0.5}", "share: 0.25 -> 0.5"),
    ("{car-loan: 4}", "{car-loan: 5}", "levers.car-loan: 12 -> 15"),
    ("evidence: 200", "evidence: 300", "simulations=1000) -> thompson(evidence=300.0"),
    ("propensity_floor: 0,", "", "propensity_floor: 0 -> none"),
    ("formula: value}", "formula: propensity}", "formula: value -> propensity"),
    ("meaning: Kilometres to", "meaning: Miles to", "meaning: Kilometres to the nearest branch -> Miles to"),
    ("set_by: system", "set_by: channel", "set_by: system -> channel"),
    ("  email: {outbound: true}", "  web: {outbound: true}\n  email: {outbound: true}", "outbound: + web"),
    ("lever: 0.5", "lever: 1", "lever: 1.5 -> 3"),
    ("value: 120", "value: 130", "value: 120 -> 130"),
    ("outcome: accepted", "outcome: clicked", "positive_outcome: accepted -> clicked"),
    ("    cost: 2", "    cost: 3", "cost: 2 -> 3"),
    ("total: 10000, ", "", "budget.total: 10000 -> none"),
    ("volume: {per_day: 50}", "volume: {per_day: 60}", "volume.per_day: 50 -> 60"),
    ("legal_obligation", "contract", "mandatory: legal_obligation -> contract"),
    ("purposes: [marketing, profiling]", "purposes: [marketing]", "purposes: - profiling"),
    ("window_days: 30", "window_days: 31", "window_days: 30 -> 31"),
    ("age >= 18\n", "age >= 21\n", "eligible: + `credit_ok AND age >= 21` (group)"),
    ("weight: 3}", "weight: 4}", "context_weights: + 4.0 where `context.approved`"),
    ("attributes: {term: 60}", "attributes: {term: 72}", "attributes.term: 60 -> 72"),
    ("{{ customer.age }}", "{{ action.value }}", "treatments.web.content.title: {{ action.label }}, {{ cust"),
    ("language: en, ", "", "treatments.mail.language: en -> de"),
    ("title: Flyer}", "title: Leaflet}", "treatments.web.content.title: Flyer -> Leaflet"),
    ("label: Personal loan", "label: Loan", "label: Personal loan -> Loan"),
]


@pytest.mark.parametrize(("old", "new", "line"), EDITS, ids=[line for _, _, line in EDITS])
def test_every_change_is_a_difference_and_a_new_version(
    old: str, new: str, line: str, tmp_path: Path
) -> None:
    assert old in WHOLE
    edited = WHOLE.replace(old, new, 1)

    assert any(line in one for one in told(edited, tmp_path)), told(edited, tmp_path)
    assert read(edited, tmp_path).digest != read(WHOLE, tmp_path).digest


def test_what_changed_alike_is_told_once(tmp_path: Path) -> None:
    assert told(WHOLE.replace("lever: 2\n", "lever: 3\n").replace("value: 90", "value: 95"), tmp_path) == [
        "actions",
        "  ~ car-loan",
        "      value: 90 -> 95",
        "      lever: 3 -> 4.5",
        "  ~ personal-loan",
        "      lever: 1.5 -> 2.25",
    ]
    assert told(WHOLE.replace("window_days: 30", "window_days: 14"), tmp_path) == [
        "actions",
        "  ~ car-loan, personal-loan, rates, terms",
        "      window_days: 30 -> 14",
    ]


def test_what_is_new_is_told_whole_and_what_is_gone_by_name(tmp_path: Path) -> None:
    new = WHOLE.replace("three-a-week: {limit: 3", "four-a-week: {limit: 4")

    assert told(new, tmp_path) == [
        "contact policies",
        "  + four-a-week",
        "      kind: Limit",
        "      per: action",
        "      per_channel: false",
        "      limit: 4",
        "      window: 7d",
        "      counts: presentations",
        "  - three-a-week",
    ]


def test_differences_are_values(tmp_path: Path) -> None:
    (found,) = differences(
        read(WHOLE, tmp_path, "old.yaml"), read(WHOLE.replace("value: 90", "value: 95"), tmp_path)
    )

    assert (found.subject, found.change) == ("action car-loan", Change.CHANGED)
    assert found.fields == (FieldChange("value", 90.0, 95.0),)


def test_the_command_exits_as_diff_does(tmp_path: Path) -> None:
    read(PLAIN, tmp_path, "old.yaml")
    read(PLAIN.replace("value: 4", "value: 5"), tmp_path)
    (tmp_path / "broken.yaml").write_text(PLAIN.replace("value: 4", "value: -4"), encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str]:
        paths = [str(tmp_path / name) if name.endswith(".yaml") else name for name in arguments]
        answer = CliRunner().invoke(catalogue, ["diff", *paths])
        return answer.exit_code, answer.output

    same, different, trouble = (
        run("old.yaml", "old.yaml"),
        run("old.yaml", "new.yaml"),
        run("old.yaml", "broken.yaml"),
    )
    assert (same[0], different[0], trouble[0]) == (0, 1, 2)
    assert same[1].startswith("No difference: both are version ")
    assert different[1].splitlines()[1:] == ["actions", "  ~ cheese", "      value: 4 -> 5"]
    assert "action cheese, value: must be 0 or more" in trouble[1]
    scripted = json.loads(run("old.yaml", "new.yaml", "--json")[1])
    assert scripted["differences"] == [
        {
            "kind": "action",
            "name": "cheese",
            "change": "changed",
            "fields": [{"field": "value", "old": 4.0, "new": 5.0}],
        }
    ]
    assert scripted["old"] != scripted["new"]


PLAIN = """\
catalogue: shop
currency: EUR
placements: {web: {home: {slots: 1}}}
issues:
  sell:
    window_days: 30
    groups:
      dairy:
        actions:
          cheese:
            label: Cheese
            value: 4
            treatments:
              web: {channel: web, placements: [home], content: {title: Cheese}}
"""
