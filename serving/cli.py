"""The commands of serving: ``moment serve``, ``decide``, ``keys`` and ``catalogue``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from serving.commands.batch import batch
from serving.commands.case import case
from serving.commands.catalogue import catalogue
from serving.commands.decisions import decisions
from serving.commands.erase import erase
from serving.commands.findings import findings
from serving.commands.keys import keys
from serving.commands.package import package
from serving.commands.policy import publish, rollback, submit
from serving.commands.records import records
from serving.commands.stop import resume, stop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from serving.bootstrap import Opened
    from serving.decision.catalogue import Catalogue
    from serving.decision.explanation import Explanation
    from serving.decision.values import Scalar
    from serving.records import DecisionRecord
    from serving.use_cases.asking import Ask

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group()
def cli() -> None:
    """Commands that ``moment`` mounts at the top."""


cli.add_command(batch)
cli.add_command(case)
cli.add_command(catalogue)
cli.add_command(decisions)
cli.add_command(keys)
cli.add_command(erase)
cli.add_command(package)
cli.add_command(records)
cli.add_command(findings)
cli.add_command(stop)
cli.add_command(resume)
# A catalogue knows nothing of lives; what makes a version of it stands above both
catalogue.add_command(submit)
catalogue.add_command(publish)
catalogue.add_command(rollback)


@cli.command()
@click.option("--host", help="IP address to listen on (default: this machine only).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (default: 3000; 0 takes a free one).")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes (default: 1).")
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65535),
    help="Port of the Admin service, with the metrics (default: the one after --port; 0 takes a free one).",
)
def serve(host: str | None, port: int | None, workers: int | None, admin_port: int | None) -> None:
    """Keep the decision service up, and the Admin service beside it.

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
            admin_port=settings.admin_port if admin_port is None else admin_port,
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
@click.option("--explain", is_flag=True, help="Say why not for the other candidates, by stage.")
@click.option(
    "--all", "everything", is_flag=True, help="Explain every one of them, not the first of each stage."
)
@click.option("--action", metavar="ACTION", help="Explain this one, with all that was observed.")
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
    everything: bool,
    action: str | None,
    as_json: bool,
) -> None:
    """Decide for CUSTOMER here and now, without a server, and say why.

    The same code as the service runs, in test mode: it keeps to the limits of test traffic and is recorded,
    but what it offers counts nowhere. Without --at it decides as of the newest features.

    \b
    Examples:
      moment decide 1228
      moment decide 1228 --placement checkout --at 2018-01-02T18:00:00Z --explain
      moment decide 1228 --action coupon-ice-cream --context fulfilment=delivery

    \b
    What --explain says:
      Funnel: 158 considered → 158 available → … → 3 shown
      Why not: arbitration (129)
       coupon-soft-drinks   rank 4 of 132: outranked with priority 0.5506 = propensity 0.1835 x value 3
      Why not: contact policy (2)
       coupon-beef          limit `twice-a-week`: 2 presentations of it in 7 days, at most 2
    """  # noqa: D301
    from moment.home import Home
    from moment.progress import step
    from serving.bootstrap import open_all
    from serving.settings import Settings
    from serving.use_cases.asking import Ask

    with step("Open features, models and catalogue"):
        opened = open_all(Home.find(), Settings.read())
    try:
        if action is not None:
            _check_action(opened.catalogue, action)
        time = opened.features.newest() if at is None else _instant(at)
        ask = Ask(
            customer_id=customer,
            channel=channel,
            placements=tuple((name, slots) for name in placement or ("home",)),
            context=dict(_context(opened.catalogue, item) for item in context),
            time=time,
            include=("scores",),
            reserves=False,
        )
        as_of = f"{time:%Y-%m-%d %H:%M %Z}" + (
            "" if at else ", the time of the newest features (--at names another)"
        )
        telling = Telling(as_of, explain=explain or everything, everything=everything, action=action)
        _decide(opened, ask, telling, as_json=as_json)
    finally:
        opened.close()


@dataclass(frozen=True, slots=True)
class Telling:
    """What of a decision is told."""

    as_of: str
    explain: bool
    everything: bool
    action: str | None


def _decide(opened: Opened, ask: Ask, telling: Telling, *, as_json: bool) -> None:
    from serving.commands.tell import tell, tell_about
    from serving.decision.explanation import explain
    from serving.ports import Scope
    from serving.records import Mode
    from serving.use_cases.access import Caller

    caller = Caller(key_id="moment-decide", mode=Mode.TEST, scopes=frozenset(Scope))
    record = opened.desk.decide(caller, ask)
    recalled = opened.desk.recall(caller, record.decision_id)
    explanation = explain(recalled.considered())
    if telling.action is not None:
        explanation = explanation.about(telling.action)
    if as_json:
        explained = telling.explain or telling.action is not None
        _tell_json(record, explanation if explained else None)
    elif telling.action is not None:
        tell_about(recalled, explanation, as_of=telling.as_of)
    else:
        tell(
            recalled,
            explanation,
            as_of=telling.as_of,
            explain=telling.explain,
            everything=telling.everything,
        )


def _tell_json(record: DecisionRecord, explanation: Explanation | None) -> None:
    """Print the answer as the service gives it, with the explanation when it is wanted."""
    import msgspec

    from serving.api.answers import decision_answer

    answer = msgspec.to_builtins(decision_answer(record))
    if explanation is not None:
        answer["explanation"] = explanation.as_dict()
    click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())


def _check_action(catalogue: Catalogue, action_id: str) -> None:
    """Refuse an action that does not compete in the catalogue, with the nearest name."""
    from serving.decision.parsing import nearest

    known = [str(action.action_id) for action in catalogue.actions]
    if action_id not in known:
        hint = nearest(action_id, known) or "; `moment catalogue show` lists those that do"
        raise click.BadParameter(f"no action {action_id!r} competes{hint}", param_hint="--action")


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
