"""``moment models reproduce``. What is heavy is imported when it runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from training.reproduce import Reproduced

MODELS = ("segmentation", "propensity", "next-best-action")
_VERSION = 12


@click.command("reproduce")
@click.argument("name", type=click.Choice(MODELS))
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def reproduce(name: str, version: str, *, as_json: bool) -> None:
    """Make VERSION of model NAME again of what is on record, and say whether it is the same to the bit.

    Recorded parameters are fitted on recorded rows, without tuning and time budget; a next-best-action
    version is built again of its own catalogue. Where the digest is another one, what is not as it was is
    named, and the exit is 1.

    \b
    Example:
      moment models reproduce propensity 3f2a90c1d4e5
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"
    from moment.home import Home
    from training.reproduce import reproduce as make_again

    home = Home.find()
    found = make_again(home, home.bundles / name / version[:_VERSION])
    click.echo(_as_json(found) if as_json else _as_text(found))
    sys.exit(0 if found.same else 1)


def _as_json(found: Reproduced) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def _as_text(found: Reproduced) -> str:
    of = f"{found.model} {found.version}"
    if found.same:
        verdict = f"{of} comes out the same to the bit: {found.digest} ({found.seconds:.0f} s)."
    elif found.digest:
        verdict = f"{of} comes out as another one: {found.digest}, it was {found.expected}."
    else:
        verdict = f"{of} cannot be made again; it was {found.expected}."
    told = [f"  - {difference}" for difference in found.differences]
    heading = ["", "What is not as it was then:"] if told else []
    return "\n".join([verdict, *heading, *told, "", f"Next: moment models show {of}"])
