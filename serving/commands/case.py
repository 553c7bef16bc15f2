"""``moment case``: one decision on one page, for whoever must answer a complaint about it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("decision_id", metavar="DECISION")
@click.option(
    "--out",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Write the page here; a file that is there is replaced.",
)
def case(decision_id: str, out: Path) -> None:
    """Write all about a DECISION on one page, for a complaint.

    What was shown, why, and why not the rest; the rules and limits then in force; what was known of the
    customer, how old, and by which consent; versions, outcomes, and whether it comes out the same again. One
    file that needs nothing else, prints well, and is readable by you alone: it is about a person.

    \b
    Example:
      moment case 0199f3c2-8b1a-7c3e-9d5f-2a4b6c8d0e1f --out case.html
    """  # noqa: D301
    from moment.progress import step
    from serving.case.page import page
    from serving.commands.decisions import reading, record_of

    if not out.parent.is_dir():
        raise click.BadParameter(f"there is no folder {out.parent}", param_hint="--out")
    with step("Open records, and decide again"), reading() as room:
        opened = room.open_case(record_of(room, decision_id))
    _write(out, page(opened))
    click.echo(f"{out}: replay {opened.replayed.verdict}; open it in a browser, or print it")


def _write(out: Path, content: str) -> None:
    """Write a file that only its owner may read, also where another one was before."""
    from moment import private
    from moment.errors import DependencyError

    try:
        private.write(out, content)
    except OSError as error:
        raise DependencyError(f"{out} cannot be written ({error.strerror}); name another file") from error
