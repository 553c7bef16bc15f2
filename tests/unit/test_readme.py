"""README.md names nothing that is not there."""

import re
from pathlib import Path

from moment.cli import COMMANDS

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_every_link_leads_somewhere() -> None:
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", TEXT)]

    assert targets
    assert all((PROJECT / target).exists() for target in targets)


def test_every_command_is_told_and_exists() -> None:
    told = {name for row in re.findall(r"^\| `moment ([a-z-]+)", TEXT, re.MULTILINE) for name in [row]}

    assert told == set(COMMANDS)


def test_every_room_of_the_house_is_drawn() -> None:
    drawn = set(re.findall(r"^([a-z_]+)/ ", TEXT, re.MULTILINE))

    assert drawn == {path.parent.name for path in PROJECT.glob("*/__init__.py")} | {"docs", "mlruns"}


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"`make ([a-z-]+)`", TEXT)) <= targets
