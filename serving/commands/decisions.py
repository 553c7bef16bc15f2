"""``moment decisions``: what is being decided, one line a decision; and one decision in full."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from serving.adapters.sqlite_journal import Recorded, SqliteJournal, Wanted
    from serving.bootstrap import ReadingRoom
    from serving.ports.shadows import Shadow
    from serving.records import DecisionRecord
    from serving.use_cases.recall import Recalled
    from serving.use_cases.replay import Replayed

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
_POLL_SECONDS = 0.5
_AT_ONCE = 500


@click.group()
def decisions() -> None:
    """Look at recorded decisions, as they come or one by one.

    \b
    Examples:
      moment decisions tail --follow --channel web
      moment decisions show 0199f3c2-8b1a-7c3e-9d5f-2a4b6c8d0e1f
      moment decisions replay 0199f3c2-8b1a-7c3e-9d5f-2a4b6c8d0e1f
    """  # noqa: D301


@decisions.command("tail")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option("--channel", help="Only decisions for this channel.")
@click.option("--mode", type=click.Choice(["live", "test"]), help="Only live or only test traffic.")
@click.option(
    "--limit",
    type=click.IntRange(0, 100_000),
    default=20,
    show_default=True,
    help="How many of the newest to begin with.",
)
@click.option("--show-customer", is_flag=True, help="Tell the customer's id, too.")
@_JSON
def tail_decisions(
    *, follow: bool, channel: str | None, mode: str | None, limit: int, show_customer: bool, as_json: bool
) -> None:
    """Print one line a decision: when, which, where, what was offered, the funnel, how long it took.

    It names no customer unless --show-customer asks for it. With --json each line is one JSON object.

    \b
    Examples:
      moment decisions tail --limit 5
      moment decisions tail -f --mode live --json | jq -c 'select(.degraded != [])'

    \b
    What a line says:
      2026-05-01 18:30:00.120Z  0199f3c2-…  web live  home: tea, jam  158>153>100>98>2  4.1 ms
    The funnel is considered > eligible > suitable > within contact policy > shown.
    """  # noqa: D301
    from moment.home import Home
    from serving.adapters.sqlite_journal import Wanted
    from serving.bootstrap import open_journal, open_reading_room
    from serving.records import Mode

    home = Home.find()
    journal = open_journal(home)
    room = open_reading_room(home) if show_customer else None
    wanted = Wanted(channel, None if mode is None else Mode(mode))
    written = _as_json if as_json else _as_line
    try:
        for found in _following(journal, wanted, limit, follow=follow):
            customer = None if room is None else _customer(room, found.record)
            click.echo(written(found, customer))
    finally:
        journal.close()
        if room is not None:
            room.close()


@decisions.command("show")
@click.argument("decision_id", metavar="DECISION")
@click.option("--all", "everything", is_flag=True, help="Tell every reason and all actions it stopped.")
@_JSON
def show_decision(decision_id: str, *, everything: bool, as_json: bool) -> None:
    """Print a recorded DECISION in full: what was offered, the funnel, why not for the rest.

    \b
    Example:
      moment decisions show 0199f3c2-8b1a-7c3e-9d5f-2a4b6c8d0e1f --all
    """  # noqa: D301
    from serving.commands.tell import tell
    from serving.decision.explanation import explain

    with reading() as room:
        recalled = room.recall.of(record_of(room, decision_id))
        shadows = room.shadows.beside(decision_id)
    if as_json:
        click.echo(_record_json(recalled, shadows))
        return
    as_of = f"{recalled.record.decided_at:%Y-%m-%d %H:%M:%S %Z}"
    tell(recalled, explain(recalled.considered()), as_of=as_of, explain=True, everything=everything)
    click.echo(f"`moment case {decision_id} --out case.html` tells all of it on one page")


@decisions.command("replay")
@click.argument("decision_id", metavar="DECISION")
@_JSON
def replay_decision(decision_id: str, *, as_json: bool) -> None:
    """Decide a recorded DECISION again, by what decided then, and name every difference.

    It changes nothing. Where the result is not identical the command ends with 1.

    \b
    Example:
      moment decisions replay 0199f3c2-8b1a-7c3e-9d5f-2a4b6c8d0e1f
    """  # noqa: D301
    import sys

    from serving.use_cases.replay import ReplayVerdict

    with reading() as room:
        replayed = room.replay.of(record_of(room, decision_id))
    click.echo(_replay_json(replayed) if as_json else "\n".join(_replay_lines(replayed)))
    if replayed.verdict is not ReplayVerdict.IDENTICAL:
        sys.exit(1)


@contextmanager
def reading() -> Iterator[ReadingRoom]:
    """Open what is kept of decisions, and close it afterwards."""
    from moment.home import Home
    from serving.bootstrap import open_reading_room

    room = open_reading_room(Home.find())
    try:
        yield room
    finally:
        room.close()


def record_of(room: ReadingRoom, decision_id: str) -> DecisionRecord:
    """Return a record of any channel and mode: who has this home may read it."""
    record = room.recall.records.find(decision_id)
    if record is None:
        raise click.BadParameter(
            f"there is no decision {decision_id!r}; `moment decisions tail` lists the newest",
            param_hint="DECISION",
        )
    return record


def _following(journal: SqliteJournal, wanted: Wanted, limit: int, *, follow: bool) -> Iterator[Recorded]:
    """Yield the newest decisions, then what comes, in the order in which it was recorded."""
    newest = journal.newest(wanted, max(limit, 1))
    yield from newest[len(newest) - limit :] if limit else ()
    last = newest[-1].sequence if newest else 0
    while follow:
        came = journal.after(last, wanted, _AT_ONCE)
        yield from came
        last = came[-1].sequence if came else last
        if len(came) < _AT_ONCE:
            time.sleep(_POLL_SECONDS)


def _customer(room: ReadingRoom, record: DecisionRecord) -> str:
    whole = room.recall.records.find(record.decision_id)
    if whole is None or whole.personal is None:
        return "erased"
    return whole.personal.customer_id or "nobody"


def _as_line(found: Recorded, customer: str | None) -> str:
    record = found.record
    offers = "; ".join(
        f"{placement.name}: {', '.join(offer.action for offer in placement.offers) or placement.reason}"
        for placement in record.placements
    )
    funnel = record.funnel
    counts = (funnel.considered, funnel.eligible, funnel.suitable, funnel.within_contact_policy, funnel.shown)
    parts = [
        f"{record.received_at:%Y-%m-%d %H:%M:%S}.{record.received_at.microsecond // 1000:03d}Z",
        record.decision_id,
        f"{record.channel} {record.mode}",
        *([] if customer is None else [customer]),
        offers,
        ">".join(map(str, counts)),
        f"{_milliseconds(record):.1f} ms",
        *([f"degraded: {', '.join(record.degraded)}"] if record.degraded else []),
    ]
    return "  ".join(part if part.isprintable() else ascii(part) for part in parts)


def _as_json(found: Recorded, customer: str | None) -> str:
    import msgspec

    record = found.record
    told: dict[str, object] = {
        "sequence": found.sequence,
        "decision_id": record.decision_id,
        "received_at": record.received_at,
        "decided_at": record.decided_at,
        "channel": record.channel,
        "mode": record.mode,
        "offers": [
            {"placement": placement.name, "rank": offer.rank, "action": offer.action, "kind": offer.kind}
            for placement in record.placements
            for offer in placement.offers
        ],
        "funnel": record.funnel,
        "degraded": record.degraded,
        "milliseconds": round(_milliseconds(record), 3),
    }
    return msgspec.json.encode(told if customer is None else told | {"customer": customer}).decode()


def _milliseconds(record: DecisionRecord) -> float:
    return sum(record.latency_ms.values())


def _record_json(recalled: Recalled, shadows: Sequence[Shadow]) -> str:
    """Return the record, and where challengers were asked beside it what they said."""
    import msgspec

    from serving.api.answers import record_answer

    told: dict[str, object] = msgspec.to_builtins(record_answer(recalled, views={}, scores=True))
    if shadows:
        told["shadows"] = [{"model": one.model, "digest": one.digest, "told": one.told} for one in shadows]
    return msgspec.json.format(msgspec.json.encode(told), indent=1).decode()


def _replay_json(replayed: Replayed) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(replayed), indent=1).decode()


def _replay_lines(replayed: Replayed) -> Iterator[str]:
    yield f"{replayed.decision_id}: {replayed.verdict}"
    yield from (f"  {note}" for note in replayed.notes)
    yield from (f"  {one.text}" for one in replayed.differences)
