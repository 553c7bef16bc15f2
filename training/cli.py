"""The commands ``training-set``, ``train`` and ``models``. What is heavy is imported when a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

    from training.pipelines.propensity.result import PropensityResult
    from training.pipelines.propensity.settings import PropensitySettings
    from training.pipelines.segmentation.result import SegmentationResult
    from training.pipelines.segmentation.settings import SegmentationSettings

_AFTER_TRAINING = """
Next: moment decide CUSTOMER, or moment serve
      mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db   to see runs, plots and versions"""

MODELS = ("segmentation", "propensity")

_catalogue = click.option(
    "--catalogue",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="MOMENT_CATALOGUE",
    help="Catalogue with the actions that were presented. Default: the one that comes with Moment.",
)
_trials = click.option("--trials", type=click.IntRange(min=1), help="Most trials of tuning.")
_budget = click.option("--budget", type=click.FloatRange(min=1), help="Seconds tuning may take.")
_seed = click.option("--seed", type=click.IntRange(min=0), help="Seed of everything that draws.")
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def cli() -> None:
    """Train models and look at them."""


@cli.command("training-set")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rows to this parquet file.",
)
@_catalogue
@_json
def training_set_command(out: Path | None, catalogue: Path | None, *, as_json: bool) -> None:
    """Assemble the training set of the propensity model: who was presented what, and what was known then.

    \b
    Example:
      moment training-set --out training.parquet
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"
    from moment.home import Home
    from training.pipelines.propensity.training_set import training_set, write_parquet

    data = training_set(Home.find(), _propensity_settings(None, None, None), catalogue=catalogue)
    if out is not None:
        write_parquet(data, out)
    if as_json:
        _print_json(data.describe())
        return
    table = _table("part", "rows", "answered", "customers", "first", "last")
    for name, part in data.describe().parts.items():
        first, last = f"{part.first:%Y-%m-%d}", f"{part.last:%Y-%m-%d}"
        counts = (f"{part.rows:,}", f"{part.positives:,}", f"{part.customers:,}")
        table.add_row(name, *counts, first, last)
    _show(table)
    for reason, count in data.left_out.items():
        click.echo(f"Left out: {count:,} presentations ({reason}).")
    click.echo(data.consents)
    click.echo(f"{len(data.layout.columns)} columns a row. Data {data.digest[:12]}.")
    click.echo(f"Written to {out}." if out else "Write them down with --out FILE.")
    click.echo("\nNext: moment train propensity")


@cli.group()
def train() -> None:
    """Train a model: out of time, against simpler contenders, into a bundle and MLflow."""


@train.command("propensity")
@_trials
@_budget
@_seed
@_catalogue
@_json
def train_propensity(
    trials: int | None, budget: float | None, seed: int | None, catalogue: Path | None, *, as_json: bool
) -> None:
    """Train the propensity model: the chance that an action is answered.

    \b
    Example:
      moment train propensity --trials 30 --budget 300
    """  # noqa: D301
    result = _train_propensity(_propensity_settings(trials, budget, seed), catalogue)
    if as_json:
        _print_json(result)
        return
    _show_propensity(result)
    click.echo(_AFTER_TRAINING)


@train.command("segmentation")
@_seed
@_json
def train_segmentation(seed: int | None, *, as_json: bool) -> None:
    """Train the segmentation: which kinds of customer there are.

    \b
    Example:
      moment train segmentation --seed 7
    """  # noqa: D301
    result = _train_segmentation(_segmentation_settings(seed))
    if as_json:
        _print_json(result)
        return
    _show_segmentation(result)
    click.echo("\nNext: moment train propensity, or moment decide CUSTOMER")


@train.command("all")
@_trials
@_budget
@_seed
@_catalogue
@_json
def train_all(
    trials: int | None, budget: float | None, seed: int | None, catalogue: Path | None, *, as_json: bool
) -> None:
    """Train every model.

    \b
    Example:
      moment train all
    """  # noqa: D301
    segmentation = _train_segmentation(_segmentation_settings(seed))
    propensity = _train_propensity(_propensity_settings(trials, budget, seed), catalogue)
    if as_json:
        _print_json({"segmentation": segmentation, "propensity": propensity})
        return
    _show_segmentation(segmentation)
    _show_propensity(propensity)
    click.echo(_AFTER_TRAINING)


@cli.group()
def models() -> None:
    """List and show trained models."""


@models.command("list")
@_json
def list_models(*, as_json: bool) -> None:
    """List the bundles of every model, newest last.

    \b
    Example:
      moment models list
    """  # noqa: D301
    from moment.errors import StepMissing
    from moment.home import Home
    from training.models_view import listing

    lines = [line for model in MODELS for line in listing(Home.find().bundles, model)]
    if as_json:
        _print_json(lines)
        return
    if not lines:
        raise StepMissing("no model is trained", run="moment train all")
    table = _table("model", "version", "kind", "trained", "figures", "state")
    for line in lines:
        table.add_row(line.model, line.version, line.kind, line.created_at, line.figures, line.state)
    _show(table)
    click.echo("\nNext: moment models show MODEL, or moment serve")


@models.command("show")
@click.argument("model", type=click.Choice(MODELS))
@click.argument("version", required=False)
@_json
def show_model(model: str, version: str | None, *, as_json: bool) -> None:
    """Verify a bundle as serving does, and show what it says of itself. Default: the current one.

    \b
    Example:
      moment models show propensity
    """  # noqa: D301
    from moment.home import Home
    from training.models_view import details

    shown = details(Home.find().bundles, model, version)
    if as_json:
        _print_json(shown)
        return
    click.echo(f"{shown.model} {shown.version} ({shown.kind}), {shown.state}")
    click.echo(f"  trained   {shown.created_at}, MLflow run {shown.run_id}")
    click.echo(f"  digest    {shown.digest}")
    click.echo("  verified  digests and golden predictions agree")
    click.echo("  approval  none")
    for note in shown.notes:
        click.echo(f"  - {note}")
    if shown.figures:
        table = _table("figure", "value", "95 % interval")
        for name, value, low, high in shown.figures:
            table.add_row(name, f"{value:.4g}", f"{low:.4g} to {high:.4g}" if low is not None else "")
        _show(table)
    click.echo("\nNext: moment decide CUSTOMER, or mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db")


def _propensity_settings(trials: int | None, budget: float | None, seed: int | None) -> PropensitySettings:
    import msgspec

    from training.pipelines.configuration import read_config
    from training.pipelines.propensity.settings import CONFIG, PropensitySettings

    settings = read_config(CONFIG, PropensitySettings)
    model = settings.model
    if trials is not None:
        model = msgspec.structs.replace(model, trials=trials)
    if budget is not None:
        model = msgspec.structs.replace(model, budget_seconds=budget)
    return msgspec.structs.replace(settings, model=model, seed=settings.seed if seed is None else seed)


def _segmentation_settings(seed: int | None) -> SegmentationSettings:
    import msgspec

    from training.pipelines.configuration import read_config
    from training.pipelines.segmentation.settings import CONFIG, SegmentationSettings

    settings = read_config(CONFIG, SegmentationSettings)
    return msgspec.structs.replace(settings, seed=settings.seed if seed is None else seed)


def _train_propensity(settings: PropensitySettings, catalogue: Path | None) -> PropensityResult:
    from moment.home import Home
    from moment.progress import step

    with step("Load the training libraries"):
        from training.pipelines.propensity.pipeline import train as run_pipeline

    return run_pipeline(Home.find(), settings, catalogue=catalogue)


def _train_segmentation(settings: SegmentationSettings) -> SegmentationResult:
    from moment.home import Home
    from moment.progress import step

    with step("Load the training libraries"):
        from training.pipelines.segmentation.pipeline import train as run_pipeline

    return run_pipeline(Home.find(), settings)


def _show_propensity(result: PropensityResult) -> None:
    from moment.home import Home
    from training.pipelines.propensity.result import SLICES
    from training.reports import METRICS, digits, gate_value, interval

    click.echo(f"Propensity {result.version}, {result.kind}. {result.selection.reason}")
    shown = ("closed", "observed")
    table = _table("out of time", *(SLICES[name] for name in shown))
    counts = [f"{result.figures[name].rows:,} / {result.figures[name].positives:,}" for name in shown]
    table.add_row("rows / answered", *counts)
    for metric, title in METRICS.items():
        values = (interval(result.figures[name].metrics[metric], digits(metric)) for name in shown)
        table.add_row(title, *values)
    _show(table)
    for item in result.gates:
        if item.verdict != "pass":
            click.echo(
                f"Gate {item.gate}: {item.verdict}, {gate_value(item)}. {item.title}. {item.note}".rstrip()
            )
    click.echo(f"Report: {Home.find().reports / 'propensity.md'} ({result.seconds:.0f} s)")


def _show_segmentation(result: SegmentationResult) -> None:
    from moment.home import Home
    from training.reports import interval

    click.echo(
        f"Segmentation {result.version}: {len(result.personas)} personas, {result.customers:,} customers."
    )
    table = _table("persona", "share", "what sets it apart")
    for persona in result.personas:
        # The report has the figures behind each trait
        traits = ", ".join(trait.split(" (")[0] for trait in persona.traits)
        table.add_row(persona.name, f"{persona.share:.0%}", traits)
    _show(table)
    stability = interval(result.stability[len(result.personas)], 2)
    click.echo(f"Stability (adjusted Rand index of resamples): {stability}.")
    click.echo(f"Report: {Home.find().reports / 'segmentation.md'} ({result.seconds:.0f} s)\n")


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _show(table: Table) -> None:
    from rich.console import Console

    console = Console()
    console.print(table)


def _print_json(result: Any) -> None:  # noqa: ANN401 - any frozen result
    from training.reports import to_json

    click.echo(to_json(result).decode())
