"""``moment models verify``, ``sign``, ``mirror``: ledger and bundles are what they were; MLflow shows it."""

from __future__ import annotations

import click

from serving.commands.life import JSON, MODEL, acting, mirrored, print_json


@click.command()
@JSON
def verify(*, as_json: bool) -> None:
    """Check the whole ledger: that no act was changed or taken out, and that who acted has signed it.

    \b
    Example:
      moment models verify
    """  # noqa: D301
    with acting() as opened:
        acts = opened.life.verify()
    if as_json:
        print_json({"acts": acts, "sound": True})
    else:
        click.echo(f"The ledger is sound: {acts} acts, each signed and chained to the one before.")


@click.command()
@MODEL
@click.argument("version", default="")
def sign(model: str, version: str) -> None:
    """Vouch for a bundle on this machine: it is proved first. Without VERSION all unsigned ones of MODEL.

    For bundles that were made before there were signatures, or came from elsewhere and are known to you.

    \b
    Example:
      moment models sign propensity 2fd4e1c67a2d
    """  # noqa: D301
    from moment.errors import InvalidRequest
    from moment.home import Home
    from serving.bundles import versions
    from serving.bundles.manifest import SIGNATURE
    from serving.bundles.proving import vouch
    from serving.bundles.signing import BundleKey

    home = Home.find()
    folders = [one for one in versions(home.bundles, model) if one.name.startswith(version)]
    if version and len(folders) != 1:
        raise InvalidRequest(
            f"{len(folders) or 'no'} bundles of {model} are called {version}; see `moment models list`",
            code="unknown-version",
        )
    chosen = folders if version else [one for one in folders if not (one / SIGNATURE).exists()]
    for folder in chosen:
        vouch(folder, BundleKey.of_home(home.keys))
        click.echo(f"{model} {folder.name} is proved and signed by this machine.")
    if not chosen:
        click.echo(f"Every bundle of {model} is signed.")


@click.command()
def mirror() -> None:
    """Show the ledger in MLflow: aliases candidate, challenger and champion, and tags of every version.

    Every command that changes something does so by itself; what was approved over HTTP shows after this.

    \b
    Example:
      moment models mirror
    """  # noqa: D301
    with mirrored() as opened:
        acts = opened.life.book().seq
    click.echo(f"MLflow shows the ledger as of act {acts}. Next: make mlflow-ui")


TRUST: tuple[click.Command, ...] = (verify, sign, mirror)
