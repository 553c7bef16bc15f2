"""``moment catalogue``: check a catalogue, and read what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from serving.decision.actions import Action
    from serving.decision.catalogue import Catalogue
    from serving.decision.columns import Column

_PACKAGED = Path(__file__).parent / "examples" / "groceries.yaml"
_FILE = click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="MOMENT_CATALOGUE",
    default=_PACKAGED,
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group()
def catalogue() -> None:
    """Check and show a catalogue of actions and policies.

    \b
    Example:
      moment catalogue check my-catalogue.yaml
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"


@catalogue.command()
@_FILE
@_JSON
def check(file: Path, *, as_json: bool) -> None:
    """Tell every mistake in FILE at once: line, action, what is wrong, and the nearest name.

    FILE is the catalogue in use (MOMENT_CATALOGUE, else the packaged groceries) unless given.

    \b
    Example:
      moment catalogue check my-catalogue.yaml
    """  # noqa: D301
    from moment.errors import ConfigurationError
    from serving.catalogue import load

    try:
        found = load(file, _features())
    except ConfigurationError as error:
        if not as_json:
            raise
        faults = [{"place": fault.place, "message": fault.message} for fault in error.faults]
        click.echo(json.dumps({"sound": False, "message": str(error).splitlines()[0], "faults": faults}))
        raise click.exceptions.Exit(1) from error
    if as_json:
        click.echo(json.dumps({"sound": True, "digest": found.digest, "faults": []}))
        return
    click.echo(f"{file.name} is sound: {_summary(found)}.")
    click.echo(f"Next: `{_show_command(file)}`, or `MOMENT_CATALOGUE={file} moment serve`.", err=True)


@catalogue.command()
@_FILE
@click.option("--action", "action_id", help="Show this action whole.")
@_JSON
def show(file: Path, *, action_id: str | None, as_json: bool) -> None:
    """Show what FILE offers where, under which rules.

    \b
    Examples:
      moment catalogue show
      moment catalogue show --action coupon-cheese
    """  # noqa: D301
    from serving.catalogue import load

    found = load(file, _features())
    if action_id is not None:
        _show_action(found, action_id, as_json=as_json)
    elif as_json:
        click.echo(json.dumps(_as_json(found)))
    else:
        click.echo("\n".join(_lines(found)))


def _features() -> Mapping[str, Column]:
    """Return the features a rule may name; what a deployment serves is checked again when it starts."""
    from features.definitions import customer_contract
    from serving.catalogue.feature_columns import feature_columns

    return feature_columns(customer_contract())


def _show_command(file: Path) -> str:
    return "moment catalogue show" if file == _PACKAGED else f"moment catalogue show {file}"


def _summary(found: Catalogue) -> str:
    groups = {(action.issue, action.group) for action in found.actions}
    issues = {action.issue for action in found.actions}
    return (
        f"{len(found.actions)} actions in {len(groups)} groups of {len(issues)} issues, "
        f"{len(found.rules)} rules, {len(found.placements)} placements on {', '.join(found.channels)}; "
        f"version {found.version}"
    )


def _lines(found: Catalogue) -> Iterator[str]:
    yield f"{found.name}: {_summary(found)}"
    yield f"  values in {found.currency}, days and hours in {found.timezone}"
    yield f"  exploration {found.exploration.name}, propensity floor {found.propensity_floor:g}"
    yield "placements"
    for place in found.placements:
        fallback = f", else {place.fallback.action.action_id}" if place.fallback else ""
        yield f"  {place.channel} {place.name}: {place.slots} slots, distinct by {place.distinct}{fallback}"
    yield "context"
    for field in found.context:
        yield f"  {field.name} ({field.type}, set by {field.set_by}): {field.meaning}"
    yield "actions"
    for (issue, group), actions in _by_group(found).items():
        worth = " to ".join(f"{pick(action.value for action in actions):g}" for pick in (min, max))
        yield f"  {issue} > {group}: {len(actions)} actions, worth {worth} {found.currency}"
        for action in actions:
            yield f"    {action.action_id}: {action.label}"
    yield "rules"
    uses = _uses(found)
    for rule in found.rules:
        yield f"  {rule.rule_id:>3} `{rule.text}` ({uses.get(rule.rule_id, 0)} actions)"


def _by_group(found: Catalogue) -> dict[tuple[str, str], list[Action]]:
    groups: dict[tuple[str, str], list[Action]] = {}
    for action in found.actions:
        groups.setdefault((action.issue, action.group), []).append(action)
    return dict(sorted(groups.items()))


def _uses(found: Catalogue) -> dict[int, int]:
    counts: dict[int, int] = {}
    for action in found.actions:
        for rule_id in {use.rule_id for use in action.rules}:
            counts[rule_id] = counts.get(rule_id, 0) + 1
    return counts


def _show_action(found: Catalogue, action_id: str, *, as_json: bool) -> None:
    from serving.decision.parsing import nearest

    names = [action.action_id for action in (*found.actions, *found.fallbacks)]
    if action_id not in names:
        hint = nearest(action_id, names) or "; `moment catalogue show` lists them"
        raise click.BadParameter(f"there is no action `{action_id}`{hint}", param_hint="--action")
    action = found.action(action_id)
    if as_json:
        click.echo(json.dumps(_action_json(found, action)))
        return
    click.echo(f"{action.action_id}: {action.label} ({action.issue} > {action.group})")
    click.echo(f"  worth {action.value:g} {found.currency} within {action.window.days} days")
    for name, value in action.attributes.items():
        click.echo(f"  action.{name} = {value}")
    for use in action.rules:
        click.echo(f"  {use.tier} ({use.level}): rule {use.rule_id} `{found.rule_text(use.rule_id)}`")
    for treatment in action.treatments:
        click.echo(f"  {treatment.treatment_id} on {treatment.channel} {', '.join(treatment.placements)}")
        for name, template in treatment.content.items():
            click.echo(f"    {name}: {template}")


def _as_json(found: Catalogue) -> dict[str, object]:
    return {
        "catalogue": found.name,
        "digest": found.digest,
        "currency": found.currency,
        "timezone": found.timezone,
        "exploration": found.exploration.name,
        "propensity_floor": found.propensity_floor,
        "placements": [
            {
                "channel": place.channel,
                "name": place.name,
                "slots": place.slots,
                "distinct": place.distinct,
                "fallback": place.fallback.action.action_id if place.fallback else None,
            }
            for place in found.placements
        ],
        "context": [
            {"name": field.name, "type": field.type, "set_by": field.set_by, "meaning": field.meaning}
            for field in found.context
        ],
        "rules": [rule.text for rule in found.rules],
        "actions": [_action_json(found, action) for action in found.actions],
    }


def _action_json(found: Catalogue, action: Action) -> dict[str, object]:
    return {
        "action_id": action.action_id,
        "label": action.label,
        "issue": action.issue,
        "group": action.group,
        "value": action.value,
        "window_days": action.window.total_seconds() / 86400,
        "attributes": dict(action.attributes),
        "starts_at": action.starts_at.isoformat() if action.starts_at else None,
        "ends_at": action.ends_at.isoformat() if action.ends_at else None,
        "rules": [
            {"tier": use.tier, "level": use.level, "rule": use.rule_id, "text": found.rule_text(use.rule_id)}
            for use in action.rules
        ],
        "treatments": [
            {
                "treatment_id": treatment.treatment_id,
                "channel": treatment.channel,
                "placements": list(treatment.placements),
                "language": treatment.language,
                "content": dict(treatment.content),
            }
            for treatment in action.treatments
        ],
    }
