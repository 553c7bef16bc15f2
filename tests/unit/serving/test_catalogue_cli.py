"""``moment catalogue``: what people and scripts read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import serving.catalogue
from moment.errors import ConfigurationError
from moment.home import Home
from moment.life import offices
from serving.catalogue import load
from serving.catalogue.show import action_lines, catalogue_lines
from serving.catalogue.view import catalogue_view
from serving.commands.catalogue import catalogue
from serving.lifecycle import Model
from serving.opening import PACKAGED_CATALOGUE
from tests.unit.serving.catalogue.test_loading import TEN_MISTAKES, written
from tests.unit.serving.catalogue.whole import WHOLE
from tests.unit.serving.life_kit import PASSED, bundle
from training.entering import About, enter


@pytest.fixture(autouse=True)
def no_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home where nothing was ever submitted."""
    monkeypatch.setenv("MOMENT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MOMENT_CATALOGUE", raising=False)
    return Home.find()


def test_check_of_the_packaged_catalogue_says_it_is_sound() -> None:
    answer = CliRunner().invoke(catalogue, ["check"])

    assert answer.exit_code == 0
    assert answer.stdout.startswith("groceries.yaml is sound: 158 actions in 12 groups of 3 issues")
    assert "Its 20 golden decisions come out as written." in answer.stdout
    assert "Next: `moment catalogue show`" in answer.stderr


def test_check_holds_a_catalogue_against_the_golden_decisions_beside_it(tmp_path: Path) -> None:
    examples = Path(serving.catalogue.__file__).parent / "examples"
    text = (examples / "groceries.yaml").read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("{limit: 3, window: 7d, per: action", "{limit: 9, window: 7d, per: action"))
    assert CliRunner().invoke(catalogue, ["check", str(file)]).exit_code == 0
    shutil.copy(examples / "groceries.golden.yaml", tmp_path / "mine.golden.yaml")

    answer = CliRunner().invoke(catalogue, ["check", str(file)])
    told = json.loads(CliRunner().invoke(catalogue, ["check", str(file), "--json"]).stdout)

    assert answer.exit_code == 1
    assert isinstance(answer.exception, ConfigurationError)
    assert "of 20 golden decisions" in str(answer.exception)
    (fault,) = told["faults"]
    assert fault["place"].startswith("mine.golden.yaml:")
    assert fault["message"].startswith(
        "three-times-a-week-is-enough: .actions.home[0]: expected 'coupon-bacon'"
    )
    assert told["sound"] is False


def test_check_tells_every_fault(tmp_path: Path) -> None:
    answer = CliRunner().invoke(catalogue, ["check", str(written(TEN_MISTAKES, tmp_path))])

    assert answer.exit_code != 0
    assert isinstance(answer.exception, ConfigurationError)
    assert len(answer.exception.faults) >= 10


def test_check_for_scripts(tmp_path: Path) -> None:
    answer = CliRunner().invoke(catalogue, ["check", str(written(TEN_MISTAKES, tmp_path)), "--json"])
    told = json.loads(answer.stdout)

    assert answer.exit_code == 1
    assert told["sound"] is False
    assert told["faults"][0] == {
        "place": "shop.yaml:2",
        "message": "currency: is three capital letters such as EUR",
    }


def test_show_reads_like_a_table_of_contents() -> None:
    answer = CliRunner().invoke(catalogue, ["show"])

    assert answer.exit_code == 0
    assert "  web home: 3 slots, distinct by group, else weekly-flyer" in answer.stdout
    assert "    coupon-frozen-pizza: Frozen pizza coupon" in answer.stdout


def test_show_one_action() -> None:
    answer = CliRunner().invoke(catalogue, ["show", "--action", "coupon-frozen-pizza"])

    assert "eligible (group): rule 0 `baskets_90d >= 1`" in answer.stdout


def test_show_of_an_unknown_action_names_the_nearest() -> None:
    answer = CliRunner().invoke(catalogue, ["show", "--action", "coupon-frozen-piza"])

    assert answer.exit_code == 2
    assert "did you mean `coupon-frozen-pizza`?" in answer.stderr


SHOWN = """\
bank: 4 actions in 2 groups of 2 issues, 3 rules, 6 contact policies, \
2 placements on email, web; version VERSION
  values in EUR, days and hours in Europe/Berlin, language de
  sorted by propensity * value * lever, propensity floor 0.01
  exploration epsilon_uniform(share=0.1, base=softmax(temperature=0.5))
placements
  email weekly (outbound): 1 slots, distinct by action; offers live 30m, reported within 10m
  web home: 3 slots, distinct by group, else flyer; offers live 45m, reported within 90s
context
  approved (bool, set by system): The credit check of this visit passed
  branch_km (float64, set by channel): Kilometres to the nearest branch
  hour (int64, set by moment): Hour of the day
actions
  growth > loans: 2 actions, worth 90 to 120 EUR
    car-loan: Car loan, lever 3
    personal-loan: Personal loan, lever 1.5
  service > letters: 2 actions, worth 0 to 1 EUR
    rates: New rates
    terms: New terms, mandatory
contact policies
  after-noes: the same group rests for 30d after rejected x 2 within 90d (groups loans)
  after-signing: the same action rests for 364d after signed
  breathing-space: the same issue rests for 1d after it was given (issues growth)
  five-a-day: at most 5 decisions in all a day, each channel for itself (channels web)
  night: nothing outbound from 21:00 to 08:30 (actions rates)
  three-a-week: at most 3 presentations of each action in any 7d
exclusions
  credit: one at most in an answer, the others rest for 7d: car-loan, personal-loan, rates
  letters: one at most in an answer: rates, terms
customers drawn apart
  control: 0.05 of customers, every slot uniform (salt ctrl-2026)
  holdout: 0.02 of customers, no marketing (salt holdout)
experiments
  layer ranking (salt r1)
    push-loans
      as-is: 0.25 of customers, as it is
      pushed: 0.25 of customers, lever x 3 on personal-loan, lever x 12 on car-loan
  layer ways (salt ways)
    explore-more
      warm: 0.1 of customers, sorted by value, exploration thompson(evidence=200.0, simulations=1000), \
propensity floor 0
rules
    0 `context.approved` (2 actions)
    1 `context.branch_km < 2` (2 actions)
    2 `credit_ok AND age >= 18` (2 actions)
"""

LOAN = """\
personal-loan: Personal loan (growth > loans)
  signed within 30 days is worth 120 EUR
  needs consent to marketing
  lever 1.5
  budget 10000 in total, 500 a day EUR, each offer costs 2
  volume 50 a day
  excludes the others of credit
  action.term = 60
  eligible (group): rule 2 `credit_ok AND age >= 18`
  context weight 1.5 where `context.branch_km < 2`
  context weight 3 where `context.approved`
  context weight 0.5 where `credit_ok AND age >= 18`
  personal-loan-mail on email weekly, in en
    title: {{ action.label }}
  personal-loan-web on web home, in de
    title: {{ action.label }}, {{ customer.age }}
"""


def test_show_tells_every_policy_in_words(tmp_path: Path) -> None:
    path = tmp_path / "bank.yaml"
    path.write_text(WHOLE, encoding="utf-8")
    said = "\n".join([*catalogue_lines(load(path)), ""])

    assert said == SHOWN.replace("VERSION", load(path).version)


def test_show_tells_one_action_whole(tmp_path: Path) -> None:
    bank = load(written(WHOLE, tmp_path))

    assert "\n".join([*action_lines(bank, bank.action("personal-loan")), ""]) == LOAN
    assert "  mandatory: legal obligation" in action_lines(bank, bank.action("terms"))


def test_show_for_scripts_tells_every_policy(tmp_path: Path) -> None:
    told = json.loads(json.dumps(catalogue_view(load(written(WHOLE, tmp_path)))))
    policies = {policy["name"]: policy for policy in told["contact_policies"]}

    assert policies["after-noes"] == {
        "name": "after-noes",
        "kind": "Suppression",
        "in_words": "the same group rests for 30d after rejected x 2 within 90d (groups loans)",
        "issues": [],
        "groups": ["loans"],
        "actions": [],
        "channels": [],
        "per": "group",
        "per_channel": False,
        "outcome": "rejected",
        "times": 2,
        "within": "90d",
        "rests": "30d",
    }
    assert (policies["night"]["from"], policies["five-a-day"]["window"]) == ("21:00", "day")
    assert told["control"] == {"share": 0.05, "salt": "ctrl-2026"}
    assert told["experiments"][0]["experiments"][0]["arms"][1]["levers"] == {
        "car-loan": 12.0,
        "personal-loan": 3.0,
    }
    assert told["formula"] == "propensity * value * lever"
    assert [action["lever"] for action in told["actions"]] == [3.0, 1.5, 1.0, 1.0]


def test_check_says_which_features_a_catalogue_waits_for(tmp_path: Path) -> None:
    path = written(WHOLE.replace("  age: {type: int64, meaning: Years of age}\n", ""), tmp_path)
    path.write_text(path.read_text().replace(" AND age >= 18", "").replace(", {{ customer.age }}", ""))
    answer = CliRunner().invoke(catalogue, ["check", str(path)])
    scripted = CliRunner().invoke(catalogue, ["check", str(path), "--json"])

    assert answer.exit_code == 0
    assert "Not features yet, so a service refuses it: credit_ok." in answer.stderr
    assert "moment serve" not in answer.stderr
    assert json.loads(scripted.stdout)["missing_columns"] == ["credit_ok"]


def test_show_for_scripts_holds_everything() -> None:
    told = json.loads(CliRunner().invoke(catalogue, ["show", "--json"]).stdout)

    assert len(told["actions"]) == 158
    assert {"action_id", "rules", "treatments", "attributes"} <= set(told["actions"][0])


def test_without_a_file_and_without_a_ledger_nothing_is_made(no_ledger: Home) -> None:
    assert CliRunner().invoke(catalogue, ["show"]).exit_code == 0
    assert not no_ledger.root.exists()


def test_without_a_file_it_is_the_one_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOMENT_CATALOGUE", str(written(WHOLE, tmp_path)))
    assert CliRunner().invoke(catalogue, ["show"]).stdout.startswith("bank: 4 actions")


def test_check_names_the_way_a_catalogue_comes_to_decide(no_ledger: Home, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    shutil.copyfile(PACKAGED_CATALOGUE, file)
    made = bundle(no_ledger.bundles, "1", Model.NEXT_BEST_ACTION)
    before = CliRunner().invoke(catalogue, ["check", str(file)])
    enter(replace(offices(), mirror=lambda *_: None), no_ledger, made, PASSED, About(reason="demo"))

    after = CliRunner().invoke(catalogue, ["check", str(file)])

    assert (
        f"Next: `moment catalogue show {file}`, or `MOMENT_CATALOGUE={file} moment serve`." in before.stderr
    )
    assert f"Next: `moment catalogue show {file}`, or `moment catalogue submit {file}`." in after.stderr
