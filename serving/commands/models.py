"""``moment models``: what is trained, what serves, and the word of who answers for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.commands.life import (
    JSON,
    KEY,
    MODEL,
    REASON,
    VERSION,
    acting,
    columns,
    mirrored,
    print_json,
    who,
)
from serving.commands.models_tell import (
    after_approval,
    approve_command,
    cells,
    name_of,
    next_of,
    next_step,
    shares_of,
    signature_of,
    whole,
)

if TYPE_CHECKING:
    from serving.commands.life import Acting
    from serving.lifecycle import Version


@click.group()
def models() -> None:
    """Tell what is trained and what serves; approve, promote, roll back.

    A version is named by the first digits of its digest, or as `champion`, `challenger`, `candidate` or
    `former`, which is what a rollback goes back to.

    \b
    Examples:
      moment models list
      moment models approve propensity 2fd4e1c67a2d --reason "read the report" --key ada.key
      moment models promote propensity challenger --reason "better in shadow" --key carl.key
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"


@models.command("list")
@JSON
def list_models(*, as_json: bool) -> None:
    """List every version of every model: state, gates, approval, shares, figures, and what to look at.

    \b
    Example:
      moment models list
    """  # noqa: D301
    from moment.errors import StepMissing
    from serving.adapters.identifiers import utc_now
    from serving.commands.models_view import listing

    now = utc_now()
    with acting() as opened:
        book = opened.life.book()
        lines = listing(opened.home, book, now)
    if as_json:
        print_json(lines)
        return
    if not lines:
        raise StepMissing("no model is trained", run="moment train all")
    head = ("model", "version", "kind", "state", "since", "gates", "approval", "figures")
    click.echo("\n".join(columns(head, [cells(line) for line in lines])))
    for line in lines:
        for warning in line.warnings:
            click.secho(f"  ! {line.model} {line.version}: {warning}", fg="yellow")
    click.echo(f"\nNext: {next_step(book, now)}")


@models.command("show")
@MODEL
@click.argument("version", default="")
@JSON
def show_model(model: str, version: str, *, as_json: bool) -> None:
    """Tell all about a version, the champion by default: gates, approval, findings, figures, who made it.

    \b
    Example:
      moment models show propensity challenger
    """  # noqa: D301
    from serving.adapters.identifiers import utc_now
    from serving.commands.models_view import findings, manifest_of

    now = utc_now()
    with acting() as opened:
        found = _chosen(opened, model, version)
        book = opened.life.book()
    manifest, signature = manifest_of(opened.home, found), signature_of(opened.home, found)
    if as_json:
        told: dict[str, object] = {
            "version": found,
            "approved": found.approved(now),
            "verdict": found.verdict,
            "findings": findings(book, found),
            "manifest": manifest,
            "signature": signature,
        }
        print_json(told)
        return
    click.echo("\n".join(whole(opened.home, book, found, signature, now)))
    click.echo(f"\nNext: {next_of(book, found, now)}")


@models.command()
@MODEL
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@JSON
def diff(model: str, a: str, b: str, *, as_json: bool) -> None:
    """Tell what differs from version A to version B: figures, gates, parameters, features, notes.

    For next-best-action it tells what changes in the catalogue, action by action.

    \b
    Example:
      moment models diff propensity champion challenger
    """  # noqa: D301
    from serving.commands.models_diff import compare, lines_of

    with acting() as opened:
        before, after = opened.find(model, a), opened.find(model, b)
    found = compare(opened.home, before, after)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(lines_of(found)))


@models.command()
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


@models.command()
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


@models.command()
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


@models.command()
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


@models.command()
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


@models.command()
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


@models.command()
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


@models.command()
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


@models.command()
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


@models.command()
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


@models.command()
@MODEL
@click.argument("version", default="")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
def report(model: str, version: str, out: Path | None) -> None:
    """Print a version's report, Markdown: its life, who answers for which gate, and what was measured.

    \b
    Example:
      moment models report propensity challenger --out report.md
    """  # noqa: D301
    from serving.adapters.identifiers import utc_now
    from serving.commands.life_report import life_report

    with acting() as opened:
        found = _chosen(opened, model, version)
        text = life_report(opened.home, opened.life.book(), found, utc_now())
    if out is None:
        click.echo(text)
    else:
        out.write_text(text + "\n", "utf-8")
        click.echo(f"Written to {out}.")


def _chosen(opened: Acting, model: str, version: str) -> Version:
    """Return the version named; where none is, the champion, else the newest."""
    from moment.errors import StepMissing
    from serving.lifecycle import Model

    if version:
        return opened.find(model, version)
    book = opened.life.book()
    known = book.of_model(Model(model))
    found = book.champion(Model(model)) or (known[-1] if known else None)
    if found is None:
        making = "moment catalogue submit FILE" if model == "next-best-action" else f"moment train {model}"
        raise StepMissing(f"the ledger has no version of {model}", run=making)
    return found
