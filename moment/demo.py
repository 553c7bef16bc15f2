"""``moment demo``: the whole of Moment once, on the data of 2,469 households, leaving nothing running.

Each step is the one its own command does; what is already there is reused. Nothing in the service knows of
the demo: it is asked over HTTP, with a test key, at the time where the data ends.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from moment.home import Home

_NEXT = """
Try next (`moment` is .venv/bin/moment):
  moment decide 1228 --explain     one household's decision, and why not for every other offer
  moment models show propensity    what the served model says of itself
  make serve                       keep the service up; its pages are at /docs
  make mlflow-ui                   runs, figures and plots of the training
  make feast-ui                    the feature store"""

_FIGURES = {
    "rows": "presentations",
    "positives": "redeemed",
    "auc": "AUC",
    "average_precision": "average precision",
    "top_decile_lift": "top-decile lift",
    "log_loss": "log-loss",
    "brier": "Brier",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration intercept",
}


@click.group()
def cli() -> None:
    """Commands that ``moment`` mounts at the top."""


@cli.command()
def demo() -> None:
    """History to features, models and decisions over HTTP, in minutes.

    Uses the data of 2,469 households that comes with a package; needs no network. Repeating it reuses what is
    there, and an interrupted one goes on where it was.

    \b
    Example:
      moment demo
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"
    from moment import demo_visit
    from moment.home import Home

    started = time.monotonic()
    home = Home.find()
    newest = _features(home, _ingest(home))
    for model in ("segmentation", "propensity"):
        _model(home, model)
    demo_visit.visit(home, _key(home), newest)
    click.echo(f"\nDone in {time.monotonic() - started:.0f} s, and nothing is left running.")
    click.echo(f"Everything is in {home.root} and {home.mlruns}.")
    click.echo(_NEXT)


def _ingest(home: Home) -> int:
    """Bring the households' history into the lake; return the number of its rows."""
    from features.cli import consents_note
    from features.ingest import ingest
    from features.sources.complete_journey import CompleteJourney
    from serving.bootstrap import open_customer_ledger

    click.secho("1  What happened: a year of households at a grocer, onto the canonical tables", bold=True)
    source = CompleteJourney.installed()
    with open_customer_ledger(home) as ledger:
        report = ingest(home, source, ledger=ledger)
    for table in report.tables:
        click.echo(f"   {table.rows:>11,} {table.table:<14} {table.rejected:,} rejected")
    click.secho(f"   {consents_note(source)}", dim=True)
    return sum(table.rows for table in report.tables)


def _features(home: Home, rows: int) -> datetime:
    """Build the features and put the newest online; return the time they are as of."""
    from moment.progress import step

    click.secho(f"2  What we know: features from {rows:,} rows, each as it was known then", bold=True)
    with step("Load Feast"):
        from features.definitions import all_views
        from features.snapshots import build, plan_for
        from features.store import FeatureStore
    views = all_views()
    times = plan_for(home)
    with step(f"Build snapshots at {len(times)} times", total=len(times)) as bar:
        build(home, views, step=bar)
    with step("Put the newest online"):
        store = FeatureStore(home)
        store.apply()
        newest = store.materialize(datetime.now(UTC))
    specs = sum(len(view.specs) for view in views)
    click.echo(f"   {specs} features in {len(views)} views, as of {newest:%Y-%m-%d %H:%M} UTC")
    return newest


def _model(home: Home, model: str) -> None:
    """Train a model that is not there yet, or was made for other features, and tell its figures."""
    titles = {
        "segmentation": "3  Who they are: personas",
        "propensity": "4  What they answer: propensity, trained before September, tested after",
    }
    click.secho(titles[model], bold=True)
    if not _is_current(home, model):
        _train(home, model)
    _tell_personas(home) if model == "segmentation" else _tell_figures(home)


def _is_current(home: Home, model: str) -> bool:
    from features.definitions import customer_contract
    from moment.errors import DependencyError
    from serving.bundles import open_current_propensity, open_current_segmentation

    try:
        opened = (
            open_current_propensity(home.bundles)
            if model == "propensity"
            else open_current_segmentation(home.bundles)
        )
    except DependencyError:
        return False
    return opened.contract.digest() == customer_contract().digest()


def _train(home: Home, model: str) -> None:
    from moment.progress import step
    from training.pipelines.configuration import read_config

    with step("Load the training libraries"):
        from training.pipelines.propensity import pipeline as propensity
        from training.pipelines.propensity import settings as propensity_settings
        from training.pipelines.segmentation import pipeline as segmentation
        from training.pipelines.segmentation import settings as segmentation_settings
    if model == "propensity":
        answers = propensity_settings
        propensity.train(home, read_config(answers.CONFIG, answers.PropensitySettings))
    else:
        personas = segmentation_settings
        segmentation.train(home, read_config(personas.CONFIG, personas.SegmentationSettings))


def _tell_personas(home: Home) -> None:
    from serving.bundles import open_current_segmentation

    personas = open_current_segmentation(home.bundles).model.personas
    for persona in personas:
        traits = click.style(", ".join(trait.split(" (")[0] for trait in persona.traits), dim=True)
        click.echo(f"   {persona.share:>5.0%}  {persona.name:<36} {traits}")


def _tell_figures(home: Home) -> None:
    from training.models_view import details

    shown = details(home.bundles, "propensity", None)
    figures = {name: (value, low, high) for name, value, low, high in shown.figures}
    slices = {"": "all exposures", "observed/": "observed exposures"}
    click.echo(
        f"   {'out of time, 95 % interval':<28}" + "".join(f"{title:<28}" for title in slices.values())
    )
    for metric, title in _FIGURES.items():
        cells = (_interval(*figures[f"{part}{metric}"]) for part in slices)
        click.echo(f"   {title:<28}" + "".join(f"{cell:<28}" for cell in cells))
    click.echo(
        f"   propensity {shown.version} ({shown.kind}), approval: none; all of it: reports/propensity.md"
    )


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:,.0f}" if low is None or high is None else f"{value:#.3g} [{low:#.3g}, {high:#.3g}]"


def _key(home: Home) -> Path:
    """Return the file with the demo's test key, making the key where there is none that opens."""
    from serving.adapters.identifiers import utc_now
    from serving.bootstrap import open_keys
    from serving.keys_cli import write_key
    from serving.ports import Scope
    from serving.records import Mode
    from serving.use_cases.keys import create_key, digest

    path = home.keys / "demo.key"
    keys = open_keys(home)
    try:
        known = keys.find(digest(path.read_text().strip())) if path.is_file() else None
        if known is None or not known.opens(utc_now()):
            new = create_key(
                keys, mode=Mode.TEST, scopes=frozenset(Scope), channel=None, label="demo", now=utc_now()
            )
            path.unlink(missing_ok=True)
            write_key(path, new.secret)
    finally:
        keys.close()
    return path
