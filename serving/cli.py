"""The commands of serving: ``moment serve``, ``decide``, ``keys`` and ``catalogue``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from serving.catalogue.cli import catalogue
from serving.keys_cli import keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from serving.bootstrap import Opened
    from serving.decision.catalogue import Catalogue
    from serving.decision.values import Scalar
    from serving.use_cases.asking import Ask

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group()
def cli() -> None:
    """Commands that ``moment`` mounts at the top."""


cli.add_command(catalogue)
cli.add_command(keys)


@cli.command()
@click.option("--host", help="IP address to listen on (default: this machine only).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (default: 3000; 0 takes a free one).")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes (default: 1).")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Keep the decision service up.

    It needs features, models and at least one key; it says which command makes what is missing.

    \b
    Example:
      moment keys create --mode test --scope all --out-file
      moment serve --port 8080
    """  # noqa: D301 - click reads the escaped b as "keep these lines as they are"
    from dataclasses import replace

    from moment.home import Home
    from serving import launch
    from serving.settings import Settings, address

    settings = Settings.read()
    try:
        settings = replace(
            settings,
            host=settings.host if host is None else address(host),
            port=settings.port if port is None else port,
            workers=settings.workers if workers is None else workers,
        )
    except ValueError as error:
        raise click.BadParameter(f"{host!r} {error}", param_hint="--host") from error
    launch.serve(Home.find(), launch.with_port(settings))


@cli.command()
@click.argument("customer")
@click.option("--channel", default="web", show_default=True, help="Channel to decide for.")
@click.option("--placement", multiple=True, help="Placement to fill; may be repeated (default: home).")
@click.option("--slots", type=click.IntRange(1, 100), help="Offers per placement (default: all it has).")
@click.option("--at", "at", help="Instant to decide for, e.g. 2018-01-02T18:00:00Z.")
@click.option(
    "--context", multiple=True, metavar="NAME=VALUE", help="What the channel knows; may be repeated."
)
@click.option("--explain", is_flag=True, help="Say why not for every other candidate.")
@_JSON
def decide(
    *,
    customer: str,
    channel: str,
    placement: Sequence[str],
    slots: int | None,
    at: str | None,
    context: Sequence[str],
    explain: bool,
    as_json: bool,
) -> None:
    """Decide for CUSTOMER here and now, without a server, and say why.

    The same code as the service runs, in test mode: the decision is recorded but counts nowhere. Without
    --at it decides as of the newest features.

    \b
    Examples:
      moment decide 1228
      moment decide 1228 --placement checkout --at 2018-01-02T18:00:00Z --explain
    """  # noqa: D301
    from moment.home import Home
    from moment.progress import step
    from serving.bootstrap import open_all
    from serving.settings import Settings
    from serving.use_cases.asking import Ask

    with step("Open features, models and catalogue"):
        opened = open_all(Home.find(), Settings.read())
    try:
        time = opened.features.newest() if at is None else _instant(at)
        ask = Ask(
            customer_id=customer,
            channel=channel,
            placements=tuple((name, slots) for name in placement or ("home",)),
            context=dict(_context(opened.catalogue, item) for item in context),
            time=time,
            include=("scores",),
        )
        as_of = f"{time:%Y-%m-%d %H:%M %Z}" + (
            "" if at else ", the time of the newest features (--at names another)"
        )
        _decide(opened, ask, as_of, explain=explain, as_json=as_json)
    finally:
        opened.close()


def _decide(opened: Opened, ask: Ask, as_of: str, *, explain: bool, as_json: bool) -> None:
    import msgspec

    from serving.api.answers import decision_answer, record_answer
    from serving.ports import Scope
    from serving.records import Mode
    from serving.tell import tell
    from serving.use_cases.access import Caller

    caller = Caller(key_id="moment-decide", mode=Mode.TEST, scopes=frozenset(Scope))
    record = opened.desk.decide(caller, ask)
    recalled = opened.desk.recall(caller, record.decision_id)
    if not as_json:
        tell(recalled, as_of=as_of, explain=explain)
        return
    answer = (
        record_answer(recalled, views=opened.desk.views, scores=True) if explain else decision_answer(record)
    )
    click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())


def _context(catalogue: Catalogue, item: str) -> tuple[str, Scalar]:
    """Read NAME=VALUE as the type the catalogue declares; what it does not declare stays text."""
    name, equals, text = item.partition("=")
    if not equals:
        raise click.BadParameter(f"{item!r} is not NAME=VALUE", param_hint="--context")
    declared = {field.name: field.type.value for field in catalogue.context}.get(name)
    try:
        match declared:
            case "int64":
                return name, int(text)
            case "float64":
                return name, float(text)
            case "bool":
                return name, {"true": True, "false": False}[text]
            case _:
                return name, text
    except (ValueError, KeyError):
        raise click.BadParameter(f"{name} must be {declared}", param_hint="--context") from None


def _instant(text: str) -> datetime:
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time; write e.g. 2018-01-02T18:00:00Z", param_hint="--at"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
