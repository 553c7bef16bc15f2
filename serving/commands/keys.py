"""``moment keys``: create, list, rotate and revoke API keys."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from serving.ports import ApiKey, Bounds, Scope, Secret
    from serving.use_cases.keys import NewKey

# Written down here too, so that `--help` imports nothing; a test holds them to be the same
SCOPES = (
    "decisions:write",
    "decisions:read",
    "customers:read",
    "scores:read",
    "context:assert",
    "events:write",
    "outcomes:write",
    "identities:write",
    "consents:write",
    "customers:erase",
    "customers:export",
    "metrics:read",
    "models:read",
    "models:approve",
    "stops:write",
)
ROLES = ("risk_officer", "data_scientist", "operator", "support")

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
_OUT_FILE = click.option(
    "--out-file",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[NAME]",
    help="Write it to this file (in the home's keys/ unless a path) instead of the screen.",
)


class Span(click.ParamType[timedelta]):
    """A time span such as 90d, 24h or 15m; 0 is none at all."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,5})([dhm])", str(value))
        if found is None and str(value) != "0":
            self.fail(f"{value!r} is no time span; write e.g. 90d, 24h or 15m", param, ctx)
        unit = {"d": "days", "h": "hours", "m": "minutes"}
        return timedelta(**{unit[found[2]]: int(found[1])}) if found else timedelta(0)


@click.group()
def keys() -> None:
    """Create, list, rotate and revoke API keys.

    A key is shown once and kept as a digest. It is live or test, bound to a channel or not, and may do what
    its scopes say. Test keys may set the time, and what they ask counts nowhere. People have keys of their
    own, which may do what their role says.

    \b
    Examples:
      moment keys create --mode test --scope all --out-file
      moment keys create --person "Ada Byron" --role risk_officer --expires 90d --out-file ada.key
      moment keys rotate key_1f2e3d4c5b6a --grace 24h
    """  # noqa: D301


@keys.command("create")
@click.option(
    "--mode", type=click.Choice(["live", "test"]), help="Whether what it asks counts (a person's: live)."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([*SCOPES, "all"]),
    help="What it may do; may be repeated (default: decisions:write).",
)
@click.option("--channel", help="The only channel it may speak for (default: any).")
@click.option("--label", default="", help="What people call it.")
@click.option("--person", help="Whose own key it is: what it is used for counts as done by them.")
@click.option("--role", type=click.Choice(ROLES), help="What the person works as: it says what they may do.")
@click.option("--expires", type=Span(), metavar="SPAN", help="End it after e.g. 90d (default: never).")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Requests a second it may make.")
@click.option("--burst", type=click.IntRange(1), help="Requests at once it may make (default: two seconds').")
@click.option(
    "--customers-per-hour", type=click.IntRange(1, 1_000_000), help="Different customers it may ask about."
)
@_OUT_FILE
@_JSON
def create_key(
    *,
    mode: str | None,
    scopes: Sequence[str],
    channel: str | None,
    label: str,
    person: str | None,
    role: str | None,
    expires: timedelta | None,
    rate: float | None,
    burst: int | None,
    customers_per_hour: int | None,
    out_file: str | None,
    as_json: bool,
) -> None:
    """Make a key and show it, once; or write it to a file only you can read.

    Without --rate and --customers-per-hour the deployment's bounds hold for it, and for a person's key those
    of people: 10 requests a second, 200 customers an hour.

    \b
    Examples:
      moment keys create --mode live --channel web --scope decisions:write --scope outcomes:write
      moment keys create --person "Ada Byron" --role support
    """  # noqa: D301
    from moment.home import Home
    from serving.adapters.identifiers import utc_now
    from serving.bootstrap import open_keys
    from serving.ports import Role
    from serving.records import Mode
    from serving.use_cases.keys import create_key as create
    from serving.use_cases.keys import create_personal_key

    _check_kind(person, role, mode, personal=not (scopes or channel or label))
    home, now = Home.find(), utc_now()
    path = None if out_file is None else _key_path(home.keys, out_file or f"{role or mode}.key")
    expires_at = None if expires is None else now + expires
    bounds = _bounds(rate, burst, customers_per_hour)
    with closing(open_keys(home)) as store:
        if person is not None and role is not None:
            new = create_personal_key(
                store,
                person=person.strip(),
                role=Role(role),
                mode=Mode(mode or "live"),
                now=now,
                expires_at=expires_at,
                bounds=bounds,
            )
        else:
            new = create(
                store,
                mode=Mode(str(mode)),
                scopes=_scopes(scopes),
                channel=channel,
                label=label,
                now=now,
                expires_at=expires_at,
                bounds=bounds,
            )
    _hand_over(new, path, as_json=as_json)


@keys.command("list")
@_JSON
def list_keys(*, as_json: bool) -> None:
    """List all keys and their secrets' ages; what opens with them is never shown again.

    \b
    Example:
      moment keys list
    """  # noqa: D301
    import json

    from moment.home import Home
    from serving.adapters.identifiers import utc_now
    from serving.bootstrap import open_keys

    with closing(open_keys(Home.find())) as store:
        found = [(key, store.secrets(key.key_id)) for key in store.all()]
    if as_json:
        click.echo(json.dumps([_as_json(key, secrets) for key, secrets in found], indent=1))
        return
    now = utc_now()
    for key, secrets in found:
        click.echo(_line(key, now))
        for secret in secrets:
            click.echo(f"  {_secret_line(secret, now)}")
    if not found:
        click.echo("No keys yet; `moment keys create --mode test --scope all --out-file` makes one.")


@keys.command("rotate")
@click.argument("key_id")
@click.option(
    "--grace", type=Span(), default="24h", show_default=True, help="How long the old one goes on opening."
)
@_OUT_FILE
@_JSON
def rotate_key(key_id: str, grace: timedelta, out_file: str | None, *, as_json: bool) -> None:
    """Give a key a new secret beside the old one, so that whoever uses it can change over in peace.

    Who it is, what it may do, and what it has asked stay as they are. --grace 0 ends the old secret at once.

    \b
    Example:
      moment keys rotate key_1f2e3d4c5b6a --grace 24h --out-file web-2.key
    """  # noqa: D301
    from moment.home import Home
    from serving.adapters.identifiers import utc_now
    from serving.bootstrap import open_keys
    from serving.use_cases.keys import rotate_key as rotate

    home = Home.find()
    path = None if out_file is None else _key_path(home.keys, out_file or f"{key_id}.key")
    with closing(open_keys(home)) as store:
        new = rotate(store, key_id, utc_now(), grace=grace)
    _hand_over(new, path, as_json=as_json)


@keys.command("revoke")
@click.argument("key_id")
def revoke_key(key_id: str) -> None:
    """Revoke a key with all its secrets: every worker refuses it from its next request on.

    \b
    Example:
      moment keys revoke key_1f2e3d4c5b6a
    """  # noqa: D301
    from moment.home import Home
    from serving.adapters.identifiers import utc_now
    from serving.bootstrap import open_keys
    from serving.use_cases.keys import revoke_key as revoke

    with closing(open_keys(Home.find())) as store:
        key = revoke(store, key_id, utc_now())
    click.echo(f"{key.key_id} is revoked; `moment keys create` makes another.")


def _check_kind(person: str | None, role: str | None, mode: str | None, *, personal: bool) -> None:
    """Refuse what is neither a channel's key nor a person's."""
    if (person is None) != (role is None) or (person is not None and not person.strip()):
        raise click.UsageError("a person's own key needs both --person NAME and --role")
    if person is not None and not personal:
        raise click.UsageError(
            "a person's own key may do what their role says; leave --scope, --channel and --label out"
        )
    if person is None and mode is None:
        raise click.UsageError(
            "say --mode live or --mode test (or --person and --role for a person's own key)"
        )


def _scopes(named: Sequence[str]) -> frozenset[Scope]:
    """Return what a channel's key may do: what is named, decisions where nothing is."""
    from serving.ports import Scope

    return frozenset(Scope) if "all" in named else frozenset(map(Scope, named or ("decisions:write",)))


def _bounds(rate: float | None, burst: int | None, customers_per_hour: int | None) -> Bounds | None:
    from serving.ports import Bounds

    if burst is not None and rate is None:
        raise click.UsageError("--burst needs --rate")
    if rate is None and customers_per_hour is None:
        return None
    if rate is not None and burst is None:
        burst = max(1, round(2 * rate))
    return Bounds(rate, burst, customers_per_hour)


def _key_path(folder: Path, name: str) -> Path:
    path = folder / Path(name).expanduser()
    if path.exists() or path.is_symlink():
        raise click.ClickException(f"{path} is there already; name another file or remove it")
    return path


def write_key(path: Path, secret: str) -> None:
    """Write a secret to a new file that only its owner can read."""
    import os

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{secret}\n")


def _hand_over(new: NewKey, path: Path | None, *, as_json: bool) -> None:
    """Give a new secret to who asked for it, once: in a file where one is named, else on the screen."""
    import json

    if path is not None:
        write_key(path, new.secret)
    if as_json:
        told = _as_json(new.key, ()) | ({"key": new.secret} if path is None else {"file": str(path)})
        click.echo(json.dumps(told, indent=1))
        return
    if path is None:
        click.echo(new.secret)
        click.echo(
            f"This is {new.key.key_id}. It is not shown again; keep it where secrets are kept.", err=True
        )
    else:
        click.echo(f"{new.key.key_id} is in {path}, which only you can read. Next: `moment serve`.")


def _line(key: ApiKey, now: datetime) -> str:
    state = "open" if key.opens(now) else "ended"
    if key.revoked_at is not None:
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
    elif key.expires_at is not None:
        state += f" until {key.expires_at:%Y-%m-%d %H:%M}"
    whose = f"{key.person}, {key.role}" if key.person else key.label
    parts = (key.key_id, f"{key.mode:4}", key.channel or "any channel", " ".join(sorted(key.scopes)), state)
    return "  ".join((*parts, whose)).rstrip()


def _secret_line(secret: Secret, now: datetime) -> str:
    used = f"last used {secret.last_used_on}" if secret.last_used_on else "never used"
    ends = ""
    if secret.expires_at is not None:
        ends = f", {'ends' if now < secret.expires_at else 'ended'} {secret.expires_at:%Y-%m-%d %H:%M}"
    return f"secret of {secret.created_at:%Y-%m-%d %H:%M}{ends}, {used}"


def _as_json(key: ApiKey, secrets: Sequence[Secret]) -> dict[str, object]:
    return {
        "key_id": key.key_id,
        "label": key.label,
        "person": key.person,
        "role": key.role,
        "mode": key.mode,
        "scopes": sorted(key.scopes),
        "channel": key.channel,
        "created_at": key.created_at.isoformat(),
        "expires_at": _text(key.expires_at),
        "revoked_at": _text(key.revoked_at),
        "bounds": None
        if key.bounds is None
        else {
            "per_second": key.bounds.per_second,
            "burst": key.bounds.burst,
            "customers_per_hour": key.bounds.customers_per_hour,
        },
        "secrets": [
            {
                "created_at": secret.created_at.isoformat(),
                "expires_at": _text(secret.expires_at),
                "last_used_on": secret.last_used_on.isoformat() if secret.last_used_on else None,
            }
            for secret in secrets
        ],
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
