"""``moment records``: what is kept of decisions, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from moment.home import Home
    from serving.settings import Settings
    from serving.use_cases.retention import Forgotten, PruneRecords, Retention

_MODELS = ("propensity", "segmentation")


@click.group()
def records() -> None:
    """Look after the records of decisions."""


@records.command()
@click.option("--dry-run", is_flag=True, help="Only say what is due.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def prune(*, dry_run: bool, as_json: bool) -> None:
    """Remove personal parts and whole records whose time is over; a running service goes on meanwhile.

    How many days each is kept is set by MOMENT_RETENTION_DAYS_PERSONAL (365), MOMENT_RETENTION_DAYS_RECORDS
    (1095) and MOMENT_RETENTION_DAYS_TEST (30). Catalogues and bundles that records cite are kept. Run it
    every night; what is removed is overwritten in the database, not in backups made before.

    \b
    Examples:
      moment records prune --dry-run
      MOMENT_RETENTION_DAYS_TEST=7 moment records prune
    """  # noqa: D301
    from moment.home import Home
    from moment.progress import step
    from serving.settings import Settings

    home, settings = Home.find(), Settings.read()
    pruning, close = _open(home, settings)
    try:
        if dry_run:
            done = pruning.due()
        else:
            due = pruning.due().pruned
            with step(
                "Forget what is due", total=due.personal + due.records + due.events + due.reports
            ) as bar:
                done = pruning(bar.advance)
    finally:
        close()
    if as_json:
        _print_json(home, done, pruning.retention, dry_run=dry_run)
    else:
        _tell(home, done, pruning.retention, dry_run=dry_run)


def _open(home: Home, settings: Settings) -> tuple[PruneRecords, Callable[[], None]]:
    from serving.adapters.database import migrate
    from serving.adapters.identifiers import utc_now
    from serving.adapters.sqlite_retention import SqliteRetention
    from serving.use_cases.retention import PruneRecords, Retention

    migrate(home.database)
    store = SqliteRetention(home.database)
    retention = Retention(
        personal=settings.retention_days_personal,
        records=settings.retention_days_records,
        test=settings.retention_days_test,
    )
    return PruneRecords(store, retention, utc_now), store.close


def _uncited(home: Home, done: Forgotten) -> dict[str, list[str]]:
    """Return the archived catalogues and the bundles that no record cites."""
    folders: dict[str, Path] = {"catalogue": home.root / "catalogues"}
    folders |= {model: home.bundles / model for model in _MODELS}
    found = {}
    for part, folder in folders.items():
        cited = done.kept.counts(part)
        names = sorted(path.stem if path.suffix == ".yaml" else path.name for path in _versions_in(folder))
        found[part] = [name for name in names if not any(digest.startswith(name) for digest in cited)]
    return found


def _versions_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() or path.suffix == ".yaml"]


def _print_json(home: Home, done: Forgotten, retention: Retention, *, dry_run: bool) -> None:
    import json

    told = {
        "dry_run": dry_run,
        "retention_days": asdict(retention),
        ("due" if dry_run else "removed"): asdict(done.pruned),
        "overwritten": done.overwritten,
        "cited": {part: done.kept.counts(part) for part in ("catalogue", *_MODELS)},
        "not_cited": _uncited(home, done),
    }
    click.echo(json.dumps(told, indent=1))


def _tell(home: Home, done: Forgotten, retention: Retention, *, dry_run: bool) -> None:
    pruned = done.pruned
    said = "Due" if dry_run else "Removed"
    click.echo(
        f"{said}: {pruned.personal:,} personal parts (after {retention.personal} days), "
        f"{pruned.records:,} whole records (live after {retention.records} days, test after {retention.test})"
    )
    click.echo(
        f"  {pruned.events:,} events, {pruned.reports:,} reports of outcomes whose decision never turned up"
    )
    if not dry_run:
        click.echo(f"  with them {pruned.contacts:,} contacts, {pruned.outcomes:,} outcomes")
    _tell_cited(done, _uncited(home, done))
    if not done.overwritten:
        click.echo("Some of it still lies in the database's log, which is being read; run it again later.")
    elif dry_run:
        click.echo("Next: `moment records prune` removes what is due.")
    else:
        click.echo("Next: run it every night; `moment records prune --dry-run` says what is due.")


def _tell_cited(done: Forgotten, uncited: Mapping[str, list[str]]) -> None:
    for part, names in uncited.items():
        counts = done.kept.counts(part)
        told = ", ".join(f"{digest[:12]} by {count:,} records" for digest, count in counts.items())
        rest = f"; {len(names)} other(s) by none" if names else ""
        click.echo(f"  {part}: cited {told or 'by no record'}{rest}")
