"""``moment models``: what is trained, what serves, and the word of who answers for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.commands.life import JSON, MODEL, acting, columns, print_json
from serving.commands.models_acts import ACTS
from serving.commands.models_tell import cells, next_of, next_step, signature_of, whole
from serving.commands.models_trust import TRUST

if TYPE_CHECKING:
    from serving.commands.life import Acting
    from serving.lifecycle import Version


@click.group()
def models() -> None:
    """Tell what is trained and what serves; approve, promote, roll back.

    A version is named by the first digits of its digest, or as `champion`, `challenger`, `candidate` or
    `former`, which is what a rollback goes back to.

    \b
    Examples:
      moment models list
      moment models approve propensity 2fd4e1c67a2d --reason "read the report" --key ada.key
      moment models promote propensity challenger --reason "better in shadow" --key carl.key
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"


for _command in (*ACTS, *TRUST):
    models.add_command(_command)


@models.command("list")
@JSON
def list_models(*, as_json: bool) -> None:
    """List every version of every model: state, gates, approval, shares, figures, and what to look at.

    \b
    Example:
      moment models list
    """  # noqa: D301
    from moment.errors import StepMissing
    from moment.private import warn_if_open
    from serving.adapters.identifiers import utc_now
    from serving.commands.models_view import listing

    now = utc_now()
    with acting() as opened:
        book = opened.life.book()
        lines = listing(opened.home, book, now)
        warn_if_open(opened.home)
    if as_json:
        print_json(lines)
        return
    if not lines:
        raise StepMissing("no model is trained", run="moment train all")
    head = ("model", "version", "kind", "state", "since", "gates", "approval", "figures")
    click.echo("\n".join(columns(head, [cells(line) for line in lines])))
    for line in lines:
        for warning in line.warnings:
            click.secho(f"  ! {line.model} {line.version}: {warning}", fg="yellow")
    click.echo(f"\nNext: {next_step(book, now)}")


@models.command("show")
@MODEL
@click.argument("version", default="")
@JSON
def show_model(model: str, version: str, *, as_json: bool) -> None:
    """Tell all about a version, the champion by default: gates, approval, findings, figures, who made it.

    \b
    Example:
      moment models show propensity challenger
    """  # noqa: D301
    from serving.adapters.identifiers import utc_now
    from serving.commands.models_view import findings, manifest_of

    now = utc_now()
    with acting() as opened:
        found = _chosen(opened, model, version)
        book = opened.life.book()
    manifest, signature = manifest_of(opened.home, found), signature_of(opened.home, found)
    if as_json:
        told: dict[str, object] = {
            "version": found,
            "approved": found.approved(now),
            "verdict": found.verdict,
            "findings": findings(book, found),
            "manifest": manifest,
            "signature": signature,
        }
        print_json(told)
        return
    click.echo("\n".join(whole(opened.home, book, found, signature, now)))
    click.echo(f"\nNext: {next_of(book, found, now)}")


@models.command()
@MODEL
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@JSON
def diff(model: str, a: str, b: str, *, as_json: bool) -> None:
    """Tell what differs from version A to version B: figures, gates, parameters, features, notes.

    For next-best-action it tells what changes in the catalogue, action by action.

    \b
    Example:
      moment models diff propensity champion challenger
    """  # noqa: D301
    from serving.commands.models_diff import compare, lines_of

    with acting() as opened:
        before, after = opened.find(model, a), opened.find(model, b)
    found = compare(opened.home, before, after)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(lines_of(found)))


@models.command()
@MODEL
@click.argument("version", default="")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
def report(model: str, version: str, out: Path | None) -> None:
    """Print a version's report, Markdown: its life, who answers for which gate, and what was measured.

    \b
    Example:
      moment models report propensity challenger --out report.md
    """  # noqa: D301
    from moment import private
    from moment.errors import DependencyError
    from serving.adapters.identifiers import utc_now
    from serving.commands.life_report import life_report

    with acting() as opened:
        found = _chosen(opened, model, version)
        text = life_report(opened.home, opened.life.book(), found, utc_now())
    if out is None:
        click.echo(text)
    else:
        try:
            private.write(out, text + "\n")
        except OSError as error:
            raise DependencyError(f"{out} cannot be written ({error.strerror}); name another file") from error
        click.echo(f"Written to {out}.")


def _chosen(opened: Acting, model: str, version: str) -> Version:
    """Return the version named; where none is, the champion, else the newest."""
    from moment.errors import StepMissing
    from serving.lifecycle import Model

    if version:
        return opened.find(model, version)
    book = opened.life.book()
    known = book.of_model(Model(model))
    found = book.champion(Model(model)) or (known[-1] if known else None)
    if found is None:
        making = "moment catalogue submit FILE" if model == "next-best-action" else f"moment train {model}"
        raise StepMissing(f"the ledger has no version of {model}", run=making)
    return found
