"""``moment ingest`` and ``moment features``. Heavy modules are imported inside the commands."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from features.features_cli import features

if TYPE_CHECKING:
    from features.ingest import IngestReport
    from features.sources import Source

DECISION_RECORDS = "decision-records"

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")


@click.group()
def cli() -> None:
    """Commands that ``moment`` mounts at the top."""


cli.add_command(features)


@cli.group()
def ingest() -> None:
    """Map a source onto the canonical tables of the lake.

    Rows are checked against the tables' contracts (docs/data.md); bad ones go to quarantine with their
    reason. Repeating an ingest of unchanged data does nothing.

    \b
    Examples:
      moment ingest complete-journey
      moment ingest folder ./shop
      moment ingest decision-records
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"


@ingest.command("complete-journey")
@_JSON
def complete_journey(*, as_json: bool) -> None:
    """Ingest the demo's data: a year of 2,469 households at a grocer.

    \b
    Example:
      moment ingest complete-journey
    """  # noqa: D301
    from features.sources.complete_journey import CompleteJourney

    _ingest(CompleteJourney.installed(), as_json=as_json)


@ingest.command("folder")
@click.argument("path", type=click.Path(path_type=Path))
@_JSON
def folder(path: Path, *, as_json: bool) -> None:
    """Ingest your own CSV or parquet files that have canonical columns.

    PATH holds customers.csv and any other canonical table as <table>.csv, <table>.parquet or a folder
    <table>/, and source.toml, which says when facts became known; docs/data.md shows how.

    \b
    Example:
      moment ingest folder ./shop
    """  # noqa: D301
    from features.sources.folder import FolderSource

    _ingest(FolderSource.open(path), as_json=as_json)


@ingest.command(DECISION_RECORDS)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Only what was decided from that day on, UTC; what is in the lake of earlier decisions leaves it.",
)
@_JSON
def decision_records(since: datetime | None, *, as_json: bool) -> None:
    """Ingest what Moment itself decided, what was shown of it, and what was answered.

    Only live traffic and offers that arbitration picked; no fallback, nothing forced, nobody who was erased.
    An offer whose attribution window is still open is there without its end: nobody knows yet whether it
    will be answered. `moment retrain` does this first.

    \b
    Example:
      moment ingest decision-records --since 2026-01-01
    """  # noqa: D301
    from features.sources.decision_records import DecisionRecords
    from moment.home import Home

    offices = click.get_current_context().obj
    from_day = None if since is None else since.replace(tzinfo=UTC)
    with offices.decided(Home.find(), from_day) as decided:
        _ingest(DecisionRecords(decided), as_json=as_json)


def _ingest(source: Source, *, as_json: bool) -> None:
    from features.ingest import ingest as bring_in
    from moment.home import Home

    home, offices = Home.find(), click.get_current_context().obj
    # Who mounts this command may hand in the ledger of consents and of who was erased
    with nullcontext() if offices is None else offices.customer_ledger(home) as ledger:
        report = bring_in(home, source, ledger=ledger)
    click.echo(_as_json(report) if as_json else _as_text(report, consents_note(source)))


def consents_note(source: Source) -> str:
    """Return in a line what is known of the customers' consents."""
    declared = source.declarations.get("consents")
    if source.name == DECISION_RECORDS:
        return "Each row holds what its customer had consented to when it was decided."
    if declared is None:
        return (
            "No consents: until a table `consents` or PUT /v1/customers/{id}/consents grants some, decisions "
            "see nothing of these customers but what service needs."
        )
    if declared.assumed:
        return f"Nobody was asked for consents: they are granted by assumption ({declared.assumed})."
    return "Consents are in their ledger."


def _as_json(report: IngestReport) -> str:
    tables = {
        table.table: {
            "rows": table.rows,
            "rejected": table.rejected,
            "quarantine": str(table.quarantine) if table.quarantine else None,
        }
        for table in report.tables
    }
    content = {
        "source": report.source,
        "digest": report.digest,
        "unchanged": report.unchanged,
        "tables": tables,
    }
    return json.dumps(content, indent=2)


def _as_text(report: IngestReport, note: str) -> str:
    verb = "was already ingested; nothing has changed" if report.unchanged else "is in the lake"
    lines = [f"{report.source} {verb}.", "", f"  {'table':<16}{'rows':>12}{'rejected':>12}"]
    lines += [f"  {table.table:<16}{table.rows:>12,}{table.rejected:>12,}" for table in report.tables]
    quarantined = [str(table.quarantine) for table in report.tables if table.quarantine]
    if quarantined:
        lines += ["", "Rejected rows and why:", *(f"  {path}" for path in quarantined)]
    return "\n".join([*lines, "", note, "", "Next: moment features build"])
