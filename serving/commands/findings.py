"""``moment findings``: what was found wrong with a model, and whether it is mended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.commands.life import JSON, KEY, MODELS, REASON, acting, columns, mirrored, print_json, who

if TYPE_CHECKING:
    from serving.lifecycle import Book, Finding

SEVERITIES = ("low", "medium", "high")


@click.group()
def findings() -> None:
    """List, add and close findings.

    Something is wrong with a model, or with one version of it: one that blocks holds every promotion back.

    \b
    Examples:
      moment findings add --model propensity --severity high --section calibration --blocks --reason WHY
      moment findings close finding_1f2e3d4c5b6a --reason "calibrated anew" --key ada.key
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"


@findings.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones, too.")
@JSON
def list_findings(*, everything: bool, as_json: bool) -> None:
    """List what was found and is not closed.

    \b
    Example:
      moment findings list --all
    """  # noqa: D301
    with acting() as opened:
        book = opened.life.book()
    found = [one for one in book.findings.values() if everything or one.closed is None]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("Nothing is open. `moment findings add` writes down what is wrong with a model.")
        return
    head = ("finding", "about", "severity", "section", "since", "blocks", "what")
    click.echo("\n".join(columns(head, [_cells(book, one) for one in found])))
    click.echo("\nNext: moment findings close FINDING --reason WHY --key FILE")


@findings.command("add")
@click.option("--model", type=click.Choice(MODELS), required=True, help="Which model.")
@click.option("--version", default="", help="Only this version of it (default: all).")
@click.option("--severity", type=click.Choice(SEVERITIES), required=True, help="How grave it is.")
@click.option("--section", required=True, help="The part of the report it speaks of, e.g. calibration.")
@click.option("--blocks", is_flag=True, help="Nothing of it is promoted while this is open.")
@REASON
@KEY
def add_finding(
    *,
    model: str,
    version: str,
    severity: str,
    section: str,
    blocks: bool,
    reason: str,
    key_file: Path | None,
) -> None:
    """Write down what is wrong with a model, or with one version of it.

    \b
    Example:
      moment findings add --model propensity --version challenger --severity high --section calibration
          --blocks --reason "much too low for new customers" --key ada.key
    """  # noqa: D301
    from serving.lifecycle import Model, Severity

    with mirrored(key_file) as opened:
        digest = opened.find(model, version).digest if version else None
        done = opened.life.add_finding(
            Model(model),
            digest,
            severity=Severity(severity),
            section=section,
            blocks=blocks,
            reason=reason,
            by=opened.by,
        )
        held = "; nothing of it is promoted while it is open" if blocks else ""
        click.echo(f"{done.finding_id} is written down by {who(opened.by.actor)}{held}.")
        click.echo(f"Next: moment findings close {done.finding_id} --reason WHY --key FILE")


@findings.command("close")
@click.argument("finding_id", metavar="FINDING")
@REASON
@KEY
def close_finding(finding_id: str, reason: str, key_file: Path | None) -> None:
    """Close a finding: it is mended, or borne. A risk officer does.

    \b
    Example:
      moment findings close finding_1f2e3d4c5b6a --reason "calibrated anew" --key ada.key
    """  # noqa: D301
    with mirrored(key_file) as opened:
        done = opened.life.close_finding(finding_id, reason, opened.by)
        click.echo(f"{done.finding_id} is closed by {who(opened.by.actor)}.")
        click.echo("Next: moment models list")


def _cells(book: Book, one: Finding) -> tuple[str, ...]:
    version = None if one.digest is None else book.find(one.model, one.digest)
    about = f"{one.model} {version.version}" if version else f"{one.model}, all"
    blocks = "yes" if one.blocks else "no"
    ended = f" (closed: {one.closed[2]})" if one.closed else ""
    return one.finding_id, about, one.severity, one.section, f"{one.at:%Y-%m-%d}", blocks, one.text + ended
