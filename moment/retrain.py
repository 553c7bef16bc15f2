"""``moment retrain``: decisions and outcomes into the lake, features, training set, models, gates, ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from training.retrain import Asked, Journal, Outcome, Reason, Status

if TYPE_CHECKING:
    from moment.offices import Offices

MODELS = ("segmentation", "propensity")


@click.group()
def cli() -> None:
    """Commands that ``moment`` mounts at the top."""


@cli.command()
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Learn from decisions from that day on.")
@click.option(
    "--model", "models", type=click.Choice(MODELS), multiple=True, help="What to train. Default: every model."
)
@click.option(
    "--reason",
    type=click.Choice([reason.value for reason in Reason]),
    default=Reason.HAND.value,
    show_default=True,
    help="Why, for the ledger and MLflow.",
)
@click.option("--note", default="", help="Why, in words.")
@click.option(
    "--source", default="", help="Ingest this first: complete-journey, or the folder of a source of your own."
)
@click.option(
    "--split-on",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day of the test. Default: the newest period tests.",
)
@click.option(
    "--catalogue",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="MOMENT_CATALOGUE",
    help="Catalogue with the actions that were presented. Default: the champion's, or Moment's own.",
)
@click.option("--anyway", is_flag=True, help="Train even where there is nothing new to learn from.")
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="MOMENT_PERSON_KEY",
    help="Your personal key: the models are then submitted in your name, not the machine's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the journal as JSON.")
def retrain(
    *,
    since: datetime | None,
    models: tuple[str, ...],
    reason: str,
    note: str,
    source: str,
    split_on: datetime | None,
    catalogue: Path | None,
    anyway: bool,
    key: Path | None,
    as_json: bool,
) -> None:
    """Retrain: from recorded decisions and mature outcomes to challengers that have been through their gates.

    Nothing that serves changes; only where nothing serves yet, and nobody is in charge, the first version
    does. One retraining runs at a time; one that was interrupted goes on where it was
    when it is asked for again. Where nothing is new since the champion was trained, it says so and ends.

    \b
    Examples:
      moment retrain
      moment retrain --model propensity --since 2026-01-01 --reason drift --note "clicks fell in May"
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"
    from moment.home import Home
    from moment.retrain_plan import Plan
    from training.retrain import retrain as run

    home = Home.find()
    offices: Offices = click.get_current_context().obj
    asked = Asked(
        models=tuple(model for model in MODELS if not models or model in models),
        since=None if since is None else since.replace(tzinfo=UTC),
        source=source,
        split_on=None if split_on is None else split_on.date(),
        catalogue=str(catalogue.resolve()) if catalogue else "",
        anyway=anyway,
    )
    journal = run(
        home, asked, lambda begun: Plan(home, offices, begun, key).stages(), reason=Reason(reason), note=note
    )
    click.echo(_as_json(journal) if as_json else _as_text(journal))


def _as_json(journal: Journal) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(journal), indent=2).decode()


def _as_text(journal: Journal) -> str:
    if journal.status is Status.STOPPED:
        return f"Nothing was trained: {journal.message}.\n\nNext: moment models list"
    done = journal.outcomes
    lines = [f"Retrained ({journal.why}) in {sum(step.seconds for step in journal.steps):.0f} s.", ""]
    lines += [_decisions_line(done["decisions"]), *_skew_lines(done["skew"])]
    lines += [_model_line(model, done[f"enter {model}"]) for model in journal.asked.models]
    entered = [model for model in journal.asked.models if "version" in done[f"enter {model}"]]
    lines += ["", f"Journal: {journal.retraining_id}"]
    model = entered[0] if entered else journal.asked.models[0]
    version = done[f"enter {model}"].get("version", "")
    return "\n".join([*lines, "", f"Next: moment models show {model} {version}".rstrip()])


def _decisions_line(found: Outcome) -> str:
    return (
        f"  decisions     {found.get('presentations', 0):,} shown and {found.get('outcomes', 0):,} answers "
        f"on record, {found.get('rejected', 0):,} rejected"
    )


def _skew_lines(found: Outcome) -> list[str]:
    if not found.get("decisions"):
        return ["  skew          no recorded decision to compare"]
    share = float(found["share"] or 0.0)
    worst = f": {found['worst']}" if found["worst"] else ""
    line = (
        f"  skew          {share:.2%} of {found['values']:,} values of {found['decisions']:,} decisions are "
        f"other than training's{worst}"
    )
    return [line]


def _model_line(model: str, entered: Outcome) -> str:
    if entered.get("skipped"):
        return f"  {model:<13} not trained: {entered['skipped']}"
    left = f"; {entered['open']}" if entered["open"] else ""
    took = ", serving (nobody is in charge)" if entered["installed"] else ""
    return f"  {model:<13} {entered['version']} is a {entered['state']}{took}; gates {entered['gates']}{left}"
