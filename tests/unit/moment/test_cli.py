import importlib
import subprocess
import sys

import click
import pytest

from moment.cli import COMMANDS

HEAVY = {"bentoml", "duckdb", "feast", "ibis", "litestar", "mlflow", "numpy", "pandas", "sklearn", "xgboost"}


def moment(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "moment.cli", *arguments], capture_output=True, text=True, check=False
    )


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    listing = "import sys, moment.cli as c\ntry: c.cli(['--help'])\nexcept SystemExit: print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    ).stdout

    assert all(f"\n  {name} " in answer for name in COMMANDS)
    assert HEAVY.isdisjoint(answer.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_found_and_says_the_same_of_itself(name: str) -> None:
    group: click.Group = importlib.import_module(COMMANDS[name].module).cli

    assert group.commands[name].get_short_help_str(limit=200) == COMMANDS[name].summary


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str) -> None:
    group: click.Group = importlib.import_module(COMMANDS[name].module).cli
    command = group.commands[name]
    leaves = command.commands.values() if isinstance(command, click.Group) else [command]

    for leaf in leaves:
        with click.Context(leaf, info_name=leaf.name) as context:
            assert "Example" in leaf.get_help(context), f"moment {name} … {leaf.name} has no example"


def test_a_slip_of_the_pen_is_one_line_with_the_way_out() -> None:
    answer = moment("trian")

    assert answer.returncode == 2
    assert (
        answer.stderr
        == "moment: No such command 'trian'; did you mean `moment train`? (see `moment --help`)\n"
    )


def test_without_a_command_the_help_is_shown() -> None:
    assert moment().stdout == moment("--help").stdout
