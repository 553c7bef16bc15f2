"""``moment catalogue``: check a catalogue, read what it says, and tell what differs between two."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.bundles import PolicyBundle
    from serving.decision.actions import Action
    from serving.decision.catalogue import Catalogue
    from serving.decision.columns import Column

_PATH = click.Path(exists=True, dir_okay=False, path_type=Path)
_FILE = click.argument("file", type=_PATH, envvar="MOMENT_CATALOGUE", required=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
_SAME, _DIFFERENT = 0, 1
_LISTED = 6


class _Trouble(click.ClickException):
    """Nothing can be compared; as of ``diff``, 2 is neither "same" nor "different"."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class _Asked:
    """The catalogue that is asked about.

    Parameters
    ----------
    file, golden
        Where it and its golden decisions lie; None for golden decisions it has not.
    name
        What people know it by.
    champion
        The version it is of, where no file was named and the ledger has a champion.
    """

    file: Path
    golden: Path | None
    name: str
    champion: PolicyBundle | None = None

    @classmethod
    def of_file(cls, file: Path) -> _Asked:
        """Return the catalogue in a file, its golden decisions beside it."""
        from serving.catalogue.golden import golden_beside

        beside = golden_beside(file)
        return cls(file, beside if beside.is_file() else None, file.name)

    @classmethod
    def of_champion(cls, policy: PolicyBundle) -> _Asked:
        """Return the catalogue of the version that decides."""
        from serving.bundles.policy import CATALOGUE_FILE, GOLDEN_FILE

        golden = policy.folder / GOLDEN_FILE if policy.golden else None
        name = f"{policy.manifest.model} {policy.version}, the champion,"
        return cls(policy.folder / CATALOGUE_FILE, golden, name, policy)


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
def check(file: Path | None, *, as_json: bool) -> None:
    """Tell every mistake in FILE at once: line, action, what is wrong, and the nearest name.

    FILE is the catalogue in use unless given: the ledger's champion, else MOMENT_CATALOGUE, else the packaged
    groceries. Where golden decisions stand beside it, in NAME.golden.yaml, they must come out as they are
    written.

    \b
    Example:
      moment catalogue check my-catalogue.yaml
    """  # noqa: D301
    from moment.errors import ConfigurationError
    from serving.catalogue.show import summary

    asked = _asked(file)
    try:
        found = _load(asked.file)
        golden = _held(asked.golden, found)
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
    click.echo(f"{asked.name} is sound: {summary(found)}.")
    if golden:
        click.echo(f"Its {golden} golden decisions come out as written.")
    if lacking:
        more = f" and {len(lacking) - _LISTED} more" if len(lacking) > _LISTED else ""
        listed = ", ".join(lacking[:_LISTED])
        click.echo(f"Not features yet, so a service refuses it: {listed}{more}.", err=True)
    named = "" if asked.champion or file is None else f" {file}"
    click.echo(f"Next: `moment catalogue show{named}`{_after(asked, lacking)}.", err=True)


@catalogue.command()
@_FILE
@click.option("--action", "action_id", help="Show this action whole.")
@_JSON
def show(file: Path | None, *, action_id: str | None, as_json: bool) -> None:
    """Show what FILE offers where, under which policies.

    FILE is the catalogue in use unless given: the ledger's champion, else MOMENT_CATALOGUE, else the packaged
    groceries.

    \b
    Examples:
      moment catalogue show
      moment catalogue show --action coupon-cheese
    """  # noqa: D301
    from serving.catalogue.show import action_lines, catalogue_lines
    from serving.catalogue.view import action_view, catalogue_view

    asked = _asked(file)
    if asked.champion is None:
        found = _load(asked.file)
    else:
        found = asked.champion.catalogue
        click.echo(f"This is {asked.name} as it decides.", err=True)
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


def _asked(file: Path | None) -> _Asked:
    """Return the catalogue that is named on the command line, or the one in use."""
    if click.get_current_context().get_parameter_source("file") is not ParameterSource.COMMANDLINE:
        from moment.home import Home
        from serving.policies.files import champion_policy

        champion = champion_policy(Home.find())
        if champion is not None:
            return _Asked.of_champion(champion)
    from serving.opening import PACKAGED_CATALOGUE

    return _Asked.of_file(file or PACKAGED_CATALOGUE)


def _held(golden: Path | None, found: Catalogue) -> int:
    """Return how many golden decisions a catalogue has; ConfigurationError unless all come out."""
    from serving.catalogue.golden import hold

    return 0 if golden is None else len(hold(golden, found, _features()).decisions)


def _features() -> Mapping[str, Column]:
    """Return the features a rule may name; what a deployment serves is checked again when it starts."""
    from features.definitions import customer_contract
    from serving.opening import catalogue_columns

    return catalogue_columns(customer_contract())


def _after(asked: _Asked, lacking: tuple[str, ...]) -> str:
    """Return what makes a sound catalogue decide: a new version where the ledger has one, else its file."""
    from moment.home import Home
    from serving.opening import ledger_decides
    from serving.packaging.packaged import book_of

    if asked.champion or lacking:
        return ""
    if ledger_decides(book_of(Home.find())):
        return f", or `moment catalogue submit {asked.file}`"
    return f", or `MOMENT_CATALOGUE={asked.file} moment serve`"


def _lacking(found: Catalogue) -> tuple[str, ...]:
    from serving.catalogue.feature_columns import missing_columns

    return missing_columns(found, _features())


def _action(found: Catalogue, action_id: str) -> Action:
    from serving.decision.parsing import nearest

    names = [action.action_id for action in (*found.actions, *found.fallbacks)]
    if action_id not in names:
        hint = nearest(action_id, names) or "; `moment catalogue show` lists them"
        raise click.BadParameter(f"there is no action `{action_id}`{hint}", param_hint="--action")
    return found.action(action_id)
