"""``moment erase``: take a customer out of everything, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from serving.use_cases.erase import Receipt


@click.command()
@click.argument("customer", required=False)
@click.option("--resume", is_flag=True, help="Go on with erasures that were interrupted.")
@click.option("--yes", is_flag=True, help="Do not ask: it cannot be undone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def erase(*, customer: str | None, resume: bool, yes: bool, as_json: bool) -> None:
    """Erase a customer, for good: from every store and every file of Moment.

    A hashed tombstone stays, so that no later ingest brings the customer back. What was decided and answered
    stays countable, as nobody's. The source the data came from, backups, models trained before and files that
    were written for others are not Moment's to change: see docs/data.md.

    \b
    Examples:
      moment erase 1228 --yes
      moment erase --resume
    """  # noqa: D301
    from moment.home import Home
    from moment.progress import step
    from serving.bootstrap import open_erasing

    if resume == (customer is not None):
        raise click.UsageError("name a customer, or say --resume")
    if customer is not None and not yes:
        click.confirm("It cannot be undone. Erase?", abort=True, err=True)
    with step("Open the stores"), open_erasing(Home.find()) as erasing:
        for other in erasing.turns.under_way():
            click.echo(f"Others write the files of this home; it waits for {other}.", err=True)
        receipts = erasing.resume() if customer is None else (erasing.erase(customer),)
    click.echo(
        _as_json(receipts) if as_json else "\n".join(map(_as_text, receipts)) or "Nothing was interrupted."
    )


def _as_json(receipts: tuple[Receipt, ...]) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(receipts), indent=2).decode()


def _as_text(receipt: Receipt) -> str:
    seconds = (receipt.finished_at - receipt.asked_at).total_seconds()
    lines = [f"Erased in {seconds:.1f} s; the tombstone is {receipt.tombstone_id}.", ""]
    lines += [f"  {store:<20}{rows:>10,}" for store, rows in receipt.rows if rows]
    return "\n".join([*lines, *([] if any(rows for _, rows in receipt.rows) else ["  nothing was known"])])
