from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from features.cli import cli
from moment.errors import MomentError
from tests.unit.features.shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.under(tmp_path)


def run(shop: Shop, *arguments: str) -> Result:
    environment = {"MOMENT_HOME": str(shop.home.root), "MOMENT_MLRUNS": str(shop.home.mlruns)}
    return CliRunner().invoke(cli, ["ingest", *arguments], env=environment)


def test_it_prints_rows_and_what_to_do_next(shop: Shop) -> None:
    result = run(shop, "folder", str(shop.folder))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "shop is in the lake.",
        "",
        "  table                   rows    rejected",
        "  customers                  3           0",
        "  transactions               3           0",
        "",
        (
            "No consents: until a table `consents` or PUT /v1/customers/{id}/consents grants some, "
            "decisions see nothing of these customers but what service needs."
        ),
        "",
        "Next: moment features build",
    ]


def test_it_says_where_the_rejected_rows_are(shop: Shop) -> None:
    shop.change("transactions.csv", "2.50", "much")
    result = run(shop, "folder", str(shop.folder))
    assert "  transactions               2           1" in result.stdout
    assert f"Rejected rows and why:\n  {shop.home.quarantine}/shop/transactions.parquet\n" in result.stdout


def test_json_is_for_scripts(shop: Shop) -> None:
    run(shop, "folder", str(shop.folder))
    report = json.loads(run(shop, "folder", str(shop.folder), "--json").stdout)
    assert report["unchanged"] is True
    assert report["tables"]["transactions"] == {"rows": 3, "rejected": 0, "quarantine": None}


def test_again_it_says_that_nothing_has_changed(shop: Shop) -> None:
    run(shop, "folder", str(shop.folder))
    assert run(shop, "folder", str(shop.folder)).stdout.startswith(
        "shop was already ingested; nothing has changed."
    )


def test_errors_are_moments_own(shop: Shop) -> None:
    result = run(shop, "folder", str(shop.folder / "nowhere"))
    assert isinstance(result.exception, MomentError)
    assert result.exit_code != 0


@pytest.mark.parametrize("command", [["complete-journey"], ["folder"]])
def test_help_has_an_example(shop: Shop, command: list[str]) -> None:
    assert f"moment ingest {command[0]}" in run(shop, *command, "--help").stdout
