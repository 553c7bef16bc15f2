"""``moment keys``: create, list and revoke API keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.ports import ApiKey
    from serving.use_cases.keys import NewKey

_SCOPES = ("decisions:write", "decisions:read", "customers:read", "scores:read", "context:assert")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group()
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
        write_key(path, new.secret)
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


def _key_path(folder: Path, name: str) -> Path:
    path = folder / Path(name).expanduser()
    if path.exists():
        raise click.ClickException(f"{path} is there already; name another file or remove it")
    return path


def write_key(path: Path, secret: str) -> None:
    """Write a secret to a new file that only its owner can read."""
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
