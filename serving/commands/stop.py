"""``moment stop`` and ``moment resume``: off the air at once by one person, back by two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.commands.life import JSON, KEY, REASON, Acting, acting, columns, print_json, who

if TYPE_CHECKING:
    from serving.decision.catalogue import Catalogue
    from serving.lifecycle import Stop, StopKind


@click.command()
@click.option("--action", help="Stop this action: it is offered nowhere.")
@click.option("--issue", help="Stop every action of this issue.")
@click.option("--channel", help="Stop every offer on this channel.")
@click.option("--model", help="Stop using this model.")
@click.option("--reason", default="", help="Why, in a few words; it is kept for good.")
@click.option("--list", "listed", is_flag=True, help="Tell what is stopped, by whom, and why.")
@KEY
@JSON
def stop(
    *,
    action: str | None,
    issue: str | None,
    channel: str | None,
    model: str | None,
    reason: str,
    listed: bool,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Take an action, issue, channel or model off at once: one person.

    Every worker keeps to it within a second, and it is absolute: mandatory, forced and fallback offers end,
    too. Without propensity nothing is scored, without segmentation nobody has a segment, without
    next-best-action there is no marketing.

    \b
    Examples:
      moment stop --action coupon-beef --reason "the price is wrong" --key ada.key
      moment stop --list
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"
    if listed:
        _list(as_json=as_json)
        return
    named = {"action": action, "issue": issue, "channel": channel, "model": model}
    chosen = [(kind, name) for kind, name in named.items() if name is not None]
    if len(chosen) != 1:
        raise click.UsageError("name one of --action, --issue, --channel and --model, or --list")
    from serving.lifecycle import StopKind

    kind, name = StopKind(chosen[0][0]), chosen[0][1]
    with acting(key_file) as opened:
        _check(opened, kind, name)
        done = opened.life.stop(kind, name, reason, opened.by)
    if as_json:
        print_json(done)
        return
    click.echo(f"{kind} {name} is off, in every worker within a second: {done.stop_id}, by {who(done.by)}.")
    click.echo(f"Next: moment resume {done.stop_id} --reason WHY --key FILE, by two people")


@click.command()
@click.argument("stop_id", metavar="STOP")
@REASON
@KEY
@JSON
def resume(stop_id: str, reason: str, key_file: Path | None, *, as_json: bool) -> None:
    """Ask for a stop to be lifted, or agree with who asked: two people.

    \b
    Example:
      moment resume stop_1f2e3d4c5b6a --reason "the price is right again" --key carl.key
    """  # noqa: D301
    from serving.use_cases.stoppable import who_is_missing

    with acting(key_file) as opened:
        left = opened.life.resume(stop_id, opened.by, reason=reason)
        by = who(opened.by.actor)
    if as_json:
        print_json({"stop_id": stop_id, "lifted": left is None, "stop": left})
    elif left is None:
        click.echo(f"{stop_id} is lifted by {by}, in every worker within a second.")
    else:
        click.echo(f"{by} wants {left.kind} {left.name} back; missing: {who_is_missing(left)}.")
        click.echo(f"Next: moment resume {stop_id} --reason WHY --key FILE, by that person")


def _list(*, as_json: bool) -> None:
    with acting() as opened:
        stops = tuple(opened.life.book().stops.values())
    if as_json:
        print_json(stops)
        return
    if not stops:
        click.echo("Nothing is stopped.")
        return
    head = ("stop", "what", "since", "by", "why", "wanted back by")
    click.echo("\n".join(columns(head, [_cells(one) for one in stops])))
    click.echo("\nNext: moment resume STOP --reason WHY --key FILE, by two people")


def _cells(one: Stop) -> tuple[str, ...]:
    wanted = "-" if one.asked is None else who(one.asked)
    since = f"{one.at:%Y-%m-%d %H:%M:%S}"
    return one.stop_id, f"{one.kind} {one.name}", since, who(one.by), one.reason or "-", wanted


def _check(opened: Acting, kind: StopKind, name: str) -> None:
    """Refuse what nothing live is called; where the live catalogue cannot be read, any name is taken."""
    from moment.errors import MomentError
    from serving.use_cases.stoppable import check_stoppable

    try:
        catalogues = _live(opened)
    except MomentError as error:
        click.echo(f"The live catalogue cannot be read, so the name is not checked: {error}", err=True)
        return
    check_stoppable(kind, name, catalogues)


def _live(opened: Acting) -> Sequence[Catalogue]:
    """Return the catalogues that decide now: the champion's and those of challengers with customers."""
    from serving.lifecycle import Model
    from serving.policies.files import live_catalogue, policy_of

    book = opened.life.book()
    routed = [one for one in book.challengers(Model.NEXT_BEST_ACTION) if one.routed]
    return [live_catalogue(opened.home, book), *(policy_of(opened.home, one).catalogue for one in routed)]
