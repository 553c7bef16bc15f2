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
    from serving.lifecycle import Model
    from training.entering import Entered
    from training.pipelines.propensity.result import PropensityResult
    from training.pipelines.segmentation.result import SegmentationResult

_REASON = "demo"
"""Why the machine installs what nobody has approved."""

_NEXT = """
Try next (`moment` is .venv/bin/moment):
  moment decide 1228 --explain     one household's decision, and why not for every other offer
  moment models list               what serves, since when, and by whose word: nobody's yet
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
    from serving.lifecycle import Model

    started = time.monotonic()
    home = Home.find()
    newest = _features(home, _ingest(home))
    for model in (Model.SEGMENTATION, Model.PROPENSITY):
        _model(home, model)
    _policy(home)
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


def _model(home: Home, model: Model) -> None:
    """Train a model that is not there yet, or was made for other features, and tell its figures."""
    from serving.lifecycle import Model

    titles = {
        Model.SEGMENTATION: "3  Who they are: personas",
        Model.PROPENSITY: "4  What they answer: propensity, trained before September, tested after",
    }
    click.secho(titles[model], bold=True)
    if not _is_current(home, model):
        _serve(home, _train(home, model))
    _tell_personas(home) if model is Model.SEGMENTATION else _tell_figures(home)


def _policy(home: Home) -> None:
    """Let the packaged catalogue be the first version of the decision policy."""
    from moment.progress import step
    from serving.bootstrap import PACKAGED_CATALOGUE
    from serving.lifecycle import Model

    click.secho("5  What may be offered: the catalogue, a model like the others", bold=True)
    champion = _champion(home, Model.NEXT_BEST_ACTION)
    if champion is None or (champion / "catalogue.yaml").read_bytes() != PACKAGED_CATALOGUE.read_bytes():
        from moment.life import offices
        from serving.policies.entering import draft
        from training.entering import About, enter

        rooms = offices()
        with rooms.life(home) as life:
            book = life.book()
        with step("Ask the gates of the catalogue"):
            drafted = draft(home, book, PACKAGED_CATALOGUE)
        _serve(home, enter(rooms, home, drafted.bundle, drafted.gates, About(reason=_REASON)))
        champion = _champion(home, Model.NEXT_BEST_ACTION)
    from serving.bundles import read_manifest

    if champion is not None:
        manifest = read_manifest(champion)
        click.echo(f"   {manifest.about.notes[0]}")
        click.echo(f"   {_standing(home, Model.NEXT_BEST_ACTION)}")


def _is_current(home: Home, model: Model) -> bool:
    """Whether the champion was made for the features of today."""
    from features.definitions import customer_contract
    from moment.errors import DependencyError
    from serving.bundles import open_propensity, open_segmentation
    from serving.lifecycle import Model

    champion = _champion(home, model)
    try:
        if champion is None:
            return False
        opened = open_propensity(champion) if model is Model.PROPENSITY else open_segmentation(champion)
    except DependencyError:
        return False
    return opened.contract.digest() == customer_contract().digest()


def _champion(home: Home, model: Model) -> Path | None:
    """Return the bundle of the ledger's champion; None where there is none on this machine."""
    from serving.life_room import open_life

    with open_life(home) as life:
        champion = life.book().champion(model)
    folder = None if champion is None else home.bundles / model / champion.version
    return folder if folder is not None and folder.is_dir() else None


def _train(home: Home, model: Model) -> Entered:
    from moment.life import offices
    from moment.progress import step
    from serving.lifecycle import Model
    from training.entering import About, champion_bundle, enter
    from training.pipelines.configuration import read_config

    with step("Load the training libraries"):
        from training.pipelines.propensity import pipeline as propensity
        from training.pipelines.propensity import settings as propensity_settings
        from training.pipelines.segmentation import pipeline as segmentation
        from training.pipelines.segmentation import settings as segmentation_settings
    rooms = offices()
    champion = champion_bundle(rooms, home, model)
    result: PropensityResult | SegmentationResult
    if model is Model.PROPENSITY:
        answers = propensity_settings
        config = read_config(answers.CONFIG, answers.PropensitySettings)
        result = propensity.train(home, config, champion=champion, adopt=False)
    else:
        personas = segmentation_settings
        found = read_config(personas.CONFIG, personas.SegmentationSettings)
        result = segmentation.train(home, found, champion=champion, adopt=False)
    return enter(
        rooms,
        home,
        home.bundles / model / result.version,
        result.gates,
        About(reason=_REASON),
        registered=result.registered,
        data_digest=result.data_digest,
    )


def _serve(home: Home, entered: Entered) -> None:
    """Let the machine install what was made, also in the place of what was made for other features."""
    from moment.errors import DependencyError
    from moment.life import offices
    from serving.life_room import open_life
    from serving.lifecycle import State

    version = entered.version
    if entered.installed or version.state is State.CHAMPION:
        return
    name = f"{version.model} {version.version}"
    if version.state is State.CANDIDATE:
        failed = ", ".join(one.gate for one in version.unaccepted)
        raise DependencyError(
            f"{name} failed its gates ({failed}) and does not serve; "
            f"`moment models show {version.model} {version.version}` says why"
        )
    with open_life(home) as life:
        life.install(version.model, version.digest, reason=_REASON)
        book = life.book()
    offices().mirror(home, book)


def _standing(home: Home, model: Model) -> str:
    """Return in a line what the ledger says of the champion."""
    from serving.adapters.identifiers import utc_now
    from serving.life_room import open_life

    with open_life(home) as life:
        version = life.book().champion(model)
    if version is None:
        return "no champion"
    accepted = len(version.accepted)
    borne = f", {accepted} of them accepted for the demo" if accepted else ""
    gates = f"{len(version.gates)} gates: {version.verdict or 'never asked'}{borne}"
    return f"{model} {version.version}, {gates}; approval: {version.approved(utc_now())}"


def _tell_personas(home: Home) -> None:
    from serving.bundles import open_segmentation
    from serving.lifecycle import Model

    champion = _champion(home, Model.SEGMENTATION)
    if champion is None:
        return
    for persona in open_segmentation(champion).model.personas:
        traits = click.style(", ".join(trait.split(" (")[0] for trait in persona.traits), dim=True)
        click.echo(f"   {persona.share:>5.0%}  {persona.name:<36} {traits}")
    click.echo(f"   {_standing(home, Model.SEGMENTATION)}")


def _tell_figures(home: Home) -> None:
    from serving.bundles import read_manifest
    from serving.commands.models_view import figures
    from serving.lifecycle import Model

    champion = _champion(home, Model.PROPENSITY)
    if champion is None:
        return
    manifest = read_manifest(champion)
    found = {name: (value, low, high) for name, value, low, high in figures(manifest)}
    slices = {"": "all exposures", "observed/": "observed exposures"}
    click.echo(
        f"   {'out of time, 95 % interval':<28}" + "".join(f"{title:<28}" for title in slices.values())
    )
    for metric, title in _FIGURES.items():
        cells = (_interval(*found[f"{part}{metric}"]) for part in slices)
        click.echo(f"   {title:<28}" + "".join(f"{cell:<28}" for cell in cells))
    click.echo(f"   {_standing(home, Model.PROPENSITY)}; all of it: reports/propensity.md")


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:,.0f}" if low is None or high is None else f"{value:#.3g} [{low:#.3g}, {high:#.3g}]"


def _key(home: Home) -> Path:
    """Return the file with the demo's test key, making the key where there is none that opens."""
    from serving.adapters.identifiers import utc_now
    from serving.bootstrap import open_keys
    from serving.commands.keys import write_key
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
