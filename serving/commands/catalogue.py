"""``moment catalogue``: check a catalogue, read what it says, and tell what differs between two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.decision.actions import Action
    from serving.decision.catalogue import Catalogue
    from serving.decision.columns import Column

_PACKAGED = Path(__file__).parents[1] / "catalogue" / "examples" / "groceries.yaml"
_PATH = click.Path(exists=True, dir_okay=False, path_type=Path)
_FILE = click.argument("file", type=_PATH, envvar="MOMENT_CATALOGUE", default=_PACKAGED)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
_SAME, _DIFFERENT = 0, 1
_LISTED = 6


class _Trouble(click.ClickException):
    """Nothing can be compared; as of ``diff``, 2 is neither "same" nor "different"."""

    exit_code = 2


@click.group()
def catalogue() -> None:
    """Check, show and compare catalogues; submit, publish, roll back.

    \b
    Examples:
      moment catalogue check my-catalogue.yaml
      moment catalogue diff live.yaml my-catalogue.yaml
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"


@catalogue.command()
@_FILE
@_JSON
def check(file: Path, *, as_json: bool) -> None:
    """Tell every mistake in FILE at once: line, action, what is wrong, and the nearest name.

    FILE is the catalogue in use (MOMENT_CATALOGUE, else the packaged groceries) unless given. Where golden
    decisions stand beside it, in NAME.golden.yaml, they must come out as they are written.

    \b
    Example:
      moment catalogue check my-catalogue.yaml
    """  # noqa: D301
    from moment.errors import ConfigurationError
    from serving.catalogue.show import summary

    try:
        found = _load(file)
        golden = _held(file, found)
    except ConfigurationError as error:
        if not as_json:
            raise
        faults = [{"place": fault.place, "message": fault.message} for fault in error.faults]
        click.echo(json.dumps({"sound": False, "message": str(error).splitlines()[0], "faults": faults}))
        raise click.exceptions.Exit(1) from error
    lacking = _lacking(found)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "sound": True,
                    "digest": found.digest,
                    "faults": [],
                    "missing_columns": lacking,
                    "golden_decisions": golden,
                }
            )
        )
        return
    click.echo(f"{file.name} is sound: {summary(found)}.")
    if golden:
        click.echo(f"Its {golden} golden decisions come out as written.")
    if lacking:
        more = f" and {len(lacking) - _LISTED} more" if len(lacking) > _LISTED else ""
        listed = ", ".join(lacking[:_LISTED])
        click.echo(f"Not features yet, so a service refuses it: {listed}{more}.", err=True)
    serve = "" if lacking else f", or `MOMENT_CATALOGUE={file} moment serve`"
    click.echo(f"Next: `{_show_command(file)}`{serve}.", err=True)


@catalogue.command()
@_FILE
@click.option("--action", "action_id", help="Show this action whole.")
@_JSON
def show(file: Path, *, action_id: str | None, as_json: bool) -> None:
    """Show what FILE offers where, under which policies.

    \b
    Examples:
      moment catalogue show
      moment catalogue show --action coupon-cheese
    """  # noqa: D301
    from serving.catalogue.show import action_lines, catalogue_lines
    from serving.catalogue.view import action_view, catalogue_view

    found = _load(file)
    if action_id is None:
        click.echo(json.dumps(catalogue_view(found)) if as_json else "\n".join(catalogue_lines(found)))
        return
    action = _action(found, action_id)
    if as_json:
        click.echo(json.dumps(action_view(found, action)))
    else:
        click.echo("\n".join(action_lines(found, action)))


@catalogue.command()
@click.argument("old", type=_PATH)
@click.argument("new", type=_PATH)
@_JSON
def diff(old: Path, new: Path, *, as_json: bool) -> None:
    """Tell what NEW changes: actions, rules, levers, limits, placements, experiments, field by field.

    Comments, layout and the order of actions do not count. Exits with 0 when nothing differs, 1 when
    something does, 2 when a file cannot be read or is not sound.

    \b
    Example:
      moment catalogue diff live.yaml my-catalogue.yaml
    """  # noqa: D301
    from moment.errors import ConfigurationError
    from serving.catalogue.diff import as_json as for_scripts
    from serving.catalogue.diff import differences, lines_of

    try:
        before, after = _load(old), _load(new)
    except ConfigurationError as error:
        raise _Trouble(str(error)) from error
    found = differences(before, after)
    if as_json:
        versions = {"old": before.digest, "new": after.digest}
        click.echo(json.dumps({**versions, "differences": for_scripts(found)}))
    elif found:
        click.echo(f"{old.name} (version {before.version}) -> {new.name} (version {after.version})")
        click.echo("\n".join(lines_of(found)))
    else:
        click.echo(f"No difference: both are version {before.version}.")
    raise click.exceptions.Exit(_DIFFERENT if found else _SAME)


def _load(file: Path) -> Catalogue:
    from serving.catalogue import load

    return load(file, _features())


def _held(file: Path, found: Catalogue) -> int:
    """Return how many golden decisions stand beside a catalogue; ConfigurationError unless all come out."""
    from serving.catalogue.golden import golden_beside, hold

    beside = golden_beside(file)
    return len(hold(beside, found, _features()).decisions) if beside.is_file() else 0


def _features() -> Mapping[str, Column]:
    """Return the features a rule may name; what a deployment serves is checked again when it starts."""
    from features.definitions import customer_contract
    from features.realtime_features import REALTIME_V1
    from serving.catalogue.feature_columns import feature_columns

    return feature_columns(customer_contract()) | feature_columns(REALTIME_V1)


def _lacking(found: Catalogue) -> tuple[str, ...]:
    from serving.catalogue.feature_columns import missing_columns

    return missing_columns(found, _features())


def _show_command(file: Path) -> str:
    return "moment catalogue show" if file == _PACKAGED else f"moment catalogue show {file}"


def _action(found: Catalogue, action_id: str) -> Action:
    from serving.decision.parsing import nearest

    names = [action.action_id for action in (*found.actions, *found.fallbacks)]
    if action_id not in names:
        hint = nearest(action_id, names) or "; `moment catalogue show` lists them"
        raise click.BadParameter(f"there is no action `{action_id}`{hint}", param_hint="--action")
    return found.action(action_id)
