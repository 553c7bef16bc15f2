"""``moment catalogue submit``, ``publish`` and ``rollback``: a lever or a limit changed is a new version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.commands.life import KEY, REASON, mirrored, who

if TYPE_CHECKING:
    from serving.lifecycle import Book

_MODEL = "next-best-action"
_PATH = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_PATH)
@click.option("--golden", type=_PATH, help="Golden decisions (default: NAME.golden.yaml beside FILE).")
@click.option("--gates", type=_PATH, help="Bounds of the gates (default: those that come with Moment).")
@click.option("--owner", default="", help="Who answers for it.")
@click.option("--tier", type=click.IntRange(1, 3), default=2, show_default=True, help="1: most harm.")
@REASON
@KEY
def submit(
    *,
    file: Path,
    golden: Path | None,
    gates: Path | None,
    owner: str,
    tier: int,
    reason: str,
    key_file: Path | None,
) -> None:
    """Make FILE a version of the decision policy, and ask its gates. Nothing decides by it yet.

    The whole catalogue is in it, with arbitration and exploration: a changed lever or limit is a new version.
    The gates: is it sound, do its golden decisions come out, is it quick enough, and whom of recorded
    requests does it still reach.

    \b
    Example:
      moment catalogue submit my-catalogue.yaml --reason "cheese counts double in May" --key carl.key
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"
    from moment.progress import step
    from serving.adapters.identifiers import utc_now
    from serving.commands.models_tell import gate_lines, next_of
    from serving.lifecycle import State
    from serving.policies.entering import draft

    with mirrored(key_file) as opened:
        with step("Read the catalogue and ask its gates"):
            drafted = draft(opened.home, opened.life.book(), file, golden=golden, gates=gates)
        _check_new(opened.life.book(), drafted.bundle, file)
        done = opened.life.enter(
            drafted.bundle, drafted.gates, tier=tier, owner=owner, reason=reason, key_file=key_file
        )
        click.echo(f"{file.name} is {_MODEL} {done.version}, {done.state}: {drafted.summary}.")
        click.echo("\n".join(gate_lines(done)))
        champion = opened.life.book().champion(done.model)
        if champion is not None and champion.digest != done.digest:
            click.echo(f"What it changes: moment models diff {_MODEL} champion {done.version}")
        if done.state is State.CANDIDATE:
            raise click.ClickException(
                f"its gates failed, so it stays a candidate; mend {file.name} and submit it again"
            )
        click.echo(f"Next: {next_of(opened.life.book(), done, utc_now())}")


def _check_new(book: Book, bundle: Path, file: Path) -> None:
    """Refuse what has lived already: asking its gates again would unsay what was accepted of it."""
    from moment.errors import InvalidRequest
    from serving.bundles import read_manifest
    from serving.lifecycle import Model, State

    known = book.find(Model(_MODEL), read_manifest(bundle).digest)
    if known is not None and known.state not in (State.CANDIDATE, State.CHALLENGER):
        raise InvalidRequest(
            f"{file.name} says the same as {_MODEL} {known.version}, which is {known.state} already",
            code="not-now",
        )


@click.command()
@click.argument("version", default="")
@click.option("--reason", default="", help="Why.")
@KEY
def publish(version: str, reason: str, key_file: Path | None) -> None:
    """Let a submitted and approved version decide, the newest challenger by default; no request fails for it.

    \b
    Example:
      moment catalogue publish --reason "May" --key carl.key
    """  # noqa: D301
    with mirrored(key_file) as opened:
        found = opened.find(_MODEL, version or "challenger")
        done = opened.life.promote(found.model, found.digest, reason, opened.by)
        click.echo(f"{_MODEL} {done.version} decides, by {who(opened.by.actor)}.")
        click.echo("Next: moment catalogue rollback --reason WHY takes it back")


@click.command()
@click.argument("version", default="")
@REASON
@KEY
def rollback(version: str, reason: str, key_file: Path | None) -> None:
    """Let the policy before the present one decide again, or a former one you name.

    \b
    Example:
      moment catalogue rollback --reason "too many coupons for coffee" --key carl.key
    """  # noqa: D301
    from serving.lifecycle import Model

    with mirrored(key_file) as opened:
        digest = opened.find(_MODEL, version).digest if version else None
        done = opened.life.roll_back(Model(_MODEL), digest, reason, opened.by)
        click.echo(f"{_MODEL} {done.version} decides again, by {who(opened.by.actor)}.")
        click.echo("Next: moment models list")
