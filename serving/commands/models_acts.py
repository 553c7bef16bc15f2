"""``moment models accept`` to ``retire``: acts of a version's life, each in the name of whose key it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from serving.commands.life import KEY, MODEL, REASON, VERSION, mirrored, who
from serving.commands.models_tell import after_approval, approve_command, name_of, shares_of


@click.command()
@MODEL
@VERSION
@click.option("--gate", "gates", multiple=True, required=True, help="The gate; may be repeated.")
@REASON
@KEY
def accept(model: str, version: str, gates: Sequence[str], reason: str, key_file: Path | None) -> None:
    """Take upon yourself what gates found, inconclusive or failed. Name and reason stand on every report.

    \b
    Example:
      moment models accept propensity challenger --gate auc.observed --reason "few answers yet" --key ada.key
    """  # noqa: D301
    with mirrored(key_file) as opened:
        found = opened.find(model, version)
        done = opened.life.accept(found.model, found.digest, gates, reason, opened.by)
        click.echo(
            f"{name_of(done)}: {', '.join(gates)} accepted by {who(opened.by.actor)}; it is {done.state}."
        )
        left = ", ".join(one.gate for one in done.unaccepted)
        click.echo(f"Still open: {left}." if left else f"Next: {approve_command(done)}")


@click.command()
@MODEL
@VERSION
@click.option(
    "--days", type=click.IntRange(1, 730), default=365, show_default=True, help="How long it shall hold."
)
@REASON
@KEY
def approve(model: str, version: str, days: int, reason: str, key_file: Path | None) -> None:
    """Approve a version that somebody else made. It holds for its digest and no other content.

    \b
    Example:
      moment models approve propensity challenger --days 365 --reason "read the report" --key ada.key
    """  # noqa: D301
    with mirrored(key_file) as opened:
        found = opened.find(model, version)
        done = opened.life.approve(found.model, found.digest, days=days, reason=reason, by=opened.by)
        ends = "" if done.approval is None else f" until {done.approval.expires_at:%Y-%m-%d}"
        click.echo(f"{name_of(done)} is approved by {who(opened.by.actor)}{ends}.")
        click.echo(f"Digest {done.digest}")
        click.echo(f"Next: {after_approval(done)}")


@click.command()
@MODEL
@VERSION
@REASON
@KEY
def reject(model: str, version: str, reason: str, key_file: Path | None) -> None:
    """Say that a version shall not serve.

    \b
    Example:
      moment models reject propensity 2fd4e1c67a2d --reason "worse for new customers" --key ada.key
    """  # noqa: D301
    with mirrored(key_file) as opened:
        found = opened.find(model, version)
        done = opened.life.reject(found.model, found.digest, reason, opened.by)
        click.echo(f"{name_of(done)} is rejected by {who(opened.by.actor)}; what serves goes on.")
        click.echo(f"Next: moment train {model}, or moment models list")


@click.command()
@MODEL
@VERSION
@click.option(
    "--shadow", type=click.FloatRange(0, 1), default=0.0, help="Share of decisions it scores unasked."
)
@click.option(
    "--routed", type=click.FloatRange(0, 1), default=0.0, help="Share of customers it decides for (approved)."
)
@click.option("--reason", default="", help="Why.")
@KEY
def challenge(
    *, model: str, version: str, shadow: float, routed: float, reason: str, key_file: Path | None
) -> None:
    """Set a challenger's shares: in shadow beside the champion, or deciding for some customers.

    What it scores in shadow is recorded and shown to nobody. Customers are only given to one that is
    approved, as an experiment: the same customer always gets the same arm. Without a share it rests.

    \b
    Example:
      moment models challenge propensity challenger --shadow 0.2 --key carl.key
    """  # noqa: D301
    with mirrored(key_file) as opened:
        found = opened.find(model, version)
        done = opened.life.challenge(
            found.model, found.digest, shadow=shadow, routed=routed, by=opened.by, reason=reason
        )
        click.echo(
            f"{name_of(done)}: {shares_of(done.shadow, done.routed) or 'at rest'}, in every worker now."
        )
        click.echo("Next: moment models diff " + f"{model} champion {done.version}")


@click.command()
@MODEL
@VERSION
@click.option("--reason", default="", help="Why.")
@KEY
def promote(model: str, version: str, reason: str, key_file: Path | None) -> None:
    """Make an approved challenger the champion; every worker changes over between two requests.

    \b
    Example:
      moment models promote propensity challenger --reason "better in shadow" --key carl.key
    """  # noqa: D301
    with mirrored(key_file) as opened:
        found = opened.find(model, version)
        done = opened.life.promote(found.model, found.digest, reason, opened.by)
        click.echo(f"{name_of(done)} is the champion, by {who(opened.by.actor)}.")
        click.echo(f"Next: moment models rollback {model} --reason WHY takes it back")


@click.command()
@MODEL
@click.argument("version", default="")
@REASON
@KEY
def rollback(model: str, version: str, reason: str, key_file: Path | None) -> None:
    """Make the champion before the present one the champion again, or a former one you name.

    \b
    Example:
      moment models rollback propensity --reason "fewer answers since yesterday" --key carl.key
    """  # noqa: D301
    from serving.lifecycle import Model

    with mirrored(key_file) as opened:
        digest = opened.find(model, version).digest if version else None
        done = opened.life.roll_back(Model(model), digest, reason, opened.by)
        click.echo(f"{name_of(done)} is the champion again, by {who(opened.by.actor)}.")
        click.echo("Next: moment models list")


@click.command()
@MODEL
@VERSION
@click.option("--reason", default="", help="Why.")
@KEY
def retire(model: str, version: str, reason: str, key_file: Path | None) -> None:
    """Say that a version is of no use any more. Its bundle stays: records cite it.

    \b
    Example:
      moment models retire propensity 2fd4e1c67a2d --reason "trained on old prices" --key carl.key
    """  # noqa: D301
    with mirrored(key_file) as opened:
        found = opened.find(model, version)
        done = opened.life.retire(found.model, found.digest, reason, opened.by)
        click.echo(f"{name_of(done)} is retired.")


ACTS: tuple[click.Command, ...] = (accept, approve, reject, challenge, promote, rollback, retire)
