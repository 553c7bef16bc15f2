"""The commands of serving: ``moment serve``, ``decide``, ``keys`` and ``catalogue``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.catalogue.cli import catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from serving.bootstrap import Opened
    from serving.decision.catalogue import Catalogue
    from serving.decision.values import Scalar
    from serving.ports import ApiKey
    from serving.use_cases.asking import Ask
    from serving.use_cases.keys import NewKey

_SCOPES = ("decisions:write", "decisions:read", "customers:read", "scores:read")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group()
def cli() -> None:
    """Commands that ``moment`` mounts at the top."""


cli.add_command(catalogue)


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


@cli.group()
def keys() -> None:
    """Create, list and revoke API keys.

    A key is shown once and kept as a digest. It is live or test, bound to a channel or not, and may do what
    its scopes say. Test keys may set the time, and what they ask counts nowhere.

    \b
    Examples:
      moment keys create --mode test --scope all --out-file
      moment keys revoke key_1f2e3d4c5b6a
    """  # noqa: D301


@keys.command("create")
@click.option(
    "--mode", type=click.Choice(["live", "test"]), required=True, help="Whether what it asks counts."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("decisions:write",),
    show_default=True,
    type=click.Choice([*_SCOPES, "all"]),
    help="What it may do; may be repeated.",
)
@click.option("--channel", help="The only channel it may speak for (default: any).")
@click.option("--label", default="", help="What people call it.")
@click.option(
    "--out-file",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[NAME]",
    help="Write it to this file (in the home's keys/ unless a path) instead of the screen.",
)
@_JSON
def create_key(
    mode: str,
    scopes: Sequence[str],
    channel: str | None,
    label: str,
    out_file: str | None,
    *,
    as_json: bool,
) -> None:
    """Make a key and show it, once; or write it to a file only you can read.

    \b
    Example:
      moment keys create --mode live --channel web --scope decisions:write
    """  # noqa: D301
    from moment.home import Home
    from serving.adapters.identifiers import utc_now
    from serving.bootstrap import open_keys
    from serving.ports import Scope
    from serving.records import Mode
    from serving.use_cases.keys import create_key as create

    home = Home.find()
    path = None if out_file is None else _key_path(home.keys, out_file or f"{mode}.key")
    wanted = frozenset(Scope) if "all" in scopes else frozenset(map(Scope, scopes))
    store = open_keys(home)
    try:
        new = create(store, mode=Mode(mode), scopes=wanted, channel=channel, label=label, now=utc_now())
    finally:
        store.close()
    if path is not None:
        _write_key(path, new.secret)
    _tell_new(new, path, as_json=as_json)


@keys.command("list")
@_JSON
def list_keys(*, as_json: bool) -> None:
    """List all keys; what opens with them is never shown again.

    \b
    Example:
      moment keys list
    """  # noqa: D301
    import json

    from moment.home import Home
    from serving.bootstrap import open_keys

    store = open_keys(Home.find())
    try:
        found = store.all()
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps([_as_json(key) for key in found], indent=1))
        return
    for key in found:
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "open"
        scopes = " ".join(sorted(key.scopes))
        click.echo(
            f"{key.key_id}  {key.mode:4}  {key.channel or 'any channel'}  {scopes}  {state}  {key.label}"
        )
    if not found:
        click.echo("No keys yet; `moment keys create --mode test --scope all --out-file` makes one.")


@keys.command("revoke")
@click.argument("key_id")
def revoke_key(key_id: str) -> None:
    """Revoke a key: every worker refuses it from its next request on.

    \b
    Example:
      moment keys revoke key_1f2e3d4c5b6a
    """  # noqa: D301
    from moment.home import Home
    from serving.adapters.identifiers import utc_now
    from serving.bootstrap import open_keys
    from serving.use_cases.keys import revoke_key as revoke

    store = open_keys(Home.find())
    try:
        key = revoke(store, key_id, utc_now())
    finally:
        store.close()
    click.echo(f"{key.key_id} is revoked; `moment keys create` makes another.")


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


def _key_path(folder: Path, name: str) -> Path:
    path = folder / Path(name).expanduser()
    if path.exists():
        raise click.ClickException(f"{path} is there already; name another file or remove it")
    return path


def _write_key(path: Path, secret: str) -> None:
    import os

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{secret}\n")


def _tell_new(new: NewKey, path: Path | None, *, as_json: bool) -> None:
    import json

    if as_json:
        told = _as_json(new.key) | ({"key": new.secret} if path is None else {"file": str(path)})
        click.echo(json.dumps(told, indent=1))
        return
    if path is None:
        click.echo(new.secret)
        click.echo(
            f"This is {new.key.key_id}. It is not shown again; keep it where secrets are kept.", err=True
        )
    else:
        click.echo(f"{new.key.key_id} is in {path}, which only you can read. Next: `moment serve`.")


def _as_json(key: ApiKey) -> dict[str, str | list[str] | None]:
    return {
        "key_id": key.key_id,
        "label": key.label,
        "mode": key.mode,
        "scopes": sorted(key.scopes),
        "channel": key.channel,
        "created_at": key.created_at.isoformat(),
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }
