"""``moment models``: serving tells of versions, training makes them again; both under one name."""

from __future__ import annotations

import click

from serving.commands.models import models as _models
from training.reproduce_cli import reproduce


@click.group()
def cli() -> None:
    """Commands that ``moment`` mounts at the top."""


models = click.Group("models", commands=dict(_models.commands), help=_models.help)
cli.add_command(models)
models.add_command(reproduce)
