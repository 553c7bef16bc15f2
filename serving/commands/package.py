"""``moment package``: from what serves here to Bentos that stand alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from serving.packaging.bentos import Built

_SERVICES = ("Decisioning", "Segmentation", "Propensity", "NextBestAction")


@click.command()
@click.argument(
    "services", nargs=-1, metavar="[SERVICE]...", type=click.Choice(_SERVICES, case_sensitive=False)
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write archives (.bento) there as well."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def package(*, services: Sequence[str], out: Path | None, as_json: bool) -> None:
    """Build Bentos of the services, with what serves in this home: all four, or those named.

    SERVICE is Decisioning, Segmentation, Propensity or NextBestAction. A Bento holds the code its service
    runs, pinned requirements, and the champions with their signatures: neither MLflow nor anything training
    needs. The same content is the same version. docs/packaging.md has the recipe of a slim image.

    \b
    Examples:
      moment package
      moment package Propensity --out dist
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"
    from moment.home import Home
    from moment.progress import step
    from serving.packaging.bentos import Service
    from serving.packaging.bentos import package as build
    from serving.settings import Settings

    home, settings = Home.find(), Settings.read()
    wanted = [Service(name) for name in dict.fromkeys(services or _SERVICES)]
    built = []
    for service in wanted:
        with step(f"Package {service}"):
            built += build(home, settings, [service], out)
    if as_json:
        click.echo(json.dumps([_plain(one) for one in built], indent=1))
    else:
        _tell(built)


def _plain(built: Built) -> dict[str, object]:
    return {
        "service": built.service.value,
        "tag": built.tag,
        "path": str(built.path),
        "mebibytes": round(built.mebibytes, 2),
        "brings": built.models,
        "serve": built.command,
        "archive": None if built.archive is None else str(built.archive),
    }


def _tell(built: Sequence[Built]) -> None:
    for one in built:
        brings = ", ".join(f"{model} {digest[:12]}" for model, digest in sorted(one.models.items()))
        click.echo(f"{one.tag}  {one.mebibytes:.1f} MiB, brings {brings}")
        if one.archive is not None:
            click.echo(f"  archive {one.archive}")
        click.echo(f"  serve   {one.command}")
    click.echo("Next: serve one, or make an image of it (docs/packaging.md). Models need a key:")
    click.echo("  MOMENT_SCORING_KEY_SHA256=<SHA-256 of a key of yours>")
