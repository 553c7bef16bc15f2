"""What the commands on the life of models have in common: whose key, why, and what is told afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moment.errors import MomentError

if TYPE_CHECKING:
    from moment.home import Home
    from moment.offices import Offices
    from serving.lifecycle import Actor, Model, Version
    from serving.ports.life import Signer
    from serving.use_cases.life import Life

# Written down here too, so that `--help` imports nothing; a test holds them to be the same
MODELS = ("segmentation", "propensity", "next-best-action")

NAMED = ("champion", "challenger", "candidate", "former")
"""What stands for a version: the newest of that state; `former` is what a rollback goes back to."""

KEY = click.option(
    "--key",
    "key_file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="MOMENT_PERSON_KEY",
    help="File with your personal key: it is done and signed in your name (or MOMENT_PERSON_KEY).",
)
REASON = click.option("--reason", required=True, help="Why, in a few words; it is kept for good.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
MODEL = click.argument("model", type=click.Choice(MODELS))
VERSION = click.argument("version")


@dataclass(frozen=True, slots=True)
class Acting:
    """An open ledger, and in whose name is written into it."""

    home: Home
    life: Life
    by: Signer

    def find(self, model: str, version: str) -> Version:
        """Return the version of which these are the first digits, or which is called so."""
        from serving.lifecycle import Model

        return find_version(self.life, Model(model), version)


@contextmanager
def acting(key_file: Path | None = None) -> Iterator[Acting]:
    """Open the life of the home's models for whose key it is; for the machine where there is none."""
    from moment.home import Home
    from serving.life_room import open_life, personal_signer

    home = Home.find()
    with open_life(home) as life:
        yield Acting(home, life, life.machine if key_file is None else personal_signer(home, key_file))


@contextmanager
def mirrored(key_file: Path | None = None) -> Iterator[Acting]:
    """Open the life of the home's models, and show in MLflow what was done once it is done."""
    with acting(key_file) as opened:
        yield opened
        book = opened.life.book()
    offices: Offices | None = click.get_current_context().obj
    if offices is None:
        return
    try:
        offices.mirror(opened.home, book)
    except MomentError as error:
        click.echo(f"It is done; MLflow does not show it yet: {error}", err=True)


def find_version(life: Life, model: Model, version: str) -> Version:
    """Return a version by its first digits, or by what it is called (`NAMED`).

    Raises
    ------
    InvalidRequest
        ``unknown-version``: nothing is called so.
    """
    from moment.errors import InvalidRequest

    if version not in NAMED:
        return life.find(model, version)
    book = life.book()
    if version == "champion":
        found = book.champion(model)
    elif version == "former":
        found = book.former(model)
    else:
        found = next((one for one in reversed(book.of_model(model)) if one.state == version), None)
    if found is None:
        raise InvalidRequest(
            f"{model} has no {version}; `moment models list` shows what there is",
            code="unknown-version",
            field="version",
        )
    return found


def who(actor: Actor) -> str:
    """Return somebody by name and role, or the machine."""
    return f"{actor.person} ({actor.role})" if actor.is_person else "the machine"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines: columns as wide as what is in them, apart from the last."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
    return [click.style(lines[0], bold=True), *lines[1:]]


def print_json(told: object) -> None:
    """Print anything as indented JSON."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(told), indent=1).decode())
