"""The commands ``training-set`` and ``train``. What is heavy is imported when a command runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from moment.errors import InvariantViolation

if TYPE_CHECKING:
    from rich.table import Table

    from moment.home import Home
    from moment.offices import Offices
    from training.entering import About, Entered
    from training.pipelines.propensity.result import PropensityResult
    from training.pipelines.propensity.settings import PropensitySettings
    from training.pipelines.segmentation.result import SegmentationResult
    from training.pipelines.segmentation.settings import SegmentationSettings

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
_OF_THE_LIFE = (
    click.option("--reason", default="hand", show_default=True, help="Why it is trained."),
    click.option("--owner", default="", help="Who answers for it."),
    click.option("--tier", type=click.IntRange(1, 3), default=2, show_default=True, help="1: most harm."),
    click.option("--use-class", default="marketing", show_default=True, help="What it is used for."),
    click.option(
        "--key",
        "key_file",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="MOMENT_PERSON_KEY",
        help="File with your personal key: you are its trainer, and somebody else approves it.",
    ),
)


def _life(command: Callable[..., None]) -> Callable[..., None]:
    """Add what is said of a version when it enters its life, handed on as one value."""

    @functools.wraps(command)
    def run(
        *, reason: str, owner: str, tier: int, use_class: str, key_file: Path | None, **given: object
    ) -> None:
        from training.entering import About

        command(about=About(reason, key_file, tier, use_class, owner), **given)

    for option in reversed(_OF_THE_LIFE):
        run = option(run)
    return run


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
@_life
@_json
def train_propensity(
    *,
    trials: int | None,
    budget: float | None,
    seed: int | None,
    catalogue: Path | None,
    about: About,
    as_json: bool,
) -> None:
    """Train the propensity model: the chance that an action is answered.

    \b
    Example:
      moment train propensity --trials 30 --budget 300
    """  # noqa: D301
    result, entered = _train_propensity(_propensity_settings(trials, budget, seed), catalogue, about)
    if as_json:
        _print_json(_with_life(result, entered))
        return
    _show_propensity(result)
    _tell(entered)


@train.command("segmentation")
@_seed
@_life
@_json
def train_segmentation(*, seed: int | None, about: About, as_json: bool) -> None:
    """Train the segmentation: which kinds of customer there are.

    \b
    Example:
      moment train segmentation --seed 7
    """  # noqa: D301
    result, entered = _train_segmentation(_segmentation_settings(seed), about)
    if as_json:
        _print_json(_with_life(result, entered))
        return
    _show_segmentation(result)
    _tell(entered)


@train.command("all")
@_trials
@_budget
@_seed
@_catalogue
@_life
@_json
def train_all(
    *,
    trials: int | None,
    budget: float | None,
    seed: int | None,
    catalogue: Path | None,
    about: About,
    as_json: bool,
) -> None:
    """Train every model.

    \b
    Example:
      moment train all
    """  # noqa: D301
    segmentation, first = _train_segmentation(_segmentation_settings(seed), about)
    propensity, second = _train_propensity(_propensity_settings(trials, budget, seed), catalogue, about)
    if as_json:
        parts = {
            "segmentation": _with_life(segmentation, first),
            "propensity": _with_life(propensity, second),
        }
        _print_json(parts)
        return
    _show_segmentation(segmentation)
    _tell(first)
    _show_propensity(propensity)
    _tell(second)


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


def _train_propensity(
    settings: PropensitySettings, catalogue: Path | None, about: About
) -> tuple[PropensityResult, Entered]:
    from moment.home import Home
    from moment.progress import step
    from serving.lifecycle import Model
    from training.entering import champion_bundle

    with step("Load the training libraries"):
        from training.pipelines.propensity.pipeline import train as run_pipeline

    home, offices = Home.find(), _offices()
    result = run_pipeline(
        home,
        settings,
        catalogue=catalogue,
        champion=champion_bundle(offices, home, Model.PROPENSITY),
        segmentation=champion_bundle(offices, home, Model.SEGMENTATION),
        adopt=False,
    )
    return result, _enter(home, "propensity", result, about)


def _train_segmentation(settings: SegmentationSettings, about: About) -> tuple[SegmentationResult, Entered]:
    from moment.home import Home
    from moment.progress import step
    from serving.lifecycle import Model
    from training.entering import champion_bundle

    with step("Load the training libraries"):
        from training.pipelines.segmentation.pipeline import train as run_pipeline

    home, offices = Home.find(), _offices()
    champion = champion_bundle(offices, home, Model.SEGMENTATION)
    result = run_pipeline(home, settings, champion=champion, adopt=False)
    return result, _enter(home, "segmentation", result, about)


def _enter(home: Home, model: str, result: PropensityResult | SegmentationResult, about: About) -> Entered:
    """Let what was trained enter its life."""
    from training.entering import enter

    bundle = home.bundles / model / result.version
    return enter(
        _offices(),
        home,
        bundle,
        result.gates,
        about,
        registered=result.registered,
        data_digest=result.data_digest,
    )


def _offices() -> Offices:
    offices: Offices | None = click.get_current_context().obj
    if offices is None:
        raise InvariantViolation("`train` was mounted without the offices of the house")
    return offices


def _with_life(result: object, entered: Entered) -> dict[str, object]:
    """Return a result with what became of its version."""
    import msgspec

    version = entered.version
    life = {
        "state": version.state,
        "verdict": version.verdict,
        "approval": "none" if version.approval is None else "approved",
        "installed": entered.installed,
    }
    return {**msgspec.to_builtins(result, str_keys=True), "life": life}


def _tell(entered: Entered) -> None:
    from training.entering import told

    click.echo("\n".join(told(entered)))


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
