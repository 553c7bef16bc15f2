"""``moment catalogue``: what people and scripts read."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from moment.errors import ConfigurationError
from serving.catalogue.cli import catalogue
from tests.unit.serving.catalogue.test_loading import TEN_MISTAKES, written


def test_check_of_the_packaged_catalogue_says_it_is_sound() -> None:
    answer = CliRunner().invoke(catalogue, ["check"])

    assert answer.exit_code == 0
    assert answer.stdout.startswith("groceries.yaml is sound: 158 actions in 12 groups of 3 issues")
    assert "Next: `moment catalogue show`" in answer.stderr


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


def test_show_for_scripts_holds_everything() -> None:
    told = json.loads(CliRunner().invoke(catalogue, ["show", "--json"]).stdout)

    assert len(told["actions"]) == 158
    assert {"action_id", "rules", "treatments", "attributes"} <= set(told["actions"][0])
