"""``moment batch``: next best actions for everybody, or for those a predicate selects, into a file."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from datetime import datetime

    from serving.batch.starting import Batch
    from serving.batch.tally import Tally

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SHOWN = 12
"""Actions and policies named in the summary; ``--json`` has all."""


def _instant(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    from datetime import UTC, datetime

    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time; write e.g. 2018-01-02T18:00:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _span(_: click.Context, __: click.Parameter, text: str | None) -> timedelta | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})([smhdw])", text)
    if found is None or not int(found[1]):
        raise click.BadParameter(f"{text!r} is no span of time; write e.g. 48h or 7d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


@click.command()
@click.option("--placement", required=True, help="Placement to fill for every customer.")
@click.option("--channel", help="Its channel, where several have a placement of this name.")
@click.option("--where", default="", help="Which customers: a predicate over their features, as in rules.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write, .parquet or .csv.",
)
@click.option(
    "--at", callback=_instant, help="Instant to decide for (default: now; in test mode the newest features')."
)
@click.option(
    "--reserve", callback=_span, help="Reserve every offer for so long, e.g. 48h; else it is a plan."
)
@click.option("--slots", type=click.IntRange(1, 100), help="Offers per customer (default: all it has).")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes.")
@click.option(
    "--mode",
    type=click.Choice(["test", "live"]),
    default="test",
    show_default=True,
    help="Whose histories and limits.",
)
@click.option("--content", is_flag=True, help="Write what each offer says, too.")
@click.option("--chunk", type=click.IntRange(1, 100_000), default=10_000, show_default=True,
              help="Customers a process holds at a time.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, for scripts.")
def batch(
    *,
    placement: str,
    channel: str | None,
    where: str,
    out: Path,
    at: datetime | None,
    reserve: timedelta | None,
    slots: int | None,
    workers: int,
    mode: str,
    content: bool,
    chunk: int,
    as_json: bool,
) -> None:
    """Decide for a whole population, into a file.

    The same decisions as one by one: same features, rules, limits, scores and chances. Without --reserve it
    is a plan, and nothing is kept. With it every offer is reserved and recorded as single decisions are, so
    that limits hold and outcomes can be reported; interrupted, the same command goes on.

    \b
    Examples:
      moment batch --placement home --where "baskets_90d > 3" --out plan.parquet
      moment batch --placement inbox --mode live --reserve 48h --out inbox.csv
    """  # noqa: D301
    from moment.home import Home
    from moment.progress import step
    from serving.batch.starting import Typed, start
    from serving.records import Mode
    from serving.settings import Settings

    typed = Typed(
        placement=placement,
        channel=channel,
        where=where,
        out=out.absolute(),
        at=at,
        reserve=reserve,
        slots=slots,
        workers=workers,
        chunk=chunk,
        mode=Mode(mode),
        content=content,
    )
    with step("Check, and open features and models"):
        begun = start(typed, Home.find(), Settings.read())
    with step(f"Decide for {begun.customers:,} customers", total=begun.customers) as bar:
        tally = begun.run(bar)
    if as_json:
        _print_json(begun, tally)
    else:
        _tell(begun, tally)


def _print_json(begun: Batch, tally: Tally) -> None:
    import msgspec

    ask = begun.setup.ask
    content = {
        "batch_id": begun.setup.batch_id,
        "file": str(begun.typed.out),
        "channel": ask.channel,
        "placement": ask.placement,
        "at": ask.at,
        "features_as_of": begun.setup.population.as_of,
        "mode": ask.mode,
        "reserved": ask.reserve is not None,
        "resumed": begun.resumed,
        "versions": begun.setup.versions,
        **{name: getattr(tally, name) for name in tally.__slots__},
    }
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=1).decode())


def _tell(begun: Batch, tally: Tally) -> None:
    ask, population = begun.setup.ask, begun.setup.population
    selected = f", {tally.selected:,} of them where {ask.where}" if ask.where else ""
    click.echo(
        f"{ask.channel} {ask.placement}, as of {ask.at:%Y-%m-%d %H:%M} UTC ({ask.mode} mode; features of "
        f"{population.as_of:%Y-%m-%d %H:%M}): {tally.customers:,} customers{selected}"
    )
    if begun.resumed or tally.earlier:
        click.echo(f"Gone on with an earlier run: {tally.earlier:,} customers had been decided for by then")
    click.echo(f"\nCustomers with at least one action that is: {_funnel(tally)}")
    _tell_reach(tally)
    _tell_counts("Fallbacks", tally.fallbacks, tally.decided)
    _tell_counts("Stopped for (customers for whom it stopped some action)", tally.stopped, tally.decided)
    reasons = {name.replace("_", " "): count for name, count in tally.reasons.items()}
    _tell_counts("How the placement ended", reasons, tally.decided)
    if tally.again:
        click.echo(f"\n{tally.again:,} were decided again, as what they look back on changed meanwhile")
    click.echo(f"\n{_closing(begun, tally)}")


def _funnel(tally: Tally) -> str:
    from serving.batch.tally import STAGES

    return " → ".join(f"{tally.funnel[name]:,} {name.replace('_', ' ')}" for name in STAGES)


def _tell_reach(tally: Tally) -> None:
    click.echo(f"\nReach: {tally.offered:,} customers are offered something, {tally.nothing:,} get nothing")
    reach = sorted(tally.reach.items(), key=lambda item: (-item[1], item[0]))
    for action, customers in reach[:_SHOWN]:
        expected = tally.expected.get(action, 0.0)
        click.echo(f"  {customers:>10,}  {_share(customers, tally.decided):>6}  {action}  "
                   f"(about {expected:,.1f} positive outcomes expected)")  # fmt: skip
    if len(reach) > _SHOWN:
        click.echo(f"  … and {len(reach) - _SHOWN} more actions; --json names all")


def _tell_counts(title: str, counts: dict[str, int], total: int) -> None:
    if not counts:
        return
    click.echo(f"\n{title}")
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]:
        click.echo(f"  {count:>10,}  {_share(count, total):>6}  {name}")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _closing(begun: Batch, tally: Tally) -> str:
    out = begun.typed.out
    lines = [f"Written: {out} ({tally.decided:,} customers)"]
    if tally.rejected:
        lines.append(f"Left out: {tally.rejected:,} customers, each with its reason in {out}.rejected.csv")
    if begun.setup.ask.reserve is None:
        lines.append(
            "This is a plan: nothing was reserved or recorded, and limits do not know of it. To hold these "
            "offers, run the same command with --reserve 48h"
        )
    else:
        until = begun.setup.ask.at + begun.setup.ask.reserve
        held = until + begun.report_within
        lines.append(
            f"Every offer may be shown until {until:%Y-%m-%d %H:%M} UTC at most (expires_at), and is "
            f"reserved as long as that may be reported in time: until {held:%Y-%m-%d %H:%M} UTC at most. "
            "Report what was shown and answered by its tracking_id: POST /v1/outcomes"
        )
    return "\n".join(lines)
