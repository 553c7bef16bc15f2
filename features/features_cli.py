"""``moment features``: build, apply, materialize, check, docs. Heavy modules are imported in the commands."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from features.snapshots import BuildReport

DOCS = Path("docs/features.md")

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")


def _instant(value: str | datetime) -> datetime:
    """Read an ISO 8601 date or time; without a zone it is UTC."""
    try:
        read = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except ValueError:
        message = f"{value!r} is no time; write e.g. 2017-12-31 or 2017-12-31T18:00Z"
        raise click.BadParameter(message) from None
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)


def _span(value: str | timedelta) -> timedelta:
    """Read a number of days or hours: 7d, 12h."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+)([dh])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no span of time; write e.g. 7d or 12h")
    number = int(match[1])
    return timedelta(days=number) if match[2] == "d" else timedelta(hours=number)


@click.group()
def features() -> None:
    """Build, apply, materialize and document features.

    \b
    The way from the lake to what is served:
      moment features build          snapshots of every feature, weekly over the data's span
      moment features apply          tell Feast about them
      moment features materialize    load the newest snapshot into the online store
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"


@features.command()
@click.option(
    "--since", type=_instant, metavar="TIME", help="First time of a snapshot. Default: the data's first."
)
@click.option(
    "--until", type=_instant, metavar="TIME", help="Last time of a snapshot. Default: the data's last."
)
@click.option(
    "--every", type=_span, metavar="SPAN", default="7d", show_default=True, help="Time between snapshots."
)
@_JSON
def build(since: datetime | None, until: datetime | None, every: timedelta, *, as_json: bool) -> None:
    """Compute every feature as it was known at each time.

    What is there already for the same data and definitions is reused; an interrupted build goes on where it
    stopped.

    \b
    Examples:
      moment features build
      moment features build --since 2017-09-01 --every 1d
    """  # noqa: D301
    from features import snapshots
    from features.definitions import all_views
    from moment.home import Home
    from moment.progress import step

    home = Home.find()
    times = snapshots.plan_for(home, since=since, until=until, every=every)
    with step("Building feature snapshots", total=len(times)) as bar:
        report = snapshots.build(home, all_views(), since=since, until=until, every=every, step=bar)
    click.echo(_as_json(report) if as_json else _as_text(report))


def _as_json(report: BuildReport) -> str:
    return json.dumps(
        {
            "times": [time.isoformat() for time in report.times],
            "built": report.built,
            "reused": report.reused,
            "removed": report.removed,
        },
        indent=2,
    )


def _as_text(report: BuildReport) -> str:
    if not report.times:
        return "There is no time to take a snapshot at; widen --since and --until."
    first, last = report.times[0], report.times[-1]
    span = f"{len(report.times)} snapshots from {first:%Y-%m-%d} to {last:%Y-%m-%d %H:%M} UTC"
    files = f"{report.built} files built, {report.reused} reused, {report.removed} outdated ones removed"
    return f"{span}: {files}.\n\nNext: moment features apply"


@features.command()
def apply() -> None:
    """Write entities, sources, views and services to Feast's registry.

    The same as `feast apply` in feature_repo/, which works as well.

    \b
    Example:
      moment features apply
    """  # noqa: D301
    from features.store import FeatureStore
    from moment.home import Home
    from moment.progress import step

    with step("Applying the feature repository"):
        store = FeatureStore(Home.find())
        store.apply()
    contract = store.contract
    views = len({spec.view for spec in contract})
    click.echo(f"Feast knows {contract.name}: {len(contract.features)} features in {views} views.")
    click.echo("\nNext: moment features materialize")


@features.command()
@click.option(
    "--until",
    type=_instant,
    metavar="TIME",
    help="Load what was served by this time. Default: the newest there is.",
)
def materialize(until: datetime | None) -> None:
    """Load the newest snapshot into the online store.

    \b
    Examples:
      moment features materialize
      moment features materialize --until 2017-09-01
    """  # noqa: D301
    from features.definitions import all_views
    from features.snapshots import SERVING_LAG
    from features.store import FeatureStore
    from moment.home import Home
    from moment.progress import step

    with step("Loading features into the online store", total=len(all_views())) as bar:
        store = FeatureStore(Home.find())
        at = store.materialize(until or store.snapshot_times()[-1] + SERVING_LAG, step=bar)
    click.echo(f"The online store holds every customer as of {at:%Y-%m-%d %H:%M} UTC.")
    click.echo("\nNext: moment train all, or moment decide CUSTOMER once models are trained")


@features.command()
@click.option(
    "--at", "times", type=_instant, metavar="TIME", multiple=True, help="When to look. Default: three times."
)
def check(times: tuple[datetime, ...]) -> None:
    """Look for leaks: features that know at a time what was learned later.

    Every feature, your own among them, is computed twice, with and without the facts known later, and must
    come out the same. Takes a while.

    \b
    Examples:
      moment features check
      moment features check --at 2017-09-01
    """  # noqa: D301
    from features import lake, snapshots
    from features.definitions import all_views
    from features.leaks import find_leaks, refuse_leaks
    from features.tables import TABLES
    from moment.home import Home
    from moment.progress import step

    home = Home.find()
    views = all_views()
    planned = snapshots.plan_for(home)
    moments = times or tuple(planned[len(planned) * part // 4] for part in (1, 2, 3))
    with step("Looking for leaks"):
        backend = lake.ibis_backend(home)
        leaks = find_leaks(backend, {name: backend.table(name) for name in TABLES}, views, moments)
    for leak in leaks[1:]:
        click.echo(str(leak), err=True)
    refuse_leaks(leaks)
    days = ", ".join(f"{moment:%Y-%m-%d}" for moment in moments)
    click.echo(f"No leak in {sum(len(view.features) for view in views)} features at {days}.")
    click.echo("\nNext: moment features build")


@features.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=DOCS, show_default=True, help="Where to write."
)
def docs(out: Path) -> None:
    """Write the catalogue of features: each with its unit, purpose, owner and meaning.

    \b
    Example:
      moment features docs
    """  # noqa: D301
    from features.catalogue_docs import render
    from features.definitions import all_views

    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render(all_views()))
    click.echo(f"Wrote {out}.\n\nNext: read it, and commit it with the definitions it describes")
